/**
 * The running value of a reduction, in one element or in four lanes. Sums of f32 are taken in blocks of f32 whose
 * results add up in 64 bits, so that the error does not grow with the number of terms.
 */
import type { ReduceOp } from '../../compile/kernel.ts';
import type { ScalarType } from '../../dtype.ts';
import {
  type Code,
  extract,
  type FunctionBuilder,
  f32,
  f32x4,
  f64,
  f64x2,
  get,
  i32,
  i32x4,
  type Local,
  load,
  op,
  shuffle,
} from './assembler.ts';
import type { Library } from './library.ts';
import { rule, scalarRules, vectorRules } from './rules.ts';

const combination = { sum: 'add', prod: 'mul', max: 'max', min: 'min' } as const;

const identities: Readonly<Record<ReduceOp, Readonly<Record<ScalarType, number>>>> = {
  sum: { f32: 0, i32: 0, u32: 0, bool: 0 },
  prod: { f32: 1, i32: 1, u32: 1, bool: 1 },
  max: { f32: Number.NEGATIVE_INFINITY, i32: -(2 ** 31), u32: 0, bool: 0 },
  min: { f32: Number.POSITIVE_INFINITY, i32: 2 ** 31 - 1, u32: 2 ** 32 - 1, bool: 1 },
};

/** Whether a reduction of `steps` terms is taken in blocks. */
const isBlocked = (op: ReduceOp, type: ScalarType, steps: number): boolean =>
  op === 'sum' && type === 'f32' && steps > Accumulator.block;

export class Accumulator {
  /** Most f32 terms that one lane adds up before its sum goes into the 64-bit total. */
  static readonly block = 64;

  readonly #f: FunctionBuilder;
  readonly #library: Library;
  readonly #op: ReduceOp;
  readonly #type: ScalarType;
  readonly #lanes: boolean;
  readonly #value: Local;
  /** The 64-bit totals of sums that are longer than a block: two for four lanes. */
  readonly #totals: readonly Local[];

  constructor(f: FunctionBuilder, library: Library, op: ReduceOp, type: ScalarType, lanes: boolean, steps: number) {
    this.#f = f;
    this.#library = library;
    this.#op = op;
    this.#type = type;
    this.#lanes = lanes;
    this.#value = f.let(lanes ? 'v128' : type === 'f32' ? 'f32' : 'i32', this.#identity());
    this.#totals = !isBlocked(op, type, steps)
      ? []
      : lanes
        ? [f.let('v128', f64x2(0)), f.let('v128', f64x2(0))]
        : [f.let('f64', f64(0))];
  }

  #identity(): Code {
    const identity = identities[this.#op][this.#type];
    if (this.#type === 'f32') return this.#lanes ? f32x4(identity) : f32(identity);
    if (!this.#lanes) return i32(identity);
    return i32x4(this.#type === 'bool' ? -identity : identity | 0);
  }

  include(value: Code): void {
    const rules = (this.#lanes ? vectorRules : scalarRules)[this.#type];
    // The operands may be read twice, so the new one is kept first.
    const term = this.#f.let(this.#lanes ? 'v128' : this.#type === 'f32' ? 'f32' : 'i32', value);
    const combine = rule(rules, combination[this.#op], this.#type);
    this.#f.set(this.#value, combine(this.#library, get(this.#value), get(term)));
  }

  /** Includes the lanes from `first` on of a term of four lanes. */
  includeFrom(first: number, value: Code): void {
    const mask = i32x4(...[0, 1, 2, 3].map((lane) => (lane < first ? 0 : -1)));
    this.include(op('v128.bitselect', value, this.#identity(), mask));
  }

  /** Takes over what another accumulator has gathered in its block, which begins anew. */
  take(other: Accumulator): void {
    this.include(get(other.#value));
    this.#f.set(other.#value, other.#identity());
  }

  /** Ends a block of at most `Accumulator.block` terms. */
  flush(): void {
    const f = this.#f;
    const [low, high] = this.#totals;
    if (low === undefined) return;
    const value = get(this.#value);
    if (high === undefined) f.set(low, op('f64.add', get(low), op('f64.promote_f32', value)));
    else {
      f.set(low, op('f64x2.add', get(low), op('f64x2.promote_low_f32x4', value)));
      const upper = shuffle(value, value, [2, 3, 2, 3]);
      f.set(high, op('f64x2.add', get(high), op('f64x2.promote_low_f32x4', upper)));
    }
    f.set(this.#value, this.#identity());
  }

  /** Takes the four lanes of a finished accumulator into this one, which has a single element. */
  absorb(vector: Accumulator): void {
    const f = this.#f;
    const [total] = this.#totals;
    if (total !== undefined) {
      for (const pair of vector.#totals) {
        for (const lane of [0, 1]) f.set(total, op('f64.add', get(total), extract('f64x2', get(pair), lane)));
      }
      return;
    }
    for (const lane of [0, 1, 2, 3]) {
      const element = extract(this.#type === 'f32' ? 'f32x4' : 'i32x4', get(vector.#value), lane);
      this.include(this.#type === 'bool' ? op('i32.and', element, i32(1)) : element);
    }
  }

  /** The local of the result: a v128 for four lanes. */
  finish(): Local {
    const f = this.#f;
    const [low, high] = this.#totals;
    if (low === undefined) return this.#value;
    if (high === undefined) f.set(this.#value, op('f32.demote_f64', get(low)));
    else {
      const halves = [low, high].map((total) => op('f32x4.demote_f64x2_zero', get(total))) as [Code, Code];
      f.set(this.#value, shuffle(halves[0], halves[1], [0, 1, 4, 5]));
    }
    return this.#value;
  }

  /** A local with the four lanes of the finished accumulator folded into one element. */
  foldLanes(): Local {
    const f = this.#f;
    const isFloat = this.#type === 'f32';
    const [low, high] = this.#totals;
    if (low !== undefined && high !== undefined) {
      const pair = f.let('v128', op('f64x2.add', get(low), get(high)));
      const sum = op('f64.add', extract('f64x2', get(pair), 0), extract('f64x2', get(pair), 1));
      return f.let('f32', op('f32.demote_f64', sum));
    }
    const combine = rule(vectorRules[this.#type], combination[this.#op], this.#type);
    for (const lanes of [
      [2, 3, 0, 1],
      [1, 0, 3, 2],
    ]) {
      const other = f.let('v128', shuffle(get(this.#value), get(this.#value), lanes));
      f.set(this.#value, combine(this.#library, get(this.#value), get(other)));
    }
    const element = extract(isFloat ? 'f32x4' : 'i32x4', get(this.#value), 0);
    return f.let(isFloat ? 'f32' : 'i32', this.#type === 'bool' ? op('i32.and', element, i32(1)) : element);
  }

  /** Bytes of each element that `save` stores. */
  static savedBytes(op: ReduceOp, type: ScalarType, steps: number): number {
    return isBlocked(op, type, steps) ? 8 : 4;
  }

  /** Stores what is folded so far, without rounding it, from `address` on. */
  save(address: Code): void {
    const f = this.#f;
    const [low, high] = this.#totals;
    if (low === undefined) {
      const type = this.#lanes ? 'v128' : this.#type === 'f32' ? 'f32' : 'i32';
      f.store(`${type}.store`, address, get(this.#value));
    } else if (high === undefined) f.store('f64.store', address, get(low));
    else {
      f.store('v128.store', address, get(low));
      f.store('v128.store', address, get(high), 16);
    }
  }

  /** Takes over what another accumulator, of lanes or of single elements, has saved at `address`. */
  restore(address: Code): void {
    const f = this.#f;
    const [low, high] = this.#totals;
    if (low === undefined) {
      const type = this.#lanes ? 'v128' : this.#type === 'f32' ? 'f32' : 'i32';
      this.include(load(`${type}.load`, address));
    } else if (high === undefined) f.set(low, op('f64.add', get(low), load('f64.load', address)));
    else {
      f.set(low, op('f64x2.add', get(low), load('v128.load', address)));
      f.set(high, op('f64x2.add', get(high), load('v128.load', address, 16)));
    }
  }
}
