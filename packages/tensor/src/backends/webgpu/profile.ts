/** Where the time of runs goes: every dispatch in a pass of its own, with the device's timestamps at its ends. */
import { DeviceError } from '../../errors.ts';
import type { BoundBuffers, Dispatches } from './commands.ts';
import { bufferUsage, mapForReading } from './device.ts';

const queryResolve = 0x200;

/** Most timestamps in a set, by WebGPU's specification. */
const mostStamps = 4096;

/** Runs of kernels of one name. */
export interface KernelTime {
  readonly name: string;
  readonly dispatches: number;
  /** Of all of them together. */
  readonly milliseconds: number;
}

export class Profile {
  private readonly device: GPUDevice;
  private readonly stamps: GPUQuerySet;
  private readonly names: string[] = [];

  /** Throws DeviceError where the device has no timestamps. */
  constructor(device: GPUDevice) {
    if (!device.features.has('timestamp-query'))
      throw new DeviceError('This WebGPU device has no timestamps', 'measure by the wall clock');
    this.device = device;
    this.stamps = device.createQuerySet({ type: 'timestamp', count: mostStamps });
  }

  /** Encodes one run. Throws DeviceError where it has more dispatches than one profile counts. */
  encode(encoder: GPUCommandEncoder, { pipelines, grids, names }: Dispatches, { groups }: BoundBuffers): void {
    if (2 * (this.names.length + pipelines.length) > mostStamps)
      throw new DeviceError(`A profile counts at most ${mostStamps / 2} dispatches`, 'profile fewer runs');
    pipelines.forEach((pipeline, i) => {
      const first = 2 * this.names.length;
      const timestampWrites = {
        querySet: this.stamps,
        beginningOfPassWriteIndex: first,
        endOfPassWriteIndex: first + 1,
      };
      const pass = encoder.beginComputePass({ timestampWrites });
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, groups[i]!);
      pass.dispatchWorkgroups(grids[2 * i]!, grids[2 * i + 1]!);
      pass.end();
      this.names.push(names[i]!);
    });
  }

  /** The times of all runs that were encoded and submitted, by kernel name, the longest first. Ends the profile. */
  async times(): Promise<KernelTime[]> {
    const { device, names, stamps } = this;
    if (names.length === 0) return [];
    const bytes = 16 * names.length;
    const resolved = device.createBuffer({ size: bytes, usage: queryResolve | bufferUsage.copySource });
    const staging = device.createBuffer({ size: bytes, usage: bufferUsage.mapRead | bufferUsage.copyTarget });
    try {
      const encoder = device.createCommandEncoder();
      encoder.resolveQuerySet(stamps, 0, 2 * names.length, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(mapForReading);
      return byName(names, new BigUint64Array(staging.getMappedRange()));
    } finally {
      resolved.destroy();
      staging.destroy();
      stamps.destroy();
    }
  }
}

/** `stamps` are nanoseconds: beginning and end of each dispatch. A clock that was set back in between counts nothing. */
function byName(names: readonly string[], stamps: BigUint64Array): KernelTime[] {
  const times = new Map<string, { dispatches: number; milliseconds: number }>();
  names.forEach((name, i) => {
    const taken = Math.max(0, Number(stamps[2 * i + 1]! - stamps[2 * i]!)) / 1e6;
    const { dispatches, milliseconds } = times.get(name) ?? { dispatches: 0, milliseconds: 0 };
    times.set(name, { dispatches: dispatches + 1, milliseconds: milliseconds + taken });
  });
  return Array.from(times, ([name, time]) => ({ name, ...time })).sort((a, b) => b.milliseconds - a.milliseconds);
}
