/**
 * Scores and counts of evaluation on plain arrays: the scoring rule over templates, top-k, mean class accuracy and
 * the confusion matrix. Matrices are row-major; ties go to the lower class index everywhere.
 */

/** Rows of `classes` numbers each: [clips, classes]. */
export interface ScoreMatrix {
  readonly scores: ArrayLike<number>;
  readonly classes: number;
}

/** Arrays whose lengths or values do not belong together. */
export class MetricError extends Error {
  override readonly name = 'MetricError';
  readonly hint: string;

  constructor(problem: string, hint: string) {
    super(`${problem}; ${hint}`);
    this.hint = hint;
  }
}

/** The constant that evaluation uses in place of the learned logit scale, as the released code does. */
export const EVALUATION_LOGIT_SCALE = 100;

/**
 * Class probabilities from the similarities of clips and prompts: softmax over the classes inside each template,
 * then the mean over the templates (released code, test.py). Neither a mean of logits nor of text features.
 * @param similarities Cosines [clips, templates * classes], template-major as `formatPrompts` orders the prompts.
 * @returns Probabilities [clips, classes].
 * @throws MetricError where the length does not fit.
 */
export function scoreTemplates(
  similarities: ArrayLike<number>,
  { templates, classes, scale = EVALUATION_LOGIT_SCALE }: { templates: number; classes: number; scale?: number },
): Float64Array {
  const clips = similarities.length / (templates * classes);
  if (!Number.isInteger(clips)) {
    throw new MetricError(
      `${similarities.length} similarities are not whole rows of ${templates} templates x ${classes} classes`,
      'pass one row of templates * classes numbers per clip',
    );
  }
  const probabilities = new Float64Array(clips * classes);
  for (let clip = 0; clip < clips; clip++) {
    for (let template = 0; template < templates; template++) {
      const start = (clip * templates + template) * classes;
      softmax(similarities, start, classes, scale).forEach((probability, c) => {
        const cell = clip * classes + c;
        probabilities[cell] = (probabilities[cell] ?? 0) + probability / templates;
      });
    }
  }
  return probabilities;
}

/** Softmax of `scale * values[start .. start + length]`; the maximum is taken off first, so nothing overflows. */
function softmax(values: ArrayLike<number>, start: number, length: number, scale: number): Float64Array {
  const scaled = Float64Array.from({ length }, (_, i) => (values[start + i] ?? Number.NaN) * scale);
  const maximum = scaled.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = scaled.map((value) => Math.exp(value - maximum));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/**
 * The classes of the k largest scores of one row, best first.
 * @param row Index of the clip.
 */
export function topClasses({ scores, classes }: ScoreMatrix, row: number, k: number): number[] {
  const value = (c: number): number => scores[row * classes + c] ?? Number.NaN;
  const order = Array.from({ length: classes }, (_, c) => c);
  return order.sort((a, b) => value(b) - value(a) || a - b).slice(0, k);
}

/** The best class of every row. */
export function predictedClasses(matrix: ScoreMatrix): number[] {
  return Array.from({ length: matrix.scores.length / matrix.classes }, (_, row) => topClasses(matrix, row, 1)[0] ?? 0);
}

/**
 * The part of clips, 0 to 1, whose label is among the k best classes. Every clip counts, the last batch too.
 * @throws MetricError where scores and labels do not belong together, or there is no clip.
 */
export function topKAccuracy(matrix: ScoreMatrix, labels: ArrayLike<number>, k = 1): number {
  checkRows(matrix, labels);
  let correct = 0;
  for (let row = 0; row < labels.length; row++) {
    if (rankOfLabel(matrix, row, labels[row] ?? 0) < k) correct++;
  }
  return correct / labels.length;
}

/** How many classes come before the label in its row; 0 is a right prediction. NaN never counts as right. */
function rankOfLabel({ scores, classes }: ScoreMatrix, row: number, label: number): number {
  const own = scores[row * classes + label] ?? Number.NaN;
  let before = 0;
  for (let c = 0; c < classes; c++) {
    const other = scores[row * classes + c] ?? Number.NaN;
    if (c !== label && !(other < own || (other === own && c > label))) before++;
  }
  return before;
}

/** Counts [true class, predicted class], row-major. */
export interface ConfusionMatrix {
  readonly classes: number;
  readonly counts: Uint32Array;
}

/** @throws MetricError where lengths differ or a class is out of range. */
export function confusionMatrix(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  classes: number,
): ConfusionMatrix {
  if (labels.length !== predictions.length) {
    throw new MetricError(`${labels.length} labels but ${predictions.length} predictions`, 'pass one of each per clip');
  }
  const counts = new Uint32Array(classes * classes);
  for (let i = 0; i < labels.length; i++) {
    const cell = checkClass(labels[i], classes, i) * classes + checkClass(predictions[i], classes, i);
    counts[cell] = (counts[cell] ?? 0) + 1;
  }
  return { classes, counts };
}

export interface ClassAccuracy {
  readonly index: number;
  readonly clips: number;
  readonly correct: number;
  /** 0 to 1; NaN for a class without clips. */
  readonly accuracy: number;
}

/** One row per class, in class order. */
export function perClassAccuracy({ classes, counts }: ConfusionMatrix): ClassAccuracy[] {
  return Array.from({ length: classes }, (_, index) => {
    const clips = counts.subarray(index * classes, (index + 1) * classes).reduce((a, b) => a + b, 0);
    const correct = counts[index * classes + index] ?? 0;
    return { index, clips, correct, accuracy: correct / clips };
  });
}

/** The mean of the class accuracies over the classes that have clips: each class weighs the same. */
export function meanClassAccuracy(matrix: ConfusionMatrix): number {
  const present = perClassAccuracy(matrix).filter(({ clips }) => clips > 0);
  return present.reduce((sum, { accuracy }) => sum + accuracy, 0) / present.length;
}

export interface ConfusionPair {
  readonly label: number;
  readonly predicted: number;
  readonly count: number;
}

/** The most frequent mistakes, most frequent first. */
export function confusionPairs({ classes, counts }: ConfusionMatrix, limit = 10): ConfusionPair[] {
  const pairs: ConfusionPair[] = [];
  counts.forEach((count, cell) => {
    const label = Math.floor(cell / classes);
    const predicted = cell % classes;
    if (count > 0 && label !== predicted) pairs.push({ label, predicted, count });
  });
  return pairs.sort((a, b) => b.count - a.count || a.label - b.label || a.predicted - b.predicted).slice(0, limit);
}

/**
 * Average precision of one class: the mean, over its clips, of the part of right clips among all that score at least as
 * high. Clips of equal score come at once, so their order in the list does not count.
 * @param scores One for each clip. @param isRight Whether the clip is of the class.
 * @returns 0 to 1; NaN where no clip is of the class.
 */
export function averagePrecision(scores: readonly number[], isRight: readonly boolean[]): number {
  const order = scores.map((_, clip) => clip).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
  let [right, sum] = [0, 0];
  for (let first = 0; first < order.length; ) {
    const score = scores[order[first] ?? 0];
    let last = first;
    let among = 0;
    while (last < order.length && scores[order[last] ?? 0] === score) if (isRight[order[last++] ?? 0] === true) among++;
    right += among;
    sum += (among * right) / last;
    first = last;
  }
  return sum / right;
}

/**
 * The average precision of each class, NaN where no clip is of it.
 * @param labelSets All classes of each clip.
 * @throws MetricError where scores and classes do not belong together, a score is no number, or there is no clip.
 */
export function averagePrecisions(matrix: ScoreMatrix, labelSets: readonly (readonly number[])[]): number[] {
  const { scores, classes } = matrix;
  checkRows(
    matrix,
    labelSets.map(([first = -1]) => first),
  );
  labelSets.forEach((set, clip) => {
    for (const label of set) checkClass(label, classes, clip);
  });
  if (Array.from(scores).some(Number.isNaN)) throw new MetricError('A score is NaN', 'clips cannot be ranked by it');
  return Array.from({ length: classes }, (_, index) =>
    averagePrecision(
      labelSets.map((__, clip) => scores[clip * classes + index] ?? 0),
      labelSets.map((set) => set.includes(index)),
    ),
  );
}

/**
 * The mean of the average precisions over the classes that have clips; the measure where clips have several classes.
 * @param labelSets All classes of each clip.
 * @throws MetricError as `averagePrecisions`.
 */
export function meanAveragePrecision(matrix: ScoreMatrix, labelSets: readonly (readonly number[])[]): number {
  return meanPresent(averagePrecisions(matrix, labelSets));
}

/** The mean of those that are numbers. */
export function meanPresent(values: readonly number[]): number {
  const present = values.filter((value) => !Number.isNaN(value));
  return present.reduce((sum, value) => sum + value, 0) / present.length;
}

function checkRows({ scores, classes }: ScoreMatrix, labels: ArrayLike<number>): void {
  if (scores.length !== labels.length * classes || labels.length === 0) {
    throw new MetricError(
      `${scores.length} scores for ${labels.length} clips of ${classes} classes`,
      'pass classes scores for each of at least one clip',
    );
  }
  for (let row = 0; row < labels.length; row++) checkClass(labels[row], classes, row);
}

function checkClass(value: number | undefined, classes: number, row: number): number {
  if (value !== undefined && Number.isInteger(value) && value >= 0 && value < classes) return value;
  throw new MetricError(`Clip ${row} has class ${value}`, `classes go from 0 to ${classes - 1}`);
}
