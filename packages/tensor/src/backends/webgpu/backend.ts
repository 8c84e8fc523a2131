/** The WebGPU backend: programs become pipelines once, and a run is one encoder, one pass and one submit. */
import type { Program } from '../../compile/kernel.ts';
import { type DType, dtypes, type TypedArray } from '../../dtype.ts';
import { DeviceError, ShapeError } from '../../errors.ts';
import type { Backend, Executable, Limits, Slot } from '../backend.ts';
import {
  bufferUsage,
  DeviceReports,
  describeAdapter,
  mapForReading,
  openDevice,
  type WebGPUOptions,
} from './device.ts';
import { grid, type KernelShaders, shadersOf } from './kernels.ts';
import { bufferOf, Memory } from './memory.ts';
import { Pipelines } from './pipelines.ts';
import { type Target, targetOf } from './target.ts';
import { fromStored, toStored, wholeWords } from './transfer.ts';
import type { Shader } from './wgsl.ts';

interface Dispatch {
  readonly shader: Shader;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly grid: readonly [number, number];
  /** Where the dispatch's parameter block starts in the executable's. */
  readonly offset: number;
}

interface BoundSlots {
  readonly buffers: readonly GPUBuffer[];
  readonly groups: readonly GPUBindGroup[];
}

/** Sets of slots for which an executable keeps bind groups; the one used longest ago goes first. */
const boundSetsKept = 8;

class WebGPUExecutable implements Executable {
  readonly stats: Executable['stats'];
  readonly program: Program;
  readonly dispatches: readonly Dispatch[];
  readonly parameters: GPUBuffer;
  readonly scratch: readonly Slot[];
  /** Most recently used first. */
  readonly bound: BoundSlots[] = [];

  constructor(
    program: Program,
    dispatches: readonly Dispatch[],
    parameters: GPUBuffer,
    scratch: readonly Slot[],
    pipelines: number,
  ) {
    this.program = program;
    this.scratch = scratch;
    this.dispatches = dispatches;
    this.parameters = parameters;
    const submits = dispatches.length === 0 ? 0 : 1;
    this.stats = { dispatches: dispatches.length, passes: submits, submits, pipelines };
  }
}

export interface WebGPUBackend extends Backend {
  readonly device: GPUDevice;
}

/**
 * Opens a device and makes it a backend.
 * Throws DeviceError where there is no WebGPU, no adapter, or only a software adapter without `allowSoftware`.
 */
export async function createWebGPUBackend(options: WebGPUOptions = {}): Promise<WebGPUBackend> {
  const { adapter, device } = await openDevice(options);
  return new DeviceBackend(device, adapter.info, describeAdapter(adapter));
}

const words = (bytes: number): number => 4 * Math.ceil(bytes / 4);

class DeviceBackend implements WebGPUBackend {
  readonly name = 'webgpu';
  readonly description: string;
  readonly limits: Limits;
  readonly device: GPUDevice;
  private readonly target: Target;
  private readonly reports: DeviceReports;
  private readonly storage: Memory;
  private readonly pipelines: Pipelines;
  private readonly executables = new WeakSet<Executable>();
  private staging: GPUBuffer[] = [];

  constructor(device: GPUDevice, info: GPUAdapterInfo, description: string) {
    const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = device.limits;
    const bufferBytes = 4 * Math.floor(Math.min(maxBufferSize, maxStorageBufferBindingSize) / 4);
    this.device = device;
    this.target = targetOf(device, info);
    this.description = `${description}${this.target.f16 ? ', 16-bit floats' : ''}`;
    this.limits = {
      buffersPerKernel: maxStorageBuffersPerShaderStage,
      bufferBytes,
      dtypes: new Set(Object.keys(dtypes) as DType[]),
      templates: new Set(),
    };
    this.reports = new DeviceReports(device, description);
    this.storage = new Memory(device, bufferBytes);
    this.pipelines = new Pipelines(device);
  }

  alloc(bytes: number): Slot {
    this.reports.check();
    return this.storage.alloc(bytes);
  }

  free(slot: Slot): void {
    this.storage.release(slot);
  }

  write(slot: Slot, data: TypedArray, dtype: DType): void {
    this.reports.check();
    const stored = toStored(data, dtype);
    if (stored.byteLength > slot.bytes) {
      throw new ShapeError(
        `${data.length} elements of ${dtype} do not fit a slot of ${slot.bytes} bytes`,
        'allocate a larger slot',
      );
    }
    this.device.queue.writeBuffer(bufferOf(slot), 0, wholeWords(stored));
  }

  async read(slot: Slot, length: number, dtype: DType): Promise<TypedArray> {
    this.reports.check();
    const source = bufferOf(slot);
    const bytes = length * dtypes[dtype].bytes;
    if (bytes > slot.bytes) {
      throw new ShapeError(`${length} elements of ${dtype} are more than a slot of ${slot.bytes} bytes holds`);
    }
    if (length === 0) return dtypes[dtype].array(0);
    const staging = this.takeStaging(words(bytes));
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, staging, 0, words(bytes));
    this.device.queue.submit([encoder.finish()]);
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
    this.staging.push(staging);
    this.reports.check();
    return result;
  }

  /** The smallest idle staging buffer that holds `bytes` without being far too large, or another one. */
  private takeStaging(bytes: number): GPUBuffer {
    const size = Math.max(256, 2 ** Math.ceil(Math.log2(bytes)));
    const at = this.staging.findIndex((buffer) => buffer.size >= bytes && buffer.size <= 4 * size);
    const [known] = at < 0 ? [] : this.staging.splice(at, 1);
    if (known) return known;
    // Few are kept: a size that nobody reads any more gives way.
    for (const idle of this.staging.splice(0, Math.max(0, this.staging.length - 3))) idle.destroy();
    return this.device.createBuffer({
      size: Math.min(size, words(this.device.limits.maxBufferSize - 3)),
      usage: bufferUsage.mapRead | bufferUsage.copyTarget,
    });
  }

  async compile(program: Program): Promise<Executable> {
    this.reports.check();
    this.checkSizes(program);
    const kernels = program.kernels.map((kernel) => shadersOf(kernel, this.target));
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
    const executable = new WebGPUExecutable(program, dispatches, buffer, this.scratchFor(kernels), fresh);
    this.executables.add(executable);
    return executable;
  }

  run(executable: Executable, slots: readonly Slot[]): void {
    this.reports.check();
    if (!(executable instanceof WebGPUExecutable) || !this.executables.has(executable)) {
      throw new DeviceError('A program compiled by another backend was given to webgpu', 'compile it for this backend');
    }
    if (executable.dispatches.length === 0) return;
    const groups = this.groupsFor(executable, slots);
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    executable.dispatches.forEach(({ pipeline, grid: [x, y] }, i) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, groups[i]!);
      pass.dispatchWorkgroups(x, y);
    });
    pass.end();
    this.device.queue.submit([encoder.finish()]);
  }

  memory(): { readonly live: number; readonly peak: number } {
    return { live: this.storage.live, peak: this.storage.peak };
  }

  async close(): Promise<void> {
    this.reports.close();
    this.storage.destroy();
    for (const buffer of this.staging) buffer.destroy();
    this.staging = [];
    this.device.destroy();
    await this.device.lost;
  }

  private checkSizes(program: Program): void {
    program.buffers.forEach(({ bytes }, i) => {
      if (bytes <= this.limits.bufferBytes) return;
      throw new DeviceError(
        `Buffer ${i} of a program has ${bytes} bytes, but this WebGPU device has buffers of at most ${this.limits.bufferBytes} bytes`,
        'use a smaller batch, or split the tensor',
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
    this.device.queue.writeBuffer(buffer, 0, Int32Array.from(all));
    return { buffer, offsets };
  }

  /** The bind groups for these slots, made at most once while the executable keeps them. */
  private groupsFor(executable: WebGPUExecutable, slots: readonly Slot[]): readonly GPUBindGroup[] {
    const { program, bound } = executable;
    if (slots.length !== program.buffers.length) {
      throw new ShapeError(`A program of ${program.buffers.length} buffers was run on ${slots.length} slots`);
    }
    const at = bound.findIndex(({ buffers }) =>
      buffers.every((buffer, i) => buffer === (slots[i] as { buffer?: GPUBuffer }).buffer),
    );
    if (at >= 0) {
      const [hit] = bound.splice(at, 1);
      bound.unshift(hit!);
      return hit!.groups;
    }
    program.buffers.forEach(({ bytes }, i) => {
      const slot = slots[i]!;
      if (slot.bytes < bytes) {
        throw new ShapeError(`Slot ${i} has ${slot.bytes} bytes, but the program's buffer ${i} has ${bytes}`);
      }
    });
    const buffers = slots.map(bufferOf);
    const groups = executable.dispatches.map((dispatch) => this.group(executable, dispatch, buffers));
    bound.unshift({ buffers, groups });
    bound.length = Math.min(bound.length, boundSetsKept);
    return groups;
  }

  private group(executable: WebGPUExecutable, dispatch: Dispatch, buffers: readonly GPUBuffer[]): GPUBindGroup {
    const { shader, layout, offset } = dispatch;
    const used = shader.bindings.map(({ buffer, scratch }) => {
      return scratch ? bufferOf(executable.scratch[buffer]!) : buffers[buffer]!;
    });
    shader.bindings.forEach(({ writable }, i) => {
      if (writable && used.indexOf(used[i]!) !== used.lastIndexOf(used[i]!)) {
        throw new DeviceError(
          `The kernel '${shader.name}' writes a slot that it also uses as another of the program's buffers`,
          'pass a different slot for each buffer',
        );
      }
    });
    const size = 16 * Math.max(1, Math.ceil(shader.parameters.length / 4));
    const parameters = { buffer: executable.parameters, offset, size };
    const entries = shader.bindings.map(({ buffer, scratch }, i) => {
      const { bytes } = (scratch ? executable.scratch : executable.program.buffers)[buffer]!;
      return { binding: i + 1, resource: { buffer: used[i]!, size: Math.max(4, words(bytes)) } };
    });
    return this.device.createBindGroup({ layout, entries: [{ binding: 0, resource: parameters }, ...entries] });
  }
}
