/** Finding a WebGPU device, in Node through the `webgpu` package and elsewhere through `navigator.gpu`. */
import { DeviceError } from '../../errors.ts';
import type { Autotune, ScheduleStore } from './autotune.ts';

export interface WebGPUOptions {
  /** An adapter to use instead of asking for one. A device can be made of it only once. */
  readonly adapter?: GPUAdapter;
  /** Takes an adapter that computes on the processor (SwiftShader, llvmpipe): correct, but slower than `wasm`. */
  readonly allowSoftware?: boolean;
  readonly powerPreference?: GPUPowerPreference;
  /**
   * 'split-half': matrix products of f32 by three products of halves, where the device multiplies those in hardware.
   * Every factor is taken as the sum of two halves after its rows (or columns) were scaled into their range by a power
   * of two. A result errs by about 2^-21 of the sum of its products' magnitudes, and by 2^-49 (2^-28 where subnormal
   * halves count as zero) of the product of the row's and the column's largest elements for each of its products: what
   * is very small beside the largest element of its row is lost. Sums are in f32. Infinite factors give NaN.
   */
  readonly products?: 'split-half';
  /** Whether schedules are measured, and kept for later; `cached` if absent. Never on an adapter that computes on the processor. */
  readonly autotune?: Autotune;
  /** Where measured schedules are kept; a file in the user's cache folder, or IndexedDB in browsers, if absent. */
  readonly scheduleStore?: ScheduleStore;
  /** Switches of the implementation; in Node only, a browser has its own. */
  readonly dawn?: DawnSwitches;
}

export interface DawnSwitches {
  /**
   * Checks every access of a shader against the bounds of its buffer; yes if absent. Our own kernels stay in bounds,
   * but a mistake without the checks reads and writes memory of other programs on the same device.
   */
  readonly robustness?: boolean;
  /** Rounds timestamps to 100 µs, which keeps them from telling secrets; yes if absent. Benchmarks want it off. */
  readonly coarseTimestamps?: boolean;
}

/** Flags of the WebGPU specification, which Node has no globals for. */
export const bufferUsage = { mapRead: 0x1, copySource: 0x4, copyTarget: 0x8, uniform: 0x40, storage: 0x80 } as const;
export const mapForReading = 0x1;
export const computeStage = 0x4;

/** Limits that are asked for as large as the adapter has them. */
const wantedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
] as const;

/** Features that kernels have variants for. */
export const wantedFeatures = [
  'shader-f16',
  'subgroups',
  'subgroup-size-control',
  'timestamp-query',
  'chromium-experimental-subgroup-matrix',
] as readonly GPUFeatureName[];

/** Dawn's options. It hides subgroup matrices, and half precision on NVIDIA's Vulkan, behind switches. */
export function dawnOptions({ robustness = true, coarseTimestamps = true }: DawnSwitches = {}): string[] {
  const on = ['allow_unsafe_apis', 'vulkan_enable_f16_on_nvidia', ...(robustness ? [] : ['disable_robustness'])];
  const off = coarseTimestamps ? [] : ['timestamp_quantization'];
  return [`enable-dawn-features=${on}`, ...(off.length === 0 ? [] : [`disable-dawn-features=${off}`])];
}

const keptKey = Symbol.for('@actionclip/tensor.dawn');

/**
 * The WebGPU of this runtime. In Node, one Dawn instance for each setting of the switches serves the process for its
 * life: collecting it would abort.
 */
export async function findGPU(switches?: DawnSwitches): Promise<GPU> {
  const holder = globalThis as { [keptKey]?: Map<string, GPU> };
  holder[keptKey] ??= new Map();
  const offered = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  // An instance that was made here may have been offered to a library; it has its own switches.
  if (offered && ![...holder[keptKey].values()].includes(offered)) return offered;
  const isNode = typeof process !== 'undefined' && process.versions?.node !== undefined;
  if (!isNode) {
    throw new DeviceError(
      'This browser has no WebGPU',
      "use a current Chrome, Edge, Safari or Firefox, or device 'wasm'",
    );
  }
  const options = dawnOptions(switches);
  const kept = holder[keptKey].get(options.join());
  if (kept) return kept;
  const name = 'webgpu';
  let dawn: typeof import('webgpu');
  try {
    // A variable, so that bundlers for browsers do not follow the import.
    dawn = (await import(/* @vite-ignore */ name)) as typeof import('webgpu');
  } catch (error) {
    throw new DeviceError(
      `The package 'webgpu' could not be loaded (${error instanceof Error ? error.message : String(error)})`,
      "install it with 'npm install webgpu', or use device 'wasm'",
    );
  }
  const made = dawn.create(options);
  holder[keptKey].set(options.join(), made);
  return made;
}

/** `NVIDIA H200 (nvidia hopper, driver ...)`: an adapter in words. */
export function describeAdapter({ info }: GPUAdapter): string {
  const names = [info.vendor, info.architecture, info.device, info.description].filter((name) => name !== '');
  return names.length === 0 ? 'unnamed adapter' : names.join(' ');
}

/** Whether the adapter computes on the processor. */
export function isSoftware(adapter: GPUAdapter): boolean {
  return (
    adapter.info.isFallbackAdapter === true ||
    /swiftshader|llvmpipe|lavapipe|basic render/i.test(describeAdapter(adapter))
  );
}

async function findAdapter(options: WebGPUOptions): Promise<GPUAdapter> {
  if (options.adapter) return options.adapter;
  const gpu = await findGPU(options.dawn);
  const powerPreference = options.powerPreference ?? 'high-performance';
  let adapter = await gpu.requestAdapter({ powerPreference });
  if (!adapter && options.allowSoftware) adapter = await gpu.requestAdapter({ forceFallbackAdapter: true });
  if (adapter) return adapter;
  throw new DeviceError(
    'WebGPU found no adapter on this machine',
    "check that a driver for Vulkan, Metal or Direct3D 12 is installed, or use device 'wasm'",
  );
}

/**
 * A device with the adapter's own limits, and half precision where there is any. Throws DeviceError where there is no
 * adapter, or only a software adapter without `allowSoftware`.
 */
export async function openDevice(options: WebGPUOptions): Promise<{ adapter: GPUAdapter; device: GPUDevice }> {
  const adapter = await findAdapter(options);
  const description = describeAdapter(adapter);
  if (isSoftware(adapter) && !options.allowSoftware) {
    throw new DeviceError(
      `The only WebGPU adapter is the software adapter '${description}', which is slower than WebAssembly`,
      "use device 'wasm', or pass allowSoftware: true to take it all the same",
    );
  }
  const requiredLimits: Record<string, number> = {};
  for (const name of wantedLimits) requiredLimits[name] = adapter.limits[name];
  const requiredFeatures = wantedFeatures.filter((feature) => adapter.features.has(feature));
  try {
    return { adapter, device: await adapter.requestDevice({ requiredLimits, requiredFeatures }) };
  } catch (error) {
    throw new DeviceError(
      `The adapter '${description}' gave no device with ${requiredFeatures.join(', ') || 'no features'} and its own limits (${error instanceof Error ? error.message : String(error)})`,
      "an adapter makes only one device: request a fresh one; otherwise update the driver, or use device 'wasm'",
    );
  }
}

/** What a device reports outside of calls: kept until the next call, which throws it. */
export class DeviceReports {
  private readonly description: string;
  private lost: string | undefined;
  private closed = false;
  private errors: string[] = [];

  constructor(device: GPUDevice, description: string) {
    this.description = description;
    void device.lost.then(({ message }) => {
      this.lost = message;
    });
    device.onuncapturederror = (event) => {
      event.preventDefault();
      this.errors.push(event.error.message);
    };
  }

  /** From now on every check throws. */
  close(): void {
    this.closed = true;
  }

  /** Throws DeviceError when the backend is closed, the device lost, or an earlier call failed on the device. */
  check(): void {
    if (this.closed) throw new DeviceError('The WebGPU backend is closed', 'create another one');
    if (this.lost !== undefined) {
      throw new DeviceError(
        `The WebGPU device '${this.description}' was lost (${this.lost || 'no reason given'})`,
        'create another backend and load the last checkpoint',
      );
    }
    if (this.errors.length === 0) return;
    const messages = this.errors.join('; ');
    this.errors = [];
    throw new DeviceError(
      `The WebGPU device '${this.description}' reports: ${messages}`,
      /out of memory/i.test(messages)
        ? 'use a smaller batch or free tensors'
        : 'results since the last read are not valid',
    );
  }
}
