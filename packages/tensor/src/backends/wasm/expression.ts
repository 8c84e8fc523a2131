/**
 * Scalar terms as WebAssembly code: a fold that computes one element on the stack, and a fold that computes four
 * consecutive elements along one axis in a v128. Every distinct term is computed once and kept in a local.
 */
import { type DType, dtypes } from '../../dtype.ts';
import { type Expr, walk } from '../../expr/expr.ts';
import { linear, range } from '../../expr/simplify.ts';
import {
  type Code,
  call,
  extract,
  type FunctionBuilder,
  f32,
  f32x4,
  get,
  i32,
  i32x4,
  type Local,
  load,
  loadLane,
  op,
  replace,
  shuffle,
  shuffleBytes,
} from './assembler.ts';
import type { Library } from './library.ts';
import { rule, scalarBitcasts, scalarCasts, scalarRules, vectorCasts, vectorRules } from './rules.ts';

/** A buffer: the local that holds its address, and its element type. */
export interface Source {
  readonly address: Local;
  readonly dtype: DType;
}

const accumulatorBit = 1 << 30;
/** Most axes of a kernel, reduction axes included. */
export const axisLimit = 30;
const dependencies = new WeakMap<Expr, number>();

/** The axes on which a term depends, as a set of bits; a further bit stands for the accumulator. */
export function depends(expr: Expr): number {
  const known = dependencies.get(expr);
  if (known !== undefined) return known;
  walk(expr, (e) => {
    let bits = e.op === 'axis' ? 1 << e.value : e.op === 'accumulator' ? accumulatorBit : 0;
    for (const arg of e.args) bits |= dependencies.get(arg) as number;
    dependencies.set(e, bits);
  });
  return dependencies.get(expr) as number;
}

const forms = new WeakMap<Expr, ReturnType<typeof linear>>();
function indexForm(load: Expr): ReturnType<typeof linear> {
  const index = load.args[0] as Expr;
  const form = forms.get(index) ?? linear(index);
  forms.set(index, form);
  return form;
}

/** How a load's index moves along `axis`: its stride, or undefined where it is not affine in that axis. */
export function strideAlong(load: Expr, axis: number): number | undefined {
  let stride = 0;
  for (const [e, factor] of indexForm(load).terms) {
    if (e.op === 'axis' && e.value === axis) stride = factor;
    else if (depends(e) & (1 << axis)) return undefined;
  }
  return stride;
}

interface Memo {
  readonly scalars: Map<Expr, Local>;
  readonly vectors: Map<Expr, Local>;
  /** Loads whose address is partly known: the local with the sum so far, and the index terms it holds. */
  readonly addresses: Map<Expr, { local: Local; terms: ReadonlySet<Expr> }>;
}

export class ExpressionEmitter {
  readonly f: FunctionBuilder;
  /** Terms that are known to be at most 0, whose exponential is cheaper. */
  readonly atMostZero: Set<Expr> = new Set();
  readonly #library: Library;
  readonly #sources: readonly Source[];
  /** Bits of the axis whose four consecutive values are the lanes, 0 for none; and of the accumulator when it has lanes. */
  #varying = 0;
  #vectorAxis = -1;
  #laneOffset = 0;
  #axes = new Map<number, Local>();
  /** Results of reductions by stage. */
  #accumulators = new Map<number, Local>();
  #memo: Memo = { scalars: new Map(), vectors: new Map(), addresses: new Map() };

  constructor(f: FunctionBuilder, library: Library, sources: readonly Source[]) {
    this.f = f;
    this.#library = library;
    this.#sources = sources;
  }

  /** What is computed or bound in `body` is forgotten after it. */
  scope<T>(body: () => T): T {
    const saved = [
      this.#memo,
      this.#axes,
      this.#varying,
      this.#vectorAxis,
      this.#laneOffset,
      this.#accumulators,
    ] as const;
    const { scalars, vectors, addresses } = this.#memo;
    this.#memo = { scalars: new Map(scalars), vectors: new Map(vectors), addresses: new Map(addresses) };
    this.#axes = new Map(this.#axes);
    this.#accumulators = new Map(this.#accumulators);
    const result = body();
    [this.#memo, this.#axes, this.#varying, this.#vectorAxis, this.#laneOffset, this.#accumulators] = saved;
    return result;
  }

  /** `axis` has the value of `local`. */
  bind(axis: number, local: Local): void {
    this.#axes.set(axis, local);
  }

  /** `axis` has, in its four lanes, the values from that of `local` plus `offset` on. */
  bindLanes(axis: number, local: Local, offset = 0): void {
    this.bind(axis, local);
    this.#vectorAxis = axis;
    this.#laneOffset = offset;
    this.#varying |= 1 << axis;
  }

  bindAccumulator(local: Local, lanes: boolean, stage = 0): void {
    this.#accumulators.set(stage, local);
    if (lanes) this.#varying |= accumulatorBit;
  }

  /** Computes, here and once, the parts of `roots` that depend on bound axes, and on accumulators if any is bound, only. */
  hoist(roots: readonly Expr[]): void {
    const folded = this.#accumulators.size > 0 ? accumulatorBit : 0;
    const bound = [...this.#axes.keys()].reduce((bits, axis) => bits | (1 << axis), folded);
    const seen = new Set<Expr>();
    const visit = (e: Expr): void => {
      if (seen.has(e) || e.args.length === 0) return;
      seen.add(e);
      if ((depends(e) & ~bound) === 0) {
        if (depends(e) & this.#varying) this.vector(e)(this.f);
        else this.scalar(e)(this.f);
        this.f.plain('drop');
      } else if (e.op === 'load' && !this.#gathers(e)) {
        this.#hoistAddress(e, bound);
        for (const term of indexForm(e).terms.keys()) visit(term);
      } else for (const arg of e.args) visit(arg);
    };
    for (const root of roots) visit(root);
  }

  // ---- One element --------------------------------------------------------------------------------------------------

  /** The value of a term that is the same in every lane, or of any term where there are no lanes. */
  scalar(e: Expr): Code {
    return (f) => {
      const known = this.#memo.scalars.get(e);
      if (known !== undefined) get(known)(f);
      else if (e.op === 'constant') (e.type === 'f32' ? f32(e.value) : i32(e.value))(f);
      else if (e.op === 'axis') get(this.#axes.get(e.value) as Local)(f);
      else if (e.op === 'accumulator') get(this.#accumulators.get(e.value) as Local)(f);
      else this.#keep(this.#memo.scalars, e, e.type === 'f32' ? 'f32' : 'i32', this.#scalarOperation(e));
    };
  }

  #keep(memo: Map<Expr, Local>, e: Expr, type: 'f32' | 'i32' | 'v128', code: Code): void {
    code(this.f);
    const local = this.f.local(type);
    this.f.index(0x22, local);
    memo.set(e, local);
  }

  #scalarOperation(e: Expr): Code {
    const [x, y, z] = e.args as [Expr, Expr, Expr];
    if (e.op === 'load') return this.#scalarLoad(e);
    if (e.op === 'select') return op('select', this.scalar(y), this.scalar(z), this.scalar(x));
    const [a, b] = [this.scalar(x), y ? this.scalar(y) : nothing];
    if (e.op === 'cast')
      return x.type === e.type ? a : (scalarCasts[`${x.type} ${e.type}`] ?? unknown(e))(this.#library, a, b);
    if (e.op === 'bitcast') return (scalarBitcasts[`${x.type} ${e.type}`] ?? passed)(this.#library, a, b);
    if (
      (e.op === 'div' || e.op === 'mod') &&
      x.type !== 'f32' &&
      y.op === 'constant' &&
      y.value !== 0 &&
      y.value !== -1
    ) {
      return op(`i32.${e.op === 'div' ? 'div' : 'rem'}_${x.type === 'u32' ? 'u' : 's'}`, a, b);
    }
    return rule(scalarRules[x.type], e.op, x.type)(this.#library, a, b);
  }

  #scalarLoad(e: Expr): Code {
    const dtype = this.#source(e).dtype;
    const address = this.#address(e);
    if (dtype === 'f32') return load('f32.load', address);
    if (dtype === 'u8') return load('i32.load8_u', address);
    if (dtype !== 'f16') return load('i32.load', address);
    const lanes = call(this.#library.index('halfToFloat'), op('i32x4.splat', load('i32.load16_u', address)));
    return extract('f32x4', lanes, 0);
  }

  // ---- Addresses ----------------------------------------------------------------------------------------------------

  #source(e: Expr): Source {
    const source = this.#sources[e.value];
    if (!source) throw new Error(`wasm: a term loads from input ${e.value}, which the kernel does not have`);
    return source;
  }

  /** Whether the lanes of a load have addresses that are not a stride apart. */
  #gathers(e: Expr): boolean {
    return this.#vectorAxis >= 0 && strideAlong(e, this.#vectorAxis) === undefined;
  }

  #hoistAddress(e: Expr, bound: number): void {
    const known = this.#memo.addresses.get(e);
    const ready = [...indexForm(e).terms.keys()].filter((term) => (depends(term) & ~bound) === 0);
    if (known && ready.length === known.terms.size) return;
    const local = this.f.let('i32', this.#sum(e, new Set(ready)));
    this.#memo.addresses.set(e, { local, terms: new Set(ready) });
  }

  /** The address of a load, in bytes: of its first lane where it has lanes. */
  #address(e: Expr): Code {
    return this.#sum(e, new Set(indexForm(e).terms.keys()));
  }

  #sum(e: Expr, terms: ReadonlySet<Expr>): Code {
    const { address, dtype } = this.#source(e);
    const { bytes } = dtypes[dtype];
    const form = indexForm(e);
    const known = this.#memo.addresses.get(e);
    let sum = get(known ? known.local : address);
    if (!known && form.constant !== 0) sum = op('i32.add', sum, i32(form.constant * bytes));
    for (const [term, factor] of form.terms) {
      if (!terms.has(term) || known?.terms.has(term)) continue;
      sum = op('i32.add', sum, op('i32.mul', this.scalar(term), i32(factor * bytes)));
    }
    return sum;
  }

  // ---- Four lanes ---------------------------------------------------------------------------------------------------

  /** The value of a term in four lanes; truth values are lane masks. */
  vector(e: Expr): Code {
    return (f) => {
      const known = this.#memo.vectors.get(e);
      if (known !== undefined) get(known)(f);
      else if (e.op === 'constant') this.#constant(e)(f);
      else if (e.op === 'accumulator' && this.#varying & accumulatorBit)
        get(this.#accumulators.get(e.value) as Local)(f);
      else this.#keep(this.#memo.vectors, e, 'v128', this.#vectorOperation(e));
    };
  }

  #constant(e: Expr): Code {
    return e.type === 'f32' ? f32x4(e.value) : i32x4(e.type === 'bool' ? -e.value : e.value);
  }

  #vectorOperation(e: Expr): Code {
    const [x, y, z] = e.args as [Expr, Expr, Expr];
    if ((depends(e) & this.#varying) === 0) {
      if (e.type === 'f32') return op('f32x4.splat', this.scalar(e));
      return op('i32x4.splat', e.type === 'bool' ? op('i32.sub', i32(0), this.scalar(e)) : this.scalar(e));
    }
    if (e.op === 'axis') {
      const lanes = [0, 1, 2, 3].map((lane) => this.#laneOffset + lane);
      return op('i32x4.add', op('i32x4.splat', this.scalar(e)), i32x4(...lanes));
    }
    if (e.op === 'load') return this.#vectorLoad(e);
    if (e.op === 'select') return op('v128.bitselect', this.vector(y), this.vector(z), this.vector(x));
    const [a, b] = [this.vector(x), y ? this.vector(y) : nothing];
    if (e.op === 'cast')
      return x.type === e.type ? a : (vectorCasts[`${x.type} ${e.type}`] ?? unknown(e))(this.#library, a, b);
    if (e.op === 'bitcast') return a;
    if (e.op === 'exp' && this.atMostZero.has(x)) return this.#library.inline('expBelowOne', a);
    if ((e.op === 'shl' || e.op === 'shr') && x.type !== 'f32' && (depends(y) & this.#varying) === 0) {
      return op(`i32x4.${e.op}${e.op === 'shr' ? (x.type === 'u32' ? '_u' : '_s') : ''}`, a, this.scalar(y));
    }
    if (
      (e.op === 'div' || e.op === 'mod') &&
      e.type === 'i32' &&
      y.op === 'constant' &&
      y.value > 0 &&
      range(x).min >= 0
    ) {
      const quotient = divideByConstant(a, y.value);
      return e.op === 'div' ? quotient : op('i32x4.sub', a, op('i32x4.mul', quotient, b));
    }
    return rule(vectorRules[x.type], e.op, x.type)(this.#library, a, b);
  }

  #vectorLoad(e: Expr): Code {
    const { dtype } = this.#source(e);
    const stride = strideAlong(e, this.#vectorAxis);
    return this.#fromStorage(dtype, stride === 1 ? this.#contiguous(e, dtype) : this.#lanes(e, stride));
  }

  /** Four neighbouring elements, each widened to its lane. */
  #contiguous(e: Expr, dtype: DType): Code {
    const address = this.#address(e);
    const offset = this.#laneOffset * dtypes[dtype].bytes;
    if (dtype === 'f16') return load('v128.load16x4_u', address, offset);
    if (dtype !== 'u8') return load('v128.load', address, offset);
    return op('i32x4.extend_low_i16x8_u', op('i16x8.extend_low_i8x16_u', load('v128.load32_zero', address, offset)));
  }

  /** Four elements `stride` apart, or at the four indices where there is no stride. */
  #lanes(e: Expr, stride: number | undefined): Code {
    return (f) => {
      const { address, dtype } = this.#source(e);
      const { bytes } = dtypes[dtype];
      const step = stride === undefined ? 0 : stride * bytes;
      let lane: (i: number) => { address: Code; offset: number };
      if (stride === undefined) {
        const indices = f.let('v128', op('i32x4.mul', this.vector(e.args[0] as Expr), i32x4(bytes)));
        lane = (i) => ({ address: op('i32.add', get(address), extract('i32x4', get(indices), i)), offset: 0 });
      } else {
        // Offsets are unsigned: a falling stride counts from its last lane.
        const last = this.#laneOffset + 3;
        const first = f.let('i32', step < 0 ? op('i32.add', this.#address(e), i32(last * step)) : this.#address(e));
        lane = (i) => ({
          address: get(first),
          offset: step < 0 ? (i - 3) * step : (this.#laneOffset + i) * step,
        });
      }
      const at = [0, 1, 2, 3].map(lane) as [ReturnType<typeof lane>, ...ReturnType<typeof lane>[]];
      if (bytes === 4) {
        const start = load('v128.load32_zero', at[0].address, at[0].offset);
        at.slice(1).reduce<Code>((v, l, i) => loadLane('v128.load32_lane', l.address, v, i + 1, l.offset), start)(f);
      } else {
        const name = bytes === 2 ? 'i32.load16_u' : 'i32.load8_u';
        const start = op('i32x4.splat', load(name, at[0].address, at[0].offset));
        at.slice(1).reduce<Code>((v, l, i) => replace('i32x4', v, i + 1, load(name, l.address, l.offset)), start)(f);
      }
    };
  }

  #fromStorage(dtype: DType, lanes: Code): Code {
    if (dtype === 'f16') return this.#library.inline('halfToFloat', lanes);
    return dtype === 'bool' ? op('i32x4.ne', lanes, i32x4(0)) : lanes;
  }

  // ---- Stores -------------------------------------------------------------------------------------------------------

  /** Stores one value, given as scalar code of the dtype's scalar type. */
  storeScalar(dtype: DType, address: Code, value: Code): void {
    const f = this.f;
    if (dtype === 'f32') f.store('f32.store', address, value);
    else if (dtype === 'u8') f.store('i32.store8', address, value);
    else if (dtype === 'f16') {
      const half = extract('i32x4', call(this.#library.index('floatToHalf'), op('f32x4.splat', value)), 0);
      f.store('i32.store16', address, half);
    } else f.store('i32.store', address, value);
  }

  /** Stores the four lanes of `value` one after the other, `offset` bytes after the address. */
  storeVector(dtype: DType, address: Code, value: Code, offset = 0): void {
    const f = this.f;
    const narrow = (lanes: Code, bytes: readonly number[], name: string): void => {
      const packed = f.let('v128', lanes);
      address(f);
      shuffleBytes(get(packed), get(packed), [...bytes, ...bytes, ...bytes, ...bytes].slice(0, 16))(f);
      f.access(name, offset, 0);
    };
    if (dtype === 'f16') {
      narrow(this.#library.inline('floatToHalf', value), [0, 1, 4, 5, 8, 9, 12, 13], 'v128.store64_lane');
    } else if (dtype === 'u8') narrow(value, [0, 4, 8, 12], 'v128.store32_lane');
    else f.store('v128.store', address, dtype === 'bool' ? op('v128.and', value, i32x4(1)) : value, offset);
  }
}

const nothing: Code = () => {};
const passed = (_: Library, a: Code): Code => a;
function unknown(e: Expr): never {
  throw new Error(`wasm: no conversion from ${e.args[0]?.type} to ${e.type}`);
}

/**
 * Lanes from 0 to 2³¹ - 1 divided by a constant n: the high part of the product with ⌈2^(31+s) / n⌉, where 2ˢ ≥ n;
 * the rounding up adds less than 1/n to the quotient.
 */
function divideByConstant(a: Code, n: number): Code {
  if (n === 1) return a;
  const s = Math.ceil(Math.log2(n));
  if (2 ** s === n) return op('i32x4.shr_u', a, i32(s));
  const factor = i32x4(Number((2n ** BigInt(31 + s) + BigInt(n) - 1n) / BigInt(n)) | 0);
  const half = (name: string): Code => op('i64x2.shr_u', op(`i64x2.extmul_${name}_i32x4_u`, a, factor), i32(31 + s));
  return shuffle(half('low'), half('high'), [0, 2, 4, 6]);
}
