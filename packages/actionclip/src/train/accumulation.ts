/**
 * A step whose batch is larger than what the device holds at a time. The contrastive loss compares all clips of a batch
 * with all of its texts, so gradients of losses of its parts would not add up to its own. Gradient caching (Gao et al.,
 * arXiv 2101.06983) is exact: the features of every part are computed without gradients, the loss of the whole batch is
 * differentiated with respect to these, and each part is then computed again to carry its features' gradients on.
 */
import {
  type Captured,
  compile,
  concat,
  defaultGenerator,
  gradients,
  type Optimizer,
  stack,
  type Tensor,
  tensor,
  where,
} from '@actionclip/tensor';
import type { ActionCLIP } from '../model/action-clip.ts';
import type { BatchStep, HostBatch, HostInput, StepPlan } from './batch-step.ts';
import { type Objective, objectiveOf } from './objective.ts';
import { type StepOptions, updateOf } from './step.ts';

type Part = readonly [frames: Tensor, tokens: Tensor];

/**
 * The step of a model on batches of which `partSize` clips at a time are on the device; the last part may be smaller.
 * Losses, gradients, clipping and the loss scale are those of the whole batch. Dropout draws for each part, the same in
 * both passes over it.
 */
export function accumulatedStep(
  model: ActionCLIP,
  optimizer: Optimizer,
  options: StepOptions,
  partSize: number,
): BatchStep {
  const objective = objectiveOf(model, options);
  const passes = passesOf(model, optimizer, options, objective);
  const { encode, match, propagate, update } = passes;
  const generator = model.options.generator ?? defaultGenerator();
  // With both towers frozen and no trained parameters in the head, only the logit scale is trained.
  const trained = new Set(trainedParameters(optimizer));
  const isHeadTrained = model.fusion.parameters().some((parameter) => trained.has(parameter));
  const propagates = !(options.freezeText && options.freezeImage) || isHeadTrained;

  const run = async ([frames, tokens, labels]: HostBatch): Promise<Tensor> => {
    const parts = partsOf(frames.shape[0] ?? 0, partSize);
    const load = ({ start, end }: Range): Part => [rows(frames, start, end), rows(tokens, start, end)];
    const draws: number[] = [];
    const features: Tensor[] = [];
    for (const part of parts) {
      draws.push(generator.counter);
      features.push(await using(load(part), (part) => encode(...part)));
    }
    const drawn = generator.counter;
    const matched = await using([hostTensor(labels), ...features], (given) => match(...given));
    const [losses, scaleGradient, ...featureGradients] = matched as [Tensor, Tensor, ...Tensor[]];
    for (const [i, part] of parts.entries()) {
      if (!propagates) break;
      generator.counter = draws[i] as number;
      const given = [...load(part), featureGradients[i] as Tensor, tensor([i === 0 ? 0 : 1])] as const;
      await using(given, (given) => propagate(...given));
    }
    generator.counter = drawn;
    return using([losses, scaleGradient, ...(propagates ? [] : featureGradients)], () => update(losses, scaleGradient));
  };

  const prepare = async ([frames, tokens, labels]: HostBatch): Promise<StepPlan> => {
    const count = frames.shape[0] ?? 0;
    const parts = partsOf(count, partSize);
    const first = parts[0] as Range;
    const part: Part = [rows(frames, first.start, first.end), rows(tokens, first.start, first.end)];
    const width = model.clip.sizes.embedding;
    const featuresOf = ({ start, end }: Range): Tensor => zerosOf([objective.kinds, end - start, width]);
    const plans = [
      await encode.prepare(...part),
      await match.prepare(hostTensor(labels), ...parts.map(featuresOf)),
      ...(propagates ? [await propagate.prepare(...part, featuresOf(first), tensor([0]))] : []),
      await update.prepare(zerosOf([objective.names.length]), zerosOf([])),
    ];
    return together(plans);
  };

  const trim = async (): Promise<void> => {
    for (const pass of Object.values(passes)) await pass.trim();
  };
  return { run, losses: objective.names, prepare, trim };
}

const trainedParameters = ({ groups }: Optimizer): Tensor[] =>
  groups.flatMap(({ parameters }) => [...parameters.values()]);

interface Passes {
  /** A part to its features of one kind or two, [kinds, b, D]. */
  readonly encode: Captured<Part, Tensor>;
  /** Classes [B] and the features of all parts to the losses [names] and the gradients of the logit scale and of each part's features. */
  readonly match: Captured<readonly Tensor[], readonly Tensor[]>;
  /** A part and its features' gradients to gradients of the parameters, added to those before where the last argument [1] is not 0. */
  readonly propagate: Captured<readonly [...Part, Tensor, Tensor], readonly Tensor[]>;
  /** Losses and the gradient of the logit scale to the measures of the step. */
  readonly update: Captured<readonly [Tensor, Tensor], Tensor>;
}

function passesOf(model: ActionCLIP, optimizer: Optimizer, options: StepOptions, objective: Objective): Passes {
  const { logit_scale: logitScale } = model.clip;
  const sums = new Map<Tensor, Tensor>();
  const sumOf = (parameter: Tensor): Tensor => {
    const sum = sums.get(parameter) ?? zerosOf(parameter.shape, parameter);
    sums.set(parameter, sum);
    return sum;
  };
  const encode = compile((frames: Tensor, tokens: Tensor) => {
    return stack(objective.features(frames, tokens));
  });
  const match = compile((labels: Tensor, ...features: Tensor[]) => {
    const all = concat(features, 1); // [kinds, B, D]
    const kinds = Array.from({ length: objective.kinds }, (_, i) => all.select(0, i));
    const losses = objective.losses(kinds, labels);
    const found = gradients(optimizer.scaleLoss(losses[0] as Tensor), [logitScale, ...features]);
    return [stack(losses), ...found];
  }) as Passes['match'];
  const propagate = compile((frames: Tensor, tokens: Tensor, featureGradients: Tensor, carried: Tensor) => {
    stack(objective.features(frames, tokens)).backward(featureGradients);
    for (const parameter of trainedParameters(optimizer)) {
      if (parameter.grad === undefined) continue;
      const sum = sumOf(parameter);
      sum.assign(where(carried.reshape([]).gt(0), sum.add(parameter.grad), parameter.grad));
    }
    return [];
  });
  const updateAfter = updateOf(optimizer, options);
  const update = compile((losses: Tensor, scaleGradient: Tensor) => {
    for (const [parameter, sum] of sums) parameter.grad = sum;
    logitScale.grad = scaleGradient;
    try {
      const each = objective.names.map((_, i) => losses.select(0, i));
      return stack([...each, ...updateAfter(each[0] as Tensor)]);
    } finally {
      optimizer.zeroGrad();
    }
  });
  return { encode, match, propagate, update };
}

interface Range {
  readonly start: number;
  readonly end: number;
}

const partsOf = (count: number, size: number): Range[] =>
  Array.from({ length: Math.ceil(count / size) }, (_, i) => ({
    start: i * size,
    end: Math.min(count, (i + 1) * size),
  }));

/** Rows [start, end) of an input. */
function rows({ data, shape: [count = 0, ...rest] }: HostInput, start: number, end: number): Tensor {
  const size = data.length / count;
  return tensor(data.subarray(start * size, end * size), { shape: [end - start, ...rest] });
}

const hostTensor = ({ data, shape }: HostInput): Tensor => tensor(data, { shape });

const zerosOf = (shape: readonly number[], { device }: Pick<Tensor, 'device'> = { device: undefined }): Tensor =>
  tensor(new Float32Array(shape.reduce((size, length) => size * length, 1)), { shape, ...(device && { device }) });

/** Gives tensors up once `run` has taken them. */
async function using<A extends readonly Tensor[], R>(given: A, run: (given: A) => Promise<R>): Promise<R> {
  try {
    return await run(given);
  } finally {
    for (const one of given) one.dispose();
  }
}

/** What the passes need together: the tensors of one are those of the others, their workspaces are their own. */
function together(plans: readonly StepPlan[]): StepPlan {
  const of = (part: keyof StepPlan['memory']): number[] => plans.map(({ memory }) => memory[part]);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    memory: {
      tensors: Math.max(...of('tensors')),
      arguments: Math.max(...of('arguments')),
      results: sum(of('results')),
      workspace: sum(of('workspace')),
      program: sum(of('program')),
    },
    fallbacks: [...new Set(plans.flatMap(({ fallbacks }) => fallbacks))],
  };
}
