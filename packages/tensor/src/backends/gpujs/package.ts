/** Loading gpu.js, an optional package, and opening it in one of its modes. */
import { DeviceError } from '../../errors.ts';
import { describeAdapter, findGPU, isSoftware } from '../webgpu/device.ts';
import type { Arithmetic } from './dialect.ts';

/**
 * `cpu` runs the kernels as JavaScript, in 64 bits with results rounded to 32; `webasm` as WebAssembly, `webgpu` as WGSL
 * and `webgl` as GLSL for WebGL2, all in 32 bits. `gpu` leaves the choice to gpu.js: WebGL where there is any, else
 * WebAssembly.
 */
export type GpuJsMode = 'cpu' | 'webasm' | 'webgpu' | 'webgl' | 'gpu';

const modes: Readonly<Record<GpuJsMode, { name: string; arithmetic: Arithmetic }>> = {
  cpu: { name: 'cpu', arithmetic: 'double' },
  webasm: { name: 'webasm', arithmetic: 'single' },
  webgpu: { name: 'webgpu', arithmetic: 'single' },
  webgl: { name: 'webgl2', arithmetic: 'single' },
  gpu: { name: 'gpu', arithmetic: 'single' },
};

/** A compiled kernel: arrays in, an array or the promise of one out. */
export interface GpuJsKernel {
  (...inputs: readonly ArrayLike<number>[]): ArrayLike<number> | Promise<ArrayLike<number>>;
  readonly kernel?: { readonly fallbackReason?: string | null };
  destroy(removeCanvas?: boolean): void;
}

interface FunctionSettings {
  readonly argumentTypes: Readonly<Record<string, 'Number'>>;
  readonly returnType: 'Number';
}

/** The part of gpu.js's `GPU` that the backend uses. */
export interface GpuJs {
  readonly Kernel?: { readonly mode?: string };
  addFunction(source: string, settings: FunctionSettings): unknown;
  createKernel(
    source: string,
    settings: { readonly output: readonly number[]; readonly precision: 'single' },
  ): GpuJsKernel;
  destroy(): Promise<void>;
}

interface Package {
  readonly GPU: new (settings: { readonly mode: string }) => GpuJs;
}

/** A variable, so that bundlers for browsers do not follow the import. */
const packageName = 'gpu.js';

async function loadPackage(): Promise<Package> {
  try {
    const loaded = (await import(/* @vite-ignore */ packageName)) as Partial<Package> & { default?: Package };
    return loaded.default?.GPU ? loaded.default : (loaded as Package);
  } catch (error) {
    throw new DeviceError(
      `The package 'gpu.js' could not be loaded (${error instanceof Error ? error.message : String(error)})`,
      "install it with 'npm install gpu.js', or use device 'wasm'",
    );
  }
}

/** gpu.js looks for `navigator.gpu`, which Node lacks. Returns the adapter in words. */
async function offerWebGPU(allowSoftware: boolean): Promise<string> {
  const gpu = await findGPU();
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new DeviceError('gpujs: WebGPU found no adapter on this machine', "use mode 'webasm' or 'cpu'");
  if (isSoftware(adapter) && !allowSoftware) {
    throw new DeviceError(
      `gpujs: the only WebGPU adapter is the software adapter '${describeAdapter(adapter)}'`,
      "use mode 'webasm', or pass allowSoftware: true to take it all the same",
    );
  }
  const scope = globalThis as { navigator?: { gpu?: GPU } };
  if (!scope.navigator) Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
  else if (!scope.navigator.gpu) Object.defineProperty(scope.navigator, 'gpu', { value: gpu, configurable: true });
  return describeAdapter(adapter);
}

/** gpu.js in a mode, what it computes in, and what it runs on in words. */
export interface OpenedGpuJs {
  readonly gpu: GpuJs;
  readonly mode: GpuJsMode;
  readonly arithmetic: Arithmetic;
  readonly description: string;
}

/** Throws DeviceError where the package is missing or has no such mode here. */
export async function openGpuJs(mode: GpuJsMode, allowSoftware: boolean): Promise<OpenedGpuJs> {
  const row = modes[mode] as (typeof modes)[GpuJsMode] | undefined;
  if (!row) {
    throw new DeviceError(`gpujs: there is no mode '${mode}'`, `choose ${Object.keys(modes).join(', ')}`);
  }
  const adapter = mode === 'webgpu' ? ` on ${await offerWebGPU(allowSoftware)}` : '';
  const { GPU } = await loadPackage();
  let gpu: GpuJs;
  try {
    gpu = new GPU({ mode: row.name });
  } catch (error) {
    throw new DeviceError(
      `gpujs: mode '${mode}' does not work here (${error instanceof Error ? error.message : String(error)})`,
      "use mode 'webasm' or 'cpu'",
    );
  }
  return {
    gpu,
    mode,
    arithmetic: row.arithmetic,
    description: `gpu.js, mode ${gpu.Kernel?.mode ?? row.name}${adapter}`,
  };
}
