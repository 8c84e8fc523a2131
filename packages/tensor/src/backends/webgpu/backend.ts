/** The WebGPU backend: programs become pipelines once, and a run is one encoder, one pass and one submit. */
import type { Kernel, Program } from '../../compile/kernel.ts';
import { type DType, dtypes, type TypedArray } from '../../dtype.ts';
import { DeviceError, printBytes, ShapeError } from '../../errors.ts';
import type { Backend, Created, Executable, Limits, Slot, Template } from '../backend.ts';
import { Tuner } from './autotune.ts';
import { Commands } from './commands.ts';
import {
  bufferUsage,
  DeviceReports,
  describeAdapter,
  isSoftware,
  mapForReading,
  openDevice,
  type WebGPUOptions,
} from './device.ts';
import { WebGPUExecutable } from './executable.ts';
import { loadVariants } from './gemm/choose.ts';
import { grid, type KernelShaders, type Schedule, scheduleClass, schedulesOf, shadersOf } from './kernels.ts';
import { bufferOf, Memory } from './memory.ts';
import { Pipelines } from './pipelines.ts';
import type { KernelTime } from './profile.ts';
import { openStore } from './schedule-store.ts';
import { Staging } from './staging.ts';
import { slowHalves, type Target, targetOf } from './target.ts';
import { fromStored, toStored, wholeWords } from './transfer.ts';
import type { Shader } from './wgsl.ts';

export interface WebGPUBackend extends Backend {
  readonly device: GPUDevice;
  /**
   * The time of every kernel that `work` runs, by the device's own clock. Each dispatch has a pass of its own, which
   * takes longer in all than a run does otherwise. Throws DeviceError where the device has no timestamps.
   */
  profile(work: () => Promise<void>): Promise<KernelTime[]>;
  /** Compiles a program; with `forced`, by the schedules in it, and by the tables' for the kernels that it does not name. */
  compile(program: Program, forced?: ReadonlyMap<Kernel, Schedule>): Promise<Executable>;
}

/**
 * Opens a device and makes it a backend.
 * Throws DeviceError where there is no WebGPU, no adapter, or only a software adapter without `allowSoftware`.
 */
export async function createWebGPUBackend(options: WebGPUOptions = {}): Promise<WebGPUBackend> {
  const { adapter, device } = await openDevice(options);
  const { products } = options;
  const target: Target = {
    ...(await targetOf(device, adapter.info)),
    ...(isSoftware(adapter) ? { processor: true } : {}),
    ...(products ? { products } : {}),
  };
  await loadVariants(target);
  return new DeviceBackend(device, target, describeAdapter(adapter), tunerFor(adapter, options));
}

/** What chooses schedules on `adapter`; undefined where the tables do. */
function tunerFor(adapter: GPUAdapter, { autotune = 'cached', scheduleStore }: WebGPUOptions): Tuner | undefined {
  if (autotune === 'off' || isSoftware(adapter)) return undefined;
  const description = describeAdapter(adapter);
  const store = scheduleStore ?? openStore(description);
  return store && new Tuner({ mode: autotune, store, adapter: description });
}

const words = (bytes: number): number => 4 * Math.ceil(bytes / 4);

class DeviceBackend implements WebGPUBackend {
  readonly name = 'webgpu';
  readonly description: string;
  readonly limits: Limits;
  readonly device: GPUDevice;
  private readonly target: Target;
  private readonly tuner: Tuner | undefined;
  private readonly reports: DeviceReports;
  private readonly storage: Memory;
  private readonly pipelines: Pipelines;
  private readonly commands: Commands;
  private readonly staging: Staging;
  private readonly executables = new Set<WebGPUExecutable>();
  private readonly makeGroup = (descriptor: GPUBindGroupDescriptor): GPUBindGroup => {
    this.bindGroups++;
    return this.device.createBindGroup(descriptor);
  };
  private bindGroups = 0;
  private parameterBuffers = 0;

  constructor(device: GPUDevice, target: Target, description: string, tuner: Tuner | undefined) {
    const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = device.limits;
    const bufferBytes = 4 * Math.floor(Math.min(maxBufferSize, maxStorageBufferBindingSize) / 4);
    this.device = device;
    this.target = target;
    this.tuner = tuner;
    this.description = `${description}${this.target.f16 ? ', 16-bit floats' : ''}`;
    this.limits = {
      buffersPerKernel: maxStorageBuffersPerShaderStage,
      bufferBytes,
      dtypes: new Set(Object.keys(dtypes) as DType[]),
      ...slowHalves(this.target),
      // The three products for one of f32 are subgroup matrices', which add up no factors.
      templates: new Set<Template>([
        'rows',
        'columns',
        'attention',
        ...(target.products === undefined ? (['factorSums'] as const) : []),
      ]),
      loaderCost: 9, // (x / 255 - mean) / deviation
      epilogues: true,
    };
    this.reports = new DeviceReports(device, description);
    this.commands = new Commands(device);
    this.staging = new Staging(device);
    this.storage = new Memory(device, bufferBytes, () => this.commands.submit());
    this.pipelines = new Pipelines(device);
  }

  alloc(bytes: number): Slot {
    this.reports.check();
    return this.storage.alloc(bytes);
  }

  free(slot: Slot): void {
    this.storage.release(slot);
  }

  write(slot: Slot, data: TypedArray, dtype: DType, offset = 0): void {
    this.reports.check();
    const stored = toStored(data, dtype);
    const start = offset * dtypes[dtype].bytes;
    if (start + stored.byteLength > slot.bytes) {
      throw new ShapeError(
        `${data.length} elements of ${dtype} do not fit a slot of ${slot.bytes} bytes`,
        'allocate a larger slot',
      );
    }
    const buffer = bufferOf(slot);
    if (this.commands.touches(buffer)) this.commands.submit();
    this.device.queue.writeBuffer(buffer, start, wholeWords(stored));
  }

  async read(slot: Slot, length: number, dtype: DType, offset = 0): Promise<TypedArray> {
    this.reports.check();
    const source = bufferOf(slot);
    const bytes = length * dtypes[dtype].bytes;
    const start = offset * dtypes[dtype].bytes;
    if (start + bytes > slot.bytes) {
      throw new ShapeError(`${length} elements of ${dtype} are more than a slot of ${slot.bytes} bytes holds`);
    }
    if (length === 0) return dtypes[dtype].array(0);
    const staging = this.staging.take(words(bytes));
    this.commands.copy(source, start, staging, words(bytes));
    this.commands.submit();
    try {
      await staging.mapAsync(mapForReading, 0, words(bytes));
    } catch (error) {
      // What the device has reported says more than the map that failed because of it.
      await Promise.resolve();
      this.reports.check();
      throw new DeviceError(
        `Reading from the device failed: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
    const result = fromStored(staging.getMappedRange(0, words(bytes)), dtype, length);
    staging.unmap();
    this.staging.giveBack(staging);
    this.reports.check();
    return result;
  }

  async compile(program: Program, forced?: ReadonlyMap<Kernel, Schedule>): Promise<Executable> {
    this.reports.check();
    this.checkSizes(program);
    const chosen = forced ? program.kernels.map((kernel) => forced.get(kernel)) : await this.schedules(program);
    return this.build(program, chosen);
  }

  /** For each kernel the schedule to compute it by, where there is a choice. */
  private async schedules(program: Program): Promise<readonly (Schedule | undefined)[]> {
    if (!this.tuner) return [];
    const { target } = this;
    return this.tuner.choose(
      program.kernels.map((kernel) => ({
        key: scheduleClass(kernel, target),
        candidates: schedulesOf(kernel, target),
        measure: (schedule) => this.measure(program, kernel, schedule),
      })),
    );
  }

  /** Microseconds of one kernel of `program`, on memory of its own. */
  private async measure({ buffers, bindings }: Program, kernel: Kernel, schedule: Schedule): Promise<number> {
    const { Stopwatch } = await import('./stopwatch.ts');
    const touched = new Set([...kernel.inputs, ...kernel.outputs].map(({ buffer }) => buffer));
    const alone = buffers.map(({ bytes }, i) => ({ bytes: touched.has(i) ? bytes : 4 }));
    const executable = await this.build({ buffers: alone, bindings, kernels: [kernel] }, [schedule]);
    const unused = this.storage.alloc(4);
    const slots = alone.map(({ bytes }, i) => (touched.has(i) ? this.storage.alloc(bytes) : unused));
    try {
      await this.storage.settled();
      return await new Stopwatch(this.device).microseconds(executable, executable.bind(slots, this.makeGroup));
    } finally {
      for (const slot of new Set([unused, ...slots])) this.storage.release(slot);
      this.release(executable);
    }
  }

  private async build(program: Program, schedules: readonly (Schedule | undefined)[]): Promise<WebGPUExecutable> {
    const kernels = program.kernels.map((kernel, i) => shadersOf(kernel, this.target, schedules[i]));
    const shaders = kernels.flatMap((kernel) => kernel.shaders);
    for (const shader of shaders) this.checkBindings(shader);
    const fresh = new Set(shaders.filter((shader) => !this.pipelines.has(shader)).map((shader) => shader.code)).size;
    const pipelines = await Promise.all(shaders.map((shader) => this.pipelines.get(shader)));
    const { buffer, offsets } = this.parameterBlocks(shaders);
    const limit = this.device.limits.maxComputeWorkgroupsPerDimension;
    const dispatches = shaders.map((shader, i) => ({
      shader,
      pipeline: pipelines[i]!,
      layout: this.pipelines.layout(shader).bindings,
      grid: grid(shader.workgroups, limit),
      offset: offsets[i]!,
    }));
    const scratch = this.scratchFor(kernels);
    const submits = dispatches.length === 0 ? 0 : 1;
    const executable = new WebGPUExecutable(program, dispatches, buffer, scratch, {
      dispatches: dispatches.length,
      passes: submits,
      submits,
      pipelines: fresh,
      ownBytes: scratch.reduce((sum, { bytes }) => sum + this.storage.footprint(bytes), buffer.size),
      fallbacks: kernels.flatMap(({ fallback = [] }) => fallback),
    });
    this.executables.add(executable);
    return executable;
  }

  run(executable: Executable, slots: readonly Slot[], more = false): void {
    this.reports.check();
    if (!(executable instanceof WebGPUExecutable) || !this.executables.has(executable)) {
      throw new DeviceError(
        'A program compiled by another backend, or given back, was given to webgpu',
        'compile it for this backend',
      );
    }
    if (executable.pipelines.length > 0) this.commands.run(executable, executable.bind(slots, this.makeGroup));
    if (!more) this.commands.submit();
  }

  submit(): void {
    this.commands.submit();
  }

  release(executable: Executable): void {
    if (!(executable instanceof WebGPUExecutable) || !this.executables.delete(executable)) return;
    this.commands.submit();
    executable.parameters.destroy();
    for (const slot of executable.scratch) this.storage.release(slot);
  }

  settled(): Promise<void> | undefined {
    return this.storage.settled();
  }

  footprint(bytes: number): number {
    return this.storage.footprint(bytes);
  }

  trim(): void {
    this.storage.shrink(0);
  }

  created(): Created {
    return {
      buffers: this.storage.created + this.parameterBuffers,
      bindGroups: this.bindGroups,
      pipelines: this.pipelines.created,
    };
  }

  async profile(work: () => Promise<void>): Promise<KernelTime[]> {
    const { Profile } = await import('./profile.ts');
    const profile = new Profile(this.device);
    this.commands.submit();
    this.commands.profile = profile;
    try {
      await work();
    } finally {
      this.commands.submit();
      this.commands.profile = undefined;
    }
    return profile.times();
  }

  memory(): { readonly live: number; readonly peak: number } {
    return { live: this.storage.live, peak: this.storage.peak };
  }

  async close(): Promise<void> {
    this.commands.submit();
    this.reports.close();
    this.storage.destroy();
    this.staging.destroy();
    for (const executable of this.executables) executable.parameters.destroy();
    this.executables.clear();
    this.device.destroy();
    await this.device.lost;
  }

  private checkSizes({ buffers, kernels }: Program): void {
    const { bufferBytes } = this.limits;
    buffers.forEach(({ bytes }, i) => {
      if (bytes <= bufferBytes) return;
      const user = kernels.find(({ inputs, outputs }) => [...inputs, ...outputs].some(({ buffer }) => buffer === i));
      const place = user ? `The kernel '${user.name}' needs a buffer` : 'A program needs a buffer';
      throw new DeviceError(
        `${place} of ${bytes} bytes (${printBytes(bytes)}), but this WebGPU device has buffers of at most ${bufferBytes} bytes`,
        'use a smaller batch, recompute blocks with checkpoint(), or split the tensor',
      );
    });
  }

  private checkBindings(shader: Shader): void {
    if (shader.bindings.length <= this.limits.buffersPerKernel) return;
    throw new DeviceError(
      `The kernel '${shader.name}' touches ${shader.bindings.length} buffers, but this WebGPU device allows ${this.limits.buffersPerKernel}`,
      'fuse fewer operations into it',
    );
  }

  /** Scratch buffers as large as any kernel needs them: kernels run one after the other, so all share the same ones. */
  private scratchFor(kernels: readonly KernelShaders[]): Slot[] {
    const sizes: number[] = [];
    for (const { scratch = [] } of kernels) {
      for (const [i, bytes] of scratch.entries()) sizes[i] = Math.max(sizes[i] ?? 0, bytes);
    }
    return sizes.map((bytes) => this.storage.alloc(bytes));
  }

  /** One buffer with the parameter blocks of all dispatches, each at an offset that can be bound. */
  private parameterBlocks(shaders: readonly Shader[]): { buffer: GPUBuffer; offsets: number[] } {
    const alignment = this.device.limits.minUniformBufferOffsetAlignment / 4;
    const all: number[] = [];
    const offsets = shaders.map(({ parameters }) => {
      const start = all.length;
      all.push(...parameters);
      while (all.length === start || all.length % alignment !== 0) all.push(0);
      return start * 4;
    });
    const buffer = this.device.createBuffer({
      size: Math.max(16, all.length * 4),
      usage: bufferUsage.uniform | bufferUsage.copyTarget,
    });
    this.parameterBuffers++;
    this.device.queue.writeBuffer(buffer, 0, Int32Array.from(all));
    return { buffer, offsets };
  }
}
