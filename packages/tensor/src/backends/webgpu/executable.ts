/** A program on a WebGPU device: its dispatches, what they hold, and the bind groups for the slots that it ran on. */
import type { Program } from '../../compile/kernel.ts';
import { DeviceError, ShapeError } from '../../errors.ts';
import type { Executable, Slot } from '../backend.ts';
import type { BoundBuffers, Dispatches } from './commands.ts';
import { bufferOf, WebGPUSlot } from './memory.ts';
import type { Shader } from './wgsl.ts';

export interface Dispatch {
  readonly shader: Shader;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly grid: readonly [number, number];
  /** Where the dispatch's parameter block starts in the executable's. */
  readonly offset: number;
}

/** Sets of buffers for which an executable, and each of its dispatches, keeps bind groups; the one used longest ago goes first. */
const boundSetsKept = 8;

/** A dispatch's bind group and the buffers that it binds. */
interface BoundDispatch {
  readonly buffers: readonly GPUBuffer[];
  readonly group: GPUBindGroup;
}

export class WebGPUExecutable implements Executable, Dispatches {
  readonly stats: Executable['stats'];
  readonly pipelines: readonly GPUComputePipeline[];
  readonly grids: Uint32Array;
  readonly names: readonly string[];
  readonly parameters: GPUBuffer;
  readonly scratch: readonly Slot[];
  private readonly program: Program;
  private readonly dispatches: readonly Dispatch[];
  /** Most recently used first, like those of the dispatches. */
  private readonly bound: BoundBuffers[] = [];
  private readonly known: readonly BoundDispatch[][];

  constructor(
    program: Program,
    dispatches: readonly Dispatch[],
    parameters: GPUBuffer,
    scratch: readonly Slot[],
    stats: Executable['stats'],
  ) {
    this.program = program;
    this.dispatches = dispatches;
    this.pipelines = dispatches.map(({ pipeline }) => pipeline);
    this.grids = Uint32Array.from(dispatches.flatMap(({ grid }) => grid));
    this.names = dispatches.map(({ shader }) => shader.name);
    this.parameters = parameters;
    this.scratch = scratch;
    this.stats = stats;
    this.known = dispatches.map(() => []);
  }

  /** The bind groups for these slots; `make` makes those that are not kept. */
  bind(slots: readonly Slot[], make: (descriptor: GPUBindGroupDescriptor) => GPUBindGroup): BoundBuffers {
    const { program, bound } = this;
    if (slots.length !== program.buffers.length) {
      throw new ShapeError(`A program of ${program.buffers.length} buffers was run on ${slots.length} slots`);
    }
    for (let i = 0; i < bound.length; i++) {
      const candidate = bound[i]!;
      if (!binds(candidate.buffers, slots)) continue;
      return moveToFront(bound, i);
    }
    program.buffers.forEach(({ bytes }, i) => {
      const slot = slots[i]!;
      if (slot.bytes < bytes) {
        throw new ShapeError(`Slot ${i} has ${slot.bytes} bytes, but the program's buffer ${i} has ${bytes}`);
      }
    });
    const buffers = slots.map(bufferOf);
    const groups = this.dispatches.map((_, i) => this.group(i, buffers, make));
    return keep(bound, { buffers, groups });
  }

  private group(
    i: number,
    all: readonly GPUBuffer[],
    make: (descriptor: GPUBindGroupDescriptor) => GPUBindGroup,
  ): GPUBindGroup {
    const { shader, layout, offset } = this.dispatches[i]!;
    const buffers = shader.bindings.map(({ buffer, scratch }) => {
      return scratch ? bufferOf(this.scratch[buffer]!) : all[buffer]!;
    });
    const known = this.known[i]!;
    const at = known.findIndex((entry) => entry.buffers.every((buffer, k) => buffer === buffers[k]));
    if (at >= 0) return moveToFront(known, at).group;
    shader.bindings.forEach(({ writable, range }, k) => {
      // Parts of one buffer do not overlap.
      const clashes = (other: GPUBuffer, j: number): boolean =>
        j !== k && other === buffers[k] && !(range && shader.bindings[j]!.range);
      if (writable && buffers.some(clashes)) {
        throw new DeviceError(
          `The kernel '${shader.name}' writes a slot that it also uses as another of the program's buffers`,
          'pass a different slot for each buffer',
        );
      }
    });
    const size = 16 * Math.max(1, Math.ceil(shader.parameters.length / 4));
    const parameters = { buffer: this.parameters, offset, size };
    const entries = shader.bindings.map(({ buffer, scratch, range }, k) => {
      const { bytes } = range ?? (scratch ? this.scratch : this.program.buffers)[buffer]!;
      const size = Math.max(4, 4 * Math.ceil(bytes / 4));
      return { binding: k + 1, resource: { buffer: buffers[k]!, offset: range?.offset ?? 0, size } };
    });
    const group = make({ layout, entries: [{ binding: 0, resource: parameters }, ...entries] });
    return keep(known, { buffers, group }).group;
  }
}

function binds(buffers: readonly GPUBuffer[], slots: readonly Slot[]): boolean {
  for (let i = 0; i < buffers.length; i++) {
    const slot = slots[i];
    if (!(slot instanceof WebGPUSlot) || slot.buffer !== buffers[i]) return false;
  }
  return true;
}

function keep<T>(list: T[], entry: T): T {
  list.unshift(entry);
  list.length = Math.min(list.length, boundSetsKept);
  return entry;
}

function moveToFront<T>(list: T[], at: number): T {
  const entry = list[at]!;
  list.copyWithin(1, 0, at);
  list[0] = entry;
  return entry;
}
