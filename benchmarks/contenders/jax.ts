/** jax-js on its WebAssembly or WebGPU backend, jitted; it starts no threads in Node. An array is given up by its use: `ref` keeps it. */
import { type Abilities, type Engine, forwardOnly, type Prepared, unmeasured } from '../harness/contender.ts';
import { uniform } from '../harness/data.ts';
import { towerParameters } from '../harness/tower.ts';
import {
  type AttentionWork,
  type MatmulWork,
  type RowWork,
  type TowerWork,
  tokensOf,
  towerOf,
} from '../harness/work.ts';

interface JaxArray {
  readonly ref: JaxArray;
  add(other: JaxArray): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  transpose(order: readonly number[]): JaxArray;
  slice(...index: readonly (number | readonly [] | readonly [number, number])[]): JaxArray;
  data(): Promise<ArrayLike<number>>;
  blockUntilReady(): Promise<JaxArray>;
  dispose(): void;
}

type Parameters = Readonly<Record<string, JaxArray>>;
type Jitted<A extends readonly unknown[]> = (...args: A) => JaxArray;

/** What is used of `@jax-js/jax`. */
interface Jax {
  init(device: string): Promise<readonly string[]>;
  defaultDevice(device: string): void;
  jit<A extends readonly unknown[]>(step: (...args: A) => JaxArray): Jitted<A>;
  readonly numpy: {
    array(values: Float32Array): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    matrixTranspose(x: JaxArray): JaxArray;
    concatenate(parts: readonly JaxArray[], axis: number): JaxArray;
  };
  readonly nn: {
    softmax(x: JaxArray, axis: number): JaxArray;
    standardize(x: JaxArray, axis: number, options: { readonly epsilon: number }): JaxArray;
    sigmoid(x: JaxArray): JaxArray;
  };
  readonly tree: { ref(tree: Parameters): Parameters };
}

/** Loads the package; fails where it is not installed. */
export async function open(device: 'wasm' | 'webgpu'): Promise<Engine> {
  const name: string = '@jax-js/jax';
  const jax = (await import(name)) as Jax;
  if (!(await jax.init(device)).includes(device)) throw new Error(`jax-js found no ${device}`);
  jax.defaultDevice(device);
  const absent = 'the model is not written for it';
  const reason = 'only its forward kernels are measured';
  const abilities: Abilities = {
    matmul: (work) => prepareMatmul(jax, work),
    layerNorm: forwardOnly((work) => prepareRows(jax, work), reason),
    softmax: forwardOnly((work) => prepareRows(jax, work), reason),
    attention: forwardOnly((work) => prepareAttention(jax, work), reason),
    imageTower: (work) => prepareTower(jax, work),
    adamw: 'it has no AdamW of its own',
    trainingStep: absent,
    video: absent,
    copy: unmeasured,
    multiplyAdd: unmeasured,
  };
  return { description: `jax-js, ${device}`, abilities };
}

const values = (jax: Jax, name: string, ...shape: number[]): JaxArray =>
  jax.numpy
    .array(
      uniform(
        name,
        shape.reduce((a, b) => a * b, 1),
      ),
    )
    .reshape(shape);

const prepared = (work: () => JaxArray): Prepared => ({
  run: async () => (await work().blockUntilReady()).dispose(),
  result: () => work().data(),
});

async function prepareMatmul(jax: Jax, work: MatmulWork): Promise<Prepared> {
  const { batch, m, k, n, transposeLeft, transposeRight } = work;
  const { matmul, matrixTranspose } = jax.numpy;
  const stored = (name: string, rows: number, columns: number, turned = false): JaxArray => {
    const matrix = turned ? [columns, rows] : [rows, columns];
    return values(jax, name, ...(batch === 1 ? matrix : [batch, ...matrix]));
  };
  const [left, right] = [stored('left', m, k, transposeLeft), stored('right', k, n, transposeRight)];
  const multiply = jax.jit((a: JaxArray, b: JaxArray) =>
    matmul(transposeLeft ? matrixTranspose(a) : a, transposeRight ? matrixTranspose(b) : b),
  );
  return prepared(() => multiply(left.ref, right.ref));
}

const norm = (jax: Jax, x: JaxArray, weight: JaxArray, bias: JaxArray): JaxArray =>
  jax.nn.standardize(x, -1, { epsilon: 1e-5 }).mul(weight).add(bias);

async function prepareRows(jax: Jax, { kind, rows, width }: RowWork): Promise<Prepared> {
  const x = values(jax, 'x', rows, width);
  const [weight, bias] = [values(jax, 'weight', width), values(jax, 'bias', width)];
  const softmax = jax.jit((input: JaxArray) => jax.nn.softmax(input, -1));
  const layerNorm = jax.jit((input: JaxArray, w: JaxArray, b: JaxArray) => norm(jax, input, w, b));
  return prepared(() => (kind === 'softmax' ? softmax(x.ref) : layerNorm(x.ref, weight.ref, bias.ref)));
}

/** softmax(q kᵀ / √width) v of [heads, length, width]. Its own attention is built on einsum, which needs Node 22. */
function attend({ numpy, nn }: Jax, q: JaxArray, k: JaxArray, v: JaxArray, width: number): JaxArray {
  const scores = numpy.matmul(q.mul(width ** -0.5), numpy.matrixTranspose(k));
  return numpy.matmul(nn.softmax(scores, -1), v);
}

async function prepareAttention(jax: Jax, { heads, length, width }: AttentionWork): Promise<Prepared> {
  const [q, k, v] = ['q', 'k', 'v'].map((name) => values(jax, name, heads, length, width)) as [
    JaxArray,
    JaxArray,
    JaxArray,
  ];
  const attention = jax.jit((a: JaxArray, b: JaxArray, c: JaxArray) => attend(jax, a, b, c, width));
  return prepared(() => attention(q.ref, k.ref, v.ref));
}

async function prepareTower(jax: Jax, { model, images = 1 }: TowerWork): Promise<Prepared | string> {
  if (images > 1) return 'the model is written for one image';
  const sizes = towerOf(model);
  const { resolution, patch, width, layers, heads } = sizes;
  const [length, across, headWidth] = [tokensOf(sizes), resolution / patch, width / heads];
  const { matmul, matrixTranspose, concatenate } = jax.numpy;
  const parameters: Parameters = Object.fromEntries(
    towerParameters(sizes).map(({ name, shape, elements }) => [name, jax.numpy.array(elements()).reshape(shape)]),
  );
  const forward = jax.jit((image: JaxArray, p: Parameters) => {
    const get = (name: string): JaxArray => p[name] as JaxArray;
    const linear = (x: JaxArray, weight: string, bias: string): JaxArray =>
      matmul(x, matrixTranspose(get(weight))).add(get(bias));
    const normed = (x: JaxArray, name: string): JaxArray => norm(jax, x, get(`${name}.weight`), get(`${name}.bias`));
    const block = (x: JaxArray, name: string): JaxArray => {
      const packed = linear(normed(x.ref, `${name}.ln_1`), `${name}.attn.in_proj_weight`, `${name}.attn.in_proj_bias`);
      const parts = packed.reshape([length, 3, heads, headWidth]);
      const [q, k, v] = [parts.ref, parts.ref, parts].map((part, i) => part.slice([], i).transpose([1, 0, 2])) as [
        JaxArray,
        JaxArray,
        JaxArray,
      ]; // [heads, length, headWidth] each
      const mixed = attend(jax, q, k, v, headWidth).transpose([1, 0, 2]).reshape([length, width]);
      const attended = x.add(linear(mixed, `${name}.attn.out_proj.weight`, `${name}.attn.out_proj.bias`));
      const up = linear(normed(attended.ref, `${name}.ln_2`), `${name}.mlp.c_fc.weight`, `${name}.mlp.c_fc.bias`);
      const active = up.ref.mul(jax.nn.sigmoid(up.mul(1.702)));
      return attended.add(linear(active, `${name}.mlp.c_proj.weight`, `${name}.mlp.c_proj.bias`));
    };
    const pixels = 3 * patch ** 2;
    const grid = image.reshape([3, across, patch, across, patch]).transpose([1, 3, 0, 2, 4]);
    const kernel = matrixTranspose(get('conv1.weight').reshape([width, pixels]));
    const patches = matmul(grid.reshape([length - 1, pixels]), kernel);
    const tokens = concatenate([get('class_embedding').reshape([1, width]), patches], 0);
    let x = normed(tokens.add(get('positional_embedding')), 'ln_pre');
    for (let i = 0; i < layers; i++) x = block(x, `transformer.resblocks.${i}`);
    return matmul(normed(x.slice([0, 1]), 'ln_post'), get('proj'));
  });
  const image = values(jax, 'image', 1, 3, resolution, resolution);
  return prepared(() => forward(image.ref, jax.tree.ref(parameters)));
}
