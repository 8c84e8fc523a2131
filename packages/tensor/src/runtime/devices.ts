/** The registry of devices: the only place that knows the backends, each loaded when it is first asked for. */
import type { GpuJsMode } from '../backends/gpujs/package.ts';
import type { Autotune } from '../backends/webgpu/autotune.ts';
import type { DawnSwitches } from '../backends/webgpu/device.ts';
import { DeviceError } from '../errors.ts';
import { Device } from './device.ts';

export type { GpuJsMode };

export type DeviceName = 'auto' | 'webgpu' | 'wasm' | 'gpujs' | 'reference';

export interface DeviceOptions {
  /** WebAssembly: how many threads; all that the machine offers if absent. */
  readonly threads?: number;
  /**
   * WebAssembly: whether V8's flags may be changed for speed, for the whole process (relaxed SIMD on Node 20, joined
   * vectors from Node 24 on); yes if absent.
   */
  readonly engineFlags?: boolean;
  /** WebGPU: whether an adapter that computes on the CPU will do; no if absent. */
  readonly allowSoftware?: boolean;
  /**
   * WebGPU: 'split-half' lets matrix products of f32 become three products of halves on devices that multiply those in
   * hardware, with nearly the accuracy of f32 (see `WebGPUOptions`); products in f32 if absent.
   */
  readonly products?: 'split-half';
  /**
   * WebGPU: whether the fastest schedules are measured when programs are compiled (`measure`), taken from earlier
   * measurements of this adapter (`cached`, the default), or left to the tables (`off`).
   */
  readonly autotune?: Autotune;
  /** WebGPU in Node: switches of Dawn, for benchmarks. */
  readonly dawn?: DawnSwitches;
  /** gpu.js: what it compiles kernels to; its own choice if absent. */
  readonly mode?: GpuJsMode;
}

const factories: Readonly<Record<Exclude<DeviceName, 'auto'>, (options: DeviceOptions) => Device>> = {
  reference: () =>
    new Device('reference', async () => (await import('../backends/reference/backend.ts')).createReferenceBackend()),
  wasm: (options) =>
    new Device('wasm', async () => {
      const { createWasmBackend } = await import('../backends/wasm/backend.ts');
      return createWasmBackend({
        ...(options.threads === undefined ? {} : { threads: options.threads }),
        ...(options.engineFlags === undefined ? {} : { engineFlags: options.engineFlags }),
      });
    }),
  webgpu: (options) =>
    new Device('webgpu', async () => {
      const { createWebGPUBackend } = await import('../backends/webgpu/backend.ts');
      return createWebGPUBackend({
        allowSoftware: options.allowSoftware ?? false,
        ...(options.products === undefined ? {} : { products: options.products }),
        ...(options.autotune === undefined ? {} : { autotune: options.autotune }),
        ...(options.dawn === undefined ? {} : { dawn: options.dawn }),
      });
    }),
  gpujs: (options) =>
    new Device('gpujs', async () => {
      const { createGpuJsBackend } = await import('../backends/gpujs/backend.ts');
      return createGpuJsBackend({
        ...(options.mode === undefined ? {} : { mode: options.mode }),
        allowSoftware: options.allowSoftware ?? false,
      });
    }),
};

/** What `auto` chose, and why. */
export interface Choice {
  readonly device: Device;
  readonly reason: string;
}

let automatic: Promise<Choice> | undefined;
let chosen: Device | undefined;

/** WebGPU where there is a real adapter, else WebAssembly. The choice is made once, and again where its device was closed. */
export async function automaticDevice(): Promise<Choice> {
  const before = automatic;
  if ((await before)?.device.isClosed && automatic === before) automatic = undefined;
  automatic ??= choose();
  return automatic;
}

async function choose(): Promise<Choice> {
  const gpu = factories.webgpu({});
  try {
    const backend = await gpu.backend();
    return { device: gpu, reason: `WebGPU on ${backend.description}` };
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    const device = factories.wasm({});
    return { device, reason: `WebAssembly, since ${error.message}` };
  }
}

/**
 * A device by name. Each call with options opens another one; tensors of different devices do not mix.
 * `auto` is WebGPU on a real adapter, else WebAssembly; `reference` computes in 64 bits and is slow.
 * `gpujs` needs the package gpu.js, an independent compiler; it refuses by name what that cannot do.
 */
export async function openDevice(name: DeviceName = 'auto', options: DeviceOptions = {}): Promise<Device> {
  if (name === 'auto') return (await automaticDevice()).device;
  const factory = factories[name] as ((options: DeviceOptions) => Device) | undefined;
  if (!factory) throw new DeviceError(`there is no device '${name}'`, 'choose auto, webgpu, wasm, gpujs or reference');
  const device = factory(options);
  await device.backend();
  return device;
}

/** Where tensors are made that name no device: what `setDefaultDevice` said, else `auto`. */
export async function defaultDevice(): Promise<Device> {
  return chosen ?? (await automaticDevice()).device;
}

/** Makes `device` the home of tensors that name none. */
export function setDefaultDevice(device: Device): void {
  chosen = device;
}

/** The device set with `setDefaultDevice`, if any: new tensors get it at once. */
export function presetDevice(): Device | undefined {
  return chosen;
}
