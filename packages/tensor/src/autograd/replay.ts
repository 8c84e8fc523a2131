/** A computation repeated on other operands: copies of the nodes between operands and result. */
import { Node, topological } from '../graph.ts';

/**
 * What `result` would be if each of `from` had been the node at its place in `to`. Nodes that depend on none of `from`
 * are shared with the original.
 */
export function replay(result: Node, from: readonly Node[], to: readonly Node[]): Node {
  const copies = new Map<Node, Node>(from.map((node, i) => [node, to[i] as Node]));
  for (const node of topological([result], (node) => (copies.has(node) ? [] : node.inputs))) {
    if (copies.has(node)) continue;
    const inputs = node.inputs.map((input) => copies.get(input) as Node);
    const changed = inputs.some((input, i) => input !== node.inputs[i]);
    copies.set(node, changed ? new Node(node.op, inputs, node.attributes, node.shape, node.dtype, node.device) : node);
  }
  return copies.get(result) as Node;
}
