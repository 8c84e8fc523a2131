/** The numbers that PyTorch computed for tiny ActionCLIP models, and how far a result is from them. */

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type HostTensor, type StateDict, type Tensor, tensor, toFloat32, toInt32 } from '@actionclip/tensor';
import { type ClipSizes, inferSizes } from '@actionclip/transformer';
import { ActionCLIP, matchStateDict, readCheckpointFile, readSafetensorsFile, type TemporalHeadName } from 'actionclip';

const folder = fileURLToPath(new URL('../../../shared/fixtures/model/', import.meta.url));

export const caseNames = ['mean', 'conv1d', 'joint', 'lstm', 'shift', 'transf', 'transf-cls'] as const;
export type CaseName = (typeof caseNames)[number];

/** The part of `case.json` that is read here. */
interface CaseDescription {
  readonly frames: number;
  readonly batch: number;
  readonly temporal: TemporalHeadName;
  readonly tsm: boolean;
  readonly joint: boolean;
  readonly optimizer: {
    readonly betas: [number, number];
    readonly eps: number;
    readonly weight_decay: number;
    /** For each step the rates of the three groups. */
    readonly lr_per_step: readonly (readonly number[])[];
  };
  readonly losses: readonly number[];
}

export interface GoldenCase {
  readonly name: CaseName;
  readonly description: CaseDescription;
  readonly sizes: ClipSizes;
  /** [batch, T, 3, R, R] */
  readonly frames: HostTensor;
  /** [batch, length] */
  readonly tokens: HostTensor;
  /** [batch] */
  readonly labels: HostTensor;
  /** Features, logits, `grad.NAME` and `after5.NAME`, with the names of parameters as this package has them. */
  readonly expected: StateDict;
  /** The weights that everything starts from. */
  readonly weights: StateDict;
}

const entry = (tensors: StateDict, name: string): HostTensor => {
  const found = tensors.get(name);
  if (!found) throw new Error(`the fixture has no ${name}`);
  return found;
};

const readJson = async <T>(path: string): Promise<T> => JSON.parse(await readFile(folder + path, 'utf8')) as T;

export async function readCase(name: CaseName): Promise<GoldenCase> {
  const description = await readJson<CaseDescription>(`${name}/case.json`);
  const { tensors: weights } = await readCheckpointFile(`${folder}${name}/checkpoint.pt`);
  const { tensors } = await readSafetensorsFile(`${folder}${name}/expected.safetensors`);
  // The shifted blocks are wrapped in a module `net` that a shift without parameters does not need here.
  const expected = new Map([...tensors].map(([key, value]) => [key.replace(/(resblocks\.\d+)\.net\./, '$1.'), value]));
  const sizes = inferSizes(new Map([...weights].map(([key, { shape }]) => [key, shape])));
  const frames = entry(expected, 'frames');
  const { batch, frames: count } = description;
  return {
    name,
    description,
    sizes,
    frames: { ...frames, shape: [batch, count, ...frames.shape.slice(1)] },
    tokens: entry(expected, 'tokens'),
    labels: entry(expected, 'labels'),
    expected,
    weights,
  };
}

/** The model of a case with the weights of its checkpoint. */
export function buildModel({ name, description, sizes, weights }: GoldenCase): ActionCLIP {
  const { frames, temporal, tsm, joint } = description;
  const model = new ActionCLIP({ sizes, frames, temporal, joint, shift: tsm, scrambledConvolution: true });
  const shapes = new Map([...model.namedParameters()].map(([key, { shape }]) => [key, shape]));
  model.loadStateDict(matchStateDict(shapes, { source: name, tensors: weights }).tensors);
  return model.eval(); // the numbers were computed with dropout 0, which Transf_cls otherwise has while training
}

export const floats = (host: HostTensor): Tensor => tensor(toFloat32(host).data, { shape: host.shape });
export const integers = (host: HostTensor): Tensor => tensor(toInt32(host).data, { shape: host.shape });

/** The three parameter groups of the released recipe: everything of CLIP but its image tower, that tower, the head. */
export function parameterGroupsOf(model: ActionCLIP): Record<'text' | 'visual' | 'fusion', [string, Tensor][]> {
  const named = [...model.namedParameters()];
  const isVisual = (name: string): boolean => name.startsWith('visual.');
  const isFusion = (name: string): boolean => name.startsWith('fusion.');
  return {
    text: named.filter(([name]) => !isVisual(name) && !isFusion(name)),
    visual: named.filter(([name]) => isVisual(name)),
    fusion: named.filter(([name]) => isFusion(name)),
  };
}

/** Fifty steps of one case over four batches. */
export interface LongRun {
  readonly learningRate: number;
  readonly fusionFactor: number;
  readonly stepsPerEpoch: number;
  readonly epochs: number;
  readonly warmupEpochs: number;
  readonly losses: readonly number[];
  readonly batches: readonly {
    readonly frames: HostTensor;
    readonly tokens: HostTensor;
    readonly labels: HostTensor;
  }[];
}

interface LongDescription {
  readonly lr: number;
  readonly f_ratio: number;
  readonly steps_per_epoch: number;
  readonly epochs: number;
  readonly warmup_epochs: number;
  readonly losses_float64: readonly number[];
}

export async function readLongRun(golden: GoldenCase): Promise<LongRun> {
  const long = await readJson<LongDescription>(`${golden.name}/long.json`);
  const { tensors } = await readSafetensorsFile(`${folder}${golden.name}/long-frames.safetensors`);
  const all = toFloat32(entry(tensors, 'frames'));
  const [count = 0] = all.shape;
  const size = all.data.length / count;
  const { batch } = golden.description;
  const batches = Array.from({ length: count }, (_, i) => ({
    frames: { dtype: 'f32' as const, shape: golden.frames.shape, data: all.data.subarray(i * size, (i + 1) * size) },
    tokens: longTokens(golden, i),
    labels: { dtype: 'i32' as const, shape: [batch], data: Int32Array.from({ length: batch }, (_, row) => row % 3) },
  }));
  return {
    learningRate: long.lr,
    fusionFactor: long.f_ratio,
    stepsPerEpoch: long.steps_per_epoch,
    epochs: long.epochs,
    warmupEpochs: long.warmup_epochs,
    losses: long.losses_float64,
    batches,
  };
}

/** The token ids of batch i of a long run, by the rule in the fixtures' README. */
function longTokens({ tokens, sizes }: GoldenCase, i: number): HostTensor {
  const [rows = 0, length = 0] = tokens.shape;
  const { vocabulary } = sizes.text;
  const data = new Int32Array(rows * length);
  for (let row = 0; row < rows; row++) {
    const ids = [vocabulary - 2, 1 + ((7 * i + 3 * row) % 50), 60 + row, 100 + i, vocabulary - 1];
    data.set(ids, row * length);
  }
  return { dtype: 'i32', shape: tokens.shape, data };
}

/** ‖actual − expected‖ / ‖expected‖, and the plain norm of `actual` where `expected` is zero. */
export function relativeError(actual: ArrayLike<number>, expected: HostTensor): number {
  const { data } = toFloat32(expected);
  if (actual.length !== data.length) throw new Error(`${actual.length} elements where ${data.length} are expected`);
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < data.length; i++) {
    const value = data[i] as number;
    difference += ((actual[i] as number) - value) ** 2;
    norm += value ** 2;
  }
  return Math.sqrt(norm === 0 ? difference : difference / norm);
}

/** The largest difference of an element, as a share of the largest element. */
export function largestError(actual: ArrayLike<number>, expected: HostTensor): number {
  const { data } = toFloat32(expected);
  if (actual.length !== data.length) throw new Error(`${actual.length} elements where ${data.length} are expected`);
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < data.length; i++) {
    const value = data[i] as number;
    difference = Math.max(difference, Math.abs((actual[i] as number) - value));
    largest = Math.max(largest, Math.abs(value));
    if (Number.isNaN(actual[i])) return Number.NaN;
  }
  return difference / largest;
}
