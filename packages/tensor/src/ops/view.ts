/**
 * Views: where an output element comes from, as a rule on indices. Nothing is copied by itself; a kernel that reads
 * through a chain of views computes the index. Views come in adjoint pairs.
 */
import { dtypes } from '../dtype.ts';
import { printShape, ShapeError } from '../errors.ts';
import { add, and, constant, div, type Expr, eq, le, lt, mod, mul, select, sub, term } from '../expr/expr.ts';
import { Node, type Op } from '../graph.ts';
import { resolveReshape, type Shape, sameShape, stridesOf } from '../shape.ts';
import { reduce } from './reduce.ts';

const integer = (value: number): Expr => constant(value, 'i32');

/** The linear, row-major index of `index` in `shape`. */
export function flatten(index: readonly Expr[], shape: Shape): Expr {
  const strides = stridesOf(shape);
  return index.reduce((sum, e, i) => add(sum, mul(e, integer(strides[i] as number))), integer(0));
}

/** The index in `shape` of a linear index. */
export function unflatten(linear: Expr, shape: Shape): Expr[] {
  const strides = stridesOf(shape);
  return shape.map((extent, i) => {
    if (extent === 1) return integer(0);
    const quotient = div(linear, integer(strides[i] as number));
    return i === 0 ? quotient : mod(quotient, integer(extent));
  });
}

const reshapeOp: Op = {
  name: 'reshape',
  kind: 'pointwise',
  rowMajor: true,
  reads: 'once',
  at: (node, index, read) => {
    const from = (node.inputs[0] as Node).shape;
    return read(0, unflatten(flatten(index, node.shape), from));
  },
  vjp: (node, gradient) => [reshape(gradient, (node.inputs[0] as Node).shape)],
};

/** The same elements in row-major order under another shape; one size may be -1. */
export function reshape(x: Node, shape: Shape): Node {
  const resolved = resolveReshape(x.shape, shape);
  if (sameShape(x.shape, resolved)) return x;
  return new Node(reshapeOp, [x], undefined, resolved, x.dtype);
}

const permuteOp: Op = {
  name: 'permute',
  kind: 'pointwise',
  reads: 'once',
  at: (node, index, read) => {
    const source: Expr[] = [];
    (node.attributes as readonly number[]).forEach((axis, i) => {
      source[axis] = index[i] as Expr;
    });
    return read(0, source);
  },
  vjp: (node, gradient) => {
    const order = node.attributes as readonly number[];
    const inverse = order.map((_, i) => order.indexOf(i));
    return [permute(gradient, inverse)];
  },
};

/** Whether `node` shows its operand with the last two axes exchanged. */
export function exchangesMatrix({ op, attributes, shape: { length } }: Node): boolean {
  if (op !== permuteOp || length < 2) return false;
  const order = attributes as readonly number[];
  return order.every((axis, i) => axis === (i === length - 1 ? i - 1 : i === length - 2 ? i + 1 : i));
}

/** Axes in another order: output axis i is operand axis order[i]. */
export function permute(x: Node, order: readonly number[]): Node {
  if (
    order.length !== x.shape.length ||
    new Set(order).size !== order.length ||
    order.some((axis) => x.shape[axis] === undefined)
  ) {
    throw new ShapeError(
      `permute: [${order.join(', ')}] is not an order of the ${x.shape.length} axes of ${printShape(x.shape)}`,
    );
  }
  if (order.every((axis, i) => axis === i)) return x;
  return new Node(
    permuteOp,
    [x],
    order,
    order.map((axis) => x.shape[axis] as number),
    x.dtype,
  );
}

const expandOp: Op = {
  name: 'expand',
  kind: 'pointwise',
  reads: 'many',
  at: (node, index, read) => {
    const from = (node.inputs[0] as Node).shape;
    return read(
      0,
      index.map((e, i) => (from[i] === 1 ? integer(0) : e)),
    );
  },
  vjp: (node, gradient) => {
    const from = (node.inputs[0] as Node).shape;
    const axes = from.flatMap((extent, i) => (extent === 1 && node.shape[i] !== 1 ? [i] : []));
    return [reduce('sum', gradient, axes)];
  },
};

/** Axes of size 1 repeated to the sizes of `shape`, which has the same rank. */
export function expand(x: Node, shape: Shape): Node {
  const fits = shape.length === x.shape.length && shape.every((extent, i) => x.shape[i] === extent || x.shape[i] === 1);
  if (!fits)
    throw new ShapeError(
      `expand: ${printShape(x.shape)} does not expand to ${printShape(shape)}`,
      'only axes of size 1 can grow',
    );
  return sameShape(x.shape, shape) ? x : new Node(expandOp, [x], undefined, shape, x.dtype);
}

interface SliceAttributes {
  readonly starts: readonly number[];
  readonly steps: readonly number[];
}

const sliceOp: Op = {
  name: 'slice',
  kind: 'pointwise',
  reads: 'once',
  at: (node, index, read) => {
    const { starts, steps } = node.attributes as SliceAttributes;
    return read(
      0,
      index.map((e, i) => add(mul(e, integer(steps[i] as number)), integer(starts[i] as number))),
    );
  },
  vjp: (node, gradient) => {
    const { starts, steps } = node.attributes as SliceAttributes;
    return [pad(gradient, starts, (node.inputs[0] as Node).shape, steps)];
  },
};

/** Elements start, start + step, ... of every axis; `shape` says how many. Steps are at least 1. */
export function slice(
  x: Node,
  starts: readonly number[],
  shape: Shape,
  steps: readonly number[] = shape.map(() => 1),
): Node {
  shape.forEach((extent, i) => {
    const last = (starts[i] as number) + Math.max(0, extent - 1) * (steps[i] as number);
    if ((starts[i] as number) < 0 || (extent > 0 && last >= (x.shape[i] as number))) {
      throw new ShapeError(
        `slice: elements ${starts[i]} to ${last} are outside of axis ${i} of ${printShape(x.shape)}`,
      );
    }
  });
  if (sameShape(shape, x.shape)) return x;
  return new Node(sliceOp, [x], { starts, steps } satisfies SliceAttributes, shape, x.dtype);
}

const padOp: Op = {
  name: 'pad',
  kind: 'pointwise',
  reads: 'once',
  at: (node, index, read) => {
    const { starts, steps } = node.attributes as SliceAttributes;
    const from = (node.inputs[0] as Node).shape;
    const { scalar } = dtypes[node.dtype];
    if (from.includes(0)) return constant(0, scalar);
    let inside = constant(1, 'bool');
    const source = index.map((e, i) => {
      const step = integer(steps[i] as number);
      const extent = from[i] as number;
      const offset = sub(e, integer(starts[i] as number));
      // Clamped first, so that the quotient is never negative and the load stays in bounds where nothing is read.
      const within = term('min', [term('max', [offset, integer(0)]), integer((extent - 1) * (steps[i] as number))]);
      const bounded = starts[i] === 0 && extent === node.shape[i] && steps[i] === 1 ? offset : within;
      const position = div(bounded, step);
      inside = and(inside, and(le(integer(0), offset), lt(offset, integer((extent - 1) * (steps[i] as number) + 1))));
      if (steps[i] !== 1) inside = and(inside, eq(mod(bounded, step), integer(0)));
      return position;
    });
    return select(inside, read(0, source), constant(0, scalar));
  },
  vjp: (node, gradient) => {
    const { starts, steps } = node.attributes as SliceAttributes;
    return [slice(gradient, starts, (node.inputs[0] as Node).shape, steps)];
  },
};

/** Zeros of `shape` with x's elements at start, start + step, ... of every axis: the adjoint of `slice`. */
export function pad(
  x: Node,
  starts: readonly number[],
  shape: Shape,
  steps: readonly number[] = shape.map(() => 1),
): Node {
  if (sameShape(shape, x.shape)) return x;
  return new Node(padOp, [x], { starts, steps } satisfies SliceAttributes, shape, x.dtype);
}

const flipOp: Op = {
  name: 'flip',
  kind: 'pointwise',
  reads: 'once',
  at: (node, index, read) => {
    const axes = node.attributes as readonly number[];
    return read(
      0,
      index.map((e, i) => (axes.includes(i) ? sub(integer((node.shape[i] as number) - 1), e) : e)),
    );
  },
  vjp: (node, gradient) => [flip(gradient, node.attributes as readonly number[])],
};

/** The order along `axes` reversed. */
export function flip(x: Node, axes: readonly number[]): Node {
  return new Node(flipOp, [x], axes, x.shape, x.dtype);
}

export const concatOp: Op = {
  name: 'concat',
  kind: 'pointwise',
  reads: 'once',
  at: (node, index, read) => {
    const axis = node.attributes as number;
    const position = index[axis] as Expr;
    let start = 0;
    let value: Expr | undefined;
    node.inputs.forEach((operand, k) => {
      const extent = operand.shape[axis] as number;
      if (extent > 0) {
        const own = sub(position, integer(start));
        const clamped =
          node.inputs.length === 1 ? own : term('min', [term('max', [own, integer(0)]), integer(extent - 1)]);
        const element = read(
          k,
          index.map((e, i) => (i === axis ? clamped : e)),
        );
        value = value === undefined ? element : select(lt(position, integer(start)), value, element);
      }
      start += extent;
    });
    return value ?? constant(0, dtypes[node.dtype].scalar);
  },
  vjp: (node, gradient) => {
    const axis = node.attributes as number;
    let start = 0;
    return node.inputs.map((operand) => {
      const starts = operand.shape.map((_, i) => (i === axis ? start : 0));
      start += operand.shape[axis] as number;
      return slice(gradient, starts, operand.shape);
    });
  },
};

/** More operands are joined in groups, since a kernel can only read so many buffers. */
const mostJoined = 4;

/** Operands of one dtype laid end to end along `axis`. */
export function concat(operands: readonly Node[], axis: number): Node {
  const [first] = operands;
  if (first === undefined) throw new ShapeError('concat: there is nothing to join', 'give at least one tensor');
  operands.forEach((operand, k) => {
    const fits =
      operand.shape.length === first.shape.length &&
      operand.shape.every((extent, i) => i === axis || extent === first.shape[i]);
    if (!fits) {
      throw new ShapeError(
        `concat: operand ${k} has shape ${printShape(operand.shape)}, operand 0 ${printShape(first.shape)}`,
        `sizes must agree on every axis but ${axis}`,
      );
    }
  });
  if (operands.length === 1) return first;
  if (operands.length > mostJoined) {
    const groups: Node[] = [];
    const each = Math.ceil(operands.length / mostJoined);
    for (let k = 0; k < operands.length; k += each) groups.push(concat(operands.slice(k, k + each), axis));
    return concat(groups, axis);
  }
  const total = operands.reduce((sum, operand) => sum + (operand.shape[axis] as number), 0);
  return new Node(
    concatOp,
    operands,
    axis,
    first.shape.map((extent, i) => (i === axis ? total : extent)),
    first.dtype,
  );
}

interface UnfoldAttributes {
  readonly axis: number;
  readonly size: number;
  readonly step: number;
  readonly dilation: number;
}

const unfoldOp: Op = {
  name: 'unfold',
  kind: 'pointwise',
  reads: 'many',
  at: (node, index, read) => {
    const { axis, step, dilation } = node.attributes as UnfoldAttributes;
    const within = mul(index[index.length - 1] as Expr, integer(dilation));
    return read(
      0,
      index.slice(0, -1).map((e, i) => (i === axis ? add(mul(e, integer(step)), within) : e)),
    );
  },
  vjp: (node, gradient) => {
    // Windows overlap: each position inside the window is a strided slice of x, and the slices' adjoints add up.
    const { axis, size, step, dilation } = node.attributes as UnfoldAttributes;
    const [x] = node.inputs as [Node];
    const rank = x.shape.length;
    const slices = Array.from({ length: size }, (_, k) => {
      const shape = [...node.shape.slice(0, -1), 1];
      const own = slice(
        gradient,
        shape.map((__, i) => (i === rank ? k : 0)),
        shape,
      );
      const starts = x.shape.map((__, i) => (i === axis ? k * dilation : 0));
      const steps = x.shape.map((__, i) => (i === axis ? step : 1));
      return reshape(pad(reshape(own, shape.slice(0, -1)), starts, x.shape, steps), [1, ...x.shape]);
    });
    return [reshape(reduce('sum', concat(slices, 0), [0]), x.shape)];
  },
};

/** Sliding windows along `axis`: the axis counts windows, and a last axis of `size` counts positions within each. */
export function unfold(x: Node, axis: number, size: number, step: number, dilation: number): Node {
  const extent = x.shape[axis] as number;
  const span = (size - 1) * dilation + 1;
  if (span > extent || size < 1 || step < 1 || dilation < 1) {
    throw new ShapeError(
      `unfold: a window of ${size} with dilation ${dilation} and step ${step} does not fit axis ${axis} of ${printShape(x.shape)}`,
    );
  }
  const windows = Math.floor((extent - span) / step) + 1;
  const shape = [...x.shape.map((e, i) => (i === axis ? windows : e)), size];
  return new Node(unfoldOp, [x], { axis, size, step, dilation } satisfies UnfoldAttributes, shape, x.dtype);
}
