/** TensorFlow.js on its WebAssembly backend (XNNPACK), which has one thread in Node, or on its WebGPU backend. */
import { type Abilities, type Engine, forwardOnly, type Prepared, unmeasured } from '../harness/contender.ts';
import { transposed, uniform } from '../harness/data.ts';
import { towerValues } from '../harness/tower.ts';
import {
  type AttentionWork,
  type MatmulWork,
  type RowWork,
  type TowerWork,
  tokensOf,
  towerOf,
} from '../harness/work.ts';

interface TfTensor {
  readonly shape: readonly number[];
  data(): Promise<ArrayLike<number>>;
  dispose(): void;
}

type Pairwise = (a: TfTensor, b: TfTensor) => TfTensor;
type Unary = (x: TfTensor) => TfTensor;

/** What is used of `@tensorflow/tfjs-core`. */
interface Core {
  setBackend(name: string): Promise<boolean>;
  getBackend(): string;
  env(): { set(flag: string, value: boolean): void };
  tensor(values: Float32Array, shape: readonly number[]): TfTensor;
  scalar(value: number): TfTensor;
  tidy(work: () => TfTensor): TfTensor;
  /** Lets a tensor outlive the `tidy` in which it is made. */
  keep(x: TfTensor): TfTensor;
  matMul(a: TfTensor, b: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  readonly fused: { matMul(options: { a: TfTensor; b: TfTensor; bias: TfTensor }): TfTensor };
  softmax(x: TfTensor, axis?: number): TfTensor;
  moments(x: TfTensor, axis: number, keepDims: boolean): { mean: TfTensor; variance: TfTensor };
  slice(x: TfTensor, begin: readonly number[], size: readonly number[]): TfTensor;
  concat(parts: readonly TfTensor[], axis: number): TfTensor;
  reshape(x: TfTensor, shape: readonly number[]): TfTensor;
  transpose(x: TfTensor, order: readonly number[]): TfTensor;
  readonly add: Pairwise;
  readonly sub: Pairwise;
  readonly mul: Pairwise;
  readonly rsqrt: Unary;
  readonly sigmoid: Unary;
}

/** Loads the packages; fails where they are not installed. */
export async function open(backend: 'wasm' | 'webgpu'): Promise<Engine> {
  const [coreName, backendName] = ['@tensorflow/tfjs-core', `@tensorflow/tfjs-backend-${backend}`] as const;
  const tf = (await import(coreName as string)) as Core;
  await import(backendName as string);
  if (!(await tf.setBackend(backend))) throw new Error(`tfjs-backend-${backend} does not start here`);
  // Small tensors would be computed on the processor, the one that `finish` waits for among them.
  if (backend === 'webgpu') tf.env().set('WEBGPU_CPU_FORWARD', false);
  const absent = 'the model is not written for it';
  const reason = 'only its forward kernels are measured';
  const abilities: Abilities = {
    matmul: (work) => prepareMatmul(tf, work),
    layerNorm: forwardOnly((work) => prepareRows(tf, work), reason),
    softmax: forwardOnly((work) => prepareRows(tf, work), reason),
    attention: forwardOnly((work) => prepareAttention(tf, work), reason),
    imageTower: (work) => prepareTower(tf, work),
    adamw: 'it has no AdamW',
    trainingStep: absent,
    video: absent,
    copy: unmeasured,
    multiplyAdd: unmeasured,
  };
  return { description: `tfjs-backend-${backend}`, abilities };
}

const values = (tf: Core, name: string, ...shape: number[]): TfTensor =>
  tf.tensor(
    uniform(
      name,
      shape.reduce((a, b) => a * b, 1),
    ),
    shape,
  );

/** WebGPU gathers commands and runs them later: reading a sum that comes last waits for all of them. */
const prepared = (tf: Core, work: () => TfTensor): Prepared => ({
  run: async () => tf.tidy(work).dispose(),
  result: () => tf.tidy(work).data(),
  ...(tf.getBackend() === 'webgpu'
    ? {
        finish: async () => {
          const last = tf.tidy(() => tf.add(tf.scalar(1), tf.scalar(1)));
          await last.data();
          last.dispose();
        },
      }
    : {}),
});

async function prepareMatmul(tf: Core, work: MatmulWork): Promise<Prepared> {
  const { batch, m, k, n, transposeLeft = false, transposeRight = false } = work;
  const stored = (name: string, rows: number, columns: number, turned: boolean): TfTensor => {
    const matrix = turned ? [columns, rows] : [rows, columns];
    return values(tf, name, ...(batch === 1 ? matrix : [batch, ...matrix]));
  };
  const [left, right] = [stored('left', m, k, transposeLeft), stored('right', k, n, transposeRight)];
  // Its transposed product is a plain loop: a user would keep the weight transposed, which changes no result.
  if (work.weight) {
    const weight = tf.transpose(right, [1, 0]);
    return prepared(tf, () => tf.matMul(left, weight));
  }
  return prepared(tf, () => tf.matMul(left, right, transposeLeft, transposeRight));
}

function norm(tf: Core, x: TfTensor, weight: TfTensor, bias: TfTensor): TfTensor {
  const { mean, variance } = tf.moments(x, x.shape.length - 1, true);
  const scale = tf.rsqrt(tf.add(variance, tf.scalar(1e-5)));
  return tf.add(tf.mul(tf.mul(tf.sub(x, mean), scale), weight), bias);
}

async function prepareRows(tf: Core, { kind, rows, width }: RowWork): Promise<Prepared> {
  const x = values(tf, 'x', rows, width);
  const [weight, bias] = [values(tf, 'weight', width), values(tf, 'bias', width)];
  return prepared(tf, () => (kind === 'softmax' ? tf.softmax(x, -1) : norm(tf, x, weight, bias)));
}

function attend(tf: Core, q: TfTensor, k: TfTensor, v: TfTensor): TfTensor {
  const width = q.shape.at(-1) as number;
  const scores = tf.matMul(tf.mul(q, tf.scalar(width ** -0.5)), k, false, true);
  return tf.matMul(tf.softmax(scores, -1), v);
}

async function prepareAttention(tf: Core, { heads, length, width }: AttentionWork): Promise<Prepared> {
  const [q, k, v] = ['q', 'k', 'v'].map((name) => values(tf, name, heads, length, width)) as [
    TfTensor,
    TfTensor,
    TfTensor,
  ];
  return prepared(tf, () => attend(tf, q, k, v));
}

async function prepareTower(tf: Core, { model, images = 1 }: TowerWork): Promise<Prepared | string> {
  if (images > 1) return 'the model is written for one image';
  const sizes = towerOf(model);
  const { resolution, patch, width, layers, heads, embedding } = sizes;
  const [length, across, headWidth] = [tokensOf(sizes), resolution / patch, width / heads];
  const drawn = towerValues(sizes);
  const parameters = new Map<string, TfTensor>();
  const parameter = (name: string, ...shape: number[]): TfTensor => {
    const known = parameters.get(name) ?? tf.keep(tf.tensor(drawn.get(name) as Float32Array, shape));
    parameters.set(name, known);
    return known;
  };
  /** A weight [out, in], kept as [in, out]. */
  const turned = (name: string, from: number, to: number): TfTensor => {
    const known =
      parameters.get(name) ?? tf.keep(tf.tensor(transposed(drawn.get(name) as Float32Array, to, from), [from, to]));
    parameters.set(name, known);
    return known;
  };
  const linear = (x: TfTensor, weight: string, bias: string, from: number, to: number): TfTensor =>
    tf.fused.matMul({ a: x, b: turned(weight, from, to), bias: parameter(bias, to) });
  const normed = (x: TfTensor, name: string): TfTensor =>
    norm(tf, x, parameter(`${name}.weight`, width), parameter(`${name}.bias`, width));
  const block = (x: TfTensor, name: string): TfTensor => {
    const attention = `${name}.attn.`;
    const packed = linear(
      normed(x, `${name}.ln_1`),
      `${attention}in_proj_weight`,
      `${attention}in_proj_bias`,
      width,
      3 * width,
    );
    const [q, k, v] = [0, 1, 2].map((part) => {
      const columns = tf.slice(packed, [0, part * width], [length, width]);
      return tf.transpose(tf.reshape(columns, [length, heads, headWidth]), [1, 0, 2]);
    }) as [TfTensor, TfTensor, TfTensor];
    const mixed = tf.reshape(tf.transpose(attend(tf, q, k, v), [1, 0, 2]), [length, width]);
    const attended = tf.add(x, linear(mixed, `${attention}out_proj.weight`, `${attention}out_proj.bias`, width, width));
    const up = linear(
      normed(attended, `${name}.ln_2`),
      `${name}.mlp.c_fc.weight`,
      `${name}.mlp.c_fc.bias`,
      width,
      4 * width,
    );
    const active = tf.mul(up, tf.sigmoid(tf.mul(up, tf.scalar(1.702))));
    return tf.add(attended, linear(active, `${name}.mlp.c_proj.weight`, `${name}.mlp.c_proj.bias`, 4 * width, width));
  };
  const image = values(tf, 'image', 1, 3, resolution, resolution);
  return prepared(tf, () => {
    const grid = tf.transpose(tf.reshape(image, [3, across, patch, across, patch]), [1, 3, 0, 2, 4]);
    const pixels = 3 * patch ** 2;
    const patches = tf.matMul(tf.reshape(grid, [length - 1, pixels]), turned('conv1.weight', pixels, width));
    const tokens = tf.concat([parameter('class_embedding', 1, width), patches], 0);
    let x = normed(tf.add(tokens, parameter('positional_embedding', length, width)), 'ln_pre');
    for (let i = 0; i < layers; i++) x = block(x, `transformer.resblocks.${i}`);
    const first = normed(tf.slice(x, [0, 0], [1, width]), 'ln_post');
    return tf.matMul(first, parameter('proj', width, embedding));
  });
}
