/** Devices: a name, the backend behind it (opened when first needed), and the programs that it has compiled. */
import type { Backend, Slot } from '../backends/backend.ts';
import { DeviceError } from '../errors.ts';
import type { Prepared } from './prepare.ts';

/** Compiled programs kept for each device; the least recently used goes first. */
const programsKept = 256;

export class Device {
  readonly name: string;
  private readonly open: () => Promise<Backend>;
  private opening: Promise<Backend> | undefined;
  private queue: Promise<unknown> = Promise.resolve();
  private readonly programs = new Map<string, Prepared>();
  private readonly spare = new Map<number, Slot[]>();
  private closed = false;

  constructor(name: string, open: () => Promise<Backend>) {
    this.name = name;
    this.open = open;
  }

  /** The backend, opened at the first call. */
  backend(): Promise<Backend> {
    if (this.closed) throw new DeviceError(`device ${this.name} was closed`, 'open another one');
    this.opening ??= this.open();
    return this.opening;
  }

  /** Runs `work` after all work given before it: programs take effect in the order in which they were asked for. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.queue.then(work);
    this.queue = result.catch(() => undefined);
    return result;
  }

  /** The program of a graph's text, prepared by `make` when it is new. */
  async program(key: string, make: () => Promise<Prepared>): Promise<Prepared> {
    let prepared = this.programs.get(key);
    if (prepared) this.programs.delete(key);
    else prepared = await make();
    this.programs.set(key, prepared);
    if (this.programs.size > programsKept) {
      for (const oldest of this.programs.keys()) {
        this.programs.delete(oldest);
        break;
      }
    }
    return prepared;
  }

  /** Scratch memory for one run. */
  borrow(backend: Backend, bytes: number): Slot {
    const slot = this.spare.get(bytes)?.pop();
    if (slot) return slot;
    try {
      return backend.alloc(bytes);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      this.trim(backend);
      return backend.alloc(bytes);
    }
  }

  giveBack(slot: Slot): void {
    const list = this.spare.get(slot.bytes);
    if (list) list.push(slot);
    else this.spare.set(slot.bytes, [slot]);
  }

  /** Frees the scratch memory that no run is using. */
  trim(backend: Backend): void {
    for (const slots of this.spare.values()) for (const slot of slots) backend.free(slot);
    this.spare.clear();
  }

  /** Live and peak bytes on the device. */
  async memory(): Promise<{ live: number; peak: number }> {
    return (await this.backend()).memory();
  }

  /** Gives everything back, after the work under way; tensors on the device are lost. */
  async close(): Promise<void> {
    if (this.closed) return;
    await this.queue;
    const backend = this.opening ? await this.opening : undefined;
    this.closed = true;
    this.programs.clear();
    this.spare.clear();
    await backend?.close();
  }
}
