/** Commands on their way to the queue: runs that follow each other at once share one encoder, one pass and one submit. */
import type { Profile } from './profile.ts';

/** What one run sends: pipeline, bind group and grid of each dispatch, in order. */
export interface Dispatches {
  readonly pipelines: readonly GPUComputePipeline[];
  /** Workgroups of dispatch i: x at 2i, y at 2i + 1. */
  readonly grids: Uint32Array;
  /** The kernels that the dispatches belong to. */
  readonly names: readonly string[];
}

/** The bind groups of a run, and the program's buffers that they bind. */
export interface BoundBuffers {
  readonly buffers: readonly GPUBuffer[];
  readonly groups: readonly GPUBindGroup[];
}

/** Encodes one run into `pass`. */
export function encode(pass: GPUComputePassEncoder, { pipelines, grids }: Dispatches, { groups }: BoundBuffers): void {
  let current: GPUComputePipeline | undefined;
  for (let i = 0; i < pipelines.length; i++) {
    const pipeline = pipelines[i]!;
    if (pipeline !== current) pass.setPipeline(pipeline);
    current = pipeline;
    pass.setBindGroup(0, groups[i]!);
    pass.dispatchWorkgroups(grids[2 * i]!, grids[2 * i + 1]!);
  }
}

export class Commands {
  /** While there is one, it encodes the runs. */
  profile: Profile | undefined;
  private readonly device: GPUDevice;
  private encoder: GPUCommandEncoder | undefined;
  private pass: GPUComputePassEncoder | undefined;
  /** What the commands that wait for their submit touch. */
  private waiting: BoundBuffers[] = [];

  constructor(device: GPUDevice) {
    this.device = device;
  }

  /** Encodes one run. */
  run(dispatches: Dispatches, bound: BoundBuffers): void {
    this.encoder ??= this.device.createCommandEncoder();
    this.waiting.push(bound);
    if (this.profile) {
      this.endPass();
      this.profile.encode(this.encoder, dispatches, bound);
      return;
    }
    this.pass ??= this.encoder.beginComputePass();
    encode(this.pass, dispatches, bound);
  }

  /** Encodes a copy of bytes from `start` on, behind the runs so far. */
  copy(source: GPUBuffer, start: number, target: GPUBuffer, bytes: number): void {
    this.encoder ??= this.device.createCommandEncoder();
    this.endPass();
    this.encoder.copyBufferToBuffer(source, start, target, 0, bytes);
  }

  /** Whether a run that waits for its submit binds `buffer`: a write to it would come too early. */
  touches(buffer: GPUBuffer): boolean {
    return this.waiting.some(({ buffers }) => buffers.includes(buffer));
  }

  submit(): void {
    if (!this.encoder) return;
    this.endPass();
    const commands = this.encoder.finish();
    this.encoder = undefined;
    this.waiting = [];
    this.device.queue.submit([commands]);
  }

  private endPass(): void {
    this.pass?.end();
    this.pass = undefined;
  }
}
