/** The best and the worst clips of an evaluation as filmstrips, with what the model sees in their frames. */
import { relative } from 'node:path';
import { ClipDataset, type ClipDatasetDescription } from '../data/dataset.ts';
import { classesOf } from '../data/label-sets.ts';
import type { Evaluation } from '../evaluate/evaluate.ts';
import type { PromptFeatures } from '../evaluate/features.ts';
import { topClasses } from '../evaluate/metrics.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import { shadeByAttention } from '../report/class-attention.ts';
import type { Filmstrip, ReportImage } from '../report/data.ts';
import { encodeFrame } from '../report/frames.ts';
import { ClipInsights } from './clip-insight.ts';

export interface EvaluatedClips {
  readonly model: ActionCLIP;
  readonly evaluation: Evaluation;
  /** Texts of the classes. */
  readonly labels: readonly string[];
  /** What was evaluated, in one view of each clip. */
  readonly dataset: ClipDatasetDescription;
  /** Of all classes; asked for where the model sees frames one by one. */
  readonly prompts: () => Promise<PromptFeatures>;
  /** Where relative paths of clips start. */
  readonly root: string | undefined;
}

/** Clips shown of each kind. */
const shownClips = 6;
const shownPredictions = 3;
/** Pixels across a frame: twice as many as a page shows, for fine screens. */
const shownWidth = 160;

/** A few right clips of different classes and a few wrong ones, the most certain first. */
export async function filmstrips(clips: EvaluatedClips): Promise<Filmstrip[]> {
  const dataset = new ClipDataset(clips.dataset);
  const insights = clips.model.perFrame ? new ClipInsights(clips.model, await clips.prompts()) : undefined;
  try {
    const strips: Filmstrip[] = [];
    for (const chosen of chooseClips(clips.evaluation)) {
      const { frames } = await dataset.load(clips.evaluation.indices[chosen.row] ?? 0, 0);
      strips.push(await filmstrip(clips, chosen, frames, insights));
    }
    return strips;
  } finally {
    await insights?.close();
  }
}

interface ChosenClip {
  readonly row: number;
  /** Classes, the best first. */
  readonly best: readonly number[];
}

function chooseClips({ scores, labels }: Evaluation): ChosenClip[] {
  const rows = [...labels.keys()].map((row) => {
    const best = topClasses(scores, row, shownPredictions);
    const [first = 0] = best;
    return { row, best, right: first === labels[row], certainty: scores.scores[row * scores.classes + first] ?? 0 };
  });
  rows.sort((a, b) => b.certainty - a.certainty);
  const seen = new Set<number>();
  const right = rows.filter(({ row, right: isRight }) => {
    const label = labels[row] ?? 0;
    return isRight && !seen.has(label) && seen.add(label);
  });
  const wrong = rows.filter((entry) => !entry.right);
  return [...right.slice(0, shownClips), ...wrong.slice(0, shownClips)];
}

/** @param planes The frames of the clip, [T, 3, S, S]. */
async function filmstrip(
  { model, evaluation, labels, dataset, root }: EvaluatedClips,
  { row, best }: ChosenClip,
  planes: Uint8Array,
  insights: ClipInsights | undefined,
): Promise<Filmstrip> {
  const { scores } = evaluation;
  const side = model.clip.sizes.vision.resolution;
  const frames = framesOf(planes, side);
  const label = evaluation.labels[row] ?? 0;
  const entry = dataset.entries[evaluation.indices[row] ?? 0];
  const others = entry === undefined ? [] : classesOf(entry).filter((other) => other !== label);
  const nameOf = (place: number): string => labels[place] ?? '';
  return {
    frames: await picturesOf(frames, side),
    label: nameOf(label),
    ...(others.length === 0 ? {} : { otherLabels: others.map(nameOf) }),
    predictions: best.map((place) => ({
      label: nameOf(place),
      probability: scores.scores[row * scores.classes + place] ?? 0,
    })),
    source: shownPath(entry?.path ?? '', root),
    ...(insights === undefined
      ? {}
      : await seenIn(insights, planes, frames, { labels: [label, ...best], nameOf, side })),
  };
}

/** Attention over the frames, and the similarity of each to the label and to the best guess that is another. */
async function seenIn(
  insights: ClipInsights,
  planes: Uint8Array,
  frames: readonly Uint8Array[],
  { labels, nameOf, side }: { labels: readonly number[]; nameOf: (label: number) => string; side: number },
): Promise<Required<Pick<Filmstrip, 'attention' | 'similarities'>>> {
  const insight = await insights.of(planes, frames.length, side);
  const nothing = new Float32Array(0);
  const shaded = frames.map((frame, i) => shadeByAttention(frame, side, insight.attention[i] ?? nothing));
  return {
    attention: await picturesOf(shaded, side),
    similarities: [...new Set(labels)]
      .slice(0, 2)
      .map((label) => ({ name: nameOf(label), values: insight.similarities(label) })),
  };
}

const picturesOf = (frames: readonly Uint8Array[], side: number): Promise<ReportImage[]> =>
  Promise.all(frames.map((frame) => encodeFrame(frame, { width: side, height: side, shownWidth })));

/** Planes [T, 3, S, S] to as many frames of pixels [S, S, 3]. */
function framesOf(planes: Uint8Array, side: number): Uint8Array[] {
  const area = side * side;
  return Array.from({ length: planes.length / (3 * area) }, (_, frame) => {
    const pixels = new Uint8Array(3 * area);
    for (let i = 0; i < area; i++) {
      for (let channel = 0; channel < 3; channel++) {
        pixels[3 * i + channel] = planes[(3 * frame + channel) * area + i] ?? 0;
      }
    }
    return pixels;
  });
}

/** A clip's path as its list has it: relative to the root of the data. */
const shownPath = (path: string, root: string | undefined): string =>
  root === undefined ? path : relative(root, path);
