/** The one WebAssembly memory of a backend, handed out in pieces of a multiple of 64 bytes. */
import { OutOfMemoryError } from '../../errors.ts';

const page = 65536;
const maximumPages = 65536;
const alignment = 64;
/** Bytes at the start that are never handed out, so that no address is 0. */
const reserved = 64;

export interface Piece {
  readonly address: number;
  /** The bytes asked for. */
  readonly bytes: number;
}

interface Range {
  start: number;
  end: number;
}

export class DeviceMemory {
  readonly memory: WebAssembly.Memory;
  readonly limit: number;
  /** Free ranges in rising order; neighbours never touch. */
  readonly #free: Range[] = [];
  #end = page;
  #live = 0;
  #peak = 0;

  /** `limit`: most bytes that the memory may grow to, at most 4 GiB. */
  constructor(shared: boolean, limit: number = page * maximumPages) {
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: maximumPages, shared });
    this.limit = Math.min(limit, page * maximumPages);
    this.#free.push({ start: reserved, end: page });
  }

  get live(): number {
    return this.#live;
  }

  get peak(): number {
    return this.#peak;
  }

  /** The smallest free range that is large enough, or new memory. Throws OutOfMemoryError when there is neither. */
  alloc(bytes: number): Piece {
    const piece = this.allocSpare(bytes);
    if (piece) return piece;
    const available = Math.floor((this.limit - this.#end) / page) * page + this.#spare();
    throw new OutOfMemoryError(
      `wasm: ${bytes} bytes were asked for, but ${available} bytes at most are left of ${this.limit}`,
      'free tensors, use a smaller batch, or checkpoint activations',
    );
  }

  /** As `alloc`, but undefined where there is no memory. */
  allocSpare(bytes: number): Piece | undefined {
    const size = rounded(bytes);
    if (this.#bestFit(size) < 0 && !this.#grow(size)) return undefined;
    const best = this.#bestFit(size);
    const range = this.#free[best] as Range;
    const address = range.start;
    range.start += size;
    if (range.start === range.end) this.#free.splice(best, 1);
    this.#live += size;
    this.#peak = Math.max(this.#peak, this.#live);
    return { address, bytes };
  }

  free({ address, bytes }: Piece): void {
    const size = rounded(bytes);
    this.#live -= size;
    this.#give(address, address + size);
  }

  #bestFit(size: number): number {
    let best = -1;
    let bestSize = Number.POSITIVE_INFINITY;
    for (const [i, { start, end }] of this.#free.entries()) {
      if (end - start < size || end - start >= bestSize) continue;
      best = i;
      bestSize = end - start;
    }
    return best;
  }

  #give(start: number, end: number): void {
    let low = 0;
    let high = this.#free.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#free[middle] as Range).start < start) low = middle + 1;
      else high = middle;
    }
    const [before, after] = [this.#free[low - 1], this.#free[low]];
    if (before?.end === start) {
      before.end = end;
      if (after?.start !== end) return;
      before.end = after.end;
      this.#free.splice(low, 1);
    } else if (after?.start === end) after.start = start;
    else this.#free.splice(low, 0, { start, end });
  }

  /** Free bytes at the end of the memory, which growing adds to. */
  #spare(): number {
    const last = this.#free[this.#free.length - 1];
    return last?.end === this.#end ? last.end - last.start : 0;
  }

  /** Grows by a quarter, or by what is needed if that is more, and says whether it could. */
  #grow(size: number): boolean {
    const needed = Math.ceil((size - this.#spare()) / page) * page;
    const available = Math.floor((this.limit - this.#end) / page) * page;
    if (needed > available) return false;
    for (const bytes of [Math.min(Math.max(needed, Math.ceil(this.#end / 4 / page) * page), available), needed]) {
      try {
        this.memory.grow(bytes / page);
      } catch {
        continue;
      }
      this.#give(this.#end, this.#end + bytes);
      this.#end += bytes;
      return true;
    }
    return false;
  }
}

const rounded = (bytes: number): number => Math.max(alignment, Math.ceil(bytes / alignment) * alignment);
