/**
 * The built-in data set on disk, in Kinetics' layout: folders of JPEG frames, list files `path frames label` and label
 * files `id,name`. It appears under its final name only when it is whole.
 */
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { codeOf, DataError, messageOf } from '../data/errors.ts';
import type { Image } from '../data/image/image.ts';
import { type ClipEntry, formatClipList, formatLabels, readClipList } from '../data/lists.ts';
import { Random } from '../data/random.ts';
import { isAlive } from '../process-alive.ts';
import {
  actionOf,
  defaultTrainedLabels,
  defaultZeroShotLabels,
  hardTrainedLabels,
  hardZeroShotLabels,
  orderedPairsAmong,
} from './actions.ts';
import { type ClipForm, type ClipOptions, checkClipOptions, renderClip } from './clip.ts';

export interface ActionDatasetOptions extends ClipOptions {
  /** Default 0. */
  readonly seed?: number;
  /** Clips per class; defaults 40, 10 and 10. */
  readonly trainClips?: number;
  readonly valClips?: number;
  readonly zeroShotClips?: number;
  /** Classes of train and val, and classes of the zero-shot list; defaults `defaultLabels` of the form. */
  readonly labels?: readonly string[];
  readonly zeroShotLabels?: readonly string[];
}

/** Called after each clip. */
export type DatasetProgress = (progress: { readonly clips: number; readonly totalClips: number }) => void;

/** Where everything lies. Paths inside the list files are relative to `root`. */
export interface ActionDataset {
  readonly root: string;
  readonly trainList: string;
  readonly valList: string;
  readonly zeroShotList: string;
  readonly labelFile: string;
  readonly zeroShotLabelFile: string;
  readonly labels: readonly string[];
  readonly zeroShotLabels: readonly string[];
  /** Pairs of trained labels that only the order of time tells apart. */
  readonly orderedPairs: readonly (readonly [string, string])[];
  /** True where an earlier, equal data set was found and nothing was drawn. */
  readonly reused: boolean;
}

/** A frame's file name within its clip's folder, counted from 1. */
export const frameTemplate = 'img_{:05d}.jpg';

const format = 'actionclip-synthetic';
/** Counts changes of the drawing: data sets of another version are drawn again. */
const version = 1;
const manifestName = 'dataset.json';
const jpegQuality = 90;
/** Enough to keep sharp's threads busy while the next clip is drawn. */
const clipsInFlight = 4;

type Settings = Required<ActionDatasetOptions>;
type Split = 'train' | 'val' | 'zeroShot';

const listNames: Readonly<Record<Split, string>> = { train: 'train.txt', val: 'val.txt', zeroShot: 'zero_shot.txt' };
const folderNames: Readonly<Record<Split, string>> = { train: 'train', val: 'val', zeroShot: 'zero_shot' };

/** The classes of each form, where none are named. */
export const defaultLabels: Readonly<Record<ClipForm, Pick<Settings, 'labels' | 'zeroShotLabels'>>> = {
  standard: { labels: defaultTrainedLabels, zeroShotLabels: defaultZeroShotLabels },
  hard: { labels: hardTrainedLabels, zeroShotLabels: hardZeroShotLabels },
};

function checkOptions(options: ActionDatasetOptions): Settings {
  const clip = checkClipOptions(options);
  const { seed = 0, trainClips = 40, valClips = 10, zeroShotClips = 10 } = options;
  const { labels, zeroShotLabels } = { ...defaultLabels[clip.form], ...options };
  if (!Number.isFinite(seed)) throw new DataError(`The data set's seed is ${seed}`, 'expected a finite number');
  for (const [name, count] of Object.entries({ trainClips, valClips, zeroShotClips })) {
    if (!Number.isInteger(count) || count < 1) {
      throw new DataError(`The option ${name} is ${count}`, 'expected a whole number of clips per class, at least 1');
    }
  }
  const all = [...labels, ...zeroShotLabels];
  for (const label of all) {
    if (actionOf(label).partner !== undefined && clip.form === 'standard') {
      throw new DataError(`"${label}" takes two people, and the standard form draws one`, 'choose the form hard');
    }
  }
  const repeated = all.find((label, index) => all.indexOf(label) !== index);
  if (repeated !== undefined) {
    throw new DataError(
      `The label "${repeated}" is listed twice`,
      'a class is either trained or kept for zero-shot, once',
    );
  }
  if (labels.length === 0 || zeroShotLabels.length === 0) {
    throw new DataError('The data set lacks labels', 'expected at least one trained and one zero-shot label');
  }
  return { seed, trainClips, valClips, zeroShotClips, labels, zeroShotLabels, ...clip };
}

function describe(root: string, settings: Settings, reused: boolean): ActionDataset {
  const at = (name: string): string => path.join(root, name);
  return {
    root,
    trainList: at(listNames.train),
    valList: at(listNames.val),
    zeroShotList: at(listNames.zeroShot),
    labelFile: at('labels.csv'),
    zeroShotLabelFile: at('zero_shot_labels.csv'),
    labels: settings.labels,
    zeroShotLabels: settings.zeroShotLabels,
    orderedPairs: orderedPairsAmong(settings.labels),
    reused,
  };
}

function frameName(frame: number): string {
  return `img_${String(frame).padStart(5, '0')}.jpg`;
}

interface PlannedClip {
  readonly split: Split;
  readonly label: string;
  readonly classIndex: number;
  readonly seed: number;
  /** Relative to the data set's folder, with forward slashes. */
  readonly folder: string;
}

function planClips(settings: Settings): PlannedClip[] {
  const random = new Random(settings.seed);
  const plan = (split: Split, labels: readonly string[], clips: number): PlannedClip[] =>
    labels.flatMap((label, classIndex) =>
      Array.from({ length: clips }, (_, clip) => ({
        split,
        label,
        classIndex,
        seed: random.fork(split, label, clip).bits(),
        folder: `${folderNames[split]}/${label.replaceAll(' ', '_')}/clip_${String(clip + 1).padStart(4, '0')}`,
      })),
    );
  return [
    ...plan('train', settings.labels, settings.trainClips),
    ...plan('val', settings.labels, settings.valClips),
    ...plan('zeroShot', settings.zeroShotLabels, settings.zeroShotClips),
  ];
}

/** Writes the frames of one clip as JPEG files. */
export async function writeFrames(folder: string, images: readonly Image[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  await Promise.all(
    images.map(({ width, height, data }, index) =>
      sharp(data, { raw: { width, height, channels: 3 } })
        .jpeg({ quality: jpegQuality, chromaSubsampling: '4:4:4', optimiseCoding: false })
        .toFile(path.join(folder, frameName(index + 1))),
    ),
  );
}

/** Draws every clip below `folder`, a few at a time; resolves to the list entries in plan order. */
async function writeClips(
  folder: string,
  clips: readonly PlannedClip[],
  settings: Settings,
  onProgress: DatasetProgress,
): Promise<ClipEntry[]> {
  const entries: ClipEntry[] = [];
  let started = 0;
  let finished = 0;
  let failed = false;
  const work = async (): Promise<void> => {
    while (started < clips.length && !failed) {
      const index = started++;
      const clip = clips[index] as PlannedClip;
      const images = renderClip(clip.label, clip.seed, settings);
      await writeFrames(path.join(folder, clip.folder), images);
      entries[index] = { path: clip.folder, frames: images.length, label: clip.classIndex };
      onProgress({ clips: ++finished, totalClips: clips.length });
    }
  };
  const stopOthers = (error: unknown): never => {
    failed = true;
    throw error;
  };
  const results = await Promise.allSettled(Array.from({ length: clipsInFlight }, () => work().catch(stopOthers)));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  return entries;
}

async function writeDataset(folder: string, settings: Settings, onProgress: DatasetProgress): Promise<void> {
  const clips = planClips(settings);
  const entries = await writeClips(folder, clips, settings, onProgress);
  for (const split of ['train', 'val', 'zeroShot'] as const) {
    const own = entries.filter((_, index) => clips[index]?.split === split);
    await writeFile(path.join(folder, listNames[split]), formatClipList(own));
  }
  await writeFile(path.join(folder, 'labels.csv'), formatLabels(settings.labels));
  await writeFile(path.join(folder, 'zero_shot_labels.csv'), formatLabels(settings.zeroShotLabels));
  await writeFile(path.join(folder, manifestName), manifestOf(settings));
}

function manifestOf(settings: Settings): string {
  const orderedPairs = orderedPairsAmong(settings.labels);
  // The standard form goes without saying: naming it would draw every data set of it again.
  const { form, ...rest } = settings;
  const options = form === 'standard' ? rest : settings;
  return `${JSON.stringify({ format, version, frameTemplate, orderedPairs, options }, null, 2)}\n`;
}

type Found = 'nothing' | 'equal' | 'different';

/** What lies at `folder`. Throws DataError where it is something that this module did not write. */
async function inspect(folder: string, settings: Settings): Promise<Found> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'nothing';
    throw new DataError(`${folder}: cannot be read as a folder (${messageOf(error)})`, 'choose another folder');
  }
  if (names.length === 0) return 'nothing';
  const manifest = names.includes(manifestName) ? await readFile(path.join(folder, manifestName), 'utf8') : '';
  if (!manifest.includes(`"format": "${format}"`)) {
    throw new DataError(
      `${folder}: the folder holds other files`,
      'choose an empty or absent folder for the built-in data set',
    );
  }
  return manifest === manifestOf(settings) && (await isWhole(folder, settings)) ? 'equal' : 'different';
}

/** Whether the list files are there and the last frame of every listed clip. */
async function isWhole(folder: string, settings: Settings): Promise<boolean> {
  const { trainList, valList, zeroShotList, labelFile, zeroShotLabelFile } = describe(folder, settings, true);
  try {
    await Promise.all([access(labelFile), access(zeroShotLabelFile)]);
    for (const list of [trainList, valList, zeroShotList]) {
      const clips = await readClipList(list, { root: folder });
      await Promise.all(clips.map((clip) => access(path.join(clip.path, frameName(clip.frames ?? 1)))));
    }
    return true;
  } catch {
    return false;
  }
}

/** Removes what processes that are gone have left beside `folder`. */
export async function removeLeftovers(folder: string): Promise<void> {
  const prefix = `${path.basename(folder)}.partial-`;
  for (const name of await readdir(path.dirname(folder))) {
    const owner = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN;
    if (owner > 0 && !isAlive(owner)) await rm(path.join(path.dirname(folder), name), { recursive: true, force: true });
  }
}

let partialCount = 0;

/**
 * Makes the built-in data set at `folder`, or finds that an equal one is there already (same version and options,
 * every clip present). One with other options is replaced. All drawing happens in a folder beside it that is renamed at
 * the end, so an interrupted run leaves `folder` as it was.
 * @throws DataError for options out of range, unknown labels, or a folder with other files in it
 */
export async function generateActionDataset(
  folder: string,
  options: ActionDatasetOptions = {},
  onProgress: DatasetProgress = () => {},
): Promise<ActionDataset> {
  const settings = checkOptions(options);
  const root = path.resolve(folder);
  if ((await inspect(root, settings)) === 'equal') return describe(root, settings, true);
  await mkdir(path.dirname(root), { recursive: true });
  await removeLeftovers(root);
  const partial = `${root}.partial-${process.pid}-${++partialCount}`;
  try {
    await writeDataset(partial, settings, onProgress);
    // Another process may have finished the same data set meanwhile; then theirs is as good as ours.
    if ((await inspect(root, settings)) !== 'equal') {
      await rm(root, { recursive: true, force: true });
      await rename(partial, root);
    }
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return describe(root, settings, false);
}
