/** A step whose loss is no number, computed once more outside of the captured program: which parameters are at fault. */
import { DeviceError, type Optimizer, realize, type Tensor, tensor } from '@actionclip/tensor';
import type { ActionCLIP } from '../model/action-clip.ts';
import type { HostBatch } from './batch-step.ts';
import { TrainingError } from './errors.ts';
import { objectiveOf } from './objective.ts';
import type { StepOptions } from './step.ts';

/** A parameter with the largest magnitude among its values, or the norm of its gradient. */
export interface ParameterSize {
  readonly name: string;
  readonly size: number;
}

export interface StepFindings {
  /** The loss of the same batch, computed again. */
  readonly lossAgain: number;
  /** Norms of the gradients that are finite, the largest first, a few. */
  readonly largestGradients: readonly ParameterSize[];
  /** Parameters whose gradient has an infinity or is no number, in the order of the model. */
  readonly gradientsNotFinite: readonly string[];
  /** Parameters that themselves have such a value, in the order of the model. */
  readonly valuesNotFinite: readonly string[];
  /** The finite parameter with the largest value. */
  readonly largestValue?: ParameterSize;
}

const shownSizes = 5;

/** Why there are no findings: they take more memory than the captured step. */
export interface NotExamined {
  readonly notExamined: string;
}

/**
 * Computes the loss and the gradients of a batch with the parameters as they are, every gradient by itself; changes none
 * of them. The model must be in training mode.
 */
export async function examineStep(
  model: ActionCLIP,
  optimizer: Optimizer,
  inputs: HostBatch,
  options: StepOptions,
): Promise<StepFindings | NotExamined> {
  try {
    return await findingsOf(model, optimizer, inputs, options);
  } catch (error) {
    if (error instanceof DeviceError) return { notExamined: error.message };
    throw error;
  } finally {
    optimizer.zeroGrad();
  }
}

async function findingsOf(
  model: ActionCLIP,
  optimizer: Optimizer,
  batch: HostBatch,
  options: StepOptions,
): Promise<StepFindings> {
  optimizer.zeroGrad();
  const [frames, tokens, labels] = batch.map(({ data, shape }) => tensor(data, { shape })) as [Tensor, Tensor, Tensor];
  const objective = objectiveOf(model, options);
  const total = objective.losses(objective.features(frames, tokens), labels)[0] as Tensor;
  total.backward();
  const parameters = [...model.namedParameters()];
  const moved = parameters.flatMap(([name, { grad }]) => (grad === undefined ? [] : [{ name, gradient: grad }]));
  await realize([total, ...moved.map(({ gradient }) => gradient)]);
  const gradients: ParameterSize[] = [];
  for (const { name, gradient } of moved) gradients.push({ name, size: normOf(await gradient.data()) });
  const values: ParameterSize[] = [];
  for (const [name, parameter] of parameters) values.push({ name, size: largestOf(await parameter.data()) });
  const [largestValue] = descending(values);
  return {
    lossAgain: Number((await total.data())[0]),
    largestGradients: descending(gradients).slice(0, shownSizes),
    gradientsNotFinite: notFinite(gradients),
    valuesNotFinite: notFinite(values),
    ...(largestValue === undefined ? {} : { largestValue }),
  };
}

/** In 64 bits, where squares of 32 do not overflow. */
function normOf(elements: ArrayLike<number>): number {
  let square = 0;
  for (let i = 0; i < elements.length; i++) square += Number(elements[i]) ** 2;
  return Math.sqrt(square);
}

/** NaN where one of them is NaN. */
function largestOf(elements: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < elements.length; i++) largest = Math.max(largest, Math.abs(Number(elements[i])));
  return largest;
}

const descending = (sizes: readonly ParameterSize[]): ParameterSize[] =>
  sizes.filter(({ size }) => Number.isFinite(size)).sort((a, b) => b.size - a.size);

const notFinite = (sizes: readonly ParameterSize[]): string[] =>
  sizes.flatMap(({ name, size }) => (Number.isFinite(size) ? [] : [name]));

/** The error of such a step, on the clips of these paths; step, epoch and batch count from 0. */
export function divergence(
  { step, epoch, batchIndex }: { readonly step: number; readonly epoch: number; readonly batchIndex: number },
  loss: number,
  paths: readonly string[],
  findings: StepFindings | NotExamined,
): TrainingError {
  return new TrainingError(
    `The loss is ${loss} at step ${step + 1} (epoch ${epoch + 1}, batch ${batchIndex + 1}) on ${firstOf(paths, 4)}. ` +
      ('notExamined' in findings
        ? `Which parameters are at fault could not be computed: ${findings.notExamined}`
        : `Computed again outside of the captured step it is ${findings.lossAgain}: ${whatOf(findings)}`),
    'lower the learning rate or set solver.max_gradient_norm, and resume from the last checkpoint',
  );
}

function whatOf({ largestGradients, gradientsNotFinite, valuesNotFinite, largestValue }: StepFindings): string {
  const [largest] = largestGradients;
  const shown = ({ name, size }: ParameterSize): string => `${size.toPrecision(3)} of ${name}`;
  return [
    ...(gradientsNotFinite.length > 0 ? [`not finite are the gradients of ${firstOf(gradientsNotFinite, 1)}`] : []),
    ...(largest === undefined ? [] : [`the largest finite gradient has the norm ${shown(largest)}`]),
    ...(valuesNotFinite.length > 0 ? [`not finite are values of ${firstOf(valuesNotFinite, 3)}`] : []),
    ...(largestValue === undefined ? [] : [`the largest finite value is ${shown(largestValue)}`]),
  ].join(', ');
}

const firstOf = (names: readonly string[], count: number): string =>
  names.slice(0, count).join(', ') + (names.length > count ? ` and ${names.length - count} more` : '');
