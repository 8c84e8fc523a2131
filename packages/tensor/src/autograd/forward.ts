/**
 * Forward-mode differentiation from the same rules: the reverse product u ↦ uᵀJ is linear in u, so its own reverse
 * product gives J·tangent. The dummy u is never computed: nothing in the result depends on its value.
 */
import type { Node } from '../graph.ts';
import { apply } from '../ops/elementwise.ts';
import { fill } from '../ops/generate.ts';
import { reduce } from '../ops/reduce.ts';
import { reshape } from '../ops/view.ts';
import { gradientsOf } from './reverse.ts';

/** J·tangents: the change of `output` when each of `inputs` moves along its tangent. */
export function forward(output: Node, inputs: readonly Node[], tangents: readonly Node[]): Node {
  const dummy = apply('add', fill(output.shape, 0, output.dtype), fill(output.shape, 0, output.dtype));
  const products = gradientsOf(output, dummy, inputs).map((gradient, i) => {
    const product = apply('mul', gradient, tangents[i] as Node);
    return reduce(
      'sum',
      product,
      product.shape.map((_, axis) => axis),
    );
  });
  let total = fill([], 0, output.dtype);
  for (const product of products) total = apply('add', total, scalarOf(product));
  return gradientsOf(total, fill([], 1, output.dtype), [dummy])[0] as Node;
}

const scalarOf = (node: Node): Node => (node.shape.length === 0 ? node : reshape(node, []));
