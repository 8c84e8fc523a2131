/** Devices: a name, the backend behind it (opened when first needed), and the programs that it has compiled. */
import type { Backend } from '../backends/backend.ts';
import { DeviceError } from '../errors.ts';
import type { Prepared } from './prepare.ts';

/** Compiled programs kept for each device; the least recently used goes first. */
const programsKept = 256;

export class Device {
  readonly name: string;
  private readonly open: () => Promise<Backend>;
  private opening: Promise<Backend> | undefined;
  private opened: Backend | undefined;
  private queue: Promise<unknown> = Promise.resolve();
  private readonly programs = new Map<string, Prepared>();
  private readonly keepers = new Set<{ trim(): void }>();
  /** Works given and not yet done. */
  private waiting = 0;
  private closed = false;

  constructor(name: string, open: () => Promise<Backend>) {
    this.name = name;
    this.open = open;
  }

  /** The backend, opened at the first call. */
  backend(): Promise<Backend> {
    if (this.closed) throw new DeviceError(`device ${this.name} was closed`, 'open another one');
    this.opening ??= this.open().then((backend) => {
      this.opened = backend;
      return backend;
    });
    return this.opening;
  }

  /** Whether it was given up: it computes nothing any more. */
  get isClosed(): boolean {
    return this.closed;
  }

  /** Runs `work` after all work given before it: programs take effect in the order in which they were asked for. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    this.waiting++;
    const result = this.queue.then(work).finally(() => this.finish());
    this.queue = result.catch(() => undefined);
    return result;
  }

  /** Whether more work waits behind the one under way: what both send to the device may go together. */
  get hasMore(): boolean {
    return this.waiting > 1;
  }

  /** Ends one work; with the last, whatever the backend still holds back goes out. */
  private finish(): void {
    this.waiting--;
    if (this.waiting === 0 && !this.closed) this.opened?.submit?.();
  }

  /** The program of a graph's text, prepared by `make` when it is new. */
  async program(key: string, make: () => Promise<Prepared>): Promise<Prepared> {
    let prepared = this.programs.get(key);
    if (prepared) this.programs.delete(key);
    else prepared = await make();
    this.programs.set(key, prepared);
    if (this.programs.size > programsKept) {
      for (const [oldest, { executable }] of this.programs) {
        this.programs.delete(oldest);
        (await this.backend()).release?.(executable);
        break;
      }
    }
    return prepared;
  }

  /** Has `keeper` give back what it keeps for later runs when memory is short. */
  keep(keeper: { trim(): void }): void {
    this.keepers.add(keeper);
  }

  forget(keeper: { trim(): void }): void {
    this.keepers.delete(keeper);
  }

  /** Frees what captured functions keep, and memory that nobody uses. */
  trim(backend: Backend): void {
    for (const keeper of this.keepers) keeper.trim();
    backend.trim?.();
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
    this.keepers.clear();
    await backend?.close();
  }
}
