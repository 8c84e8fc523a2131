/**
 * Groups of kernels that are to become one. Two groups may be joined where no path leads from one to the other through
 * kernels outside: all members can then run at one place.
 */
import type { BufferUse, Kernel } from './kernel.ts';

export class Groups {
  readonly kernels: readonly Kernel[];
  /** The kernel that writes each buffer. */
  readonly #writers = new Map<number, number>();
  /** The kernels that read each buffer. */
  readonly #readers = new Map<number, number[]>();
  readonly #members: (readonly number[])[];

  constructor(kernels: readonly Kernel[]) {
    this.kernels = kernels;
    this.#members = kernels.map((_, k) => [k]);
    kernels.forEach((kernel, k) => {
      for (const { buffer } of kernel.outputs) this.#writers.set(buffer, k);
      for (const { buffer } of kernel.inputs) {
        const readers = this.#readers.get(buffer);
        if (readers) readers.push(k);
        else this.#readers.set(buffer, [k]);
      }
    });
  }

  /** The group of a kernel: positions in rising order, which is an order to run them in. */
  of(kernel: number): readonly number[] {
    return this.#members[kernel] as readonly number[];
  }

  writer(buffer: number): number | undefined {
    return this.#writers.get(buffer);
  }

  readers(buffer: number): readonly number[] {
    return this.#readers.get(buffer) ?? [];
  }

  /** The kernels that `kernel` reads from, each once. */
  sources(kernel: number): readonly number[] {
    const found = new Set<number>();
    for (const { buffer } of (this.kernels[kernel] as Kernel).inputs) {
      const writer = this.#writers.get(buffer);
      if (writer !== undefined) found.add(writer);
    }
    return [...found];
  }

  /** Buffers that `members` read and do not write, and those that they write for others or for the caller. */
  boundary(members: readonly number[], kept: ReadonlySet<number>): { inputs: BufferUse[]; outputs: BufferUse[] } {
    const inputs = new Map<number, BufferUse>();
    const outputs: BufferUse[] = [];
    const inside = new Set(members);
    for (const member of members) {
      const kernel = this.kernels[member] as Kernel;
      for (const use of kernel.inputs) {
        const writer = this.#writers.get(use.buffer);
        if (writer === undefined || !inside.has(writer)) inputs.set(use.buffer, use);
      }
      for (const use of kernel.outputs) {
        const wanted = kept.has(use.buffer) || this.readers(use.buffer).some((reader) => !inside.has(reader));
        if (wanted) outputs.push(use);
      }
    }
    return { inputs: [...inputs.values()], outputs };
  }

  /** Whether the groups of two kernels can be one without a cycle. */
  canJoin(a: number, b: number): boolean {
    const inside = new Set([...this.of(a), ...this.of(b)]);
    const seen = new Set<readonly number[]>();
    const stack: number[] = [];
    const leave = (kernel: number): void => {
      for (const source of this.sources(kernel)) if (!inside.has(source)) stack.push(source);
    };
    for (const member of inside) leave(member);
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const group = this.of(next);
      if (seen.has(group)) continue;
      seen.add(group);
      for (const member of group) {
        for (const source of this.sources(member)) {
          if (inside.has(source)) return false;
          stack.push(source);
        }
      }
    }
    return true;
  }

  join(a: number, b: number): void {
    const joined = [...this.of(a), ...this.of(b)].sort((x, y) => x - y);
    for (const member of joined) this.#members[member] = joined;
  }

  /** All groups, each behind those that it reads from and otherwise where its last member stood. */
  inOrder(): (readonly number[])[] {
    const order: (readonly number[])[] = [];
    const done = new Set<readonly number[]>();
    const emit = (group: readonly number[]): void => {
      if (done.has(group)) return;
      done.add(group);
      for (const member of group) for (const source of this.sources(member)) emit(this.of(source));
      order.push(group);
    };
    this.#members.forEach((group, k) => {
      if (group[group.length - 1] === k) emit(group);
    });
    return order;
  }
}
