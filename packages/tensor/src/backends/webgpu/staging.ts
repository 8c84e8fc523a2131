/** Buffers through which results reach the host: a ring, so that a read waits for its own copy and for nothing after it. */
import { bufferUsage } from './device.ts';

/** Idle buffers kept; a size that nobody reads any more gives way. */
const idleKept = 4;

export class Staging {
  private readonly device: GPUDevice;
  /** Used longest ago first. */
  private idle: GPUBuffer[] = [];

  constructor(device: GPUDevice) {
    this.device = device;
  }

  /** The idle buffer that holds `bytes` without being far too large, or another one. */
  take(bytes: number): GPUBuffer {
    const size = Math.max(256, 2 ** Math.ceil(Math.log2(bytes)));
    const at = this.idle.findIndex((buffer) => buffer.size >= bytes && buffer.size <= 4 * size);
    const [known] = at < 0 ? [] : this.idle.splice(at, 1);
    if (known) return known;
    const largest = 4 * Math.floor(this.device.limits.maxBufferSize / 4);
    return this.device.createBuffer({
      size: Math.min(size, largest),
      usage: bufferUsage.mapRead | bufferUsage.copyTarget,
    });
  }

  /** Takes back an unmapped buffer. */
  giveBack(buffer: GPUBuffer): void {
    this.idle.push(buffer);
    if (this.idle.length > idleKept) this.idle.shift()?.destroy();
  }

  destroy(): void {
    for (const buffer of this.idle) buffer.destroy();
    this.idle = [];
  }
}
