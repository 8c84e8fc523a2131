/** Arrays of plain numbers with every operation written index by index: slow, and simple enough to be believed. */
import { type DType, type Tensor, tensor } from '@actionclip/tensor';

export interface NaiveArray {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** The index of the `linear`-th element, by repeated division. */
export function indexOf(linear: number, shape: readonly number[]): number[] {
  const index = new Array<number>(shape.length).fill(0);
  let rest = linear;
  for (let i = shape.length - 1; i >= 0; i--) {
    const extent = shape[i] ?? 1;
    index[i] = rest % extent;
    rest = Math.floor(rest / extent);
  }
  return index;
}

/** The element at `index`. */
export function at({ shape, data }: NaiveArray, index: readonly number[]): number {
  let linear = 0;
  shape.forEach((extent, i) => {
    const position = index[i];
    if (position === undefined || position < 0 || position >= extent) throw new RangeError(`[${index}] in [${shape}]`);
    linear = linear * extent + position;
  });
  const value = data[linear];
  if (value === undefined || index.length !== shape.length) throw new RangeError(`[${index}] in [${shape}]`);
  return value;
}

/** The array of `shape` whose elements `element` gives. */
export function build(shape: readonly number[], element: (index: readonly number[]) => number): NaiveArray {
  return { shape, data: Array.from({ length: sizeOf(shape) }, (_, i) => element(indexOf(i, shape))) };
}

/** NumPy's broadcasting of shapes; undefined where they do not fit. */
export function broadcastShape(...shapes: readonly (readonly number[])[]): number[] | undefined {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  const result: number[] = [];
  for (let i = 0; i < rank; i++) {
    const extents = shapes.map((shape) => shape[shape.length - rank + i] ?? 1).filter((extent) => extent !== 1);
    if (new Set(extents).size > 1) return undefined;
    result.push(extents[0] ?? 1);
  }
  return result;
}

/** The element that a broadcast array shows at `index`. */
export function broadcastAt(x: NaiveArray, index: readonly number[]): number {
  const own = index.slice(index.length - x.shape.length);
  return at(
    x,
    own.map((position, i) => (x.shape[i] === 1 ? 0 : position)),
  );
}

/** `x` folded over `axes`, which disappear. `fold` gets the elements in row-major order. */
export function foldAxes(
  x: NaiveArray,
  axes: readonly number[],
  fold: (values: readonly number[]) => number,
): NaiveArray {
  const kept = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const inner = axes.map((axis) => x.shape[axis] ?? 1);
  return build(
    kept.map((i) => x.shape[i] ?? 1),
    (index) => {
      const full = new Array<number>(x.shape.length).fill(0);
      kept.forEach((axis, i) => {
        full[axis] = index[i] ?? 0;
      });
      const values = Array.from({ length: sizeOf(inner) }, (_, k) => {
        indexOf(k, inner).forEach((position, i) => {
          full[axes[i] ?? 0] = position;
        });
        return at(x, full);
      });
      return fold(values);
    },
  );
}

/** The matrix product with PyTorch's rules. */
export function matmul(a: NaiveArray, b: NaiveArray): NaiveArray {
  if (a.shape.length === 1) {
    const product = matmul({ ...a, shape: [1, ...a.shape] }, b);
    const drop = product.shape.length - (b.shape.length === 1 ? 1 : 2);
    return { ...product, shape: product.shape.filter((_, i) => i !== drop) };
  }
  if (b.shape.length === 1) {
    const product = matmul(a, { ...b, shape: [...b.shape, 1] });
    return { ...product, shape: product.shape.slice(0, -1) };
  }
  const batch = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  if (!batch) throw new RangeError('batches do not broadcast');
  const inner = a.shape[a.shape.length - 1] ?? 0;
  const view = (x: NaiveArray, index: readonly number[], row: number, column: number): number => {
    const own = index.slice(index.length - (x.shape.length - 2));
    const lead = x.shape.length === 2 ? [] : own.map((position, i) => (x.shape[i] === 1 ? 0 : position));
    return at(x, [...lead, row, column]);
  };
  return build([...batch, a.shape[a.shape.length - 2] ?? 0, b.shape[b.shape.length - 1] ?? 0], (index) => {
    const lead = index.slice(0, -2);
    const [row = 0, column = 0] = index.slice(-2);
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += view(a, lead, row, k) * view(b, lead, k, column);
    return sum;
  });
}

/** A tensor of the array's elements. Floats keep 64 bits on the reference device. */
export function toTensor({ shape, data }: NaiveArray, dtype: DType = 'f32'): Tensor {
  if (dtype === 'f32') return tensor(new Float64Array(data), { shape });
  return tensor(data, { shape, dtype });
}

export async function fromTensor(x: Tensor): Promise<NaiveArray> {
  return { shape: x.shape, data: Array.from(await x.data()) };
}
