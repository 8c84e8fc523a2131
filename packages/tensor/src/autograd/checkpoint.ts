/**
 * Checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"): a segment whose results within are
 * not kept for its gradient, but computed again when that is asked for.
 */
import { dtypes } from '../dtype.ts';
import { type Node, newestNode, topological } from '../graph.ts';
import { after } from '../ops/after.ts';
import { composite } from '../ops/composite.ts';
import { Tensor } from '../tensor.ts';
import { isVariable } from '../tensor-value.ts';
import { replay } from './replay.ts';
import { reverse } from './reverse.ts';

/**
 * The function `segment` with another way to its gradient: of a call only the operands stay in memory, and the backward
 * pass computes the segment again, once the gradient of its result is there. Values and gradients are the same, bit for
 * bit; random draws are not made anew. Operands are the arguments and all tensors that the function closes over.
 */
export function checkpoint<A extends readonly Tensor[]>(segment: (...args: A) => Tensor): (...args: A) => Tensor {
  return (...args) => {
    const newest = newestNode();
    const body = segment(...args).node;
    const operands = operandsOf(body, newest);
    return operands.length === 0 ? new Tensor(body) : new Tensor(segmentNode(body, operands));
  };
}

/**
 * The nodes that a segment reads: those made before it began, stored ones such as the keys of random draws, and
 * parameters. Of a parameter in flat storage the view is made where it is first read, which may be in the segment.
 */
function operandsOf(body: Node, newest: number): Node[] {
  const outside = (node: Node): boolean => node.id <= newest || node.storage !== undefined || isVariable(node);
  const order = topological([body], (node) => (outside(node) ? [] : node.inputs));
  return body.id <= newest ? [] : order.filter(outside);
}

function segmentNode(body: Node, operands: readonly Node[]): Node {
  const apply = composite<undefined>({
    name: 'checkpoint',
    shape: () => body.shape,
    dtype: () => body.dtype,
    define: (inputs) => replay(body, operands, inputs),
    // What the definition's own rules would keep is computed again, from operands that wait for the gradient. The
    // gradients of all operands are then made together, so that what was computed again is soon given up.
    vjp: ({ inputs }, gradient) => {
      const again = inputs.map((input) => after(input, [gradient]));
      const wanted = again.filter(({ dtype }) => dtypes[dtype].floating);
      const found = reverse(replay(body, operands, again), gradient, wanted, new Set(again));
      const gradients = new Map(wanted.map((node, i) => [node, found[i]] as const));
      const made = found.filter((node) => node !== undefined);
      return again.map((node) => {
        const own = gradients.get(node);
        return (
          own &&
          after(
            own,
            made.filter((other) => other !== own),
          )
        );
      });
    },
  });
  return apply(operands, undefined);
}
