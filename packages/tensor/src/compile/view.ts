/** Views of buffers: nodes whose elements lie at an affine index of one stored node, and are read there without a copy. */
import { dtypes } from '../dtype.ts';
import { axis, constant, type Expr, load } from '../expr/expr.ts';
import { affine } from '../expr/simplify.ts';
import type { Node } from '../graph.ts';
import { flatten } from '../ops/view.ts';
import type { Resolution } from './resolution.ts';

/** Where the elements of a view lie in the buffer of `source`, counted in elements. */
export interface BufferView {
  readonly source: Node;
  readonly offset: number;
  /** Elements from one to the next along each axis of the view. */
  readonly strides: readonly number[];
}

/** `node` as a view of a buffer; undefined where something has to be computed for it. */
export function viewOf(
  node: Node,
  stored: ReadonlySet<Node>,
  { readBy }: Pick<Resolution, 'readBy'>,
): BufferView | undefined {
  let source: Node | undefined;
  const visit = (current: Node, index: readonly Expr[]): Expr | undefined => {
    if (stored.has(current) || current.storage !== undefined) {
      source = current;
      return load(0, flatten(index, current.shape), dtypes[current.dtype].scalar);
    }
    const [operand, ...others] = readBy(current);
    if (!current.op.at || !operand || others.length > 0) return undefined;
    let opaque = false;
    const element = current.op.at(current, index, (_, at) => {
      const value = visit(operand, at);
      opaque ||= value === undefined;
      return value ?? constant(0, dtypes[operand.dtype].scalar);
    });
    return opaque ? undefined : element;
  };
  const element = visit(
    node,
    node.shape.map((extent, i) => axis(i, extent)),
  );
  if (element?.op !== 'load' || source === undefined) return undefined;
  const form = affine(element.args[0] as Expr, node.shape.length);
  return form && { source, offset: form.offset, strides: form.strides };
}
