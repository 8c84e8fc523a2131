/**
 * Flat storage: the parameters of a group lie end to end in few large tensors, of which each of them becomes a view, and
 * so do their gradients. The update of a whole group, and its norm, are then a handful of kernels.
 */

import { partBytes } from '../compile/kernel.ts';
import { concat, full, zeros } from '../creation.ts';
import { stopGradient } from '../ops/map.ts';
import { Tensor } from '../tensor.ts';
import { OptimizerError } from './groups.ts';
import { type Member, separateUnit, type Unit } from './unit.ts';

/** Most elements of a flat tensor: 128 MiB of f32, the largest buffer that every WebGPU device binds. */
const mostElements = 2 ** 25;
/** Every parameter begins where a kernel can bind it. */
const alignment = partBytes / Float32Array.BYTES_PER_ELEMENT;
/** A norm is so many sums by themselves, and a sum of these: few of a small tensor, enough to fill a device of a large one. */
const rowsOf = (size: number): number => (size > 2 ** 16 ? 1024 : alignment);

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/** A stretch of a flat tensor: elements of a parameter, or padding. */
interface Stretch {
  readonly length: number;
  readonly parameter?: Tensor;
}

/** Moves `parameters` into flat tensors, in as many as the limit on their size asks for. */
export function flatUnits(parameters: Iterable<readonly [string, Tensor]>): Unit[] {
  // Whole parts first: what pads the others stands behind them.
  const isWhole = ([, { size }]: readonly [string, Tensor]): boolean => size % alignment === 0;
  const given = [...parameters];
  const all = given.filter(([, { size }]) => size > 0);
  const units: (readonly [string, Tensor])[][] = [];
  let end = Number.POSITIVE_INFINITY;
  for (const entry of [...all.filter(isWhole), ...all.filter((entry) => !isWhole(entry))]) {
    const [, { size }] = entry;
    if (end + roundUp(size, alignment) > mostElements) {
      units.push([]);
      end = 0;
    }
    (units[units.length - 1] as (typeof units)[number]).push(entry);
    end += roundUp(size, alignment);
  }
  const empty = given.filter(([, { size }]) => size === 0);
  return [...units.map((entries) => new FlatUnit(entries)), ...empty.map((entry) => separateUnit(...entry))];
}

class FlatUnit implements Unit {
  readonly values: Tensor;
  readonly members: readonly Member[];
  /** The members that updates move, which stay the same. */
  private moving: ReadonlySet<Tensor> | undefined;

  constructor(entries: readonly (readonly [string, Tensor])[]) {
    let offset = 0;
    this.members = entries.map(([name, parameter]) => {
      const member = { name, parameter, offset };
      offset += roundUp(parameter.size, alignment);
      return member;
    });
    const size = roundUp(offset, rowsOf(offset));
    this.values = new Tensor(stopGradient(this.joined(({ parameter }) => parameter, size).node));
    for (const { parameter, offset: start } of this.members) parameter.moveInto(this.values, start);
  }

  gradient(): Tensor | undefined {
    const moving = new Set(this.members.flatMap(({ parameter }) => (parameter.grad ? [parameter] : [])));
    if (moving.size === 0) return undefined;
    this.keep(moving);
    return this.joined(({ parameter }) => parameter.grad, this.values.size);
  }

  squares(gradient: Tensor): Tensor {
    return gradient
      .square()
      .reshape([rowsOf(this.values.size), -1])
      .sum(1);
  }

  /** Where the values move: undefined where all of them do. */
  mask(): Tensor | undefined {
    const { moving, members } = this;
    if (!moving || members.every(({ parameter }) => moving.has(parameter))) return undefined;
    return this.joined(
      ({ parameter }) => (moving.has(parameter) ? full(parameter.shape, 1) : undefined),
      this.values.size,
    ).ne(0);
  }

  moves(parameter: Tensor): boolean {
    return this.moving?.has(parameter) ?? false;
  }

  /** @throws OptimizerError where members have taken different numbers of steps */
  commonSteps(stepsOf: (parameter: Tensor) => number): number {
    const moved = this.members.filter(({ parameter }) => stepsOf(parameter) > 0);
    const [first] = moved;
    if (first === undefined) return 0;
    const steps = stepsOf(first.parameter);
    const other = moved.find(({ parameter }) => stepsOf(parameter) !== steps);
    if (other) {
      throw new OptimizerError(
        `optimizer: ${first.name} has taken ${steps} steps and ${other.name} ${stepsOf(other.parameter)}`,
        "a flat layout counts them together: use layout 'separate'",
      );
    }
    return steps;
  }

  load(moved: ReadonlySet<Tensor>): void {
    const own = this.members.flatMap(({ parameter }) => (moved.has(parameter) ? [parameter] : []));
    this.moving = own.length > 0 ? new Set(own) : undefined;
  }

  private keep(moving: ReadonlySet<Tensor>): void {
    const before = this.moving;
    const other = before && this.members.find(({ parameter }) => before.has(parameter) !== moving.has(parameter));
    if (other) {
      throw new OptimizerError(
        `optimizer: ${other.name} ${moving.has(other.parameter) ? 'has a gradient now and had none' : 'had a gradient and has none now'}`,
        "a flat layout moves the same parameters in every step: use layout 'separate'",
      );
    }
    this.moving = moving;
  }

  /** What `of` gives for every member at the member's place, [size]; zeros elsewhere. */
  private joined(of: (member: Member) => Tensor | undefined, size: number): Tensor {
    const stretches: Stretch[] = [];
    let end = 0;
    const skip = (to: number): void => {
      if (to > end) stretches.push({ length: to - end });
      end = Math.max(end, to);
    };
    for (const member of this.members) {
      const values = of(member);
      if (!values) continue;
      skip(member.offset);
      stretches.push({ length: values.size, parameter: values });
      end += values.size;
    }
    skip(size);
    return concat(stretches.map(({ length, parameter }) => parameter?.reshape([length]) ?? zeros([length])));
  }
}
