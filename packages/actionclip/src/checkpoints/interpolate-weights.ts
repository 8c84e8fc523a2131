/**
 * Weights between those before and after fine-tuning: they keep more of what CLIP knows of classes that were not
 * trained on (the patching of Open-VCLIP, Weng et al. 2023). Runs in browsers.
 */
import { type HostTensor, toFloat32 } from '@actionclip/tensor';
import { CheckpointError } from './errors.ts';
import { isTemporal } from './names.ts';
import type { ReadableTensor, ReadableTensors } from './write.ts';

/** The parameters of a checkpoint by this package's names. */
export interface Weights {
  /** Named in errors, usually the path. */
  readonly source: string;
  readonly tensors: ReadableTensors;
}

/**
 * `alpha` parts of CLIP's parameters before and `1 - alpha` parts of those after fine-tuning, in `f32`; the temporal
 * prompts are those after fine-tuning. Values are read and mixed one tensor at a time, when they are asked for.
 * @param alpha From 0 to 1.
 * @throws CheckpointError where the towers have other parameters or shapes.
 */
export function interpolateWeights(pretrained: Weights, finetuned: Weights, alpha: number): ReadableTensors {
  if (!(alpha >= 0 && alpha <= 1)) {
    throw new CheckpointError(
      `weights cannot be mixed with alpha ${alpha}`,
      'choose the share of the pre-trained weights, from 0 to 1',
    );
  }
  refuseOtherTowers(pretrained, finetuned);
  const mixed = new Map<string, ReadableTensor>();
  for (const [name, after] of finetuned.tensors) {
    const before = isTemporal(name) ? undefined : pretrained.tensors.get(name);
    mixed.set(name, before === undefined ? after : between(before, after, alpha));
  }
  return mixed;
}

function between(before: ReadableTensor, after: ReadableTensor, alpha: number): ReadableTensor {
  const { shape } = after;
  return { dtype: 'f32', shape, read: async () => mix(await before.read(), await after.read(), alpha) };
}

function mix(before: HostTensor, after: HostTensor, alpha: number): HostTensor {
  const from = toFloat32(before).data;
  const data = Float32Array.from(toFloat32(after).data);
  // An infinity or what is no number would spoil the product even where its share is nothing.
  if (alpha > 0) for (let i = 0; i < data.length; i++) data[i] = share(from[i], alpha) + share(data[i], 1 - alpha);
  return { dtype: 'f32', shape: after.shape, data };
}

const share = (value: number | undefined, part: number): number => (part === 0 ? 0 : part * (value ?? 0));

function refuseOtherTowers(pretrained: Weights, finetuned: Weights): void {
  const names = new Set([...pretrained.tensors.keys(), ...finetuned.tensors.keys()]);
  for (const name of names) {
    if (isTemporal(name)) continue;
    const before = shapeOf(pretrained.tensors.get(name));
    const after = shapeOf(finetuned.tensors.get(name));
    if (before === after) continue;
    throw new CheckpointError(
      `${pretrained.source} and ${finetuned.source} have different towers: ${name} is ${before} and ${after}`,
      'mix a model only with the one that it was fine-tuned from',
    );
  }
}

const shapeOf = (tensor: ReadableTensor | undefined): string => (tensor ? `[${tensor.shape.join(', ')}]` : 'absent');
