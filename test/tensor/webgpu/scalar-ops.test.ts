// Every scalar operation in a shader against its meaning, on values chosen for their edges.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWebGPUBackend, type WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import type { ScalarType } from '../../../packages/tensor/src/dtype.ts';
import {
  axis,
  type BinaryOp,
  constant,
  intern,
  load,
  term,
  type UnaryOp,
} from '../../../packages/tensor/src/expr/expr.ts';
import { type Case, expectMeaning, randomValues, stored } from './interpret.ts';

let backend: WebGPUBackend;
beforeAll(async () => {
  backend = await createWebGPUBackend({ allowSoftware: true });
});
afterAll(() => backend.close());

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;

const values: Record<ScalarType, number[]> = {
  f32: [
    ...[0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -1.5, -2.5, 3, -7, 1e-3, -1e-3, 0.3, 0.7, 2, -2, 10, -10, 64, 80, -80, 100],
    ...[-100, 300.25, 4000, 1e6, -1e6, 1e20, 3e9, -3e9, 5e9, infinity, -infinity, nan, 1e-20, 88, -87],
    ...randomValues(29, 'f32', 3),
  ].map(Math.fround),
  i32: [0, 1, -1, 2, -2, 3, 7, -7, 31, 32, 33, 1000, -1000, 2147483647, -2147483648, 65535, -65536, 123456789],
  u32: [0, 1, 2, 3, 7, 31, 32, 33, 1000, 4294967295, 2147483648, 65535, 123456789],
  bool: [0, 1],
};

const everyType: readonly ScalarType[] = ['f32', 'i32', 'u32', 'bool'];
const words: readonly ScalarType[] = ['i32', 'u32'];
const numbers: readonly ScalarType[] = ['f32', 'i32', 'u32'];

/** Units of error allowed to a result, relative to results above 0.01; other operations have to be exact. */
const tolerances: Partial<Record<UnaryOp | BinaryOp, number>> = {
  exp: 2e-5, // of the device: 3 + 2 |x| units in the last place
  log: 3e-7,
  sqrt: 3e-7,
  sin: 3e-7,
  cos: 3e-7,
  tan: 2e-6,
  tanh: 3e-7,
  erf: 3e-7,
  atan: 3e-7,
  pow: 4e-5,
  div: 3e-7,
  add: 1e-7,
  sub: 1e-7,
  mul: 1e-7,
};

const unary: [UnaryOp, readonly ScalarType[]][] = [
  ...(['neg', 'abs', 'sign'] as const).map((op): [UnaryOp, readonly ScalarType[]] => [op, everyType]),
  ...(['floor', 'ceil', 'round', 'trunc'] as const).map((op): [UnaryOp, readonly ScalarType[]] => [op, numbers]),
  ...(['exp', 'log', 'sqrt', 'sin', 'cos', 'tan', 'tanh', 'erf', 'atan'] as const).map(
    (op): [UnaryOp, readonly ScalarType[]] => [op, ['f32']],
  ),
  ['not', ['i32', 'u32', 'bool']],
];

/** Angles past this are known in f32 to no better than the tolerance. */
const inRange: Partial<Record<UnaryOp, (x: number) => boolean>> = {
  sin: (x) => !Number.isFinite(x) || Math.abs(x) <= 4000,
  cos: (x) => !Number.isFinite(x) || Math.abs(x) <= 4000,
  tan: (x) => !Number.isFinite(x) || Math.abs(x) <= 4000,
};

for (const [op, types] of unary) {
  for (const type of types) {
    it(`${op} of ${type}`, async () => {
      const xs = values[type].filter(inRange[op] ?? (() => true));
      const n = xs.length;
      const value = term(op, [load(0, axis(0, n), type)]);
      await expectMeaning(backend, elementwise(`${op} ${type}`, n, [[type, xs]], [[type, value]], tolerances[op]));
    });
  }
}

const pairsOf = (type: ScalarType): [number[], number[]] => {
  const list = values[type].slice(0, type === 'f32' ? 38 : undefined);
  const pairs = list.flatMap((a) => list.map((b) => [a, b] as const));
  return [pairs.map(([a]) => a), pairs.map(([, b]) => b)];
};

const arithmetic: BinaryOp[] = ['add', 'sub', 'mul', 'min', 'max', 'lt', 'le', 'eq', 'ne'];
const binary: [BinaryOp, readonly ScalarType[]][] = [
  ...arithmetic.map((op): [BinaryOp, readonly ScalarType[]] => [op, everyType]),
  ...(['div', 'mod', 'pow'] as const).map((op): [BinaryOp, readonly ScalarType[]] => [op, numbers]),
  ...(['and', 'or', 'xor'] as const).map((op): [BinaryOp, readonly ScalarType[]] => [op, ['i32', 'u32', 'bool']]),
  ...(['shl', 'shr'] as const).map((op): [BinaryOp, readonly ScalarType[]] => [op, words]),
];

/** Smaller numbers are denormal, which a device may take for 0. */
const tiny = 2 ** -126;

for (const [op, types] of binary) {
  for (const type of types) {
    it(`${op} of ${type}`, async () => {
      let [a, b] = pairsOf(type);
      // Integer powers past 2^53 are not exact in the meaning, and quotients near the ends of f32 may overflow on the way.
      const keep = (x: number, y: number): boolean => {
        const exact = op === 'pow' ? x ** y : op === 'div' ? x / y : op === 'mul' ? x * y : 0;
        const size = Math.abs(exact);
        if (op === 'pow' && type !== 'f32') return size < 2 ** 53 || !Number.isFinite(y);
        if (type !== 'f32' || !Number.isFinite(size)) return true;
        return size === 0 || (size > tiny && size < 1e38);
      };
      const kept = a.map((x, i) => keep(x, b[i] as number));
      [a, b] = [a.filter((_, i) => kept[i]), b.filter((_, i) => kept[i])];
      const n = a.length;
      const value = term(op, [load(0, axis(0, n), type), load(1, axis(0, n), type)]);
      const inputs: Inputs = [
        [type, a],
        [type, b],
      ];
      await expectMeaning(
        backend,
        elementwise(`${op} ${type}`, n, inputs, [[value.type, value]], type === 'f32' ? tolerances[op] : undefined),
      );
    });
  }
}

for (const from of everyType) {
  for (const to of everyType) {
    if (from === to) continue;
    it(`cast of ${from} to ${to}`, async () => {
      const xs = values[from];
      const value = term('cast', [load(0, axis(0, xs.length), from)], to);
      await expectMeaning(
        backend,
        elementwise(`cast ${from} ${to}`, xs.length, [[from, xs]], [[to, value]], to === 'f32' ? 1e-7 : undefined),
      );
    });
  }
}

it('bitcasts keep the bits', async () => {
  const xs = values.f32.filter((x) => !Number.isNaN(x));
  const n = xs.length;
  const x = load(0, axis(0, n), 'f32');
  const i = load(1, axis(0, n), 'i32');
  await expectMeaning(
    backend,
    elementwise(
      'bitcast',
      n,
      [
        ['f32', xs],
        ['i32', xs.map((_, k) => 0x3f800000 + 12345 * k)],
      ],
      [
        ['i32', term('bitcast', [x], 'i32')],
        ['u32', term('bitcast', [x], 'u32')],
        ['f32', term('bitcast', [i], 'f32')],
      ],
    ),
  );
});

it('select takes the operand that the condition says, of every type', async () => {
  for (const type of everyType) {
    const xs = values[type];
    const n = xs.length;
    const condition = term('lt', [term('mod', [axis(0, n), constant(3, 'i32')]), constant(1, 'i32')]);
    const value = term('select', [condition, load(0, axis(0, n), type), load(1, axis(0, n), type)]);
    const inputs: Inputs = [
      [type, xs],
      [type, [...xs].reverse()],
    ];
    await expectMeaning(backend, elementwise(`select ${type}`, n, inputs, [[type, value]]));
  }
});

it('constants of every type and kind reach the shader', async () => {
  const constants = [0, -0, 1, -1.5, 0.1, 1e-7, 1e30, -1e30, infinity, -infinity, nan, 3.4e38, 2 ** -126, 2 ** -149];
  for (const value of constants) {
    const bits = term('bitcast', [intern('constant', 'f32', [], value)], 'u32');
    const chosen = intern('select', 'f32', [
      term('lt', [axis(0, 2), constant(1, 'i32')]),
      intern('constant', 'f32', [], value),
      constant(7),
    ]);
    await expectMeaning(
      backend,
      elementwise(
        `constant ${value}`,
        2,
        [],
        [
          ['f32', chosen],
          ['u32', bits],
        ],
      ),
    );
  }
  await expectMeaning(
    backend,
    elementwise(
      'integer constants',
      2,
      [],
      [
        ['i32', constant(-2147483648, 'i32')],
        ['u32', constant(4294967295, 'u32')],
        ['bool', constant(1, 'bool')],
      ],
    ),
  );
});

it('division by a constant zero has its meaning too', async () => {
  for (const type of words) {
    const xs = values[type];
    const x = load(0, axis(0, xs.length), type);
    const outputs: Outputs = [
      [type, term('div', [x, constant(0, type)])],
      [type, term('mod', [x, constant(0, type)])],
    ];
    await expectMeaning(backend, elementwise(`zero ${type}`, xs.length, [[type, xs]], outputs));
  }
});

it('an operation without a meaning is refused by name', async () => {
  const value = term('exp', [load(0, axis(0, 2), 'i32')]);
  const example = elementwise('exp', 2, [['i32', [1, 2]]], [['i32', value]]);
  await expect(expectMeaning(backend, { ...example, tolerance: 1 })).rejects.toThrow(/'exp' is not defined on i32/);
});

type Inputs = [ScalarType, number[]][];
type Outputs = [ScalarType, ReturnType<typeof term>][];

function elementwise(name: string, n: number, inputs: Inputs, outputs: Outputs, tolerance?: number): Case {
  return {
    name,
    kernels: [
      {
        kind: 'loop',
        name,
        shape: [n],
        inputs: inputs.map(([dtype], buffer) => ({ buffer, dtype })),
        outputs: outputs.map(([dtype, value], i) => ({ buffer: inputs.length + i, dtype, value })),
      },
    ],
    buffers: [
      ...inputs.map(([dtype, data]) => ({ dtype, values: data.map(stored[dtype]) })),
      ...outputs.map(([dtype]) => ({ dtype, values: new Array<number>(n).fill(0) })),
    ],
    ...(tolerance === undefined ? {} : { tolerance, scale: 0.01 }),
  };
}
