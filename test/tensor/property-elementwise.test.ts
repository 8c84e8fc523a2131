/** Every row of the elementwise table means what mathematics says, broadcasts as NumPy does, and promotes as PyTorch does. */
import { type DType, Tensor, tensor } from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ScalarType } from '../../packages/tensor/src/dtype.ts';
import { evaluateScalar } from '../../packages/tensor/src/expr/evaluate.ts';
import { type Expr, input } from '../../packages/tensor/src/expr/expr.ts';
import {
  apply,
  type ElementwiseName,
  type ElementwiseRow,
  elementwise,
} from '../../packages/tensor/src/ops/elementwise.ts';
import { arrayOf, broadcastable, numberIn, shapes } from './arbitraries.ts';
import { expectNear } from './comparison.ts';
import { everyDevice, use } from './devices.ts';
import { broadcastAt, broadcastShape, build, type NaiveArray, toTensor } from './naive.ts';

const rows = Object.entries(elementwise) as [ElementwiseName, ElementwiseRow][];

/** The value of a row's term at given operands. */
function evaluate(expr: Expr, operands: readonly number[]): number {
  const done = new Map<Expr, number>();
  const visit = (e: Expr): number => {
    const known = done.get(e);
    if (known !== undefined) return known;
    let value: number;
    if (e.op === 'input') value = operands[e.value] ?? Number.NaN;
    else if (e.op === 'constant') value = e.value;
    else value = evaluateScalar(e.op, e.type, e.args[0]?.type ?? e.type, e.args.map(visit));
    done.set(e, value);
    return value;
  };
  return visit(expr);
}

function termOf(row: ElementwiseRow, scalar: ScalarType): Expr {
  return row.expr(input(0, scalar), input(1, scalar), input(2, scalar));
}

const truth = (value: boolean): number => (value ? 1 : 0);
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const floorMod = (a: number, b: number): number => a - b * Math.floor(a / b);
const halfEven = (x: number): number => {
  const nearest = Math.round(x);
  return Math.abs(x % 1) === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
};
/** The normal distribution's mass below x by Simpson's rule: an independent witness of the error function. */
function normalMass(x: number): number {
  const steps = 4000;
  const width = x / steps;
  const density = (t: number): number => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  let sum = density(0) + density(x);
  for (let i = 1; i < steps; i++) sum += (i % 2 === 0 ? 2 : 4) * density(i * width);
  return 0.5 + (sum * width) / 3;
}

/** What each row means on real numbers (or booleans and whole numbers), written without the engine. */
const meanings: Readonly<Record<ElementwiseName, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  pow: (a, b) => a ** b,
  minimum: Math.min,
  maximum: Math.max,
  remainder: floorMod,
  floorDivide: (a, b) => Math.floor(a / b),
  neg: (a) => -a,
  abs: Math.abs,
  sign: Math.sign,
  floor: Math.floor,
  ceil: Math.ceil,
  round: halfEven,
  trunc: Math.trunc,
  exp: Math.exp,
  log: Math.log,
  log1p: Math.log1p,
  sqrt: Math.sqrt,
  rsqrt: (a) => 1 / Math.sqrt(a),
  reciprocal: (a) => 1 / a,
  square: (a) => a * a,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  atan: Math.atan,
  tanh: Math.tanh,
  erf: (a) => 2 * normalMass(a * Math.SQRT2) - 1,
  sigmoid,
  logSigmoid: (a) => Math.log(sigmoid(a)),
  softplus: (a) => Math.log1p(Math.exp(a)),
  relu: (a) => Math.max(a, 0),
  silu: (a) => a * sigmoid(a),
  quickGelu: (a) => a * sigmoid(1.702 * a),
  gelu: (a) => a * normalMass(a),
  geluTanh: (a) => 0.5 * a * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (a + 0.044715 * a ** 3))),
  lt: (a, b) => truth(a < b),
  le: (a, b) => truth(a <= b),
  gt: (a, b) => truth(a > b),
  ge: (a, b) => truth(a >= b),
  eq: (a, b) => truth(a === b),
  ne: (a, b) => truth(a !== b),
  isnan: (a) => truth(Number.isNaN(a)),
  isfinite: (a) => truth(Number.isFinite(a)),
  logicalAnd: (a, b) => truth(a !== 0 && b !== 0),
  logicalOr: (a, b) => truth(a !== 0 || b !== 0),
  logicalXor: (a, b) => truth((a !== 0) !== (b !== 0)),
  logicalNot: (a) => truth(a === 0),
  bitwiseAnd: (a, b) => a & b,
  bitwiseOr: (a, b) => a | b,
  bitwiseXor: (a, b) => a ^ b,
  bitwiseNot: (a) => ~a,
  shiftLeft: (a, b) => a << b,
  shiftRight: (a, b) => a >> b,
};

/** Operands that suit a row: what its domain is, and where it is smooth. */
function valueFor(row: ElementwiseRow): { dtype: DType; value: fc.Arbitrary<number> } {
  if (row.domain === 'integer') return { dtype: 'i32', value: fc.integer({ min: 0, max: 31 }) };
  if (row.domain === 'bool') return { dtype: 'bool', value: fc.integer({ min: 0, max: 1 }) };
  const range = row.testRange ?? [-3, 3];
  if (!row.kinks) return { dtype: 'f32', value: numberIn(range) };
  return {
    dtype: 'f32',
    value: fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: -3, max: 2 })).map(([eighths, whole]) => {
      const [low, high] = range;
      return Math.min(high, Math.max(low, whole + eighths / 8));
    }),
  };
}

/** Rows made of +, -, ·, comparisons and rounding are exact to the last digits; the others go through approximations. */
const plain = new Set<ElementwiseName>(
  rows.flatMap(([name, row]) => (row.predicate || row.domain !== 'float' ? [name] : [])),
);

describe.each(everyDevice)('elementwise operations on $name', (device) => {
  let close = async (): Promise<void> => undefined;
  beforeAll(async () => {
    const opened = await use(device);
    close = () => opened.close();
  });
  afterAll(() => close());
  const runs = Math.max(2, Math.floor(device.runs / 4));

  it.each(rows)('%s equals its meaning on broadcast operands', async (name, row) => {
    const { dtype, value } = valueFor(row);
    if (name === 'shiftLeft' && device.smallWholeNumbers) {
      const one = tensor([1], { dtype }).node;
      await expect(new Tensor(apply(name, one, one)).data()).rejects.toThrow(/shiftLeft: .*'shl' of i32 whose values/);
      return;
    }
    const operands = broadcastable(row.arity, 60).chain((all) =>
      fc.tuple(...all.map((shape) => arrayOf(shape, value))),
    );
    const tolerance = plain.has(name) ? device.tolerance : device.functionTolerance;
    await fc.assert(
      fc.asyncProperty(operands, async (arrays: readonly NaiveArray[]) => {
        const shape = broadcastShape(...arrays.map((array) => array.shape));
        if (!shape) throw new Error('the shapes were drawn to broadcast');
        // 32-bit devices see rounded operands; so must the expectation.
        const seen = arrays.map((array) =>
          device.name === 'reference' || dtype !== 'f32' ? array : { ...array, data: array.data.map(Math.fround) },
        );
        const result = new Tensor(apply(name, ...seen.map((array) => toTensor(array, dtype).node)));
        expect(result.dtype).toBe(row.predicate ? 'bool' : dtype);
        const scalar = dtype === 'f32' ? 'f32' : dtype === 'bool' ? 'bool' : 'i32';
        const term = termOf(row, scalar);
        const byTerm = build(shape, (index) =>
          evaluate(
            term,
            seen.map((array) => broadcastAt(array, index)),
          ),
        );
        const byMeaning = build(shape, (index) => {
          const [a = Number.NaN, b = Number.NaN] = seen.map((array) => broadcastAt(array, index));
          return meanings[name](a, b);
        });
        await expectNear(result, byTerm, tolerance, `${name} as its term`);
        await expectNear(result, byMeaning, Math.max(tolerance, 1e-9), name);
      }),
      { numRuns: runs },
    );
  });
});

describe('dtypes of elementwise operations', () => {
  const reference = everyDevice.find(({ name }) => name === 'reference');
  let close = async (): Promise<void> => undefined;
  beforeAll(async () => {
    if (!reference) throw new Error('the reference device is missing');
    const opened = await use(reference);
    close = () => opened.close();
  });
  afterAll(() => close());

  const order: readonly DType[] = ['bool', 'u8', 'u32', 'i32', 'f16', 'f32'];
  it('promote to the higher of two, and booleans to whole numbers', () => {
    for (const [i, a] of order.entries()) {
      for (const [j, b] of order.entries()) {
        const sum = tensor([1], { dtype: a }).add(tensor([1], { dtype: b }));
        const higher = order[Math.max(i, j)];
        expect(sum.dtype, `${a} + ${b}`).toBe(higher === 'bool' ? 'i32' : higher);
        expect(tensor([1], { dtype: a }).lt(tensor([1], { dtype: b })).dtype).toBe('bool');
      }
      expect(tensor([1], { dtype: a }).div(2).dtype).toBe(a === 'f16' ? 'f16' : 'f32');
      expect(tensor([1], { dtype: a }).exp().dtype).toBe(a === 'f16' ? 'f16' : 'f32');
    }
  });

  it('keep whole numbers with whole scalars, and become f32 with fractions', () => {
    const x = tensor([1, 2, 3], { dtype: 'i32' });
    expect(x.add(1).dtype).toBe('i32');
    expect(x.mul(0.5).dtype).toBe('f32');
    expect(tensor([true, false]).add(1).dtype).toBe('i32');
  });

  const word = fc.oneof(fc.integer(), fc.constantFrom(0, 1, -1, 2 ** 31 - 1, -(2 ** 31)));
  it('wrap whole numbers at 32 bits', async () => {
    await fc.assert(
      fc.asyncProperty(
        shapes({ maxRank: 1, most: 8 }).chain((s) => fc.tuple(arrayOf(s, word), arrayOf(s, word))),
        async ([a, b]) => {
          const [x, y] = [toTensor(a, 'i32'), toTensor(b, 'i32')];
          const pairs = a.data.map((value, i) => [value, b.data[i] ?? 0] as const);
          const all = (f: (p: number, q: number) => number): NaiveArray => ({
            shape: a.shape,
            data: pairs.map(([p, q]) => f(p, q)),
          });
          await expectNear(
            x.add(y),
            all((p, q) => (p + q) | 0),
            0,
          );
          await expectNear(x.mul(y), all(Math.imul), 0);
          await expectNear(
            x.neg(),
            all((p) => -p | 0),
            0,
          );
          await expectNear(
            x.bitwiseXor(y),
            all((p, q) => p ^ q),
            0,
          );
          await expectNear(
            x.to('u32'),
            all((p) => p >>> 0),
            0,
          );
          await expectNear(
            x.to('u8').to('i32'),
            all((p) => p & 255),
            0,
          );
          await expectNear(
            x.to('bool').to('f32'),
            all((p) => truth(p !== 0)),
            0,
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  it('divide whole numbers towards minus infinity, as Python does', async () => {
    const a = tensor([7, -7, 7, -7, 0, 6], { dtype: 'i32' });
    const b = tensor([2, 2, -2, -2, 3, -3], { dtype: 'i32' });
    expect([...(await a.floorDivide(b).data())]).toEqual([3, -4, -4, 3, 0, -2]);
    expect([...(await a.remainder(b).data())]).toEqual([1, 1, -1, -1, 0, 0]);
  });

  it('truncate floats to whole numbers and saturate at the ends', async () => {
    const x = tensor([1.9, -1.9, 3e9, -3e9, Number.NaN]);
    expect([...(await x.to('i32').data())]).toEqual([1, -1, 2 ** 31 - 1, -(2 ** 31), 0]);
    expect([...(await tensor([1.9, -1.9, 5e9]).to('u32').data())]).toEqual([1, 0, 2 ** 32 - 1]);
  });

  it('compute NaN and infinities as IEEE does', async () => {
    const x = tensor([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0]);
    expect([...(await x.isnan().data())]).toEqual([1, 0, 0, 0]);
    expect([...(await x.isfinite().data())]).toEqual([0, 0, 0, 1]);
    expect([...(await x.eq(x).data())]).toEqual([0, 1, 1, 1]);
    expect([...(await x.relu().data())]).toEqual([Number.NaN, Number.POSITIVE_INFINITY, 0, 0]);
    expect([...(await x.clamp(-1, 1).data())]).toEqual([Number.NaN, 1, -1, 0]);
  });

  it('round f16 to nearest even where it is stored', async () => {
    const half = tensor([1 + 2 ** -11, 1 + 3 * 2 ** -11, 65519, 65520, 2 ** -25]).to('f16');
    await half.data();
    expect([...(await half.to('f32').data())]).toEqual([1, 1 + 2 ** -9, 65504, Number.POSITIVE_INFINITY, 0]);
  });

  it('refuse bits of floats and conditions that are not boolean', () => {
    expect(() => tensor([1]).bitwiseAnd(tensor([1]))).toThrow(
      /bitwiseAnd: operands of dtype f32 have no bits.*cast to i32/,
    );
    expect(() => tensor([1, 2]).indexSelect(0, tensor([1.5]))).toThrow(/indexSelect: the index has dtype f32.*use i32/);
  });
});
