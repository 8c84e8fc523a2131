/** The pre-training set on disk: pictures as clips of one frame, and a class for each caption. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { codeOf, DataError } from '../data/errors.ts';
import type { Image } from '../data/image/image.ts';
import { type ClipEntry, formatClipList, formatLabels } from '../data/lists.ts';
import { Random } from '../data/random.ts';
import { checkClipOptions } from './clip.ts';
import { removeLeftovers, writeFrames } from './dataset.ts';
import { renderPair } from './pair.ts';

export interface PairDatasetOptions {
  /** Default 0. */
  readonly seed?: number;
  /** Pairs to train on and held-out pairs, the captions of which are all different; defaults 3000 and 200. */
  readonly trainPairs?: number;
  readonly valPairs?: number;
  /** Side of the pictures in pixels, default 64, and how much people, cameras and settings vary, 0 (default) to 1. */
  readonly size?: number;
  readonly difficulty?: number;
}

/** Where everything lies. Classes of the two lists count the captions of their own label file. */
export interface PairDataset {
  readonly root: string;
  readonly trainList: string;
  readonly valList: string;
  readonly labelFile: string;
  readonly valLabelFile: string;
  /** True where an earlier, equal set was found and nothing was drawn. */
  readonly reused: boolean;
}

const format = 'actionclip-pairs';
/** Counts changes of the drawing. */
const version = 1;
const manifestName = 'pairs.json';
const picturesInFlight = 8;

type Settings = Required<PairDatasetOptions>;

function checkOptions(options: PairDatasetOptions): Settings {
  const { seed = 0, trainPairs = 3000, valPairs = 200, size = 64, difficulty = 0 } = options;
  if (!Number.isFinite(seed)) throw new DataError(`The seed of the pairs is ${seed}`, 'expected a finite number');
  for (const [name, count] of Object.entries({ trainPairs, valPairs })) {
    if (!Number.isInteger(count) || count < 1 || count > 1e5) {
      throw new DataError(`The option ${name} is ${count}`, 'expected a whole number of pairs from 1 to 100000');
    }
  }
  checkClipOptions({ size, difficulty });
  return { seed, trainPairs, valPairs, size, difficulty };
}

const manifestOf = (settings: Settings): string => `${JSON.stringify({ format, version, options: settings })}\n`;

function describe(root: string, reused: boolean): PairDataset {
  const at = (name: string): string => path.join(root, name);
  return {
    root,
    trainList: at('train.txt'),
    valList: at('val.txt'),
    labelFile: at('labels.csv'),
    valLabelFile: at('val_labels.csv'),
    reused,
  };
}

/** Whether an equal set is there. Throws DataError where the folder holds something else. */
async function isThere(root: string, settings: Settings): Promise<boolean> {
  const names = await readdir(root).catch((error: unknown): string[] => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  if (names.length === 0) return false;
  const manifest = names.includes(manifestName) ? await readFile(path.join(root, manifestName), 'utf8') : '';
  if (!manifest.includes(`"format":"${format}"`)) {
    throw new DataError(`${root}: the folder holds other files`, 'choose an empty or absent folder for the pairs');
  }
  return manifest === manifestOf(settings);
}

/** Draws pairs until there are `count`; with `distinct`, no two of one caption. Equal captions are one class. */
async function writePairs(
  folder: string,
  split: string,
  { count, distinct }: { readonly count: number; readonly distinct: boolean },
  { seed, size, difficulty }: Settings,
): Promise<{ entries: ClipEntry[]; captions: string[] }> {
  const random = new Random(seed);
  const classes = new Map<string, number>();
  const entries: ClipEntry[] = [];
  for (let draw = 0; entries.length < count; ) {
    const drawn: { readonly image: Image; readonly entry: ClipEntry }[] = [];
    while (drawn.length < picturesInFlight && entries.length < count) {
      const { image, caption } = renderPair(random.fork(split, draw++).bits(), size, difficulty);
      const known = classes.get(caption);
      if (distinct && known !== undefined) continue;
      const label = known ?? classes.size;
      classes.set(caption, label);
      const entry = { path: `${split}/pair_${String(entries.length + 1).padStart(6, '0')}`, frames: 1, label };
      entries.push(entry);
      drawn.push({ image, entry });
    }
    await Promise.all(drawn.map(({ image, entry }) => writeFrames(path.join(folder, entry.path), [image])));
  }
  return { entries, captions: [...classes.keys()] };
}

/**
 * Makes the pre-training set at `folder`, or finds that an equal one is there. It appears under its name when it is whole.
 * @throws DataError for options out of range, or a folder with other files in it
 */
export async function generatePairDataset(folder: string, options: PairDatasetOptions = {}): Promise<PairDataset> {
  const settings = checkOptions(options);
  const root = path.resolve(folder);
  if (await isThere(root, settings)) return describe(root, true);
  await mkdir(path.dirname(root), { recursive: true });
  await removeLeftovers(root);
  const partial = `${root}.partial-${process.pid}-pairs`;
  try {
    const files = describe(partial, false);
    const train = await writePairs(partial, 'train', { count: settings.trainPairs, distinct: false }, settings);
    const val = await writePairs(partial, 'val', { count: settings.valPairs, distinct: true }, settings);
    await writeFile(files.trainList, formatClipList(train.entries));
    await writeFile(files.valList, formatClipList(val.entries));
    await writeFile(files.labelFile, formatLabels(train.captions));
    await writeFile(files.valLabelFile, formatLabels(val.captions));
    await writeFile(path.join(partial, manifestName), manifestOf(settings));
    await rm(root, { recursive: true, force: true });
    await rename(partial, root);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return describe(root, false);
}
