/** Differentiable operations by name, with the shapes and ranges of operands that tests try them on. */
import * as engine from '@actionclip/tensor';
import { type Tensor, tensor } from '@actionclip/tensor';
import type { TensorFunction } from './finite-difference.ts';

/** An operation with the shapes of operands that it is tried on. */
export interface Case {
  readonly shapes: readonly (readonly number[])[];
  /** (-2, 2) if absent. */
  readonly range?: readonly [number, number];
  readonly f: TensorFunction;
  /** Elements are drawn apart, since the operation chooses among them. */
  readonly distinct?: true;
}

const whole = (data: readonly number[], shape: readonly number[] = [data.length]): Tensor =>
  tensor(data, { dtype: 'i32', shape });

/** Every differentiable operation beside the rows of the elementwise table. */
export const cases: Readonly<Record<string, Case>> = {
  sum: { shapes: [[3, 2, 2]], f: (x) => x.sum([0, 2]) },
  mean: { shapes: [[3, 4]], f: (x) => x.mean(1) },
  prod: { shapes: [[3, 3]], f: (x) => x.prod(1) },
  max: { shapes: [[3, 4]], distinct: true, f: (x) => x.max(1) },
  min: { shapes: [[3, 4]], distinct: true, f: (x) => x.min(0) },
  var: { shapes: [[2, 5]], f: (x) => x.var(1) },
  std: { shapes: [[2, 5]], f: (x) => x.std(1) },
  norm: { shapes: [[3, 3]], f: (x) => x.norm(1) },
  norm3: { shapes: [[3, 3]], range: [0.2, 2], f: (x) => x.norm(1, false, 3) },
  logsumexp: { shapes: [[3, 4]], f: (x) => x.logsumexp(1) },
  softmax: { shapes: [[2, 4]], f: (x) => x.softmax(1) },
  logSoftmax: { shapes: [[2, 4]], f: (x) => x.logSoftmax(0) },
  cumsum: { shapes: [[2, 5]], f: (x) => x.cumsum(1) },
  sort: { shapes: [[2, 5]], distinct: true, f: (x) => x.sort(1).values },
  topk: { shapes: [[2, 5]], distinct: true, f: (x) => x.topk(2, 1).values },
  clamp: { shapes: [[7]], f: (x) => x.clamp(-1.111, 1.111) },
  where: { shapes: [[2, 3], [3]], f: (x, y) => engine.where(whole([1, 0, 1]).ne(0), x, y) },
  maskedFill: { shapes: [[2, 3]], f: (x) => x.maskedFill(whole([1, 0, 1]).ne(0), 5) },
  indexSelect: { shapes: [[4, 3]], f: (x) => x.indexSelect(0, whole([3, 0, 3, 1, 1, 1], [2, 3])) },
  gather: { shapes: [[3, 4]], f: (x) => x.gather(1, whole([3, 3, 0, 1], [2, 2])) },
  scatterAdd: {
    shapes: [
      [4, 2],
      [3, 2],
    ],
    f: (x, y) => x.scatterAdd(0, whole([0, 3, 0, 1, 2, 1], [3, 2]), y),
  },
  matmul: {
    shapes: [
      [3, 4],
      [4, 2],
    ],
    f: (a, b) => a.matmul(b),
  },
  matmulVectors: { shapes: [[4], [4]], f: (a, b) => a.matmul(b) },
  matmulBatch: {
    shapes: [
      [2, 1, 3, 2],
      [3, 2, 2],
    ],
    f: (a, b) => a.matmul(b),
  },
  matmulRows: {
    shapes: [
      [2, 2, 3],
      [3, 2],
    ],
    f: (a, b) => a.matmul(b),
  },
  matmulColumn: { shapes: [[2, 3, 2], [2]], f: (a, b) => a.matmul(b) },
  concat: {
    shapes: [
      [2, 2],
      [1, 2],
    ],
    f: (a, b) => engine.concat([a, b, a]),
  },
  pad: {
    shapes: [[2, 3]],
    f: (x) =>
      x.pad(
        [
          [1, 0],
          [0, 2],
        ],
        3,
      ),
  },
  unfold: { shapes: [[2, 7]], f: (x) => x.unfold(1, 3, 2) },
  diagonal: { shapes: [[2, 3, 4]], f: (x) => x.diagonal() },
  einsum: { shapes: [[2, 3], [3, 2, 2], [2]], f: (a, b, c) => engine.einsum('ij,jkl,l->ki', a, b, c) },
  einsumDiagonal: { shapes: [[3, 2, 3]], f: (a) => engine.einsum('iji->j', a) },
  conv1d: {
    shapes: [[2, 4, 7], [6, 2, 3], [6]],
    f: (x, w, b) => engine.conv1d(x, w, b, { stride: 2, padding: 1, groups: 2 }),
  },
  conv2d: {
    shapes: [
      [1, 2, 4, 5],
      [2, 2, 2, 3],
    ],
    f: (x, w) => engine.conv2d(x, w, undefined, { dilation: [2, 1], padding: 1 }),
  },
  convDepthwise: {
    shapes: [
      [1, 3, 5],
      [3, 1, 2],
    ],
    f: (x, w) => engine.conv1d(x, w, undefined, { groups: 3 }),
  },
  convPatches: {
    shapes: [
      [1, 2, 4, 6],
      [3, 2, 2, 2],
    ],
    f: (x, w) => engine.conv2d(x, w, undefined, { stride: 2 }),
  },
  maxPool2d: { shapes: [[1, 1, 5, 5]], distinct: true, f: (x) => engine.maxPool2d(x, 3, { stride: 2, padding: 1 }) },
  avgPool2d: {
    shapes: [[1, 2, 4, 5]],
    f: (x) => engine.avgPool2d(x, [2, 3], { stride: 1, padding: 1, countIncludePad: false }),
  },
  adaptiveAvgPool2d: { shapes: [[1, 1, 5, 4]], f: (x) => engine.adaptiveAvgPool2d(x, [3, 2]) },
  bilinear: { shapes: [[1, 1, 3, 4]], f: (x) => engine.interpolate(x, { size: [5, 3], mode: 'bilinear' }) },
  bicubic: {
    shapes: [[1, 1, 4, 4]],
    f: (x) => engine.interpolate(x, { size: 5, mode: 'bicubic', alignCorners: true }),
  },
  nearest: { shapes: [[1, 1, 3, 4]], f: (x) => engine.interpolate(x, { scaleFactor: 2 }) },
  layerNorm: { shapes: [[2, 5], [5], [5]], f: (x, w, b) => engine.layerNorm(x, [5], w, b) },
  layerNorm2: {
    shapes: [
      [2, 2, 3],
      [2, 3],
    ],
    f: (x, w) => engine.layerNorm(x, [2, 3], w),
  },
  groupNorm: { shapes: [[2, 4, 3], [4], [4]], f: (x, w, b) => engine.groupNorm(x, 2, w, b) },
  batchNorm: {
    shapes: [[3, 2, 2], [2], [2]],
    f: (x, weight, bias) => engine.batchNorm(x, { training: true, weight, bias }),
  },
  rmsNorm: { shapes: [[2, 4], [4]], f: (x, w) => engine.rmsNorm(x, [4], w) },
  normalize: { shapes: [[3, 4]], f: (x) => engine.normalize(x) },
  cosineSimilarity: {
    shapes: [
      [2, 4],
      [2, 4],
    ],
    f: (a, b) => engine.cosineSimilarity(a, b),
  },
  crossEntropy: { shapes: [[3, 4]], f: (x) => engine.crossEntropy(x, whole([1, 0, 3]), { labelSmoothing: 0.1 }) },
  crossEntropyProbabilities: {
    shapes: [
      [2, 3],
      [2, 3],
    ],
    f: (x, p) => engine.crossEntropy(x, p, { reduction: 'none' }),
  },
  crossEntropyIgnoring: {
    shapes: [[3, 4]],
    f: (x) => engine.crossEntropy(x, whole([1, -100, 3]), { ignoreIndex: -100 }),
  },
  nllLoss: {
    shapes: [[3, 4, 2]],
    f: (x) => engine.nllLoss(x, whole([1, 0, 3, 1, 2, 2], [3, 2]), { reduction: 'none' }),
  },
  klDivergence: {
    shapes: [
      [2, 3],
      [2, 3],
    ],
    range: [0.1, 1],
    f: (x, t) => engine.klDivergence(x, t, { reduction: 'batchmean' }),
  },
  klDivergenceLog: {
    shapes: [
      [2, 3],
      [2, 3],
    ],
    f: (x, t) => engine.klDivergence(x, t, { logTarget: true }),
  },
  mseLoss: {
    shapes: [
      [2, 3],
      [2, 3],
    ],
    f: (x, t) => engine.mseLoss(x, t),
  },
  l1Loss: { shapes: [[5], [5]], distinct: true, f: (x, t) => engine.l1Loss(x, t.add(0.01), 'sum') },
  huberLoss: { shapes: [[5], [5]], f: (x, t) => engine.huberLoss(x, t, 0.777, 'none') },
  binaryCrossEntropy: { shapes: [[4], [4], [4]], f: (x, t, w) => engine.binaryCrossEntropyWithLogits(x, t, 'mean', w) },
  attention: {
    shapes: [
      [2, 3, 2],
      [2, 4, 2],
      [2, 4, 3],
    ],
    f: (q, k, v) => engine.scaledDotProductAttention(q, k, v),
  },
  attentionCausal: {
    shapes: [
      [3, 2],
      [3, 2],
      [3, 2],
      [3, 3],
    ],
    f: (q, k, v, mask) => engine.scaledDotProductAttention(q, k, v, { mask, causal: true }),
  },
  packedAttention: {
    shapes: [
      [2, 3, 3, 2, 2],
      [2, 1, 3],
    ],
    f: (x, mask) => engine.packedAttention(x, { mask }),
  },
  leakyRelu: { shapes: [[6]], distinct: true, f: (x) => engine.leakyRelu(x, 0.2) },
  elu: { shapes: [[6]], distinct: true, f: (x) => engine.elu(x, 1.3) },
  mish: { shapes: [[6]], distinct: true, f: (x) => engine.mish(x) },
  hardtanh: { shapes: [[6]], distinct: true, f: (x) => engine.hardtanh(x, -0.987, 0.987) },
  logaddexp: { shapes: [[4], [4]], f: (a, b) => engine.logaddexp(a, b.add(0.0123)) },
  lerp: { shapes: [[3], [3], [3]], f: (a, b, w) => engine.lerp(a, b, w) },
  outer: { shapes: [[2], [3]], f: (a, b) => engine.outer(a, b) },
  trace: { shapes: [[3, 3]], f: (x) => engine.trace(x) },
  embedding: { shapes: [[4, 2]], f: (w) => engine.embedding(whole([1, 1, 3]), w) },
  lstmCell: {
    shapes: [[2, 2], [2, 2], [2, 2], [8, 2], [8, 2], [8]],
    f: (x, hidden, cell, weightIh, weightHh, biasIh) => {
      const next = engine.lstmCell(x, { hidden, cell }, { weightIh, weightHh, biasIh });
      return engine.concat([next.hidden, next.cell], 1);
    },
  },
  lstm: {
    shapes: [[3, 1, 2], [8, 2], [8, 2], [8], [8]],
    f: (x, weightIh, weightHh, biasIh, biasHh) => {
      const forward = { weightIh, weightHh, biasIh, biasHh };
      const { output, cell } = engine.lstm(x, [{ forward, backward: forward }]);
      return engine.concat([output.flatten(), cell.flatten()]);
    },
  },
};
