/** Device memory: slots over GPU buffers of a few size classes, which freed slots give back for reuse. */
import { DeviceError, DisposedError } from '../../errors.ts';
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

const smallest = 256;

/** Bytes of the buffer that holds `bytes`: the next of four steps in each octave, so at most a quarter is unused. */
export function sizeClass(bytes: number, largest: number): number {
  if (bytes <= smallest) return smallest;
  const step = 2 ** Math.max(2, Math.floor(Math.log2(bytes - 1)) - 2);
  return Math.max(4 * Math.ceil(bytes / 4), Math.min(Math.ceil(bytes / step) * step, largest));
}

const usage = bufferUsage.storage | bufferUsage.copySource | bufferUsage.copyTarget;

/**
 * Buffers of one device. A freed buffer may be given out at once: the queue works in order, so whatever was submitted
 * for its former owner has finished before anything that is submitted for the next one.
 */
export class Memory {
  live = 0;
  peak = 0;
  private readonly device: GPUDevice;
  private readonly largest: number;
  private readonly free = new Map<number, GPUBuffer[]>();
  private readonly all = new Set<GPUBuffer>();
  private pooled = 0;

  constructor(device: GPUDevice, largest: number) {
    this.device = device;
    this.largest = largest;
  }

  alloc(bytes: number): WebGPUSlot {
    if (!(bytes <= this.largest)) {
      throw new DeviceError(
        `A buffer of ${bytes} bytes was asked for, but this WebGPU device has buffers of at most ${this.largest} bytes`,
        'use a smaller batch, or split the tensor',
      );
    }
    const size = sizeClass(bytes, this.largest);
    let buffer = this.free.get(size)?.pop();
    if (buffer) this.pooled -= size;
    else {
      buffer = this.device.createBuffer({ size, usage });
      this.all.add(buffer);
    }
    this.live += bytes;
    this.peak = Math.max(this.peak, this.live);
    return new WebGPUSlot(bytes, buffer);
  }

  release(slot: Slot): void {
    const buffer = bufferOf(slot);
    (slot as WebGPUSlot).buffer = undefined;
    this.live -= slot.bytes;
    const { size } = buffer;
    // What lies idle is bounded by the most that was ever in use at once.
    if (this.pooled + size > Math.max(this.peak, 2 ** 26)) {
      this.all.delete(buffer);
      buffer.destroy();
      return;
    }
    const same = this.free.get(size);
    if (same) same.push(buffer);
    else this.free.set(size, [buffer]);
    this.pooled += size;
  }

  /** Destroys every buffer, those of live slots too. */
  destroy(): void {
    for (const buffer of this.all) buffer.destroy();
    this.all.clear();
    this.free.clear();
    this.live = 0;
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
