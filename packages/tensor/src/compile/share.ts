/**
 * Common subexpressions: nodes that compute the same from the same become one node. On the way, matrix products that
 * are only seen transposed are turned around, so that no kernel has to move their elements.
 */
import { Node, type Op, topological } from '../graph.ts';
import { contract, contractOp, precisionOf, transpose } from '../ops/contract.ts';
import { concatOp, exchangesMatrix } from '../ops/view.ts';
import { Assembler, joinedOperands } from './assemble.ts';
import { attributeText } from './attributes.ts';
import type { Resolution } from './resolution.ts';

/**
 * For every node behind `outputs` (composites resolved), the node that stands for it. Outputs keep a node of their own,
 * since each of them gets memory of its own.
 */
export function share(outputs: readonly Node[], { resolve, operandsOf }: Resolution): ReadonlyMap<Node, Node> {
  const canonical = new Map<Node, Node>();
  const known = new Map<string, Node>();
  const opNumbers = new Map<Op, number>();
  const numberOf = (op: Op): number => {
    const number = opNumbers.get(op) ?? opNumbers.size;
    opNumbers.set(op, number);
    return number;
  };
  const assembler = new Assembler();
  const targets = new Set(outputs.map(resolve));
  const claimed = new Set(targets);
  const order = topological([...targets], operandsOf);
  const consumers = new Map<Node, number>();
  for (const node of order) {
    for (const operand of operandsOf(node)) consumers.set(operand, (consumers.get(operand) ?? 0) + 1);
  }
  for (const node of order) {
    if (node.storage !== undefined) {
      canonical.set(node, node);
      continue;
    }
    const operands = operandsOf(node);
    const below = passedThrough(node, operands, canonical);
    if (below !== undefined && !claimed.has(below)) {
      if (targets.has(node)) claimed.add(below);
      canonical.set(node, below);
      continue;
    }
    const inputs = operands.map((operand) => canonical.get(operand) as Node);
    if (node.op === concatOp) {
      const joined = joinedOperands(node, operandsOf).map((operand) => canonical.get(operand) as Node);
      const assembled = assembler.assembled(node, joined);
      if (assembled !== undefined) {
        canonical.set(node, assembled);
        continue;
      }
    }
    const [first] = operands;
    if (first !== undefined && consumers.get(first) === 1 && !targets.has(first)) {
      const turned = turnedProduct(node, inputs);
      if (turned !== undefined) {
        canonical.set(node, turned);
        continue;
      }
    }
    const key = `${numberOf(node.op)} ${node.dtype}[${node.shape}] ${inputs.map(({ id }) => id)} ${attributeText(node.attributes)}`;
    let same = targets.has(node) ? undefined : known.get(key);
    if (same === undefined) {
      const unchanged = inputs.every((input, i) => input === node.inputs[i]);
      same = unchanged ? node : new Node(node.op, inputs, node.attributes, node.shape, node.dtype, node.device);
      if (!known.has(key)) known.set(key, same);
    }
    canonical.set(node, same);
  }
  return canonical;
}

/** What `node` hands on unchanged, where that is computed here: a copy of it would gain nothing. */
function passedThrough(node: Node, [operand]: readonly Node[], canonical: ReadonlyMap<Node, Node>): Node | undefined {
  if (!node.op.rowMajor || !node.op.sameIndex) return undefined;
  const below = canonical.get(operand as Node);
  return below?.storage === undefined ? below : undefined;
}

/** (a b)ᵀ as bᵀ aᵀ, whose operands are views; undefined where `node` is no such thing. */
function turnedProduct(node: Node, [product]: readonly Node[]): Node | undefined {
  if (!exchangesMatrix(node) || product?.op !== contractOp || product.storage !== undefined) return undefined;
  const [a, b] = product.inputs as [Node, Node];
  return contract(transpose(b), transpose(a), precisionOf(product));
}
