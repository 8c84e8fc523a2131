/** The contrastive loss (paper equations 4 to 6, released `utils/KLLoss.py` and `train.py`). */
import { crossEntropy, klDivergence, ShapeError, type Tensor } from '@actionclip/tensor';

/** Sharpness of the target distribution in the released code: each row is softmax(10 · same class). */
export const targetTemperature = 10;

/**
 * Target rows [batch, batch]: softmax over the batch of 10 where two samples share a class and 0 elsewhere.
 * @param labels class of each sample, [batch] whole numbers; or where samples have several, [batch, classes] of ones and
 *   zeros
 */
export function contrastiveTargets(labels: Tensor): Tensor {
  if (labels.rank === 2) {
    const shared = labels.matmul(labels.transpose()).gt(0).to('f32');
    return shared.mul(targetTemperature).softmax(-1);
  }
  const [batch] = labels.shape as readonly [number];
  const rows: Tensor = labels.reshape([batch, 1]);
  const same = rows.eq(labels.reshape([1, batch])).to('f32');
  return same.mul(targetTemperature).softmax(-1);
}

/** Kullback-Leibler divergence of softmax(logits) from the targets, averaged over rows. */
export const rowDivergence = (logits: Tensor, targets: Tensor): Tensor =>
  klDivergence(logits.logSoftmax(-1), targets, { reduction: 'batchmean' });

export interface ContrastiveLoss {
  /** Mean of the two directions. */
  readonly total: Tensor;
  readonly videoToText: Tensor;
  readonly textToVideo: Tensor;
}

/**
 * The loss of a batch of clips and their texts.
 * @param logitsPerVideo similarities times the logit scale, [videos, texts]; row i and column i belong together
 * @param labels class of each pair, [batch], or classes of each, [batch, classes]
 * @param smoothing the share of every target that is spread evenly over the batch (Szegedy et al., arXiv 1512.00567)
 */
export function contrastiveLoss(logitsPerVideo: Tensor, labels: Tensor, smoothing = 0): ContrastiveLoss {
  const [videos, texts] = logitsPerVideo.shape;
  if (logitsPerVideo.rank !== 2 || videos !== texts || labels.shape[0] !== videos) {
    throw new ShapeError(
      `loss: logits [${logitsPerVideo.shape}] and labels [${labels.shape}]`,
      'give one text and one label for each clip',
    );
  }
  const sharp = contrastiveTargets(labels);
  const targets = smoothing === 0 ? sharp : sharp.mul(1 - smoothing).add(smoothing / (videos as number));
  const videoToText = rowDivergence(logitsPerVideo, targets);
  const textToVideo = rowDivergence(logitsPerVideo.transpose(), targets);
  return { total: videoToText.add(textToVideo).div(2) as Tensor, videoToText, textToVideo };
}

/**
 * The cross-entropy of clips classified among all classes, averaged over clips.
 * @param logits similarities with the text of each class times the logit scale, [clips, classes]
 * @param labels class of each clip, [clips]; or where clips have several, [clips, classes] of ones and zeros, which then
 *   share the target evenly
 * @param smoothing the share of every target that is spread evenly over the classes (Szegedy et al., arXiv 1512.00567)
 */
export function classifierLoss(logits: Tensor, labels: Tensor, smoothing = 0): Tensor {
  const [clips] = logits.shape;
  if (logits.rank !== 2 || labels.shape[0] !== clips) {
    throw new ShapeError(
      `classifier loss: logits [${logits.shape}] and labels [${labels.shape}]`,
      'give one row of logits and one label, or row of labels, for each clip',
    );
  }
  const targets = labels.rank === 1 ? labels : labels.div(labels.sum(-1, true));
  return crossEntropy(logits, targets as Tensor, { labelSmoothing: smoothing });
}
