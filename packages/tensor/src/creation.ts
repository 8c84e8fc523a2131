/** Tensors from host data, from constants and from each other. */
import { type DType, dtypes, promote, type TypedArray, toHalfBits } from './dtype.ts';
import { printShape, ShapeError } from './errors.ts';
import { Node, type Op } from './graph.ts';
import { apply, cast, constantLike, where as whereNode } from './ops/elementwise.ts';
import { broadcastTo, fill, iota } from './ops/generate.ts';
import { concat as concatNode, reshape } from './ops/view.ts';
import type { Device } from './runtime/device.ts';
import { presetDevice } from './runtime/devices.ts';
import { Storage } from './runtime/storage.ts';
import { resolveAxis, type Shape, sizeOf } from './shape.ts';
import { operand, Tensor, type TensorLike } from './tensor.ts';

/** Numbers, booleans, or lists of lists of them. */
export type NestedData = number | boolean | readonly NestedData[];

export interface TensorOptions {
  readonly dtype?: DType;
  /** Where it lives; the default device if absent. */
  readonly device?: Device;
  readonly requiresGrad?: boolean;
}

const dataOp: Op = { name: 'tensor', kind: 'leaf' };

/** A leaf that holds host elements. `data` is kept, not copied. */
export function leaf(data: TypedArray, shape: Shape, dtype: DType, device: Device | undefined, name = 'tensor'): Node {
  if (data.length !== sizeOf(shape)) {
    throw new ShapeError(
      `tensor: ${data.length} elements for shape ${printShape(shape)}`,
      `${sizeOf(shape)} were expected`,
    );
  }
  const op = name === 'tensor' ? dataOp : { ...dataOp, name };
  const node = new Node(op, [], undefined, shape, dtype, device ?? presetDevice());
  node.storage = new Storage(dtype, data.length, name, data);
  return node;
}

/** A leaf in memory of a device whose elements mean nothing until they are written. */
export async function unwrittenLeaf(shape: Shape, dtype: DType, device: Device): Promise<Node> {
  const node = new Node(dataOp, [], undefined, shape, dtype, device);
  node.storage = new Storage(dtype, sizeOf(shape), dataOp.name);
  node.storage.on(await device.backend());
  return node;
}

const dtypeOfArray = (data: TypedArray): DType => {
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Uint32Array) return 'u32';
  if (data instanceof Uint8Array) return 'u8';
  if (data instanceof Uint16Array) return 'f16';
  return 'f32';
};

/**
 * A tensor of host data: a typed array with `shape`, or nested lists, whose shape follows. Lists give f32 (bool for
 * booleans) unless `dtype` says otherwise. Throws ShapeError for ragged lists or a shape of another size.
 */
export function tensor(
  data: NestedData | TypedArray,
  options: TensorOptions & { readonly shape?: Shape } = {},
): Tensor {
  const typed = ArrayBuffer.isView(data);
  const values = typed ? undefined : flattenLists(data);
  const natural = typed ? dtypeOfArray(data) : values?.boolean ? 'bool' : 'f32';
  const dtype = options.dtype ?? natural;
  const elements =
    typed && natural === dtype ? data : fromNumbers(typed ? Array.from(data) : (values?.flat ?? []), dtype);
  const shape = options.shape ?? values?.shape ?? [elements.length];
  const result = new Tensor(leaf(elements, shape, dtype, options.device));
  if (options.requiresGrad) result.requiresGrad = true;
  return result;
}

/** Whole numbers or floats as elements of `dtype`. */
export function fromNumbers(values: readonly number[], dtype: DType): TypedArray {
  const elements = dtypes[dtype].array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    elements[i] = dtype === 'f16' ? toHalfBits(value) : dtype === 'bool' ? Number(value !== 0) : value;
  }
  return elements;
}

function flattenLists(data: NestedData): { shape: number[]; flat: number[]; boolean: boolean } {
  const shape: number[] = [];
  for (let level: NestedData = data; Array.isArray(level); level = level[0] as NestedData) {
    shape.push(level.length);
    if (level.length === 0) break;
  }
  const flat: number[] = [];
  let boolean = true;
  const visit = (value: NestedData, depth: number): void => {
    if (typeof value === 'object') {
      if (value.length !== shape[depth]) {
        throw new ShapeError(
          `tensor: the lists are ragged: one at depth ${depth} has ${value.length} entries, the first has ${shape[depth] ?? 'none'}`,
        );
      }
      for (const entry of value) visit(entry, depth + 1);
      return;
    }
    if (depth !== shape.length)
      throw new ShapeError(`tensor: the lists are ragged: a number stands at depth ${depth}, lists elsewhere`);
    if (typeof value !== 'boolean') boolean = false;
    flat.push(Number(value));
  };
  visit(data, 0);
  return { shape, flat, boolean: boolean && flat.length > 0 };
}

const finish = <S extends Shape>(node: Node, options: TensorOptions): Tensor<S> => {
  const result = new Tensor<S>(node);
  if (options.requiresGrad) result.requiresGrad = true;
  return result;
};

/** `shape` filled with `value`. */
export function full<const S extends Shape>(shape: S, value: number, options: TensorOptions = {}): Tensor<S> {
  if (options.requiresGrad) {
    const dtype = options.dtype ?? 'f32';
    return finish(
      leaf(fromNumbers(new Array<number>(sizeOf(shape)).fill(value), dtype), shape, dtype, options.device),
      options,
    );
  }
  return finish(fill(shape, value, options.dtype ?? 'f32'), options);
}
export function zeros<const S extends Shape>(shape: S, options: TensorOptions = {}): Tensor<S> {
  return full(shape, 0, options);
}
export function ones<const S extends Shape>(shape: S, options: TensorOptions = {}): Tensor<S> {
  return full(shape, 1, options);
}
export function scalar(value: number, options: TensorOptions = {}): Tensor<[]> {
  return new Tensor(leaf(fromNumbers([value], options.dtype ?? 'f32'), [], options.dtype ?? 'f32', options.device));
}
/** start, start + step, ... below `end`; i32 unless `dtype` says otherwise. */
export function arange(start: number, end?: number, step = 1, options: TensorOptions = {}): Tensor {
  const [first, last] = end === undefined ? [0, start] : [start, end];
  if (step === 0) throw new ShapeError('arange: step 0 leads nowhere', 'use another step');
  const count = Math.max(0, Math.ceil((last - first) / step));
  const whole = Number.isInteger(first) && Number.isInteger(step);
  const dtype = options.dtype ?? (whole ? 'i32' : 'f32');
  const steps = iota([count], 0, dtype);
  return new Tensor(apply('add', apply('mul', steps, constantLike(steps, step)), constantLike(steps, first)));
}
/** `count` values from start to end, both included. */
export function linspace(start: number, end: number, count: number): Tensor {
  const steps = iota([count], 0, 'f32');
  const step = count > 1 ? (end - start) / (count - 1) : 0;
  return new Tensor(apply('add', apply('mul', steps, constantLike(steps, step)), constantLike(steps, start)));
}
/** The identity matrix. */
export function eye(rows: number, columns: number = rows, options: TensorOptions = {}): Tensor {
  const shape = [rows, columns];
  return new Tensor(cast(apply('eq', iota(shape, 0, 'i32'), iota(shape, 1, 'i32')), options.dtype ?? 'f32'));
}
/** Tensors laid end to end along `axis`; mixed dtypes promote. */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  const [first] = tensors;
  if (!first) throw new ShapeError('concat: there is nothing to join', 'give at least one tensor');
  const dtype = tensors.map((t) => t.dtype).reduce(promote);
  return new Tensor(
    concatNode(
      tensors.map(({ node }) => cast(node, dtype)),
      resolveAxis('concat', axis, first.rank),
    ),
  );
}
/** Tensors of one shape along a fresh axis. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  const [first] = tensors;
  if (!first) throw new ShapeError('stack: there is nothing to join', 'give at least one tensor');
  const position = resolveAxis('stack', axis, first.rank + 1);
  return concat(
    tensors.map((t) => t.unsqueeze(position)),
    position,
  );
}
/** `whenTrue` where `condition` is true, `whenFalse` elsewhere. */
export function where(condition: Tensor, whenTrue: TensorLike, whenFalse: TensorLike): Tensor {
  const like =
    typeof whenTrue === 'number'
      ? typeof whenFalse === 'number'
        ? fill([], 0, 'f32')
        : whenFalse.node
      : whenTrue.node;
  return new Tensor(whereNode(condition.node, operand(like, whenTrue), operand(like, whenFalse)));
}
/** Whole numbers as rows of a 1 among zeros. */
export function oneHot(index: Tensor, classes: number): Tensor {
  const spread = broadcastTo(reshape(index.node, [...index.shape, 1]), [...index.shape, classes]);
  const own = iota([...index.shape, classes], index.rank, 'i32');
  return new Tensor(cast(apply('eq', cast(spread, 'i32'), own), 'f32'));
}
/** A tensor like `other`, filled with zeros. */
export function zerosLike<S extends Shape>(other: Tensor<S>): Tensor<S> {
  return new Tensor(fill(other.shape, 0, other.dtype));
}
export function onesLike<S extends Shape>(other: Tensor<S>): Tensor<S> {
  return new Tensor(fill(other.shape, 1, other.dtype));
}
/** A stored tensor filled with one value: unlike `full`, it can be a parameter at once. */
export function leafOf(shape: Shape, value: number, options: TensorOptions = {}): Tensor {
  const dtype = options.dtype ?? 'f32';
  return new Tensor(
    leaf(
      dtypes[dtype].array(sizeOf(shape)).fill(dtype === 'f16' ? toHalfBits(value) : value),
      shape,
      dtype,
      options.device,
    ),
  );
}
