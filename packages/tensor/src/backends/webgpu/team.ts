/**
 * Teams: the threads of a workgroup in equal, neighbouring runs, each of which joins what its members have folded.
 *
 * Members of one subgroup exchange values by shuffles, the others through workgroup memory. A segment, the part of a
 * team that shuffles, has at most as many threads as the smallest subgroup of the device, a power of two. Workgroups
 * are one-dimensional and a multiple of the largest subgroup, so devices fill subgroups with threads in the order of
 * their index: a thread's number within its subgroup and its index agree modulo the segment's size, whichever of its
 * sizes the device picks. Partial results are joined in an order that is fixed by the sizes alone.
 */

import type { ReduceOp } from '../../compile/kernel.ts';
import type { ScalarType } from '../../dtype.ts';
import { reduction } from './spellings.ts';
import type { Target } from './target.ts';
import type { ShaderText } from './wgsl.ts';

export interface Team {
  /** Threads of a team: a power of two. */
  readonly size: number;
  /** Threads that join by shuffles: 1 where the device has no subgroups. */
  readonly segment: number;
  /** Threads of the workgroup: a multiple of `size`. */
  readonly threads: number;
}

/** The members' results of one fold, in the variable `name`. */
export interface Partial {
  readonly op: ReduceOp;
  readonly type: ScalarType;
  readonly name: string;
}

export function teamOf(size: number, threads: number, { subgroups }: Target): Team {
  return { size, threads, segment: subgroups ? Math.min(size, subgroups.smallest) : 1 };
}

/** Arrays of workgroup memory that are in use at once. */
const mostTogether = 8;

/** Joins partial results over each team, given `lane` and `member`, the thread's number within its team. */
export class TeamJoin {
  readonly #shader: ShaderText;
  readonly #team: Team;
  readonly #memory = new Set<string>();

  constructor(shader: ShaderText, team: Team) {
    this.#shader = shader;
    this.#team = team;
    if (team.segment > 1) shader.enable('subgroups');
  }

  /** The lines after which every member has the team's results in the variables. All threads of the workgroup take part. */
  lines(partials: readonly Partial[]): string[] {
    const { size, segment } = this.#team;
    const lines: string[] = [];
    for (let i = 0; i < partials.length; i += mostTogether) {
      const some = partials.slice(i, i + mostTogether);
      for (let mask = 1; mask < segment; mask *= 2) {
        for (const { op, type, name } of some) {
          lines.push(`${name} = ${reduction(op, type).join(name, shuffled(type, name, mask))};`);
        }
      }
      if (segment < size) lines.push(...(segment === 1 ? this.#byHalves(some) : this.#bySegments(some)));
    }
    return lines;
  }

  /** The workgroup memory for the k-th partial result of a type. */
  #memoryFor({ type }: Partial, k: number): string {
    const name = `joined${k}_${type}`;
    if (!this.#memory.has(name)) {
      this.#memory.add(name);
      const { threads, segment } = this.#team;
      this.#shader.declare(`var<workgroup> ${name}: array<${type}, ${threads / segment}>;`);
    }
    return name;
  }

  /** One result of each segment in memory, from which every thread joins those of its team. */
  #bySegments(partials: readonly Partial[]): string[] {
    const { size, segment, threads } = this.#team;
    const memories = partials.map((partial, k) => this.#memoryFor(partial, k));
    const count = size / segment;
    const first = size === threads ? '0' : `(lane / ${size}) * ${count}`;
    return [
      `if (lane % ${segment} == 0) { ${partials.map(({ name }, k) => `${memories[k]}[lane / ${segment}] = ${name};`).join(' ')} }`,
      'workgroupBarrier();',
      ...partials.map(({ name }, k) => `${name} = ${memories[k]}[${first}];`),
      `for (var i = 1; i < ${count}; i++) {`,
      ...partials.map(
        ({ op, type, name }, k) => `  ${name} = ${reduction(op, type).join(name, `${memories[k]}[${first} + i]`)};`,
      ),
      '}',
      'workgroupBarrier();',
    ];
  }

  /** Every thread's result in memory, where halves of a team are joined. */
  #byHalves(partials: readonly Partial[]): string[] {
    const { size } = this.#team;
    const memories = partials.map((partial, k) => this.#memoryFor(partial, k));
    return [
      ...partials.map(({ name }, k) => `${memories[k]}[lane] = ${name};`),
      'workgroupBarrier();',
      `for (var half = ${size / 2}; half > 0; half >>= 1u) {`,
      '  if (member < half) {',
      ...partials.map(({ op, type }, k) => {
        const own = `${memories[k]}[lane]`;
        return `    ${own} = ${reduction(op, type).join(own, `${memories[k]}[lane + half]`)};`;
      }),
      '  }',
      '  workgroupBarrier();',
      '}',
      ...partials.map(({ name }, k) => `${name} = ${memories[k]}[lane - member];`),
      'workgroupBarrier();',
    ];
  }
}

/** The value of `name` in the thread of the segment whose number differs in the bit `mask`. Booleans travel as words. */
function shuffled(type: ScalarType, name: string, mask: number): string {
  if (type !== 'bool') return `subgroupShuffleXor(${name}, ${mask}u)`;
  return `(subgroupShuffleXor(select(0u, 1u, ${name}), ${mask}u) != 0u)`;
}
