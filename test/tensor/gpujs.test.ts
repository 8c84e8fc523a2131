// The gpujs backend: every scalar operation equals its meaning or is refused by name, in each mode of gpu.js.

import {
  crossEntropy,
  type Device,
  Generator,
  gradients,
  layerNorm,
  openDevice,
  rand,
  setDefaultDevice,
  type Tensor,
  tensor,
} from '@actionclip/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../packages/tensor/src/backends/backend.ts';
import { createGpuJsBackend } from '../../packages/tensor/src/backends/gpujs/backend.ts';
import type { GpuJsMode } from '../../packages/tensor/src/backends/gpujs/package.ts';
import type { LoopKernel, ReduceOp } from '../../packages/tensor/src/compile/kernel.ts';
import { type DType, dtypes, type ScalarType } from '../../packages/tensor/src/dtype.ts';
import { DeviceError } from '../../packages/tensor/src/errors.ts';
import {
  add,
  axis,
  type BinaryOp,
  constant,
  type Expr,
  intern,
  load,
  mul,
  term,
  type UnaryOp,
} from '../../packages/tensor/src/expr/expr.ts';
import { expectSame } from './comparison.ts';
import { type Case, expectMeaning, programOf, randomValues, runOn, stored } from './webgpu/interpret.ts';

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
const modes: readonly GpuJsMode[] = ['cpu', 'webasm', 'webgpu'];
const everyType: readonly ScalarType[] = ['f32', 'i32', 'u32', 'bool'];
const words: readonly ScalarType[] = ['i32', 'u32'];
const numbers: readonly ScalarType[] = ['f32', 'i32', 'u32'];

const values: Readonly<Record<ScalarType, readonly number[]>> = {
  f32: [
    ...[0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -1.5, -2.5, 3, -7, 1e-3, 0.3, 2, -2, 10, -10, 64, -80, 300.25, -4000],
    ...[1e20, infinity, -infinity, nan, ...randomValues(12, 'f32', 3)],
  ].map(Math.fround),
  i32: [0, 1, -1, 2, -2, 3, 7, -7, 31, 32, 33, 1000, -1000, 65535, -65536],
  u32: [0, 1, 2, 3, 7, 31, 32, 33, 1000, 65535],
  bool: [0, 1],
};
/** Whole numbers that only 64 bits compute with. */
const large: Readonly<Partial<Record<ScalarType, readonly number[]>>> = {
  i32: [2147483647, -2147483648, 123456789, -65537],
  u32: [4294967295, 2147483648, 123456789],
};
const valuesFor = (mode: GpuJsMode, type: ScalarType): number[] => [
  ...values[type],
  ...(mode === 'cpu' ? (large[type] ?? []) : []),
];

const unary: readonly (readonly [UnaryOp, readonly ScalarType[]])[] = [
  ...(['neg', 'abs', 'sign'] as const).map((op) => [op, everyType] as const),
  ...(['floor', 'ceil', 'round', 'trunc'] as const).map((op) => [op, numbers] as const),
  ...(['exp', 'log', 'sqrt', 'sin', 'cos', 'tan', 'tanh', 'erf', 'atan', 'half'] as const).map(
    (op) => [op, ['f32']] as const,
  ),
  ['not', ['i32', 'u32', 'bool']],
];
const binary: readonly (readonly [BinaryOp, readonly ScalarType[]])[] = [
  ...(['add', 'sub', 'mul', 'min', 'max', 'lt', 'le', 'eq', 'ne'] as const).map((op) => [op, everyType] as const),
  ...(['div', 'mod', 'pow'] as const).map((op) => [op, numbers] as const),
  ...(['and', 'or', 'xor'] as const).map((op) => [op, ['i32', 'u32', 'bool']] as const),
  ...(['shl', 'shr'] as const).map((op) => [op, words] as const),
];

/** What no mode has, and what the modes that compute in 32-bit floats cannot count far enough for. */
const refusedEverywhere = ['pow i32', 'pow u32', 'bitcast f32 i32', 'bitcast f32 u32', 'bitcast i32 f32'];
const refusedInSingle = [
  ...refusedEverywhere,
  ...['mul i32', 'mul u32', 'shl i32', 'shl u32', 'sub u32', 'neg u32', 'not u32', 'cast i32 u32'],
];
const refusedIn = (mode: GpuJsMode): readonly string[] => (mode === 'cpu' ? refusedEverywhere : refusedInSingle);

/** Error allowed, relative to results above 0.01; other operations have to be exact. */
const tolerances: Readonly<Record<string, number>> = {
  ...{ add: 1e-7, sub: 1e-7, mul: 1e-7, div: 3e-7, sqrt: 3e-7, half: 0 },
  // 32-bit sines of angles to 4000 lose the digits that the angle has in front of the point.
  ...{ sin: 1e-6, cos: 1e-6, tan: 3e-6 },
  // Of the WebGPU device: 3 + 2 |x| units in the last place for exp, 2^-21 for log, 2^-12 for atan.
  ...{ exp: 2e-5, log: 5e-7, atan: 3e-4, tanh: 3e-6, erf: 3e-7, pow: 4e-5 },
};

type Inputs = readonly (readonly [ScalarType, readonly number[]])[];

function elementwise(name: string, n: number, inputs: Inputs, value: Expr, dtype: DType, tolerance?: number): Case {
  const kernel: LoopKernel = {
    kind: 'loop',
    name,
    shape: [n],
    inputs: inputs.map(([type], buffer) => ({ buffer, dtype: type })),
    outputs: [{ buffer: inputs.length, dtype, value }],
  };
  const buffers = [
    ...inputs.map(([type, data]) => ({ dtype: type, values: data.map(stored[type]) })),
    { dtype, values: new Array<number>(n).fill(0) },
  ];
  return { name, kernels: [kernel], buffers, ...(tolerance === undefined ? {} : { tolerance, scale: 0.01 }) };
}

/** Leaves out operands whose results are near the ends of 32-bit floats. */
const suits = (op: string, a: number, b: number): boolean => {
  if (op === 'pow') return a > 0 && Number.isFinite(a) && Math.abs(b) <= 10 && Math.abs(b * Math.log(a)) < 60;
  if (op === 'div') return Math.abs(b) > 1e-6 && Number.isFinite(b);
  return true;
};
const finiteAngle = (op: string, x: number): boolean => !['sin', 'cos', 'tan'].includes(op) || Math.abs(x) <= 4000;

describe.each(modes)('gpu.js in mode %s', (mode) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createGpuJsBackend({ mode, allowSoftware: true });
  });
  afterAll(() => backend.close());

  /** The case has its meaning, or the kernel is refused by name where the table says so. */
  async function expectMeaningOrRefusal(label: string, example: Case): Promise<void> {
    if (!refusedIn(mode).includes(label)) return expectMeaning(backend, example);
    const [op] = label.split(' ');
    await expect(runOn(backend, example)).rejects.toThrow(DeviceError);
    await expect(runOn(backend, example)).rejects.toThrow(
      new RegExp(`gpujs: ${label}: gpu.js cannot compute '${op}' of .* in mode '${mode}'`),
    );
  }

  it.each(unary)('%s', async (op, types) => {
    for (const type of types) {
      const xs = valuesFor(mode, type).filter((x) => type !== 'f32' || finiteAngle(op, x));
      const value = term(op, [load(0, axis(0, xs.length), type)]);
      const tolerance = type === 'f32' ? tolerances[op] : undefined;
      const label = `${op} ${type}`;
      await expectMeaningOrRefusal(label, elementwise(label, xs.length, [[type, xs]], value, value.type, tolerance));
    }
  });

  it.each(binary)('%s', async (op, types) => {
    for (const type of types) {
      const list = valuesFor(mode, type);
      const pairs = list.flatMap((a) => list.map((b) => [a, b] as const));
      const kept = pairs.filter(([a, b]) => type !== 'f32' || suits(op, a, b));
      const inputs = [[type, kept.map(([a]) => a)] as const, [type, kept.map(([, b]) => b)] as const];
      const n = kept.length;
      const value = term(op, [load(0, axis(0, n), type), load(1, axis(0, n), type)]);
      const tolerance = type === 'f32' ? tolerances[op] : undefined;
      const label = `${op} ${type}`;
      await expectMeaningOrRefusal(label, elementwise(label, n, inputs, value, value.type, tolerance));
    }
  });

  it('casts between all types, and bits of floats are refused', async () => {
    for (const from of everyType) {
      for (const to of everyType) {
        if (from === to) continue;
        // Results of casts to whole numbers that single precision cannot hold are refused when they appear: see below.
        const fits = (x: number): boolean => mode === 'cpu' || from !== 'f32' || Number.isNaN(x) || Math.abs(x) < 1e6;
        const xs = valuesFor(mode, from).filter(fits);
        const value = term('cast', [load(0, axis(0, xs.length), from)], to);
        const label = `cast ${from} ${to}`;
        await expectMeaningOrRefusal(label, elementwise(label, xs.length, [[from, xs]], value, to, 1e-7));
      }
    }
    for (const [from, to] of [
      ['f32', 'i32'],
      ['f32', 'u32'],
      ['i32', 'f32'],
    ] as const) {
      const value = term('bitcast', [load(0, axis(0, 2), from)], to);
      const label = `bitcast ${from} ${to}`;
      await expectMeaningOrRefusal(label, elementwise(label, 2, [[from, [1, 2]]], value, to));
    }
  });

  it('select, constants and the tests for NaN and finite numbers', async () => {
    for (const type of everyType) {
      const xs = valuesFor(mode, type);
      const condition = term('lt', [term('mod', [axis(0, xs.length), constant(3, 'i32')]), constant(1, 'i32')]);
      const value = term('select', [condition, load(0, axis(0, xs.length), type), constant(1, type)]);
      await expectMeaning(backend, elementwise('select', xs.length, [[type, xs]], value, type));
    }
    for (const value of [0, 1, -1.5, 0.1, 1e-7, 1e30, -1e30, infinity, -infinity, nan]) {
      const chosen = term('select', [
        term('lt', [axis(0, 2), constant(1, 'i32')]),
        intern('constant', 'f32', [], value),
        constant(7),
      ]);
      await expectMeaning(backend, elementwise(`constant ${value}`, 2, [], chosen, 'f32', 1e-7));
    }
    const device = await openDevice('gpujs', { mode, allowSoftware: true });
    const x = tensor([nan, infinity, -infinity, 0, -3], { device });
    expect([...(await x.isnan().data())]).toEqual([1, 0, 0, 0, 0]);
    expect([...(await x.isfinite().data())]).toEqual([0, 0, 0, 1, 1]);
    await device.close();
  });

  it.each(['sum', 'prod', 'max', 'min'] as const)('%s of every type', async (op: ReduceOp) => {
    for (const type of everyType) {
      const [rows, columns] = [3, 4];
      const xs = randomValues(rows * columns, type, 7);
      const at = add(mul(axis(0, rows), constant(columns, 'i32')), axis(1, columns));
      const kernel: LoopKernel = {
        kind: 'loop',
        name: `${op} ${type}`,
        shape: [rows],
        inputs: [{ buffer: 0, dtype: type }],
        reduce: { op, extent: [columns], body: load(0, at, type) },
        outputs: [{ buffer: 1, dtype: type, value: intern('accumulator', type, []) }],
      };
      const buffers = [
        { dtype: type, values: xs },
        { dtype: type, values: new Array<number>(rows).fill(0) },
      ];
      const example: Case = { name: kernel.name, kernels: [kernel], buffers, tolerance: 1e-6 };
      if (op !== 'prod' || mode === 'cpu' || !words.includes(type)) await expectMeaning(backend, example);
      else await expect(runOn(backend, example)).rejects.toThrow(/gpujs: prod .*'accumulator' of [iu]32 whose values/);
    }
  });

  it('loads and stores every dtype, several outputs at once, and in place', async () => {
    for (const dtype of Object.keys(dtypes) as DType[]) {
      const xs = randomValues(7, dtype, 11);
      const element = load(0, axis(0, 7), dtypes[dtype].scalar);
      const kernel: LoopKernel = {
        kind: 'loop',
        name: `copies of ${dtype}`,
        shape: [7],
        inputs: [{ buffer: 0, dtype }],
        outputs: [
          { buffer: 0, dtype, value: term('max', [element, constant(1, element.type)]) },
          { buffer: 1, dtype, value: element },
        ],
      };
      const buffers = [
        { dtype, values: xs },
        { dtype, values: new Array<number>(7).fill(0) },
      ];
      await expectMeaning(backend, { name: kernel.name, kernels: [kernel], buffers });
    }
  });

  it('writes a part of a buffer, and nothing beside it', async () => {
    const example = elementwise('part', 2, [['i32', [5, -6]]], load(0, axis(0, 2), 'i32'), 'i32');
    const [kernel] = example.kernels as readonly [LoopKernel];
    const outputs = kernel.outputs.map((output) => ({ ...output, part: { offset: 64, length: 2 } }));
    const buffers = [
      example.buffers[0] as Case['buffers'][number],
      { dtype: 'i32', values: new Array(67).fill(3) },
    ] as const;
    const [, after] = await runOn(backend, { ...example, kernels: [{ ...kernel, outputs }], buffers });
    expect(after).toEqual([...new Array(64).fill(3), 5, -6, 3]);
  });

  it('scatters in rising order, past indices that are outside', async () => {
    const [outer, count, inner, size] = [2, 5, 3, 4];
    await expectMeaning(backend, {
      name: 'scatter',
      kernels: [
        {
          kind: 'scatter',
          name: 'scatter',
          ...{ outer, count, inner, size },
          indexStrides: { outer: count, count: 1, inner: 0 },
          inputs: [
            { buffer: 0, dtype: 'f32' },
            { buffer: 1, dtype: 'i32' },
          ],
          outputs: [{ buffer: 2, dtype: 'f32' }],
        },
      ],
      buffers: [
        { dtype: 'f32', values: randomValues(outer * count * inner, 'f32', 5) },
        { dtype: 'i32', values: [0, 3, 3, -1, 1, 4, 2, 2, 2, 0] },
        { dtype: 'f32', values: new Array<number>(outer * size * inner).fill(9) },
      ],
      tolerance: 1e-6,
    });
  });

  it('refuses whole numbers that it cannot hold, and templates, by name', async () => {
    const copy = elementwise('copy', 1, [['i32', [65537]]], load(0, axis(0, 1), 'i32'), 'i32');
    const huge = term('cast', [load(0, axis(0, 1), 'f32')], 'i32');
    const cast = elementwise('cast', 1, [['f32', [3e9]]], huge, 'i32');
    if (mode === 'cpu') {
      await expectMeaning(backend, copy);
      await expectMeaning(backend, cast);
    } else {
      await expect(runOn(backend, copy)).rejects.toThrow(/gpujs: copy: .* the i32 65537, past the 65536 .* in mode/);
      await expect(runOn(backend, cast)).rejects.toThrow(/gpujs: cast: .* past the 8388608 that single precision/);
    }
    const rows = {
      kind: 'rows',
      name: 'softmax',
      rows: 1,
      extent: 1,
      inputs: [],
      stages: [],
      columns: [],
      outputs: [],
    } as const;
    await expect(backend.compile({ buffers: [], bindings: 0, kernels: [rows] })).rejects.toThrow(
      /gpujs: softmax: .* kernels of kind 'rows'/,
    );
  });

  it('keeps the order of writes, runs and reads that nobody waited for, and counts its memory', async () => {
    const double = term('mul', [load(0, axis(0, 2), 'f32'), constant(2)]);
    const example = elementwise('double', 2, [['f32', [1, 2]]], double, 'f32');
    const executable = await backend.compile(programOf(example));
    const before = backend.memory().live;
    const [x, y] = [backend.alloc(8), backend.alloc(8)];
    expect(backend.memory().live).toBe(before + 16);
    const host = new Float32Array([1, 2]);
    backend.write(x, host, 'f32');
    host.fill(100);
    const first = backend.run(executable, [x, y]);
    const seen = backend.read(y, 2, 'f32');
    backend.write(x, new Float32Array([5, 6]), 'f32');
    const second = backend.run(executable, [x, y]);
    expect([...(await seen)]).toEqual([2, 4]);
    await Promise.all([first, second]);
    expect([...(await backend.read(y, 2, 'f32'))]).toEqual([10, 12]);
    expect(executable.stats.dispatches).toBe(1);
    backend.free(x);
    backend.free(y);
    expect(backend.memory().live).toBe(before);
    expect(backend.memory().peak).toBeGreaterThanOrEqual(before + 16);
  });
});

/** A classifier of token pairs: its logits, its loss and the gradients of both of its parameters. */
function classifier(device: Device): Tensor[] {
  const table = tensor([0.3, -1.2, 0.8, 1.1, -0.4, 0.9, -0.7, 0.2, 1.5, -0.1, 0.6, -1.3], { device }).reshape([4, 3]);
  const weight = tensor([1.2, -0.3, 0.5, -0.9, 0.4, 0.7], { device }).reshape([3, 2]);
  const tokens = tensor([3, 1, 1, 0], { device, dtype: 'i32' });
  const labels = tensor([0, 1, 1, 0], { device, dtype: 'i32' });
  const logits = layerNorm(table.indexSelect(0, tokens).gelu(), [3]).matmul(weight);
  const loss = crossEntropy(logits, labels);
  return [logits, loss, ...gradients(loss, [table, weight])];
}

it.each(modes)('a classifier and its gradients equal those of the reference in mode %s', async (mode) => {
  const [own, reference] = [await openDevice('gpujs', { mode, allowSoftware: true }), await openDevice('reference')];
  const expected = classifier(reference);
  // Four roundings of functions that are good to 1e-6 or so, behind a normalisation that divides by a spread below 1.
  for (const [i, result] of classifier(own).entries())
    await expectSame(result, expected[i] as Tensor, 2e-5, `result ${i}`);
  await own.close();
  await reference.close();
});

it.each(modes)('random numbers are those of the reference, or refused for their bits, in mode %s', async (mode) => {
  const device = await openDevice('gpujs', { mode, allowSoftware: true });
  const drawn = async (home: Device): Promise<number[]> => {
    setDefaultDevice(home);
    return [...(await rand([9], new Generator(7)).data())];
  };
  if (mode === 'cpu') expect(await drawn(device)).toEqual(await drawn(await openDevice('reference')));
  else await expect(drawn(device)).rejects.toThrow(/gpujs: .* of u32 whose values may leave/);
  await device.close();
});

it('names the modes that there are, and those that do not work here', async () => {
  await expect(openDevice('gpujs', { mode: 'cuda' as GpuJsMode })).rejects.toThrow(
    /gpujs: there is no mode 'cuda'; choose cpu, webasm, webgpu, webgl, gpu/,
  );
  await expect(openDevice('gpujs', { mode: 'webgl' })).rejects.toThrow(/gpujs: mode 'webgl' does not work here/);
  await expect(openDevice('gpujs', { mode: 'webgpu' })).rejects.toThrow(/software adapter .* allowSoftware: true/);
});

it('throws on use after it was closed, and on too large a buffer', async () => {
  const backend = await createGpuJsBackend({ mode: 'cpu' });
  expect(() => backend.alloc(2 ** 40)).toThrow(/gpujs: 1099511627776 bytes were asked for/);
  await backend.close();
  await backend.close();
  expect(() => backend.alloc(4)).toThrow(/gpujs backend is closed/);
});
