/**
 * Prepares a data set: tells its layout, gives every clip its class and split, checks every clip, and writes list files,
 * tables and a summary.
 */
import { mkdir, readdir, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { codeOf, DataError, messageOf } from '../data/errors.ts';
import { readLabels } from '../data/lists.ts';
import type { VideoDecoder } from '../data/open-source.ts';
import { findFfmpeg } from '../data/video-ffmpeg.ts';
import { loadNodeAv } from '../data/video-node-av.ts';
import { InterruptedError, throwIfInterrupted } from '../interrupted.ts';
import type { CheckLevel, CheckResult } from './check-clip.ts';
import { runChecks } from './check-pool.ts';
import { counted } from './counted.ts';
import { type FrameNumbering, numberingOf } from './frame-names.ts';
import { type ClipState, type Journal, openJournal } from './journal.ts';
import { labelKey, matchLabels } from './label-names.ts';
import type { DatasetLayoutName } from './layout-names.ts';
import type { LabelledClip, LayoutResult } from './layouts/layout.ts';
import { type ChosenLayout, chooseLayout } from './layouts/layouts.ts';
import { listFolder, readAnnotations } from './listing.ts';
import { formatOutputs, journalFile, writeOutputs } from './outputs.ts';
import type { CheckKind, PreparedClip, PrepareReport } from './report.ts';
import { divide } from './split.ts';

/** How far the checks are. */
export interface CheckProgress {
  readonly done: number;
  readonly total: number;
  readonly broken: number;
  /** clips that were checked by an earlier run and have not changed; counted in `done` */
  readonly known: number;
  /** clips per second since the start of the checks, or 0 before the first */
  readonly perSecond: number;
  /** seconds until the end at this rate, or undefined before the first */
  readonly secondsLeft: number | undefined;
}

export interface PrepareOptions {
  /** folder for everything that is written */
  readonly out: string;
  /** default `auto` */
  readonly layout?: DatasetLayoutName | 'auto';
  /** file or folder of annotations; by default those in the folder itself */
  readonly annotations?: string;
  /** which of the official splits of UCF101 and HMDB51; default 1 */
  readonly split?: number;
  /** label file that gives names and order of the classes */
  readonly labels?: string;
  /** default `full` */
  readonly check?: CheckKind;
  /** processes that check; by default one for each processor */
  readonly workers?: number;
  /** share of the clips to validate on, where the layout gives no splits; default 0.2 */
  readonly validationFraction?: number;
  /** seed of that division; default 0 */
  readonly seed?: number;
  /** keep broken clips in the lists; default false */
  readonly keepBroken?: boolean;
  /** check everything again, whatever earlier runs found; default false */
  readonly recheck?: boolean;
  /** time for one clip; default 300 */
  readonly timeoutSeconds?: number;
  /** how frames in folders are named, if it is not to be told from the first folder: `img_{:05d}.jpg` */
  readonly imageTemplate?: string;
  readonly decoder?: VideoDecoder;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CheckProgress) => void;
}

/**
 * Prepares the data set in `folder`. Nothing is written outside of `options.out`, and nothing but the journal of checks
 * before all checks are done; with that journal the next call goes on where this one was stopped.
 * @throws DataError in one sentence for what cannot be read, told or written; InterruptedError when the signal is set off
 */
export async function prepareDataset(folder: string, options: PrepareOptions): Promise<PrepareReport> {
  const { check = 'full', keepBroken = false, signal } = options;
  const [root, out] = [path.resolve(folder), path.resolve(options.out)];
  if (root === out)
    throw new DataError(`${out}: the lists cannot go among the clips`, 'name another folder, or one below it');
  const listing = await listFolder(root, { exclude: out, signal });
  const tree = { clips: listing.clips, annotations: await readAnnotations(root, listing, options.annotations) };
  const chosen = chooseLayout(options.layout ?? 'auto', tree, folder);
  const result = await classified(chosen.layout.read(tree, splitOption(chosen, options)), options);
  const { clips, notes } = withSplits(result, options);
  if (clips.length === 0) {
    throw new DataError(
      `${folder}: of ${result.missing.length} annotated clips none is there${result.missing[0] === undefined ? '' : `, such as "${result.missing[0]}"`}`,
      'check that the annotations are those of these clips',
    );
  }
  const numbering = frameNumbering(listing.frameNames, options);
  await makeFolder(out);
  const prepared = await checked(root, out, clips, numbering, options);
  throwIfInterrupted(signal);

  const texts = result.texts;
  const textOf = (label: string): string => texts?.get(label) ?? chosen.layout.textOf(label);
  const outputs = formatOutputs({
    labels: result.labels,
    textOf,
    clips: prepared,
    missing: result.missing,
    keepBroken,
  });
  const hasFrames = clips.some(({ kind }) => kind === 'frames');
  const report: PrepareReport = {
    folder: root,
    out,
    layout: chosen.layout.name as DatasetLayoutName,
    reason: chosen.reason,
    ...(chosen.layout.splits === true ? { split: options.split ?? 1 } : {}),
    check,
    classes: result.labels.length,
    clips: clips.length,
    listed: outputs.listed,
    frames: outputs.frames,
    broken: outputs.broken,
    missing: result.missing.length,
    unlistable: outputs.unlistable,
    ...(hasFrames && numbering !== undefined ? { frameNumbering: numbering } : {}),
    files: [...outputs.contents].flatMap(([name, content]) => (content === undefined ? [] : [name])),
    notes: [...notes, ...outputs.notes],
  };
  await writeOutputs(out, outputs, report);
  return report;
}

function splitOption({ layout }: ChosenLayout, { split }: PrepareOptions): { split?: number } {
  if (split === undefined) return {};
  if (layout.splits !== true) {
    throw new DataError(
      `the layout ${layout.name} has no numbered splits`,
      'leave --split out; ucf101 and hmdb51 have them',
    );
  }
  if (![1, 2, 3].includes(split)) throw new DataError(`there is no split ${split}`, 'expected 1, 2 or 3');
  return { split };
}

/** The result with the names and the order of a label file, if one is given. */
async function classified(result: LayoutResult, { labels: file }: PrepareOptions): Promise<LayoutResult> {
  if (file === undefined) return result;
  const notes: string[] = [];
  const labels = await readLabels(file, (warning) => notes.push(warning));
  const official = matchLabels([...new Set(result.clips.map(({ label }) => label))], labels, file);
  const renamed = (label: string): string => official.get(label) ?? label;
  return {
    ...result,
    labels,
    ...(result.texts === undefined
      ? {}
      : { texts: new Map([...result.texts].map(([label, text]) => [renamed(label), text])) }),
    clips: result.clips.map((clip) => ({ ...clip, label: renamed(clip.label) })),
    notes: [...result.notes, ...notes],
  };
}

/** Clips with splits: those of the layout, or else by lot. */
function withSplits(
  { clips, labels, notes }: LayoutResult,
  { validationFraction = 0.2, seed = 0 }: PrepareOptions,
): { clips: readonly LabelledClip[]; notes: readonly string[] } {
  const alike = new Map<string, string>();
  const warnings: string[] = [];
  for (const label of labels) {
    const other = alike.get(labelKey(label));
    if (other !== undefined) warnings.push(`the classes "${other}" and "${label}" differ only in their spelling`);
    alike.set(labelKey(label), label);
  }
  if (clips.some(({ split }) => split !== '')) {
    const open = clips.filter(({ split }) => split === '').length;
    if (open > 0) warnings.push(`in clips.csv only, as they have no split: ${counted(open, 'clip')}`);
    return { clips, notes: [...notes, ...warnings] };
  }
  const divided = divide(clips, validationFraction, seed);
  const percent = Math.round(validationFraction * 1000) / 10;
  const told = `the layout gives no splits: ${percent} % of the clips are for validation, by seed ${seed}`;
  return { clips: divided, notes: [...notes, ...warnings, ...(clips.length === 0 ? [] : [told])] };
}

function frameNumbering(names: readonly string[], { imageTemplate }: PrepareOptions): FrameNumbering | undefined {
  const told = numberingOf(names);
  return imageTemplate === undefined ? told : { indexBias: told?.indexBias ?? 1, imageTemplate };
}

async function makeFolder(out: string): Promise<void> {
  try {
    await mkdir(out, { recursive: true });
  } catch (error) {
    throw unwritable(out, error);
  }
}

const unwritable = (out: string, error: unknown): DataError =>
  new DataError(
    `${out}: nothing can be written there (${codeOf(error) || messageOf(error)})`,
    'name another folder with --out',
    {
      cause: error,
    },
  );

/** Checks the clips that the journal does not know as they are now. */
async function checked(
  root: string,
  out: string,
  clips: readonly LabelledClip[],
  numbering: FrameNumbering | undefined,
  options: PrepareOptions,
): Promise<PreparedClip[]> {
  const { check = 'full', recheck = false, onProgress } = options;
  if (check === 'none') return [...clips];
  if (clips.some(({ kind }) => kind === 'video')) await requireDecoder(options.decoder);
  const journal = await openJournal(path.join(out, journalFile), recheck).catch((error: unknown) => {
    throw unwritable(out, error);
  });
  try {
    return await checkedWith(journal, root, clips, numbering, check, options, onProgress ?? (() => {}));
  } finally {
    await journal.close();
  }
}

async function checkedWith(
  journal: Journal,
  root: string,
  clips: readonly LabelledClip[],
  numbering: FrameNumbering | undefined,
  level: CheckLevel,
  { workers = availableParallelism(), timeoutSeconds = 300, decoder, signal }: PrepareOptions,
  onProgress: (progress: CheckProgress) => void,
): Promise<PreparedClip[]> {
  const results: (CheckResult | undefined)[] = [];
  const open: { index: number; state: ClipState }[] = [];
  for (const [index, clip] of clips.entries()) {
    throwIfInterrupted(signal);
    const state = await stateOf(root, clip, level, numbering);
    const known = state === undefined ? { reason: 'it does not exist; the link leads nowhere' } : journal.find(state);
    results[index] = known;
    if (known === undefined && state !== undefined) open.push({ index, state });
  }
  const known = clips.length - open.length;
  let done = known;
  let broken = results.filter((result) => result !== undefined && 'reason' in result).length;
  const start = performance.now();
  const report = (): void => {
    const perSecond = done > known ? ((done - known) * 1000) / Math.max(performance.now() - start, 1) : 0;
    const secondsLeft = perSecond === 0 ? undefined : (clips.length - done) / perSecond;
    onProgress({ done, total: clips.length, broken, known, perSecond, secondsLeft });
  };
  report();
  const source = { ...numbering, ...(decoder === undefined ? {} : { decoder }) };
  const checks = open.map(({ state, index }) => {
    const kind = clips[index]?.kind ?? 'video';
    return { path: path.join(root, state.path), kind, level, source };
  });
  const checking = runChecks(checks, {
    workers,
    timeoutSeconds,
    signal,
    onResult: async (at, result) => {
      const job = open[at];
      if (job === undefined) return;
      if (!('givenUp' in result)) await journal.add(job.state, result); // another run tries it again
      results[job.index] = result;
      done += 1;
      if ('reason' in result) broken += 1;
      report();
    },
  });
  await checking.catch((error: unknown) => {
    if (signal?.aborted !== true) throw error;
    throw new InterruptedError(`${done} of ${clips.length} clips are checked; the same command goes on from there`);
  });
  return clips.map((clip, index) => ({ ...clip, ...results[index] }));
}

/** A clip as it is now, or undefined if it is not there. */
async function stateOf(
  root: string,
  { path: clip, kind }: LabelledClip,
  level: CheckLevel,
  numbering: FrameNumbering | undefined,
): Promise<ClipState | undefined> {
  const file = path.join(root, clip);
  const stats = await stat(file).catch(() => undefined);
  if (stats === undefined) return undefined;
  const isFrames = kind === 'frames';
  const size = isFrames ? (await readdir(file)).length : stats.size;
  const how = isFrames && numbering !== undefined ? `${numbering.imageTemplate} from ${numbering.indexBias}` : '';
  return { path: clip, size, modified: stats.mtimeMs, level, numbering: how };
}

/** Without a decoder every video would seem broken. */
async function requireDecoder(decoder: VideoDecoder = 'auto'): Promise<void> {
  const reasons: string[] = [];
  if (decoder !== 'ffmpeg') {
    const result = await loadNodeAv();
    if ('nodeAv' in result) return;
    reasons.push(result.reason);
  }
  if (decoder !== 'node-av') {
    const result = await findFfmpeg();
    if ('version' in result) return;
    reasons.push(result.reason);
  }
  throw new DataError(
    `no video decoder can be used: ${reasons.join(', and ')}`,
    'run `npm install node-av`, or install ffmpeg and put it on the search path; or list without checks: --check none',
  );
}
