/** The time that a program takes on its device: by timestamps where there are any, else by the clock on the wall. */
import { type BoundBuffers, type Dispatches, encode } from './commands.ts';
import { bufferUsage, mapForReading } from './device.ts';

const queryResolve = 0x200;

/** Milliseconds that a measurement should take: far more than a coarse clock errs. */
const wantedMilliseconds = 4;
const mostRepeats = 64;

export class Stopwatch {
  private readonly device: GPUDevice;
  private readonly now: () => number;

  constructor(device: GPUDevice, now: () => number = () => performance.now()) {
    this.device = device;
    this.now = now;
  }

  /** Microseconds of one run, the average over as many as make a measurable time. */
  async microseconds(dispatches: Dispatches, bound: BoundBuffers): Promise<number> {
    await this.run(dispatches, bound, 1); // The first run also moves shaders and memory to the device.
    const once = await this.run(dispatches, bound, 1);
    const repeats = Math.max(1, Math.min(mostRepeats, Math.ceil(wantedMilliseconds / Math.max(once, 1e-3))));
    const total = this.device.features.has('timestamp-query')
      ? await this.runOnDevice(dispatches, bound, repeats)
      : await this.run(dispatches, bound, repeats);
    return (1000 * total) / repeats;
  }

  /** Milliseconds by the wall clock. */
  private async run(dispatches: Dispatches, bound: BoundBuffers, repeats: number): Promise<number> {
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < repeats; i++) encode(pass, dispatches, bound);
    pass.end();
    const start = this.now();
    this.device.queue.submit([encoder.finish()]);
    await this.device.queue.onSubmittedWorkDone();
    return this.now() - start;
  }

  /** Milliseconds by timestamps at the ends of the pass; by the wall clock where the device gives none that make sense. */
  private async runOnDevice(dispatches: Dispatches, bound: BoundBuffers, repeats: number): Promise<number> {
    const { device } = this;
    const querySet = device.createQuerySet({ type: 'timestamp', count: 2 });
    const stamps = device.createBuffer({ size: 16, usage: queryResolve | bufferUsage.copySource });
    const staging = device.createBuffer({ size: 16, usage: bufferUsage.mapRead | bufferUsage.copyTarget });
    try {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
      });
      for (let i = 0; i < repeats; i++) encode(pass, dispatches, bound);
      pass.end();
      encoder.resolveQuerySet(querySet, 0, 2, stamps, 0);
      encoder.copyBufferToBuffer(stamps, 0, staging, 0, 16);
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(mapForReading);
      const [begin = 0n, end = 0n] = new BigUint64Array(staging.getMappedRange());
      if (end > begin) return Number(end - begin) / 1e6;
    } finally {
      querySet.destroy();
      stamps.destroy();
      staging.destroy();
    }
    return this.run(dispatches, bound, repeats);
  }
}
