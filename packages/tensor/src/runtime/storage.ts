/** Where a tensor's elements are: on the host, in a slot of a device, or both; and whether they are still there. */
import type { Backend, Slot } from '../backends/backend.ts';
import { type DType, dtypes, type TypedArray } from '../dtype.ts';
import { DisposedError } from '../errors.ts';

/** Who takes slots back: the backend, or a captured function that will use them again. */
export interface Keeper {
  free(slot: Slot): void;
}

/** Gives a slot back. A backend that was closed has given everything back already, and says so. */
function release({ keeper, slot }: { readonly keeper: Keeper; readonly slot: Slot }): void {
  try {
    keeper.free(slot);
  } catch (error) {
    if (!(error instanceof DisposedError)) throw error;
  }
}

/** Slots whose tensors were garbage collected without `dispose()` go back to their backend. */
const collected = new FinalizationRegistry<{ keeper: Keeper; slot: Slot }>(release);

/** Elements up to this many bytes stay on the host too: indices are looked at, scalars are read again. Weights are not. */
const keptBytes = 1 << 20;

export class Storage {
  readonly dtype: DType;
  readonly length: number;
  /** The operation that made the elements, for messages. */
  readonly origin: string;
  /** The elements as given by the host; undefined where they are on a device only. */
  host: TypedArray | undefined;
  private backend: Backend | undefined;
  private keeper: Keeper | undefined;
  private slot: Slot | undefined;
  private givenUp: string | undefined;

  constructor(dtype: DType, length: number, origin: string, host?: TypedArray) {
    this.dtype = dtype;
    this.length = length;
    this.origin = origin;
    this.host = host;
  }

  get bytes(): number {
    return Math.max(4, Math.ceil((this.length * dtypes[this.dtype].bytes) / 4) * 4);
  }

  get disposed(): boolean {
    return this.givenUp !== undefined;
  }

  /** Whether the elements are in a slot. */
  get onDevice(): boolean {
    return this.slot !== undefined;
  }

  /** Takes over a slot that holds the elements, which `keeper` gets back in the end. */
  adopt(backend: Backend, slot: Slot, keeper: Keeper = backend): void {
    this.backend = backend;
    this.keeper = keeper;
    this.slot = slot;
    this.host = undefined;
    collected.register(this, { keeper, slot }, this);
  }

  /** Hands the slot to another storage: this one is given up, for the reason stated. */
  surrender(reason: string): Slot {
    this.check();
    const slot = this.slot as Slot;
    this.forget(reason);
    return slot;
  }

  /** The slot on `backend`, uploaded first where the elements are on the host. */
  on(backend: Backend): Slot {
    this.check();
    if (this.slot === undefined) {
      const slot = backend.alloc(this.bytes);
      if (this.host) backend.write(slot, this.host, this.dtype);
      const { host } = this;
      this.adopt(backend, slot);
      if (this.bytes <= keptBytes) this.host = host;
    }
    return this.slot as Slot;
  }

  /** The elements, or `length` of them from `offset` on, as a host array of the caller's own. */
  async read(offset = 0, length: number = this.length): Promise<TypedArray> {
    this.check();
    if (this.host) return this.host.slice(offset, offset + length);
    if (!this.backend || !this.slot) return dtypes[this.dtype].array(length);
    return this.backend.read(this.slot, length, this.dtype, offset);
  }

  /** Replaces the elements, or as many as there are in `data` from `offset` on. */
  write(data: TypedArray, offset = 0): void {
    this.check();
    if (this.backend && this.slot) {
      this.backend.write(this.slot, data, this.dtype, offset);
      this.host = undefined;
    } else if (data.length === this.length) this.host = data;
    else {
      const elements = this.host?.slice() ?? dtypes[this.dtype].array(this.length);
      elements.set(data, offset);
      this.host = elements;
    }
  }

  /** The memory of elements that are in a slot and nowhere else, for the host to write to: see `Backend.memoryOf`. */
  async memory(): Promise<Uint8Array | undefined> {
    this.check();
    if (!this.backend || !this.slot || this.host) return undefined;
    const memory = await this.backend.memoryOf?.(this.slot);
    return memory?.subarray(0, this.length * dtypes[this.dtype].bytes);
  }

  /** Gives the memory back; a later use throws DisposedError with `reason`. */
  dispose(reason: string): void {
    if (this.givenUp !== undefined) return;
    const { keeper, slot } = this;
    this.forget(reason);
    if (keeper && slot) release({ keeper, slot });
  }

  private forget(reason: string): void {
    collected.unregister(this);
    this.givenUp = reason;
    this.slot = undefined;
    this.host = undefined;
  }

  /** Throws DisposedError where the elements were given up. */
  check(): void {
    if (this.givenUp !== undefined) {
      throw new DisposedError(
        `the tensor made by ${this.origin} was ${this.givenUp}`,
        'keep what you need with clone(), or read it before',
      );
    }
  }
}
