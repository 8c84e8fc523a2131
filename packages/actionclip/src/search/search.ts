/** Videos by text: the windows of an index by their similarity with a text. */
import type { PromptFeatures } from '../evaluate/features.ts';
import { labelFeature } from '../recognize/score.ts';
import { type VideoIndex, windowsOf } from './video-index.ts';

/** A stretch of a video that fits the text. */
export interface SearchHit {
  /** From the folder of the index. */
  readonly path: string;
  /** Seconds. */
  readonly start: number;
  readonly end: number;
  /** Cosine with the text's feature, the mean over templates. */
  readonly similarity: number;
}

/**
 * The videos nearest to a text, best first, each with its best window; equal ones by path.
 * @param text Features of one text in every template.
 */
export function searchIndex(index: VideoIndex, text: PromptFeatures, top: number): SearchHit[] {
  const wanted = labelFeature(text, 0);
  const hits: SearchHit[] = [];
  let row = 0;
  for (const video of index.videos) {
    const windows = windowsOf(video).map(({ start, end }): SearchHit => {
      const similarity = product(index.features, row++ * index.width, wanted);
      return { path: video.path, start, end, similarity };
    });
    const [first, ...others] = windows;
    if (first !== undefined)
      hits.push(others.reduce((best, hit) => (hit.similarity > best.similarity ? hit : best), first));
  }
  return hits.sort((a, b) => b.similarity - a.similarity || (a.path < b.path ? -1 : 1)).slice(0, top);
}

function product(rows: Float32Array, start: number, other: Float32Array): number {
  return other.reduce((sum, value, i) => sum + value * (rows[start + i] ?? 0), 0);
}
