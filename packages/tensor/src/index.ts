/** The public API of the tensor engine. */

export { checkpoint } from './autograd/checkpoint.ts';
export * from './autograd/functions.ts';
export type { Backend, Executable, Limits, Slot } from './backends/backend.ts';
export { cacheFolder } from './backends/webgpu/schedule-store.ts';
export * from './creation.ts';
export { defineOp, type OpDefinition } from './define-op.ts';
export { type DType, dtypes, fromHalfBits, type ScalarType, type TypedArray, toHalfBits } from './dtype.ts';
export * from './errors.ts';
export * from './functional.ts';
export * from './io/host-tensor.ts';
export * from './io/safetensors.ts';
export * from './linear-algebra.ts';
export * from './nn/index.ts';
export { autocast } from './ops/precision.ts';
export * from './optim/index.ts';
export * from './random.ts';
export { type Captured, compile } from './runtime/capture.ts';
export { Device } from './runtime/device.ts';
export {
  automaticDevice,
  type Choice,
  type DeviceName,
  type DeviceOptions,
  defaultDevice,
  type GpuJsMode,
  openDevice,
  setDefaultDevice,
} from './runtime/devices.ts';
export { live } from './runtime/live.ts';
export { type PlannedMemory, printPlan, type StepStats } from './runtime/step-stats.ts';
export { type AdapterSupport, type WasmSupport, wasmSupport, webgpuAdapters } from './runtime/support.ts';
export type { Shape } from './shape.ts';
export type * from './shape-types.ts';
export { gradients, realize, Tensor, type TensorLike } from './tensor.ts';
