/**
 * Where the buffers of a run lie. An uncaptured run borrows its workspace and leaves its results in memory of their
 * own; a captured function keeps what it used, so that every later run finds the same slots.
 */
import type { Backend, Slot } from '../backends/backend.ts';
import type { Device } from './device.ts';
import type { Keeper, Storage } from './storage.ts';

export interface RunMemory {
  /** The slot of leaf `i`, whose elements are in `storage`. */
  leaf(i: number, storage: Storage): Slot;
  /** A slot for output `i`, and who takes it back when its tensor is given up. */
  output(i: number, bytes: number): { readonly slot: Slot; readonly keeper: Keeper };
  /** Slots of these sizes until `done`. */
  workspace(bytes: readonly number[]): readonly Slot[];
  done(workspace: readonly Slot[]): void;
}

/** Slots of these sizes: all of them, or none where the backend throws. */
function allocAll(backend: Backend, bytes: readonly number[]): Slot[] {
  const slots: Slot[] = [];
  try {
    for (const size of bytes) slots.push(backend.alloc(size));
    return slots;
  } catch (error) {
    for (const slot of slots) backend.free(slot);
    throw error;
  }
}

/** For programs that run now and perhaps never again. */
export class BorrowedMemory implements RunMemory {
  private readonly backend: Backend;

  constructor(backend: Backend) {
    this.backend = backend;
  }

  leaf(_: number, storage: Storage): Slot {
    return storage.on(this.backend);
  }

  output(_: number, bytes: number): { slot: Slot; keeper: Keeper } {
    return { slot: this.backend.alloc(bytes), keeper: this.backend };
  }

  workspace(bytes: readonly number[]): Slot[] {
    return allocAll(this.backend, bytes);
  }

  done(workspace: readonly Slot[]): void {
    for (const slot of workspace) this.backend.free(slot);
  }
}

/** Slots that one output of a captured function takes in turn. */
class OutputRing implements Keeper {
  private readonly backend: Backend;
  private idle: Slot[] = [];
  private closed = false;

  constructor(backend: Backend) {
    this.backend = backend;
  }

  take(bytes: number): Slot {
    return this.idle.shift() ?? this.backend.alloc(bytes);
  }

  free(slot: Slot): void {
    if (this.closed) this.backend.free(slot);
    else this.idle.push(slot);
  }

  trim(): void {
    for (const slot of this.idle) this.backend.free(slot);
    this.idle = [];
  }

  close(): void {
    this.closed = true;
    this.trim();
  }
}

/** For a captured function: each argument has a slot that it is written to, results take turns, the workspace stays. */
export class KeptMemory implements RunMemory {
  private readonly device: Device;
  private readonly backend: Backend;
  /** Leaves whose values are arguments. */
  private readonly isArgument: (leaf: number) => boolean;
  private readonly arguments = new Map<number, Slot>();
  /** Host elements that were arguments before: worth a slot of their own. */
  private readonly met = new WeakSet<Storage>();
  private readonly rings = new Map<number, OutputRing>();
  private kept: readonly Slot[] | undefined;

  constructor(device: Device, backend: Backend, isArgument: (leaf: number) => boolean) {
    this.device = device;
    this.backend = backend;
    this.isArgument = isArgument;
    device.keep(this);
  }

  leaf(i: number, storage: Storage): Slot {
    const { host } = storage;
    if (!this.isArgument(i) || storage.onDevice || !host || this.met.has(storage)) {
      this.dropArgument(i);
      return storage.on(this.backend);
    }
    this.met.add(storage);
    let slot = this.arguments.get(i);
    if (!slot) {
      slot = this.backend.alloc(storage.bytes);
      this.arguments.set(i, slot);
    }
    this.backend.write(slot, host, storage.dtype);
    return slot;
  }

  output(i: number, bytes: number): { slot: Slot; keeper: Keeper } {
    let ring = this.rings.get(i);
    if (!ring) {
      ring = new OutputRing(this.backend);
      this.rings.set(i, ring);
    }
    return { slot: ring.take(bytes), keeper: ring };
  }

  workspace(bytes: readonly number[]): readonly Slot[] {
    this.kept ??= allocAll(this.backend, bytes);
    return this.kept;
  }

  done(): void {}

  /** Gives back what no run is using; the next run asks for it again. */
  trim(): void {
    for (const slot of this.kept ?? []) this.backend.free(slot);
    this.kept = undefined;
    for (const i of [...this.arguments.keys()]) this.dropArgument(i);
    for (const ring of this.rings.values()) ring.trim();
  }

  /** Gives everything back, for good. */
  close(): void {
    this.device.forget(this);
    this.trim();
    for (const ring of this.rings.values()) ring.close();
  }

  private dropArgument(i: number): void {
    const slot = this.arguments.get(i);
    if (!slot) return;
    this.arguments.delete(i);
    this.backend.free(slot);
  }
}
