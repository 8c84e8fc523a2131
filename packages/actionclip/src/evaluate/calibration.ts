/**
 * Whether probabilities can be taken at their word: of the clips that a model is 80 % certain of, 80 % should be right.
 * Calibration error and temperature follow Guo et al., "On Calibration of Modern Neural Networks" (2017).
 */
import { MetricError, predictedClasses, type ScoreMatrix } from './metrics.ts';

/** Clips of like confidence, the probability of the predicted class. */
export interface ReliabilityBin {
  /** Least and largest confidence: the bounds of a bin of equal width, the values found in one of equal count. */
  readonly from: number;
  readonly to: number;
  readonly clips: number;
  /** Mean over the clips; NaN without any. */
  readonly confidence: number;
  /** Part of the clips that are right; NaN without any. */
  readonly accuracy: number;
}

/** Bins with the mean distance of confidence and accuracy, weighted by clips: 0 is perfect, 1 the worst. */
export interface Reliability {
  readonly bins: readonly ReliabilityBin[];
  readonly expectedCalibrationError: number;
}

export interface Calibration {
  readonly equalWidth: Reliability;
  readonly equalCount: Reliability;
  /** Mean of -ln p of the clips' own classes. */
  readonly negativeLogLikelihood: number;
  /** Mean over clips of the squared distance of the probabilities to the truth, summed over classes: 0 to 2. */
  readonly brierScore: number;
  /**
   * T for which p^(1/T), made to sum to one, has the least negative log-likelihood on these clips: above 1 the model is
   * too certain, below 1 too cautious. NaN where none from 0.01 to 100 is best, as where every clip is right.
   */
  readonly bestTemperature: number;
  /** The negative log-likelihood at that temperature; NaN where there is none. */
  readonly bestNegativeLogLikelihood: number;
}

/** Bins of a reliability table. */
export const CALIBRATION_BINS = 15;

/** Probabilities below are taken as this one, so that one clip of probability zero does not decide a mean alone. */
const leastProbability = Number.EPSILON;

/**
 * Calibration of probabilities.
 * @param matrix Rows that sum to one, [clips, classes].
 * @param labels Class of each clip.
 * @throws MetricError where they do not belong together or there is no clip.
 */
export function calibrationOf(matrix: ScoreMatrix, labels: ArrayLike<number>, bins = CALIBRATION_BINS): Calibration {
  checkClips(matrix, labels);
  const { classes } = matrix;
  const predicted = predictedClasses(matrix);
  const clips = predicted.map((best, row) => ({
    confidence: matrix.scores[row * classes + best] ?? Number.NaN,
    right: Number(best === labels[row]),
  }));
  const logarithms = Float64Array.from(matrix.scores, (p) => Math.log(Math.max(p, leastProbability)));
  const tempered = bestTemperature(logarithms, classes, labels);
  return {
    equalWidth: reliability(equalWidthBins(clips, bins)),
    equalCount: reliability(equalCountBins(clips, bins)),
    negativeLogLikelihood: mean(Array.from(labels, (label, row) => -(logarithms[row * classes + label] ?? Number.NaN))),
    brierScore: brierScore(matrix, labels),
    bestTemperature: tempered,
    bestNegativeLogLikelihood: temperedLoss(logarithms, classes, labels, 1 / tempered).loss,
  };
}

interface JudgedClip {
  readonly confidence: number;
  /** 1 or 0; between them for a share among clips. */
  readonly right: number;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function reliability(bins: readonly ReliabilityBin[]): Reliability {
  const filled = bins.filter(({ clips }) => clips > 0);
  const total = filled.reduce((sum, { clips }) => sum + clips, 0);
  const error = filled.reduce(
    (sum, { clips, confidence, accuracy }) => sum + (clips / total) * Math.abs(accuracy - confidence),
    0,
  );
  return { bins, expectedCalibrationError: error };
}

const binOf = (clips: readonly JudgedClip[], from: number, to: number): ReliabilityBin => ({
  from,
  to,
  clips: clips.length,
  confidence: mean(clips.map(({ confidence }) => confidence)),
  accuracy: mean(clips.map(({ right }) => right)),
});

/** Bins (from, to] of the same width from 0 to 1. */
function equalWidthBins(clips: readonly JudgedClip[], count: number): ReliabilityBin[] {
  const members = Array.from({ length: count }, (): JudgedClip[] => []);
  for (const clip of clips) {
    members[Math.min(count - 1, Math.max(0, Math.ceil(clip.confidence * count) - 1))]?.push(clip);
  }
  return members.map((inside, bin) => binOf(inside, bin / count, (bin + 1) / count));
}

/** Bins of the same number of clips, or one more, by rising confidence; as many as there are clips at most. */
function equalCountBins(clips: readonly JudgedClip[], count: number): ReliabilityBin[] {
  const rising = shared([...clips].sort((a, b) => a.confidence - b.confidence));
  const bins = Math.min(count, rising.length);
  return Array.from({ length: bins }, (_, bin) => {
    const start = Math.floor((bin * rising.length) / bins);
    const inside = rising.slice(start, Math.floor(((bin + 1) * rising.length) / bins));
    return binOf(inside, inside[0]?.confidence ?? Number.NaN, inside.at(-1)?.confidence ?? Number.NaN);
  });
}

/** Clips of one confidence each get their mean of right: which of them a bin's bound leaves out does not matter. */
function shared(rising: readonly JudgedClip[]): JudgedClip[] {
  const groups = new Map<number, number[]>();
  for (const { confidence, right } of rising) {
    const group = groups.get(confidence);
    if (group === undefined) groups.set(confidence, [right]);
    else group.push(right);
  }
  return [...groups].flatMap(([confidence, rights]) => {
    const right = mean(rights);
    return rights.map(() => ({ confidence, right }));
  });
}

function brierScore({ scores, classes }: ScoreMatrix, labels: ArrayLike<number>): number {
  let sum = 0;
  for (let row = 0; row < labels.length; row++) {
    for (let c = 0; c < classes; c++)
      sum += ((scores[row * classes + c] ?? Number.NaN) - Number(c === labels[row])) ** 2;
  }
  return sum / labels.length;
}

/** The least and the largest inverse of a temperature that is looked for. */
const inverses = { least: 0.01, most: 100 } as const;

/** The loss is convex in 1/T: Newton's steps, and halves of the bracket where they would leave it. */
function bestTemperature(logarithms: Float64Array, classes: number, labels: ArrayLike<number>): number {
  let { least, most }: { least: number; most: number } = inverses;
  const at = (inverse: number): TemperedLoss => temperedLoss(logarithms, classes, labels, inverse);
  if (!(at(least).slope < 0 && at(most).slope > 0)) return Number.NaN;
  let inverse = 1;
  for (let round = 0; round < 100; round++) {
    const { slope, curvature } = at(inverse);
    if (slope < 0) least = inverse;
    else most = inverse;
    const newton = inverse - slope / curvature;
    const next = newton > least && newton < most ? newton : (least + most) / 2;
    if (Math.abs(next - inverse) <= 1e-12 * inverse) return 1 / next;
    inverse = next;
  }
  return 1 / inverse;
}

interface TemperedLoss {
  readonly loss: number;
  /** First and second derivative by the inverse of the temperature. */
  readonly slope: number;
  readonly curvature: number;
}

/** Mean negative log-likelihood of softmax(inverse * logarithms). */
function temperedLoss(
  logarithms: Float64Array,
  classes: number,
  labels: ArrayLike<number>,
  inverse: number,
): TemperedLoss {
  let [loss, slope, curvature] = [0, 0, 0];
  for (let row = 0; row < labels.length; row++) {
    const own = logarithms.subarray(row * classes, (row + 1) * classes);
    const largest = own.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    let [sum, first, second] = [0, 0, 0];
    for (const value of own) {
      const below = value - largest;
      const power = Math.exp(inverse * below);
      sum += power;
      first += power * below;
      second += power * below * below;
    }
    const label = (own[labels[row] ?? 0] ?? Number.NaN) - largest;
    loss += Math.log(sum) - inverse * label;
    slope += first / sum - label;
    curvature += second / sum - (first / sum) ** 2;
  }
  return { loss: loss / labels.length, slope: slope / labels.length, curvature: curvature / labels.length };
}

function checkClips({ scores, classes }: ScoreMatrix, labels: ArrayLike<number>): void {
  const known = Array.from(labels).every((label) => Number.isInteger(label) && label >= 0 && label < classes);
  if (!known || labels.length === 0 || scores.length !== labels.length * classes) {
    throw new MetricError(
      `${scores.length} probabilities of ${classes} classes do not fit ${labels.length} clips`,
      'pass a class and a row of probabilities for each of at least one clip',
    );
  }
}
