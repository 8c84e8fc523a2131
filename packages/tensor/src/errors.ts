/** The engine's errors: one sentence that says what, where and what was expected, and a hint at what to do. */

export class TensorError extends Error {
  /** What the caller can do about it. */
  readonly hint: string;

  constructor(message: string, hint = '') {
    super(hint === '' ? message : `${message}; ${hint}`);
    this.name = new.target.name;
    this.hint = hint;
  }
}

/** Shapes, axes or sizes that do not fit the operation. */
export class ShapeError extends TensorError {}

/** An element type that the operation or the backend does not take. */
export class DTypeError extends TensorError {}

/** A tensor used after its storage was given up. */
export class DisposedError extends TensorError {}

/** A device that is missing, lost, out of memory, or asked for what it cannot do. */
export class DeviceError extends TensorError {}

/** A device that has no memory left for what was asked of it. */
export class OutOfMemoryError extends DeviceError {}

/** A captured function did what only an uncaptured one may do. */
export class CaptureError extends TensorError {}

/** `[2, 3]`: a shape as the error messages print it. */
export function printShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

/** Bytes as a message shows them: `1.50 GiB`. */
export function printBytes(bytes: number): string {
  const unit = ['bytes', 'KiB', 'MiB', 'GiB'][Math.min(3, Math.floor(Math.log2(Math.max(1, bytes)) / 10))];
  const scale = { bytes: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }[unit as 'bytes'];
  return unit === 'bytes' ? `${bytes} bytes` : `${(bytes / scale).toFixed(2)} ${unit}`;
}
