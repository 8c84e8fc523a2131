/**
 * Zero-shot evaluation of a model on clips of any label set: features of clips and prompts are computed once, and a
 * protocol scores them.
 */
import type { BytePairTokenizer } from '@actionclip/tokenizer';
import type { ClipDatasetDescription } from '../data/dataset.ts';
import type { DatasetViews } from '../data/dataset-views.ts';
import { DataError } from '../data/errors.ts';
import type { ClipEntry } from '../data/lists.ts';
import { ClipLoader, type CorruptClipReport } from '../data/loader.ts';
import type { FrameSourceOptions } from '../data/open-source.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import { type Evaluation, evaluateEntries } from './evaluate.ts';
import { type ClipFeatures, FeatureEncoder, type PromptFeatures } from './features.ts';
import { promptTokens } from './prompt-tokens.ts';
import {
  type BaseAndNovel,
  type BaseToNovel,
  evaluateBaseToNovel,
  evaluateHalves,
  evaluateSplits,
  type HalfEvaluation,
  type RepeatedEvaluation,
} from './protocols.ts';
import { cachedPrompts, type TextCacheSpace } from './text-cache.ts';

/** What is done with the features beyond the evaluation of all clips against all classes. */
export type Protocol =
  | { readonly kind: 'full' }
  | { readonly kind: 'half-classes'; readonly seeds?: readonly number[] }
  /** Places of each split's clips among the entries. */
  | { readonly kind: 'splits'; readonly splits: readonly (readonly number[])[] }
  | ({ readonly kind: 'base-to-novel' } & BaseAndNovel);

export interface ZeroShotOptions {
  readonly tokenizer: BytePairTokenizer;
  /** Each clip once; classes count into `labels`. */
  readonly entries: readonly ClipEntry[];
  /** Texts of the classes as they stand in prompts. */
  readonly labels: readonly string[];
  /** Texts with one `{}` each. */
  readonly templates: readonly string[];
  readonly protocol?: Protocol;
  readonly views?: DatasetViews;
  /** Shorter side of a frame before the centre crop; the released proportion if absent. */
  readonly shortSide?: number;
  readonly source?: FrameSourceOptions;
  /** Views that are encoded at once; 8 if absent. */
  readonly batchSize?: number;
  /** Threads that load clips; 0 if absent. */
  readonly workers?: number;
  /** Text features of earlier runs. */
  readonly texts?: TextCacheSpace;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ZeroShotProgress) => void;
}

export interface ZeroShotProgress {
  readonly stage: 'prompts' | 'clips';
  readonly done: number;
  readonly total: number;
}

export interface ZeroShotResult {
  /** All clips that could be read, against all classes. */
  readonly full: Evaluation;
  readonly halves?: RepeatedEvaluation<HalfEvaluation>;
  readonly splits?: RepeatedEvaluation;
  readonly baseToNovel?: BaseToNovel;
  /** What the clips were scored with. */
  readonly prompts: PromptFeatures;
  /** Clips that could not be read: they are in no figure. */
  readonly broken: readonly CorruptClipReport[];
  /** From the first clip asked for to the last one encoded. */
  readonly clipSeconds: number;
}

/**
 * Evaluates a model.
 * @throws DataError where no clip can be read, PromptError or TextTooLongError for labels, MetricError where a protocol
 * does not fit the clips, InterruptedError where the signal was set off.
 */
export async function evaluateZeroShot(model: ActionCLIP, options: ZeroShotOptions): Promise<ZeroShotResult> {
  const { tokenizer, labels, templates, texts, signal, onProgress = () => {} } = options;
  const encoder = new FeatureEncoder(model);
  try {
    const tokens = promptTokens(labels, tokenizer, model.clip.sizes.text.context, templates);
    const prompts = await cachedPrompts(encoder, tokens, {
      ...(texts === undefined ? {} : { texts }),
      ...(signal === undefined ? {} : { signal }),
      onEncoded: ({ prompts: done, totalPrompts: total }) => onProgress({ stage: 'prompts', done, total }),
    });
    const broken: CorruptClipReport[] = [];
    const started = performance.now();
    const clips = await encodeClips(model, encoder, options, (report) => broken.push(report));
    const clipSeconds = (performance.now() - started) / 1000;
    if (clips.labels.length === 0) {
      const reason = broken[0]?.error.message ?? 'there is none';
      throw new DataError(`No clip can be read: ${reason}`, 'check the root of the clips and the decoder');
    }
    broken.sort((a, b) => a.index - b.index);
    return { ...scored(clips, prompts, options), prompts, broken, clipSeconds };
  } finally {
    await encoder.close();
  }
}

/** The clips as the model looks at them, in one view of each unless told. */
export function zeroShotDataset(
  model: ActionCLIP,
  { entries, views, shortSide, source }: Pick<ZeroShotOptions, 'entries' | 'views' | 'shortSide' | 'source'>,
): ClipDatasetDescription {
  return {
    entries,
    sampling: { segments: model.frames, randomShift: false },
    pipeline: {
      kind: 'evaluation',
      inputSize: model.clip.sizes.vision.resolution,
      ...(shortSide === undefined ? {} : { shortSide }),
    },
    ...(views === undefined ? {} : { views }),
    ...(source === undefined ? {} : { source }),
  };
}

async function encodeClips(
  model: ActionCLIP,
  encoder: FeatureEncoder,
  options: ZeroShotOptions,
  onBroken: (report: CorruptClipReport) => void,
): Promise<ClipFeatures> {
  const { entries, views, batchSize = 8, workers = 0, signal, onProgress = () => {} } = options;
  const dataset = zeroShotDataset(model, options);
  const clipsAtOnce = Math.max(1, Math.floor(batchSize / (views === undefined ? 1 : views.clips * views.crops)));
  const loader = new ClipLoader(dataset, {
    batchSize: Math.min(clipsAtOnce, entries.length),
    workers,
    corruptClips: 'skip',
    onCorruptClip: onBroken,
  });
  try {
    return await encoder.clips(loader, batchSize, {
      ...(signal === undefined ? {} : { signal }),
      onBatch: ({ clips, totalClips }) => onProgress({ stage: 'clips', done: clips, total: totalClips }),
    });
  } finally {
    await loader.close();
  }
}

function scored(
  clips: ClipFeatures,
  prompts: PromptFeatures,
  { protocol = { kind: 'full' }, entries }: ZeroShotOptions,
): Omit<ZeroShotResult, 'prompts' | 'broken' | 'clipSeconds'> {
  const full = evaluateEntries(clips, prompts, entries);
  switch (protocol.kind) {
    case 'full':
      return { full };
    case 'half-classes':
      return { full, halves: evaluateHalves(clips, prompts, protocol.seeds) };
    case 'splits':
      return { full, splits: evaluateSplits(clips, prompts, protocol.splits) };
    case 'base-to-novel':
      return { full, baseToNovel: evaluateBaseToNovel(clips, prompts, protocol) };
  }
}
