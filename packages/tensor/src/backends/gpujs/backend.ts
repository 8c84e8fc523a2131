/**
 * Loop kernels through gpu.js, an independent compiler from JavaScript to JavaScript, WebAssembly, WGSL or GLSL: a
 * second opinion on the other backends, and WebGL for browsers that have nothing better. Data stays on the host, and
 * every kernel is written plainly, so it is slow.
 *
 * In mode `cpu` floats are computed in 64 bits and rounded to 32 when stored, and 32-bit integers are exact. In the
 * other modes everything is computed in floats of 32 bits: whole numbers are exact within ±2^23, and a kernel that may
 * leave that range is refused by name. No mode has bit casts or powers of whole numbers.
 */
import type { Kernel, Program } from '../../compile/kernel.ts';
import { type DType, dtypes, type TypedArray } from '../../dtype.ts';
import { DeviceError } from '../../errors.ts';
import type { Backend, Executable, Limits, Slot } from '../backend.ts';
import type { Refuse } from './dialect.ts';
import { library, specials } from './library.ts';
import { argument, bufferBytes, HostSlot, store } from './memory.ts';
import { type GpuJsKernel, type GpuJsMode, type OpenedGpuJs, openGpuJs } from './package.ts';
import { kernelSources, type OutputSource } from './source.ts';

export interface GpuJsOptions {
  /** What gpu.js compiles to; `gpu`, its own choice, if absent. */
  readonly mode?: GpuJsMode;
  /** Whether mode `webgpu` may take an adapter that computes on the processor; no if absent. */
  readonly allowSoftware?: boolean;
}

interface Step {
  readonly kernel: Kernel;
  readonly sources: readonly OutputSource[];
}

interface GpuJsExecutable extends Executable {
  readonly program: Program;
  readonly steps: readonly Step[];
}

/** Compiled kernels kept; the least recently used is destroyed first. */
const kernelsKept = 512;

class GpuJsBackend implements Backend {
  readonly name = 'gpujs';
  readonly description: string;
  readonly limits: Limits = {
    // WebGPU allows eight storage buffers everywhere; gpu.js takes one for the result and one for special values.
    buffersPerKernel: 7,
    bufferBytes,
    dtypes: new Set(Object.keys(dtypes) as DType[]),
    templates: new Set(),
    epilogues: false,
  };
  private readonly opened: OpenedGpuJs;
  private readonly kernels = new Map<string, GpuJsKernel>();
  private queue: Promise<unknown> = Promise.resolve();
  private live = 0;
  private peak = 0;
  private closed = false;

  constructor(opened: OpenedGpuJs) {
    this.opened = opened;
    this.description = opened.description;
    for (const { source, parameters } of library) {
      opened.gpu.addFunction(source, {
        argumentTypes: Object.fromEntries(parameters.map((parameter) => [parameter, 'Number'])),
        returnType: 'Number',
      });
    }
  }

  alloc(bytes: number): Slot {
    this.check();
    const slot = new HostSlot(bytes);
    this.live += bytes;
    this.peak = Math.max(this.peak, this.live);
    return slot;
  }

  free(slot: Slot): void {
    this.live -= slot.bytes;
    this.enqueue(async () => (slot as HostSlot).release());
  }

  write(slot: Slot, data: TypedArray, dtype: DType, offset = 0): void {
    this.check();
    const copy = data.slice();
    this.enqueue(async () => (slot as HostSlot).view(dtype, offset + copy.length).set(copy, offset));
  }

  read(slot: Slot, length: number, dtype: DType, offset = 0): Promise<TypedArray> {
    this.check();
    return this.enqueue(async () => (slot as HostSlot).view(dtype, offset + length).slice(offset));
  }

  async compile(program: Program): Promise<Executable> {
    this.check();
    const steps = program.kernels.map((kernel): Step => {
      return { kernel, sources: kernelSources(kernel, this.opened.arithmetic, this.refusal(kernel)) };
    });
    const dispatches = steps.reduce((sum, { sources }) => sum + sources.length, 0);
    const executable: GpuJsExecutable = {
      program,
      steps,
      stats: { dispatches, passes: dispatches, submits: dispatches, pipelines: dispatches },
    };
    return executable;
  }

  run(executable: Executable, slots: readonly Slot[]): Promise<void> {
    this.check();
    const { program, steps } = executable as GpuJsExecutable;
    return this.enqueue(async () => {
      for (const step of steps) await this.runStep(step, program, slots as readonly HostSlot[]);
    });
  }

  memory(): { live: number; peak: number } {
    return { live: this.live, peak: this.peak };
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.queue;
    this.kernels.clear();
    await this.opened.gpu.destroy();
  }

  private check(): void {
    if (this.closed) throw new DeviceError('The gpujs backend is closed', 'create another one');
  }

  /** Does `work` after all that was asked for before it. */
  private enqueue<T>(work: () => Promise<T>): Promise<T> {
    const result = this.queue.then(work);
    this.queue = result.catch(() => undefined);
    return result;
  }

  private refusal({ name }: Kernel): Refuse {
    return (what) => {
      throw new DeviceError(
        `gpujs: ${name}: gpu.js cannot compute ${what} in mode '${this.opened.mode}'`,
        this.opened.arithmetic === 'single' ? "use mode 'cpu', or device 'wasm'" : "use device 'wasm'",
      );
    };
  }

  /** All outputs are computed before any is stored: an update in place must not be seen by the others. */
  private async runStep({ kernel, sources }: Step, program: Program, slots: readonly HostSlot[]): Promise<void> {
    const refuse = this.refusal(kernel);
    const results: ArrayLike<number>[] = [];
    for (const entry of sources) {
      const inputs = entry.inputs.map((k) => {
        const { buffer, dtype } = kernel.inputs[k] as (typeof kernel.inputs)[number];
        const { bytes } = program.buffers[buffer] as (typeof program.buffers)[number];
        return argument(slots[buffer] as HostSlot, bytes, dtype, this.opened.arithmetic, refuse);
      });
      if (entry.usesSpecials) inputs.push(Float32Array.from(specials.values));
      results.push(await this.call(kernel, entry, inputs));
    }
    for (const [i, entry] of sources.entries()) {
      store(slots[entry.output.buffer] as HostSlot, results[i] as ArrayLike<number>, entry, refuse);
    }
  }

  private async call(
    { name }: Kernel,
    { source, points, halved }: OutputSource,
    inputs: readonly ArrayLike<number>[],
  ): Promise<ArrayLike<number>> {
    const { gpu, mode } = this.opened;
    const output = [halved ? 2 * points : points];
    const key = `${output} ${inputs.map(({ length }) => length)} ${source}`;
    try {
      const kernel = this.kernels.get(key) ?? gpu.createKernel(source, { output, precision: 'single' });
      this.keep(key, kernel);
      const result = await kernel(...inputs);
      const reason = kernel.kernel?.fallbackReason;
      if (reason) throw new Error(`it fell back to the processor: ${reason}`);
      return result;
    } catch (error) {
      throw new DeviceError(
        `gpujs: ${name}: gpu.js failed in mode '${mode}' (${error instanceof Error ? error.message : String(error)})`,
        "use device 'wasm'",
      );
    }
  }

  private keep(key: string, kernel: GpuJsKernel): void {
    this.kernels.delete(key);
    this.kernels.set(key, kernel);
    if (this.kernels.size <= kernelsKept) return;
    for (const [oldest, unused] of this.kernels) {
      this.kernels.delete(oldest);
      unused.destroy();
      break;
    }
  }
}

/** Throws DeviceError where gpu.js is not installed or its mode does not work here. */
export async function createGpuJsBackend(options: GpuJsOptions = {}): Promise<Backend> {
  return new GpuJsBackend(await openGpuJs(options.mode ?? 'gpu', options.allowSoftware ?? false));
}
