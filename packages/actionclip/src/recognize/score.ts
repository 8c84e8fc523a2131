/** From features of a video and of prompts to probabilities of labels; no model is needed any more. */

import type { FeatureRows, PromptFeatures } from '../evaluate/features.ts';
import { scoreTemplates } from '../evaluate/metrics.ts';
import { RecognitionError } from './errors.ts';
import { unitRow } from './towers.ts';
import type { Classification, VideoEmbedding, WindowScore } from './types.ts';

/**
 * Scores a video against a label set: softmax over the labels within each template and view, the mean of the
 * probabilities over templates and views, and the mean over windows.
 * @param prompts Features of the labels in every template, from the same model.
 * @throws RecognitionError where video and prompts do not belong together.
 */
export function scoreViews(
  embedding: VideoEmbedding,
  prompts: PromptFeatures,
  labels: readonly string[],
): Classification {
  const width = embedding.windows[0]?.views.width;
  if (width !== prompts.width) {
    throw new RecognitionError(
      `features of the video have ${width} columns and those of the prompts ${prompts.width}`,
      'take both from one model',
    );
  }
  if (labels.length !== prompts.classes)
    throw new RecognitionError(`there are ${labels.length} labels and prompts of ${prompts.classes}`, 'give the same');
  const windows = embedding.windows.map(
    ({ start, end, views }): WindowScore => ({ start, end, probabilities: viewProbabilities(views, prompts) }),
  );
  const meanLabels = labels.map((_, label) => labelFeature(prompts, label));
  return {
    labels,
    probabilities: meanOf(windows.map(({ probabilities }) => probabilities)),
    frames: embedding.frames,
    duration: embedding.duration,
    sampled: embedding.sampled.map(({ index, time, image, feature }) => ({
      index,
      time,
      image,
      similarities: Float32Array.from(meanLabels, (label) => product(feature, label)),
    })),
    windows,
  };
}

/** The mean over views, each a unit row, of what `scoreTemplates` gives for each. */
export function viewProbabilities({ rows, width }: FeatureRows, prompts: PromptFeatures): Float64Array {
  const views = rows.length / width;
  const { templates, classes } = prompts;
  const similarities = new Float64Array(views * templates * classes);
  for (let view = 0; view < views; view++) {
    const row = rows.subarray(view * width, (view + 1) * width);
    for (let prompt = 0; prompt < templates * classes; prompt++) {
      const text = prompts.rows.subarray(prompt * width, (prompt + 1) * width);
      similarities[view * templates * classes + prompt] = product(row, text);
    }
  }
  const probabilities = scoreTemplates(similarities, { templates, classes });
  return meanOf(
    Array.from({ length: views }, (_, view) => probabilities.subarray(view * classes, (view + 1) * classes)),
  );
}

/** The mean of a label's features over the templates, of unit length. */
export function labelFeature({ rows, width, templates, classes }: PromptFeatures, label: number): Float32Array {
  const sum = new Float32Array(width);
  for (let template = 0; template < templates; template++) {
    const start = (template * classes + label) * width;
    for (let i = 0; i < width; i++) sum[i] = (sum[i] as number) + (rows[start + i] as number);
  }
  return unitRow(sum);
}

/** The mean of rows of one length. */
function meanOf(rows: readonly Float64Array[]): Float64Array {
  const mean = new Float64Array(rows[0]?.length ?? 0);
  for (const row of rows) for (let i = 0; i < mean.length; i++) mean[i] = (mean[i] as number) + (row[i] as number);
  return mean.map((sum) => sum / rows.length);
}

function product(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}
