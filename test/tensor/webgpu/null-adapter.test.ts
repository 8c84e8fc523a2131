// Every generated shader, also of variants that the software adapter cannot run, is valid WGSL and makes a pipeline:
// checked on Dawn's null backend, which has every feature and computes nothing.

import * as engine from '@actionclip/tensor';
import { AdamW, type Device, gradients, realize, setDefaultDevice, Tensor, tensor } from '@actionclip/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { create } from 'webgpu';
import { createWebGPUBackend, type WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import { loadVariants } from '../../../packages/tensor/src/backends/webgpu/gemm/choose.ts';
import { schedulesOf, shadersOf } from '../../../packages/tensor/src/backends/webgpu/kernels.ts';
import {
  baseTarget,
  type MatrixShape,
  probeMatrixSyntax,
  type Target,
} from '../../../packages/tensor/src/backends/webgpu/target.ts';
import type { Shader } from '../../../packages/tensor/src/backends/webgpu/wgsl.ts';
import type { Kernel, Program } from '../../../packages/tensor/src/compile/kernel.ts';
import { type DType, dtypes } from '../../../packages/tensor/src/dtype.ts';
import {
  apply,
  type ElementwiseName,
  type ElementwiseRow,
  elementwise,
} from '../../../packages/tensor/src/ops/elementwise.ts';
import { cases } from '../differentiable.ts';
import { contraction, examples, retyped } from './examples.ts';
import { recordingDevice } from './programs.ts';
import { layoutOf } from './run-shaders.ts';

const features = ['shader-f16', 'subgroups', 'subgroup-size-control', 'chromium-experimental-subgroup-matrix'];

const keptKey = Symbol.for('@actionclip/tensor.null-adapter');

/** An adapter of the null backend. The instance lives as long as the process: collecting it would abort. */
async function nullAdapter(): Promise<GPUAdapter> {
  const kept = globalThis as { [keptKey]?: GPU };
  kept[keptKey] ??= create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
  const adapter = await kept[keptKey].requestAdapter();
  if (!adapter) throw new Error('Dawn has no null backend');
  return adapter;
}

async function nullDevice(wanted: readonly string[]): Promise<GPUDevice> {
  return (await nullAdapter()).requestDevice({ requiredFeatures: wanted as GPUFeatureName[] });
}

const shape = (M: number, N: number, K: number): MatrixShape => {
  return { componentType: 'f16', resultComponentType: 'f32', M, N, K };
};
const withHalves: Target = { ...baseTarget, f16: true };
const withSubgroups: Target = { ...withHalves, subgroups: { smallest: 4, largest: 128, settable: true } };
const large = { workgroupBytes: 49_152, workgroupThreads: 1024 };
const withMatrices: Target = { ...withSubgroups, ...large, matrices: [shape(16, 16, 16)], matrixSyntax: 'elements' };

interface Checked {
  readonly name: string;
  readonly target: Target;
  readonly features: readonly string[];
}

await loadVariants(withMatrices);

const targets: readonly Checked[] = [
  { name: 'nothing but the defaults', target: baseTarget, features: [] },
  { name: 'large limits', target: { ...baseTarget, ...large, buffers: 16 }, features: [] },
  { name: '16-bit floats', target: withHalves, features: ['shader-f16'] },
  { name: 'subgroups', target: withSubgroups, features },
  { name: 'subgroup matrices', target: withMatrices, features },
  { name: 'subgroup matrices of other shapes', target: { ...withMatrices, matrices: [shape(16, 8, 8)] }, features },
  { name: 'subgroup matrices in the older syntax', target: { ...withMatrices, matrixSyntax: 'components' }, features },
  { name: 'three products of halves', target: { ...withMatrices, products: 'split-half' }, features },
];

// ---- Kernels -------------------------------------------------------------------------------------------------------

const everyDtype = Object.keys(dtypes) as DType[];
const dtypesFor: Readonly<Record<ElementwiseRow['domain'], readonly DType[]>> = {
  number: ['f32', 'f16', 'i32', 'u32', 'u8'],
  float: ['f32', 'f16'],
  integer: ['i32', 'u32', 'u8'],
  bool: ['bool'],
  any: everyDtype,
};

const filled = (shape: readonly number[], dtype: DType = 'f32'): Tensor =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1), { shape, dtype });

/** One graph for every row of the elementwise table and dtype, with its gradients, and for every conversion. */
function* elementwiseGraphs(): Iterable<Tensor[]> {
  for (const [name, row] of Object.entries(elementwise) as [ElementwiseName, ElementwiseRow][]) {
    for (const dtype of dtypesFor[row.domain]) {
      const operands = [[3, 5], [5], [3, 1]].slice(0, row.arity).map((shape) => filled(shape, dtype));
      const result = new Tensor(apply(name, ...operands.map(({ node }) => node)));
      yield [result];
      if (dtypes[result.dtype].floating) yield gradients(result, operands, filled([...result.shape], result.dtype));
    }
  }
  for (const from of everyDtype) yield everyDtype.map((to) => filled([7], from).to(to));
}

/** Every other operation with its gradients, in f32, in f16 and with products of halves. */
function* operationGraphs(): Iterable<Tensor[]> {
  const graph = ({ shapes, f }: (typeof cases)[string], dtype: DType): Tensor[] => {
    const operands = shapes.map((shape) => filled(shape, dtype));
    const result = f(...operands);
    const seed = filled([...result.shape], result.dtype);
    return [result, ...gradients(result, operands, seed)];
  };
  for (const one of Object.values(cases)) {
    yield graph(one, 'f32');
    yield graph(one, 'f16');
    yield engine.autocast(() => graph(one, 'f32'));
  }
}

/** Operations without gradients, and larger sizes of those whose kernels depend on them. */
function* furtherGraphs(): Iterable<Tensor[]> {
  for (const shape of [
    [32, 24],
    [2, 600, 32],
  ]) {
    const [input, weight, bias] = [filled(shape), filled([20, shape[shape.length - 1] as number]), filled([20])];
    const result = engine.linear(input, weight, bias);
    yield gradients(result, [input, weight, bias], filled([...result.shape]));
  }
  const x = filled([3, 4]);
  yield [x.argmax(1), x.argmin(), x.sort(1, true).indices, x.argsort(0), x.topk(2, 1).indices];
  for (const dtype of everyDtype) {
    const y = filled([5, 300], dtype);
    yield [y.max(1), y.min(0), y.any(), y.all(0)];
    yield [y.sum(1), y.prod(0)];
  }
  yield [engine.oneHot(filled([3], 'i32'), 4), engine.eye(3), engine.arange(0, 7), engine.linspace(0, 1, 5)];
  yield [engine.rand([9]), engine.randn([9]), engine.randint(0, 5, [9]), engine.dropout(filled([9]), 0.5)];
  for (const width of [5, 64, 197, 768, 2500]) {
    const rows = filled([6, width]);
    const normal = engine.layerNorm(rows, [width], filled([width]), filled([width]));
    yield [normal, ...gradients(normal, [rows], filled([6, width]))];
    const soft = rows.softmax(1);
    yield [soft, rows.logSoftmax(1), ...gradients(soft, [rows], filled([6, width]))];
  }
  for (const [tokens, width] of [
    [5, 8],
    [50, 64],
    [197, 64],
  ] as const) {
    const packed = filled([2, tokens, 3, 2, width]);
    const attended = engine.packedAttention(packed, { causal: tokens === 50 });
    yield [attended, ...gradients(attended, [packed], filled([...attended.shape]))];
  }
}

/** A step of an optimizer with clipping, which computes by itself. */
async function optimizerStep(): Promise<void> {
  const parameters = [[3, 4], [5]].map((shape) => engine.zeros(shape, { requiresGrad: true }));
  const optimizer = new AdamW(parameters);
  for (const parameter of parameters) parameter.square().sum().backward();
  await optimizer.step({ maxNorm: 1 });
}

/** Products in every layout and of sizes that choose every tile, of factors that are halves and of those that are not. */
const products = ([32, 72, 256] as const).flatMap((size) =>
  [false, true].flatMap((transposeA) =>
    [false, true].flatMap((transposeB) =>
      (['f32', 'f16'] as const).flatMap((dtype) => {
        const parts = { m: size, n: size, k: size === 72 ? 40 : size, transposeA, transposeB, dtype };
        return [
          contraction({ ...parts, half: true }),
          contraction({ ...parts, half: true, added: transposeA ? 'row' : 'residual' }),
          contraction({ ...parts, batch: [2], m: size + 1, epilogue: true, prologue: true }),
          contraction({ ...parts, k: 30, n: size - 2, half: true, epilogue: true, to: 'f16' }),
        ];
      }),
    ),
  ),
);

// ---- Validation ----------------------------------------------------------------------------------------------------

/** What is wrong with `shader` on `device`, if anything. Waits for nothing before it returns. */
async function complaint(
  device: GPUDevice,
  shader: Pick<Shader, 'code' | 'bindings'>,
  target: Target,
): Promise<string | undefined> {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code: shader.code });
  const layout = device.createPipelineLayout({ bindGroupLayouts: [layoutOf(device, shader.bindings)] });
  device.createComputePipeline({ layout, compute: { module, entryPoint: 'main' } });
  const message = (await device.popErrorScope())?.message;
  // The null backend's own limits are the defaults; those of the target are what counts.
  const over = (pattern: RegExp, limit: number): boolean =>
    Number(message?.match(pattern)?.[1] ?? Number.POSITIVE_INFINITY) <= limit;
  if (over(/workgroup storage \((\d+) bytes\)/, target.workgroupBytes)) return undefined;
  if (over(/workgroup invocations \((\d+)\)/, target.workgroupThreads)) return undefined;
  return message;
}

/** Texts that were tried on a device, by its features. */
const tried = new Map<string, Set<string>>();

let backend: WebGPUBackend;
let recording: Device;
const kernels: Kernel[] = [];

beforeAll(async () => {
  backend = await createWebGPUBackend({ adapter: await nullAdapter(), allowSoftware: true });
  const programs: Program[] = [];
  recording = recordingDevice(backend, programs);
  setDefaultDevice(recording);
  for (const graphs of [elementwiseGraphs, operationGraphs, furtherGraphs]) {
    for (const outputs of graphs()) await realize(outputs);
  }
  await optimizerStep();
  kernels.push(...programs.flatMap((program) => program.kernels));
  kernels.push(...[...examples, retyped, ...products].flatMap((example) => example.kernels));
}, 180_000);
afterAll(() => recording.close());

it('the kernels of all operations are there', () => {
  expect(kernels.length).toBeGreaterThan(500);
  const kinds = new Set<string>(
    kernels.flatMap((kernel) => {
      if (kernel.kind === 'rows' && kernel.columns.length > 0) return ['rows', 'columns'];
      const sums = kernel.kind === 'loop' && kernel.outputs.some(({ factorSum }) => factorSum !== undefined);
      return sums ? ['loop', 'factorSums'] : [kernel.kind];
    }),
  );
  for (const template of backend.limits.templates) expect(kinds).toContain(template);
});

describe.each(targets)('with $name', ({ target, features: wanted }) => {
  it('every shader makes a pipeline', async () => {
    const device = await nullDevice(wanted);
    const before = tried.get(wanted.join()) ?? new Set<string>();
    const seen = new Set<string>();
    tried.set(wanted.join(), before);
    const results: Promise<string | undefined>[] = [];
    for (const kernel of kernels) {
      for (const schedule of [undefined, ...schedulesOf(kernel, target)]) {
        for (const shader of shadersOf(kernel, target, schedule).shaders) {
          if (seen.has(shader.code)) continue;
          seen.add(shader.code);
          if (before.has(shader.code)) continue;
          before.add(shader.code);
          const describe = (message: string | undefined): string | undefined =>
            message && `${shader.name} by ${JSON.stringify(schedule)}: ${message}`;
          results.push(complaint(device, shader, target).then(describe));
        }
      }
    }
    const complaints = (await Promise.all(results)).filter((message) => message !== undefined);
    expect(complaints.slice(0, 3)).toEqual([]);
    expect(seen.size).toBeGreaterThan(300);
    device.destroy();
  }, 180_000);
});

describe('a wrong shader', () => {
  const main = (body: string): string => `@compute @workgroup_size(128) fn main() { ${body} }`;
  const multiply = (left: string): string => `enable f16; enable chromium_experimental_subgroup_matrix;
var<workgroup> halves: array<f16, 256>;
${main(`let left = subgroupMatrixLoad<${left}, row_major>(&halves, 0, 16);
  let right = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&halves, 0, 16);
  var sum: subgroup_matrix_result<f32, 16, 16>;
  sum = subgroupMatrixMultiplyAccumulate(left, right, sum);`)}`;

  it.each([
    ['with a type that does not fit', main('let x: f32 = 1u;')],
    ['with a barrier that not all threads reach', `var<private> x: i32; ${main('if (x > 0) { workgroupBarrier(); }')}`],
    ['with fragments that do not fit', multiply('subgroup_matrix_left<f16, 8, 16>')],
    ['with too much workgroup memory', `var<workgroup> x: array<u32, 20000>; ${main('x[0] = 1u;')}`],
  ])('%s is refused', async (_, code) => {
    const device = await nullDevice(features);
    expect(await complaint(device, { code, bindings: [] }, withMatrices)).toBeDefined();
    const right = multiply('subgroup_matrix_left<f16, 16, 16>');
    expect(await complaint(device, { code: right, bindings: [] }, withMatrices)).toBeUndefined();
    device.destroy();
  });

  it('with 16-bit floats is refused by a device without them', async () => {
    const device = await nullDevice([]);
    expect(
      await complaint(device, { code: `enable f16; ${main('let x = 1h;')}`, bindings: [] }, withHalves),
    ).toBeDefined();
    device.destroy();
  });
});

it('the syntax of subgroup matrices is found by trying', async () => {
  const device = await nullDevice(features);
  expect(await probeMatrixSyntax(device, shape(16, 16, 16))).toBe('elements');
  device.destroy();
  const without = await nullDevice([]);
  expect(await probeMatrixSyntax(without, shape(16, 16, 16))).toBeUndefined();
  without.destroy();
});
