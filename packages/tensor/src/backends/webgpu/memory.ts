/** Device memory: slots over GPU buffers of a few size classes, which freed slots give back for reuse. */
import { DeviceError, DisposedError, OutOfMemoryError, printBytes } from '../../errors.ts';
import type { Slot } from '../backend.ts';
import { bufferUsage } from './device.ts';

export class WebGPUSlot implements Slot {
  readonly bytes: number;
  /** Undefined once the slot is freed. */
  buffer: GPUBuffer | undefined;

  constructor(bytes: number, buffer: GPUBuffer) {
    this.bytes = bytes;
    this.buffer = buffer;
  }
}

/** What to do where memory is short. */
export const outOfMemoryHint = 'use a smaller batch, recompute blocks with checkpoint(), or free tensors';

const smallest = 256;

/** Bytes of the buffer that holds `bytes`: the next of four steps in each octave, so at most a quarter is unused. */
export function sizeClass(bytes: number, largest: number): number {
  if (bytes <= smallest) return smallest;
  const step = 2 ** Math.max(2, Math.floor(Math.log2(bytes - 1)) - 2);
  return Math.max(4 * Math.ceil(bytes / 4), Math.min(Math.ceil(bytes / step) * step, largest));
}

const usage = bufferUsage.storage | bufferUsage.copySource | bufferUsage.copyTarget;

/** Idle buffers of this many bytes together are kept however little was ever in use. */
const idleBytes = 2 ** 26;

/**
 * Buffers of one device. A freed buffer may be given out at once: the queue works in order, so whatever was submitted
 * for its former owner has finished before anything that is submitted for the next one.
 */
export class Memory {
  /** Bytes of the buffers in use, and the most that they have been. */
  live = 0;
  peak = 0;
  /** Buffers made so far. */
  created = 0;
  private readonly device: GPUDevice;
  private readonly largest: number;
  private readonly beforeDestroy: () => void;
  private readonly free = new Map<number, GPUBuffer[]>();
  private readonly all = new Set<GPUBuffer>();
  private readonly missing = new WeakSet<GPUBuffer>();
  private idle = 0;
  private doubts: Promise<string | undefined>[] = [];

  /** @param beforeDestroy called before a buffer goes that commands not submitted yet may use. */
  constructor(device: GPUDevice, largest: number, beforeDestroy: () => void) {
    this.device = device;
    this.largest = largest;
    this.beforeDestroy = beforeDestroy;
  }

  /** Bytes of the buffer that a slot of `bytes` gets. */
  footprint(bytes: number): number {
    return sizeClass(bytes, this.largest);
  }

  alloc(bytes: number): WebGPUSlot {
    if (!(bytes <= this.largest)) {
      throw new DeviceError(
        `A buffer of ${bytes} bytes was asked for, but this WebGPU device has buffers of at most ${this.largest} bytes`,
        'use a smaller batch, or split the tensor',
      );
    }
    const size = this.footprint(bytes);
    let buffer = this.free.get(size)?.pop();
    if (buffer) this.idle -= size;
    else {
      this.shrink(Math.max(0, Math.max(this.peak, idleBytes) - this.live - size));
      buffer = this.create(size);
    }
    this.live += size;
    this.peak = Math.max(this.peak, this.live);
    return new WebGPUSlot(bytes, buffer);
  }

  release(slot: Slot): void {
    const buffer = bufferOf(slot);
    (slot as WebGPUSlot).buffer = undefined;
    const { size } = buffer;
    this.live -= size;
    if (this.missing.has(buffer)) {
      this.destroyBuffer(buffer);
      return;
    }
    const same = this.free.get(size);
    if (same) same.push(buffer);
    else this.free.set(size, [buffer]);
    this.idle += size;
    // In use and idle together, there is never more than was once in use.
    this.shrink(Math.max(0, Math.max(this.peak, idleBytes) - this.live));
  }

  /** Destroys idle buffers until at most `bytes` are idle, the largest first. */
  shrink(bytes: number): void {
    if (this.idle <= bytes) return;
    for (const size of [...this.free.keys()].sort((a, b) => b - a)) {
      const list = this.free.get(size) as GPUBuffer[];
      while (this.idle > bytes && list.length > 0) {
        this.destroyBuffer(list.pop() as GPUBuffer);
        this.idle -= size;
      }
      if (list.length === 0) this.free.delete(size);
    }
  }

  /** Rejects with OutOfMemoryError where the device had no memory for a buffer made since the last call; undefined where none was made. */
  settled(): Promise<void> | undefined {
    if (this.doubts.length === 0) return undefined;
    return Promise.all(this.doubts.splice(0)).then((failures) => {
      const failure = failures.find((message) => message !== undefined);
      if (failure !== undefined) throw new OutOfMemoryError(failure, outOfMemoryHint);
    });
  }

  /** Destroys every buffer, those of live slots too. */
  destroy(): void {
    for (const buffer of this.all) buffer.destroy();
    this.all.clear();
    this.free.clear();
    this.live = 0;
    this.idle = 0;
  }

  private create(size: number): GPUBuffer {
    this.device.pushErrorScope('out-of-memory');
    const buffer = this.device.createBuffer({ size, usage });
    const held = `${printBytes(this.live)} are in use and ${printBytes(this.idle)} idle`;
    this.doubts.push(
      this.device.popErrorScope().then(
        (error) => {
          if (!error) return undefined;
          this.missing.add(buffer);
          return `The WebGPU device is out of memory: a buffer of ${printBytes(size)} was asked for while ${held}`;
        },
        // A device that is lost has no answer, and says so itself.
        () => undefined,
      ),
    );
    this.all.add(buffer);
    this.created++;
    return buffer;
  }

  private destroyBuffer(buffer: GPUBuffer): void {
    this.beforeDestroy();
    this.all.delete(buffer);
    buffer.destroy();
  }
}

/** The buffer of a live slot. Throws DisposedError for a freed one, DeviceError for another backend's. */
export function bufferOf(slot: Slot): GPUBuffer {
  if (!(slot instanceof WebGPUSlot)) {
    throw new DeviceError('A memory slot of another backend was given to webgpu', 'read the tensor and write it again');
  }
  if (!slot.buffer) throw new DisposedError('A memory slot was used after it was freed');
  return slot.buffer;
}
