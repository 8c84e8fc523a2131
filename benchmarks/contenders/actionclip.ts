/** This project's engine, through its public interface, as a user would: captured functions on persistent tensors. */
import {
  AdamW,
  autocast,
  compile,
  type Device,
  gradients,
  layerNorm,
  openDevice,
  parameterOf,
  type Shape,
  type StateDict,
  scaledDotProductAttention,
  setDefaultDevice,
  type Tensor,
  tensor,
} from '@actionclip/tensor';
import { VisionTransformer } from '@actionclip/transformer';
import type { WebGPUBackend } from '../../packages/tensor/src/backends/webgpu/backend.ts';
import type { Abilities, Engine, Prepared, Setting } from '../harness/contender.ts';
import { uniform } from '../harness/data.ts';
import { towerParameters } from '../harness/tower.ts';
import {
  type AdamWork,
  type AttentionWork,
  type MatmulWork,
  type RowWork,
  type StepWork,
  type TowerWork,
  towerOf,
} from '../harness/work.ts';
import { type Precision, prepareStep, prepareVideo } from './action-clip-model.ts';
import { findSoftware } from './navigator.ts';
import { roof } from './roof.ts';

/** Opens the engine on so many threads of the processor and makes it the default. */
export async function openOnProcessor(threads: number): Promise<Engine> {
  const device = await openDevice('wasm', { threads });
  setDefaultDevice(device);
  const none = 'it measures the WebGPU device itself';
  return { description: await describe(device), abilities: { ...prepares('f32'), copy: none, multiplyAdd: none } };
}

/** Opens the engine on WebGPU and makes it the default. `mixed`: factors of matrix products are rounded to 16 bits. */
export async function openOnGPU(setting: Setting, precision: Precision): Promise<Engine> {
  await findSoftware(setting);
  const device = await openDevice('webgpu', {
    allowSoftware: setting.software,
    autotune: 'measure',
    dawn: { coarseTimestamps: false },
  });
  setDefaultDevice(device);
  const backend = (await device.backend()) as WebGPUBackend;
  const { device: gpu } = backend;
  const finish = async (): Promise<void> => {
    await gpu.queue.onSubmittedWorkDone();
  };
  const timed = (prepared: Prepared): Prepared => ({ ...prepared, finish });
  // The device's clock counts what runs through the engine; the roof's runs do not.
  const counted = (prepared: Prepared): Prepared => ({
    ...timed(prepared),
    ...(gpu.features.has('timestamp-query') ? { deviceTime: () => deviceTime(backend, prepared) } : {}),
  });
  const abilities = {
    ...afterwards(prepares(precision), counted),
    ...afterwards(roof(gpu), timed),
  } as Abilities;
  return { description: await describe(device), abilities };
}

/** Opens the engine on gpu.js, which compiles every kernel as it is written: no tiles, no vectors, no shared memory. */
export async function openOnGpuJs(setting: Setting): Promise<Engine> {
  await findSoftware(setting);
  const device = await openDevice('gpujs', { mode: 'webgpu', allowSoftware: setting.software });
  setDefaultDevice(device);
  const none = 'it is the naive baseline of single kernels';
  const { matmul, layerNorm, softmax, attention } = prepares('f32');
  const kernels = { matmul, layerNorm, softmax, attention };
  const rest = { adamw: none, imageTower: none, trainingStep: none, video: none, copy: none, multiplyAdd: none };
  return { description: await describe(device), abilities: { ...kernels, ...rest } };
}

/** Abilities whose prepared work goes through `change`. */
function afterwards(abilities: object, change: (prepared: Prepared) => Prepared): object {
  const changed = ([kind, prepare]: [string, (work: never) => Promise<Prepared>]): [string, unknown] => {
    return [kind, async (work: never) => change(await prepare(work))];
  };
  return Object.fromEntries(Object.entries(abilities).map(changed));
}

/** Milliseconds of the kernels of one run, by the device's clock. */
async function deviceTime(backend: WebGPUBackend, { run }: Prepared): Promise<number> {
  const times = await backend.profile(run);
  return times.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
}

const prepares = (precision: Precision) =>
  ({
    matmul: (work: MatmulWork) => prepareMatmul(work, precision),
    layerNorm: prepareRows,
    softmax: prepareRows,
    attention: prepareAttention,
    adamw: prepareAdam,
    imageTower: (work: TowerWork) => prepareTower(work, precision),
    trainingStep: (work: StepWork) => prepareStep(work, precision),
    video: prepareVideo,
  }) as const;

const describe = async (device: Device): Promise<string> => (await device.backend()).description;

const values = (name: string, ...shape: number[]): Tensor =>
  tensor(
    uniform(
      name,
      shape.reduce((a, b) => a * b, 1),
    ),
    { shape: shape as Shape },
  );

/** A function of tensors as work: captured once, run on the same arguments, its first result compared. */
function captured(
  step: (...args: Tensor[]) => Tensor | Tensor[],
  args: readonly Tensor[],
  precision: Precision = 'f32',
): Prepared {
  const program = compile((...given: Tensor[]) => {
    const result = autocast(() => step(...given), { enabled: precision === 'mixed' });
    return Array.isArray(result) ? result : [result];
  });
  return {
    run: async () => {
      for (const result of await program(...args)) result.dispose();
    },
    result: async () => {
      const [first, ...others] = (await program(...args)) as [Tensor, ...Tensor[]];
      const elements = await first.data();
      for (const result of [first, ...others]) result.dispose();
      return elements;
    },
  };
}

async function prepareMatmul(work: MatmulWork, precision: Precision): Promise<Prepared> {
  const { batch, m, k, n, transposeLeft, transposeRight, weight } = work;
  const stored = (name: string, rows: number, columns: number, transposed = false): Tensor => {
    const matrix = transposed ? [columns, rows] : [rows, columns];
    return batch === 1 ? values(name, ...matrix) : values(name, batch, ...matrix);
  };
  const [left, right] = [stored('left', m, k, transposeLeft), stored('right', k, n, transposeRight)];
  const multiply = (a: Tensor, b: Tensor): Tensor =>
    (transposeLeft ? a.transpose() : a).matmul(transposeRight ? b.transpose() : b);
  return weight
    ? captured((a) => multiply(a as Tensor, right), [left], precision)
    : captured((a, b) => multiply(a as Tensor, b as Tensor), [left, right], precision);
}

async function prepareRows({ kind, rows, width, backward }: RowWork): Promise<Prepared> {
  const x = values('x', rows, width);
  const [weight, bias] = [values('weight', width), values('bias', width)];
  const forward = (input: Tensor): Tensor =>
    kind === 'softmax' ? input.softmax(-1) : layerNorm(input, [width], weight, bias);
  if (!backward) return captured((input) => forward(input as Tensor), [x]);
  const slope = values('slope', rows, width);
  return captured((input, seed) => gradients(forward(input as Tensor), [input as Tensor], seed as Tensor), [x, slope]);
}

async function prepareAttention({ heads, length, width, backward }: AttentionWork): Promise<Prepared> {
  const qkv = ['q', 'k', 'v'].map((name) => values(name, heads, length, width));
  const forward = (...args: Tensor[]): Tensor => {
    const [q, k, v] = args as [Tensor, Tensor, Tensor];
    return scaledDotProductAttention(q, k, v);
  };
  if (!backward) return captured(forward, qkv);
  const slope = values('slope', heads, length, width);
  return captured((...args) => gradients(forward(...args), args.slice(0, 3), args[3] as Tensor), [...qkv, slope]);
}

async function prepareAdam({ model }: AdamWork): Promise<Prepared> {
  const parameters = towerParameters(towerOf(model)).map(({ name, shape, elements }) => {
    const parameter = parameterOf(elements(), shape);
    parameter.grad = values(`gradient of ${name}`, ...shape);
    return parameter;
  });
  const optimizer = new AdamW(parameters, { learningRate: 1e-6 });
  const program = compile(() => {
    optimizer.update();
  });
  const count = parameters.reduce((sum, { size }) => sum + size, 0);
  // Reads parameter, gradient and both averages; writes parameter and averages.
  return { run: () => program(), cost: { bytes: 7 * 4 * count } };
}

async function prepareTower({ model, images = 1 }: TowerWork, precision: Precision): Promise<Prepared> {
  const sizes = towerOf(model);
  const tower = new VisionTransformer(sizes).eval();
  const state: StateDict = new Map(
    towerParameters(sizes).map(({ name, shape, elements }) => [name, { dtype: 'f32', shape, data: elements() }]),
  );
  tower.loadStateDict(state);
  const input = values('image', images, 3, sizes.resolution, sizes.resolution);
  return captured((pixels) => tower.forward(pixels as Tensor), [input], precision);
}
