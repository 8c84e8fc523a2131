/** The values of a checkpoint in another floating dtype, each rounded once, to the nearest, ties to even. */
import { type HostTensor, toFloat32, toHalfBits } from '@actionclip/tensor';
import { CheckpointError } from './errors.ts';

/** The dtypes in which weights are written. */
export type FloatDtype = 'f32' | 'f16' | 'bf16';

interface FloatRow {
  /** Rounds floats of 32 or of 64 bits into elements of this dtype. */
  readonly round: (values: Float32Array | Float64Array) => Float32Array | Uint16Array;
  /** Half a step above the largest number: from here on the nearest is infinity. */
  readonly overflow: number;
}

const FLOATS: Readonly<Record<FloatDtype, FloatRow>> = {
  f32: { round: (values) => Float32Array.from(values), overflow: (2 - 2 ** -24) * 2 ** 127 },
  f16: { round: (values) => mapped(values, toHalfBits), overflow: 65520 },
  bf16: { round: (values) => mapped(values, toBfloat16Bits), overflow: (2 - 2 ** -8) * 2 ** 127 },
};

const FLOATING: ReadonlySet<string> = new Set(['f64', 'f32', 'f16', 'bf16']);

/**
 * A tensor in this dtype; tensors of whole numbers and truth values are returned as they are.
 * @param where Named in the error: file and tensor.
 * @throws CheckpointError where a finite value becomes infinite.
 */
export function inPrecision(tensor: HostTensor, dtype: FloatDtype, where: string): HostTensor {
  if (tensor.dtype === dtype || !FLOATING.has(tensor.dtype)) return tensor;
  const values = tensor.data instanceof Float64Array ? tensor.data : toFloat32(tensor).data;
  const { round, overflow } = FLOATS[dtype];
  const at = values.findIndex((value) => Math.abs(value) >= overflow && Number.isFinite(value));
  if (at >= 0) {
    throw new CheckpointError(
      `${where}: element ${at} is ${values[at]}, which ${dtype} cannot hold: the nearest would be infinity`,
      'choose a dtype of a larger range, such as f32',
    );
  }
  return { dtype, shape: tensor.shape, data: round(values) };
}

/** What a description's dtype becomes: see `inPrecision`. */
export function dtypeInPrecision(given: HostTensor['dtype'], dtype: FloatDtype | undefined): HostTensor['dtype'] {
  return dtype !== undefined && FLOATING.has(given) ? dtype : given;
}

function mapped(values: Float32Array | Float64Array, toBits: (value: number) => number): Uint16Array {
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) bits[i] = toBits(values[i] as number);
  return bits;
}

const single = new Float32Array(1);
const word = new Uint32Array(single.buffer);
/** The exponent of bfloat16's smallest normal numbers. */
const LEAST_EXPONENT = -126;
const FRACTION_BITS = 7;

/** The bits of the bfloat16 nearest to a number of up to 64 bits, ties to even. */
export function toBfloat16Bits(value: number): number {
  single[0] = value;
  if (single[0] !== value && Number.isFinite(value)) single[0] = roundToBfloat16(value);
  const bits = word[0] as number;
  if (Number.isNaN(value)) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** For numbers that are no float of 32 bits: rounded to one first, some would end beside the nearest bfloat16. */
function roundToBfloat16(value: number): number {
  const exponent = Math.max(LEAST_EXPONENT, Math.floor(Math.log2(Math.abs(value))));
  const step = 2 ** (exponent - FRACTION_BITS);
  // Beside 2^52 a number keeps no fraction: it is rounded to even.
  return Math.sign(value) * (Math.abs(value) / step + 2 ** 52 - 2 ** 52) * step;
}
