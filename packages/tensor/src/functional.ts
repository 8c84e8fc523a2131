/** Operations on tensors as functions, with PyTorch's names: what is not a method of Tensor. */
import { concat, stack } from './creation.ts';
import * as activation from './ops/activation.ts';
import * as attention from './ops/attention.ts';
import { type ConvolutionOptions, convolve } from './ops/convolution.ts';
import { einsum as einsumNodes } from './ops/einsum.ts';
import { type InterpolateOptions, interpolate as interpolateNode } from './ops/interpolate.ts';
import * as loss from './ops/loss.ts';
import * as normalization from './ops/normalization.ts';
import * as pool from './ops/pool.ts';
import * as recurrent from './ops/recurrent.ts';
import type { Shape } from './shape.ts';
import { Tensor } from './tensor.ts';

export type { ConvolutionOptions } from './ops/convolution.ts';
export type { InterpolateOptions, InterpolationMode } from './ops/interpolate.ts';
export type { ClassLossOptions, CrossEntropyOptions, KlDivergenceOptions, Reduction } from './ops/loss.ts';
export type { AveragePoolOptions, MaxPoolOptions, PoolOptions } from './ops/pool.ts';
export type { LstmState, LstmWeights } from './ops/recurrent.ts';

type PerAxis = number | readonly number[];

// ---- Products -------------------------------------------------------------------------------------------------------

/**
 * The Einstein sum, `einsum('bik,bkj->bij', a, b)`. Terms are letters and at most one `...`, whose axes broadcast; a
 * letter repeated in a term takes the diagonal; letters that the output lacks are summed; without `->` the output is
 * the letters that occur once, in alphabetical order. Throws ShapeError.
 */
export function einsum(equation: string, ...operands: readonly Tensor[]): Tensor {
  return new Tensor(
    einsumNodes(
      equation,
      operands.map(({ node }) => node),
    ),
  );
}

/** x Wᵀ + bias: [..., in] by [out, in] to [..., out]. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const product = x.matmul(weight.T);
  return bias ? product.add(bias) : product;
}

/** Rows of `weight` [entries, width] chosen by whole numbers of any shape: [...index, width]. */
export function embedding(index: Tensor, weight: Tensor): Tensor {
  return weight.indexSelect(0, index);
}

export interface AttentionOptions {
  /** Boolean: true where a query may look; floating: added to the scores. Broadcasts to [..., L, S]. */
  readonly mask?: Tensor | undefined;
  /** Query i sees keys 0 to i only. */
  readonly causal?: boolean;
  /** 1 / √E if absent. */
  readonly scale?: number;
}

/**
 * softmax(q kᵀ / √E + mask) v (Vaswani et al. 2017, equation 1): query [..., L, E], key [..., S, E], value [..., S, V]
 * to [..., L, V]. Throws ShapeError.
 */
export function scaledDotProductAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  { mask, causal = false, scale }: AttentionOptions = {},
): Tensor {
  return new Tensor(
    attention.scaledDotProductAttention(query.node, key.node, value.node, { mask: mask?.node, causal, scale }),
  );
}

/**
 * Attention of sequences to themselves with the projections side by side: [..., length, 3, heads, width] in the order
 * queries, keys, values to [..., length, heads, width]. A mask broadcasts to [..., heads, length, length]. Throws ShapeError.
 */
export function packedAttention(packed: Tensor, { mask, causal = false, scale }: AttentionOptions = {}): Tensor {
  return new Tensor(attention.packedAttention(packed.node, { mask: mask?.node, causal, scale }));
}

// ---- Convolution, pooling, interpolation ----------------------------------------------------------------------------

/** [batch, channels, length] by [out, channels / groups, kernel] to [batch, out, windows]. Throws ShapeError. */
export function conv1d(x: Tensor, weight: Tensor, bias?: Tensor, options: ConvolutionOptions = {}): Tensor {
  return new Tensor(convolve(1, x.node, weight.node, bias?.node, options));
}

/** [batch, channels, H, W] by [out, channels / groups, kernelH, kernelW] to [batch, out, H', W']. Throws ShapeError. */
export function conv2d(x: Tensor, weight: Tensor, bias?: Tensor, options: ConvolutionOptions = {}): Tensor {
  return new Tensor(convolve(2, x.node, weight.node, bias?.node, options));
}

/** As conv2d with one more axis: [batch, channels, D, H, W]. */
export function conv3d(x: Tensor, weight: Tensor, bias?: Tensor, options: ConvolutionOptions = {}): Tensor {
  return new Tensor(convolve(3, x.node, weight.node, bias?.node, options));
}

/** The largest element of each window of [..., channels, length]. Equal elements share the gradient. */
export function maxPool1d(x: Tensor, kernel: PerAxis, options: pool.MaxPoolOptions = {}): Tensor {
  return new Tensor(pool.maxPool(1, x.node, kernel, options));
}
/** The largest element of each window of [..., channels, H, W]. */
export function maxPool2d(x: Tensor, kernel: PerAxis, options: pool.MaxPoolOptions = {}): Tensor {
  return new Tensor(pool.maxPool(2, x.node, kernel, options));
}
/** The mean of each window of [..., channels, length]. */
export function avgPool1d(x: Tensor, kernel: PerAxis, options: pool.AveragePoolOptions = {}): Tensor {
  return new Tensor(pool.averagePool(1, x.node, kernel, options));
}
/** The mean of each window of [..., channels, H, W]. */
export function avgPool2d(x: Tensor, kernel: PerAxis, options: pool.AveragePoolOptions = {}): Tensor {
  return new Tensor(pool.averagePool(2, x.node, kernel, options));
}
/** Means over `size` windows that cover [..., channels, length] evenly. */
export function adaptiveAvgPool1d(x: Tensor, size: number): Tensor {
  return new Tensor(pool.adaptiveAveragePool(1, x.node, size));
}
/** Means over `size` windows per axis that cover [..., channels, H, W] evenly. */
export function adaptiveAvgPool2d(x: Tensor, size: PerAxis): Tensor {
  return new Tensor(pool.adaptiveAveragePool(2, x.node, size));
}

/** [batch, channels, ...spatial] with its spatial axes resampled to a size or by a factor. Throws ShapeError. */
export function interpolate(x: Tensor, options: InterpolateOptions): Tensor {
  return new Tensor(interpolateNode(x.node, options));
}

// ---- Normalisation --------------------------------------------------------------------------------------------------

/** (x - mean) / √(variance + eps) over the last axes, of shape `normalizedShape`, then weight and bias of that shape. */
export function layerNorm(
  x: Tensor,
  normalizedShape: Shape,
  weight?: Tensor,
  bias?: Tensor,
  eps: number = 1e-5,
): Tensor {
  return new Tensor(normalization.layerNorm(x.node, normalizedShape, weight?.node, bias?.node, eps));
}

/** x / √(mean(x²) + eps) over the last axes, of shape `normalizedShape`, then a weight of that shape. */
export function rmsNorm(x: Tensor, normalizedShape: Shape, weight?: Tensor, eps: number = 2 ** -23): Tensor {
  return new Tensor(normalization.rmsNorm(x.node, normalizedShape, weight?.node, eps));
}

/** Each group of channels of each sample of [batch, channels, ...] normalised; weight and bias are [channels]. */
export function groupNorm(x: Tensor, groups: number, weight?: Tensor, bias?: Tensor, eps: number = 1e-5): Tensor {
  return new Tensor(normalization.groupNorm(x.node, groups, weight?.node, bias?.node, eps));
}

export interface BatchNormOptions {
  /** [channels]; needed in evaluation, updated in training where given. */
  readonly runningMean?: Tensor;
  readonly runningVar?: Tensor;
  readonly weight?: Tensor;
  readonly bias?: Tensor;
  /** Whether to use the batch's own statistics; no if absent. */
  readonly training?: boolean;
  /** The share of the batch in the running statistics; 0.1 if absent. */
  readonly momentum?: number;
  readonly eps?: number;
}

/**
 * Each channel of [batch, channels, ...] normalised: in training by the batch's statistics, which also move the
 * running ones, in evaluation by the running ones. Throws ShapeError.
 */
export function batchNorm(x: Tensor, options: BatchNormOptions = {}): Tensor {
  const { runningMean, runningVar, weight, bias, training = false, momentum = 0.1, eps = 1e-5 } = options;
  if (!training && runningMean && runningVar) {
    const [mean, variance] = [runningMean.node, runningVar.node];
    return new Tensor(normalization.batchNormEvaluation(x.node, mean, variance, weight?.node, bias?.node, eps));
  }
  const result = new Tensor(normalization.batchNormTraining(x.node, weight?.node, bias?.node, eps));
  const axes = x.shape.flatMap((_, i) => (i === 1 ? [] : [i]));
  if (training) {
    const still = x.detach();
    runningMean?.assign(runningMean.mul(1 - momentum).add(still.mean(axes).mul(momentum)) as Tensor);
    runningVar?.assign(runningVar.mul(1 - momentum).add(still.var(axes).mul(momentum)) as Tensor);
  }
  return result;
}

/** x / max(‖x‖ₚ, eps) along an axis. */
export function normalize(x: Tensor, axis: number = -1, p: number = 2, eps: number = 1e-12): Tensor {
  return new Tensor(normalization.normalize(x.node, axis, p, eps));
}

/** a·b / (‖a‖ ‖b‖) along an axis, norms being at least eps. */
export function cosineSimilarity(a: Tensor, b: Tensor, axis: number = 1, eps: number = 1e-8): Tensor {
  return new Tensor(normalization.cosineSimilarity(a.node, b.node, axis, eps));
}

// ---- Losses ---------------------------------------------------------------------------------------------------------

/**
 * -log softmax(logits) at the target: logits [batch, classes, ...] with classes by index [batch, ...] (whole numbers)
 * or by probability [batch, classes, ...] (floating). Throws ShapeError, also for an index that is known to be out of
 * range; an index computed on the device and out of range gives NaN.
 */
export function crossEntropy(logits: Tensor, target: Tensor, options: loss.CrossEntropyOptions = {}): Tensor {
  return new Tensor(loss.crossEntropy(logits.node, target.node, options));
}
/** As crossEntropy with class indices, from log-probabilities. */
export function nllLoss(logProbabilities: Tensor, target: Tensor, options: loss.ClassLossOptions = {}): Tensor {
  return new Tensor(loss.nllLoss(logProbabilities.node, target.node, options));
}
/** Σ target · (log target - input), where `input` holds log-probabilities. Zeros of the target contribute nothing. */
export function klDivergence(input: Tensor, target: Tensor, options: loss.KlDivergenceOptions = {}): Tensor {
  return new Tensor(loss.klDivergence(input.node, target.node, options));
}
/** (input - target)². */
export function mseLoss(input: Tensor, target: Tensor, reduction: loss.Reduction = 'mean'): Tensor {
  return new Tensor(loss.mseLoss(input.node, target.node, reduction));
}
/** |input - target|. */
export function l1Loss(input: Tensor, target: Tensor, reduction: loss.Reduction = 'mean'): Tensor {
  return new Tensor(loss.l1Loss(input.node, target.node, reduction));
}
/** d²/2 for differences up to delta, delta · (|d| - delta/2) beyond. */
export function huberLoss(
  input: Tensor,
  target: Tensor,
  delta: number = 1,
  reduction: loss.Reduction = 'mean',
): Tensor {
  return new Tensor(loss.huberLoss(input.node, target.node, delta, reduction));
}
/** -(t · log σ(x) + (1 - t) · log(1 - σ(x))) without overflow; `positiveWeight` scales the first term. */
export function binaryCrossEntropyWithLogits(
  logits: Tensor,
  target: Tensor,
  reduction: loss.Reduction = 'mean',
  positiveWeight?: Tensor,
): Tensor {
  return new Tensor(loss.binaryCrossEntropyWithLogits(logits.node, target.node, positiveWeight?.node, reduction));
}

// ---- Activations ----------------------------------------------------------------------------------------------------

export function leakyRelu(x: Tensor, slope: number = 0.01): Tensor {
  return new Tensor(activation.leakyRelu(x.node, slope));
}
export function elu(x: Tensor, alpha: number = 1): Tensor {
  return new Tensor(activation.elu(x.node, alpha));
}
/** x · tanh(softplus(x)). */
export function mish(x: Tensor): Tensor {
  return new Tensor(activation.mish(x.node));
}
export function hardtanh(x: Tensor, min: number = -1, max: number = 1): Tensor {
  return x.clamp(min, max);
}

// ---- Recurrent networks ---------------------------------------------------------------------------------------------

const stateNodes = ({ hidden, cell }: recurrent.LstmState<Tensor>): recurrent.LstmState<Tensor['node']> => ({
  hidden: hidden.node,
  cell: cell.node,
});
const weightNodes = (weights: recurrent.LstmWeights<Tensor>): recurrent.LstmWeights<Tensor['node']> => ({
  weightIh: weights.weightIh.node,
  weightHh: weights.weightHh.node,
  biasIh: weights.biasIh?.node,
  biasHh: weights.biasHh?.node,
});

/** One LSTM step: x [batch, input], hidden and cell [batch, hidden]. Throws ShapeError. */
export function lstmCell(
  x: Tensor,
  state: recurrent.LstmState<Tensor>,
  weights: recurrent.LstmWeights<Tensor>,
): recurrent.LstmState<Tensor> {
  const next = recurrent.lstmCell(x.node, stateNodes(state), weightNodes(weights));
  return { hidden: new Tensor(next.hidden), cell: new Tensor(next.cell) };
}

export interface LstmLayer {
  readonly forward: recurrent.LstmWeights<Tensor>;
  /** Present in bidirectional networks; its outputs follow the forward ones on the last axis. */
  readonly backward?: recurrent.LstmWeights<Tensor>;
}

export interface LstmResult {
  /** [time, batch, directions · hidden], or [batch, time, ...] as the input was. */
  readonly output: Tensor;
  /** `[layers · directions, batch, hidden]`: after the last step, forwards before backwards. */
  readonly hidden: Tensor;
  readonly cell: Tensor;
}

/**
 * Layers of LSTM over x [time, batch, input], or [batch, time, input] with `batchFirst`. States start at `initial`
 * ([layers · directions, batch, hidden]), or at 0. Throws ShapeError.
 */
export function lstm(
  x: Tensor,
  layers: readonly LstmLayer[],
  options: { readonly batchFirst?: boolean; readonly initial?: recurrent.LstmState<Tensor> } = {},
): LstmResult {
  const { batchFirst = false, initial } = options;
  let output = batchFirst ? x.transpose(0, 1) : x;
  const states: recurrent.LstmState<Tensor>[] = [];
  for (const { forward, backward } of layers) {
    const outputs = [forward, backward].flatMap((weights, direction) => {
      if (!weights) return [];
      const start = initial && {
        hidden: initial.hidden.select(0, states.length).node,
        cell: initial.cell.select(0, states.length).node,
      };
      const result = recurrent.lstmLayer(output.node, weightNodes(weights), start, direction === 1);
      states.push({ hidden: new Tensor(result.state.hidden), cell: new Tensor(result.state.cell) });
      return [new Tensor(result.output)];
    });
    output = concat(outputs, 2);
  }
  return {
    output: batchFirst ? output.transpose(0, 1) : output,
    hidden: stack(states.map(({ hidden }) => hidden)),
    cell: stack(states.map(({ cell }) => cell)),
  };
}
