/**
 * Groups of kernels that are to become one. Two groups may be joined where no path leads from one to the other through
 * kernels outside: all members can then run at one place.
 */

import type { Node } from '../graph.ts';
import type { Assembly } from './assemble.ts';
import type { BufferUse, Kernel } from './kernel.ts';
import type { Lowered } from './lower.ts';

/** What a pass that joins kernels has to know of them. */
export interface Merging {
  readonly groups: Groups;
  /** Buffers whose elements the caller wants. */
  readonly wanted: ReadonlySet<number>;
  /** Whether a use is of a buffer that is written over an old value. */
  readonly isUpdate: (use: BufferUse) => boolean;
  /** How many waits lie behind what a kernel computes: kernels on both sides of one stay apart. */
  readonly stageOf: (kernel: number) => number | undefined;
}

/** `kept` are nodes whose elements the caller wants, `updates` those that are to be written over old values. */
export function mergingOf(
  { kernels, nodes, stages }: Lowered,
  kept: ReadonlySet<Node>,
  updates: ReadonlySet<Node>,
): Merging {
  return {
    groups: new Groups(kernels),
    wanted: new Set(nodes.flatMap((node, buffer) => (kept.has(node) ? [buffer] : []))),
    isUpdate: ({ buffer }) => updates.has(nodes[buffer] as Node),
    stageOf: (kernel) => stages[kernels[kernel]?.outputs[0]?.buffer ?? -1],
  };
}

export class Groups {
  readonly kernels: readonly (Kernel | Assembly)[];
  /** The kernel that writes each buffer. */
  readonly #writers = new Map<number, number>();
  /** The kernels that read each buffer. */
  readonly #readers = new Map<number, number[]>();
  readonly #members: (readonly number[])[];
  /** The groups in an order to run them in, with holes where two became one, and the position in it of every kernel. */
  readonly #order: (readonly number[] | undefined)[];
  readonly #positions: number[];

  constructor(kernels: readonly (Kernel | Assembly)[]) {
    this.kernels = kernels;
    this.#members = kernels.map((_, k) => [k]);
    this.#order = [...this.#members];
    this.#positions = kernels.map((_, k) => k);
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

  readers(buffer: number): readonly number[] {
    return this.#readers.get(buffer) ?? [];
  }

  /** The kernels that `kernel` reads from, each once. */
  sources(kernel: number): readonly number[] {
    const found = new Set<number>();
    for (const { buffer } of (this.kernels[kernel] as Kernel | Assembly).inputs) {
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
      const kernel = this.kernels[member] as Kernel | Assembly;
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
    const [first, second] = this.#inTurn(a, b);
    const end = this.#position(second);
    return !this.#followers(first, end).some((group) => this.#next(group).includes(second));
  }

  /** Makes one of two groups that can be. It runs where the later of them did, and what needs the earlier follows it. */
  join(a: number, b: number): void {
    const [first, second] = this.#inTurn(a, b);
    const [start, end] = [this.#position(first), this.#position(second)];
    const after = new Set(this.#followers(first, end));
    const between = this.#order.slice(start + 1, end).filter((group) => group !== undefined);
    const joined = [...first, ...second].sort((x, y) => x - y);
    for (const member of joined) this.#members[member] = joined;
    const turned = [...between.filter((group) => !after.has(group)), joined, ...between.filter((g) => after.has(g))];
    for (let i = start; i <= end; i++) this.#place(turned[i - start], i);
  }

  /** All groups, each behind those that it reads from. */
  inOrder(): (readonly number[])[] {
    return this.#order.filter((group) => group !== undefined);
  }

  #place(group: readonly number[] | undefined, position: number): void {
    this.#order[position] = group;
    for (const member of group ?? []) this.#positions[member] = position;
  }

  #position(group: readonly number[]): number {
    return this.#positions[group[0] as number] as number;
  }

  #inTurn(a: number, b: number): readonly [readonly number[], readonly number[]] {
    const [first, second] = [this.of(a), this.of(b)];
    return this.#position(first) < this.#position(second) ? [first, second] : [second, first];
  }

  /** Groups that read from `group`, itself left out. */
  #next(group: readonly number[]): (readonly number[])[] {
    return group.flatMap((member) =>
      (this.kernels[member] as Kernel | Assembly).outputs.flatMap(({ buffer }) =>
        this.readers(buffer).flatMap((reader) => (this.of(reader) === group ? [] : [this.of(reader)])),
      ),
    );
  }

  /** Groups before position `end` that depend on `group`. */
  #followers(group: readonly number[], end: number): (readonly number[])[] {
    const found = new Set<readonly number[]>();
    const stack = [group];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      for (const reader of this.#next(next)) {
        if (found.has(reader) || this.#position(reader) >= end) continue;
        found.add(reader);
        stack.push(reader);
      }
    }
    return [...found];
  }
}
