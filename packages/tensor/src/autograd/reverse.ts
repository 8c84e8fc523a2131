/**
 * Reverse-mode differentiation: one walk from the output back to the leaves, asking each row of the op table for its
 * operands' gradients. Gradients are ordinary nodes, so they can be differentiated again.
 */
import { dtypes } from '../dtype.ts';
import { type Node, topological } from '../graph.ts';
import { apply } from '../ops/elementwise.ts';
import { fill } from '../ops/generate.ts';

/** The edges that gradients follow: a composite without a rule of its own is entered through its definition. */
const edges = (node: Node): readonly Node[] =>
  node.op.kind === 'composite' && !node.op.vjp ? [node.define()] : node.inputs;

/**
 * Gradients of Σ output · seed with respect to each of `wrt`: a node of the same shape, or undefined where the output
 * does not depend on it. Nothing is looked for behind `ends`.
 */
export function reverse(
  output: Node,
  seed: Node,
  wrt: readonly Node[],
  ends: ReadonlySet<Node> = new Set(),
): (Node | undefined)[] {
  const order = topological([output], (node) => (ends.has(node) ? [] : edges(node)));
  const needed = new Set(wrt);
  for (const node of order) {
    if (!needed.has(node) && edges(node).some((operand) => needed.has(operand))) needed.add(node);
  }
  const gradients = new Map<Node, Node>([[output, seed]]);
  const collect = (node: Node, gradient: Node | undefined): void => {
    if (gradient === undefined || !needed.has(node)) return;
    const sum = gradients.get(node);
    gradients.set(node, sum === undefined ? gradient : apply('add', sum, gradient));
  };
  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i] as Node;
    const gradient = gradients.get(node);
    if (gradient === undefined || !needed.has(node)) continue;
    if (node.op.kind === 'composite' && !node.op.vjp) collect(node.define(), gradient);
    else if (node.op.vjp) {
      const operands = node.op.vjp(node, gradient);
      node.inputs.forEach((operand, k) => {
        collect(operand, operands[k]);
      });
    }
  }
  return wrt.map((node) => gradients.get(node));
}

/** `reverse` with zeros where there is no dependence. */
export function gradientsOf(output: Node, seed: Node, wrt: readonly Node[]): Node[] {
  return reverse(output, seed, wrt).map((gradient, i) => {
    const node = wrt[i] as Node;
    return gradient ?? fill(node.shape, 0, dtypes[node.dtype].floating ? node.dtype : 'f32');
  });
}
