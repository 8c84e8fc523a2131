/** Memory of the gpujs backend: host buffers, and their elements as the numbers that gpu.js passes to kernels. */
import { type DType, dtypes, fromHalfBits, type TypedArray, toHalfBits } from '../../dtype.ts';
import { DeviceError } from '../../errors.ts';
import type { Slot } from '../backend.ts';
import type { Arithmetic, Refuse } from './dialect.ts';
import { dataLimit, wholeLimit } from './ranges.ts';
import type { OutputSource } from './source.ts';

const views: Readonly<Record<DType, (data: ArrayBuffer, start: number, length: number) => TypedArray>> = {
  f32: (data, start, length) => new Float32Array(data, start, length),
  f16: (data, start, length) => new Uint16Array(data, start, length),
  i32: (data, start, length) => new Int32Array(data, start, length),
  u32: (data, start, length) => new Uint32Array(data, start, length),
  bool: (data, start, length) => new Uint32Array(data, start, length),
  u8: (data, start, length) => new Uint8Array(data, start, length),
};

/** Most bytes of one buffer. */
export const bufferBytes = 2 ** 31 - 4;

export class HostSlot implements Slot {
  readonly bytes: number;
  private data: ArrayBuffer;

  constructor(bytes: number) {
    const hint = 'use smaller tensors, or free some';
    if (bytes > bufferBytes)
      throw new DeviceError(`gpujs: ${bytes} bytes were asked for, and one buffer holds at most ${bufferBytes}`, hint);
    this.bytes = bytes;
    try {
      this.data = new ArrayBuffer(Math.ceil(bytes / 4) * 4);
    } catch {
      throw new DeviceError(`gpujs: there is no memory for ${bytes} more bytes`, hint);
    }
  }

  /** `length` elements from number `offset` on, shared with the slot. */
  view(dtype: DType, length: number, offset = 0): TypedArray {
    return views[dtype](this.data, offset * dtypes[dtype].bytes, length);
  }

  release(): void {
    this.data = new ArrayBuffer(0);
  }
}

/**
 * The slot's elements as an array that kernels index. In single precision whole numbers become floats; those that
 * would lose digits are refused.
 */
export function argument(
  slot: HostSlot,
  bytes: number,
  dtype: DType,
  arithmetic: Arithmetic,
  refuse: Refuse,
): ArrayLike<number> {
  const elements = slot.view(dtype, Math.floor(bytes / dtypes[dtype].bytes));
  if (dtype === 'f32' || (arithmetic === 'double' && dtype !== 'f16')) return elements;
  if (dtype === 'f16') return Float32Array.from(elements, fromHalfBits);
  for (const value of elements) {
    if (Math.abs(value) > dataLimit) refuse(`with the ${dtype} ${value}, past the ${dataLimit} that it may load,`);
  }
  return Float32Array.from(elements);
}

/** Puts a kernel's results in the slot, at the place that the output names. Whole numbers that single precision cannot have counted to are refused. */
export function store(
  slot: HostSlot,
  results: ArrayLike<number>,
  { output: { dtype, part }, points, halved }: OutputSource,
  refuse: Refuse,
): void {
  const elements = slot.view(dtype, points, part?.offset);
  const limit = dtypes[dtype].floating || halved ? Number.POSITIVE_INFINITY : wholeLimit;
  for (let i = 0; i < points; i++) {
    const value = halved ? results[2 * i]! + 65536 * results[2 * i + 1]! : results[i]!;
    if (limit < Number.POSITIVE_INFINITY && !(Math.abs(value) <= limit)) {
      refuse(`the ${dtype} ${value}, past the ${wholeLimit} that single precision counts to,`);
    }
    elements[i] = dtype === 'f16' ? toHalfBits(value) : value;
  }
}
