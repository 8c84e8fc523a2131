/** Order without data: a node that shows another one's values, computed once certain others have been. */
import { Node, type Op } from '../graph.ts';

const afterOp: Op = {
  name: 'after',
  kind: 'pointwise',
  sameIndex: true,
  reads: 'once',
  waits: true,
  at: (_, index, read) => read(0, index),
  vjp: (_, gradient) => [gradient],
};

/**
 * The values of `x`, for readers that are to run behind all of `others`. What is computed from it is not the same as
 * what is computed from `x` itself, and so not shared with that.
 */
export function after(x: Node, others: readonly Node[]): Node {
  return new Node(afterOp, [x, ...others], undefined, x.shape, x.dtype);
}
