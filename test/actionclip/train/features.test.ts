// Training on kept features of frozen towers against training on frames.
import { cp, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { Progress, readRunLog, readTrainingCheckpoint, train } from 'actionclip';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ClipEntry } from '../../../packages/actionclip/src/data/lists.ts';
import { ClipLoader } from '../../../packages/actionclip/src/data/loader.ts';
import { openFileTextCache } from '../../../packages/actionclip/src/evaluate/text-cache-files.ts';
import { InterruptedError } from '../../../packages/actionclip/src/interrupted.ts';
import { ConfigError, configFrom } from '../../../packages/actionclip/src/train/config-file.ts';
import { trainingDataset } from '../../../packages/actionclip/src/train/datasets.ts';
import { type FeatureTable, FrameFeatures } from '../../../packages/actionclip/src/train/features-cache.ts';
import { imageSpace } from '../../../packages/actionclip/src/train/features-keys.ts';
import { bytesOf, tinyClips, tinyDatasetFolder, tinyRun } from '../../end-to-end/tiny-run.ts';

let device: Device;
let folder: string;
let clips: Awaited<ReturnType<typeof tinyClips>>;
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
  folder = await mkdtemp(join(tmpdir(), 'actionclip-features-'));
  vi.stubEnv('ACTIONCLIP_CACHE', join(folder, 'cache'));
  clips = await tinyClips(tinyDatasetFolder(folder));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await device.close();
  await rm(folder, { recursive: true, force: true });
});

/** A run with what it says, its losses and accuracies, and the parameters after it. */
async function outcomeOf(
  name: string,
  network: Record<string, unknown>,
  data: Record<string, unknown>,
  { solver = {}, of = clips }: { readonly solver?: Record<string, unknown>; readonly of?: typeof clips } = {},
) {
  const run = await tinyRun(of, join(folder, name), { network, data, solver });
  const said: string[] = [];
  const progress = new Progress({ stream: { write: (text: string) => said.push(text) } });
  const { log, evaluation } = await train({ ...run, progress });
  const losses = (await readRunLog(log)).flatMap((record) => (record.kind === 'step' ? [Number(record.loss)] : []));
  return { losses, evaluation, said: said.join(''), parameters: await run.opened.model.stateDict() };
}

describe('a run with frozen towers', () => {
  it('has the losses of the run on the same frames, and trains on what it kept the next time', async () => {
    const views = { feature_views: 2 };
    // Dropout too small to drop anything asks for frames, and draws of the same views.
    const plain = await outcomeOf('plain', { train_only: 'temporal', emb_dropout: 1e-12 }, views);
    const kept = await outcomeOf('kept', { train_only: 'temporal' }, views);
    expect(plain.said).toContain('dropout changes its features at random');
    expect(kept.said).toContain('Features of 18 clip views');
    expect(kept.losses).toHaveLength(6);
    kept.losses.forEach((loss, step) => {
      expect(Math.abs(loss - (plain.losses[step] ?? Number.NaN))).toBeLessThan(1e-5);
    });
    expect(kept.evaluation?.top1).toBe(plain.evaluation?.top1);
    expect(kept.evaluation?.labels).toEqual(plain.evaluation?.labels);
    const again = await outcomeOf('again', { train_only: 'temporal' }, views);
    expect(again.said).toMatch(/Features of 18 clip views \(4.61 kB\) in [\d.]+ s, 18 of them kept from before/);
    expect(again.losses).toEqual(kept.losses);
    expect(bytesOf(again.parameters)).toEqual(bytesOf(kept.parameters));
    expect((await readdir(join(folder, 'cache', 'features'))).length).toBeGreaterThan(0);
  });

  it('computes a batch of features in parts with the losses of the whole', async () => {
    const whole = await outcomeOf('in-one', { train_only: 'temporal' }, {});
    const parts = await outcomeOf('in-parts', { train_only: 'temporal' }, {}, { solver: { accumulation: 2 } });
    whole.losses.forEach((loss, step) => {
      expect(Math.abs(loss - (parts.losses[step] ?? Number.NaN))).toBeLessThan(1e-5);
    });
    expect(parts.evaluation?.labels).toEqual(whole.evaluation?.labels);
  });

  it('has them of clips of several classes', async () => {
    const several = async (list: string, name: string): Promise<string> => {
      const file = join(folder, name);
      await writeFile(file, (await readFile(list, 'utf8')).replaceAll(/ 0$/gm, ' 0,2'));
      return file;
    };
    const of = {
      ...clips,
      trainList: await several(clips.trainList, 'train.txt'),
      valList: await several(clips.valList, 'val.txt'),
    };
    const views = { feature_views: 1 };
    const plain = await outcomeOf('sets', { train_only: 'temporal', emb_dropout: 1e-12 }, views, { of });
    const kept = await outcomeOf('sets-kept', { train_only: 'temporal' }, views, { of });
    kept.losses.forEach((loss, step) => {
      expect(Math.abs(loss - (plain.losses[step] ?? Number.NaN))).toBeLessThan(1e-5);
    });
    expect(kept.evaluation?.meanAveragePrecision).toBe(plain.evaluation?.meanAveragePrecision);
    expect(kept.evaluation?.meanAveragePrecision).toBeGreaterThan(0);
  });

  it('goes on from a checkpoint with the same parameters, also where its features were deleted', async () => {
    const network = { train_only: 'temporal' };
    const whole = await outcomeOf('whole', network, {});
    const stop = new AbortController();
    const stopped = await tinyRun(clips, join(folder, 'stopped'), { network });
    const interrupted = train({ ...stopped, signal: stop.signal, onValidation: () => stop.abort() });
    await expect(interrupted).rejects.toThrow(/resume from/);
    await rm(join(folder, 'cache', 'features'), { recursive: true });
    const resume = join(folder, 'stopped', 'last.safetensors');
    const again = await tinyRun(clips, join(folder, 'stopped'), { network, resume });
    const { lastCheckpoint } = await train(again);
    expect(bytesOf((await readTrainingCheckpoint(lastCheckpoint)).parameters)).toEqual(bytesOf(whole.parameters));
  });

  it('trains the text tower on features of frames where this is free', async () => {
    const plain = await outcomeOf('text', { train_only: 'text', emb_dropout: 1e-12 }, { feature_views: 1 });
    const kept = await outcomeOf('text-kept', { train_only: 'text' }, { feature_views: 1 });
    kept.losses.forEach((loss, step) => {
      expect(Math.abs(loss - (plain.losses[step] ?? Number.NaN))).toBeLessThan(1e-5);
    });
  });

  it('says why frames are encoded in every epoch, where they are', async () => {
    const { said } = await outcomeOf('every-epoch', { train_only: 'temporal' }, { feature_views: 0 });
    expect(said).toContain('every epoch draws its own frames and augmentation; data.feature_views: K keeps K views');
  });
});

describe('data.feature_views', () => {
  const dataOf = (feature_views: number | undefined, network: Record<string, unknown>) =>
    configFrom({ data: { label_list: 'l', feature_views }, network }).config.data.featureViews;

  it('is 4 where the temporal head alone is trained, and nothing otherwise', () => {
    expect(dataOf(undefined, { train_only: 'temporal' })).toBe(4);
    expect(dataOf(0, { train_only: 'temporal' })).toBeUndefined();
    expect(dataOf(undefined, { train_only: 'text' })).toBeUndefined();
    expect(dataOf(3, { train_only: 'text' })).toBe(3);
  });

  it('is refused where the image tower is trained', () => {
    expect(() => dataOf(2, {})).toThrow(ConfigError);
    expect(() => dataOf(2, {})).toThrow('features are kept of a frozen image tower only');
  });
});

describe('kept features', () => {
  interface TableOptions {
    readonly seed?: number;
    readonly size?: number;
    readonly entries?: (all: readonly ClipEntry[]) => ClipEntry[];
    readonly views?: number;
    readonly signal?: AbortSignal;
    readonly onEncoded?: () => void;
  }
  const cacheFolder = (): string => join(folder, 'table-cache');
  const problems: string[] = [];
  const tableOf = async (options: TableOptions = {}) => {
    const { seed = 1, size = 16, entries = (all) => [...all], views = 1, signal } = options;
    const { config, data, opened } = await tinyRun(clips, join(folder, 'table'), {
      network: { fix_img: true },
      data: { feature_views: 1 },
    });
    const sized = { ...config, seed, data: { ...config.data, inputSize: size } };
    const loader = new ClipLoader(trainingDataset(sized, entries(data.train)), { batchSize: 4 });
    const cache = openFileTextCache({ folder: cacheFolder(), onProblem: (message) => problems.push(message) });
    const features = new FrameFeatures(opened.model, { cache, folder: cacheFolder() });
    let encoded = 0;
    const onEncoded = ({ views: done }: { readonly views: number }): void => {
      encoded = done;
      options.onEncoded?.();
    };
    const table = await features.table(loader, { views, onEncoded, ...(signal === undefined ? {} : { signal }) });
    await features.close();
    return { table, encoded, model: opened.model, path: data.train[3]?.path ?? '' };
  };
  const rowsOf = (table: FeatureTable): number[][] => table.flat().map((clip) => [...(clip?.rows ?? [])]);
  const pieces = async (): Promise<string[]> =>
    (await readdir(cacheFolder())).filter((name) => name.endsWith('.safetensors'));

  it('are computed again for another seed, size or place in the list, and for a clip that changed', async () => {
    const first = await tableOf();
    expect(first.encoded).toBe(9);
    expect((await tableOf()).encoded).toBe(0);
    expect(rowsOf((await tableOf()).table)).toEqual(rowsOf(first.table));
    expect((await tableOf({ seed: 2 })).encoded).toBe(9);
    expect((await tableOf({ entries: (all) => all.slice(0, 5) })).encoded).toBe(0);
    expect((await tableOf({ entries: ([one, ...others]) => [...others, ...(one ? [one] : [])] })).encoded).toBe(9);
    const [frame = ''] = await readdir(first.path);
    await utimes(join(first.path, frame), new Date(1e12), new Date(1e12));
    expect((await tableOf()).encoded).toBe(0);
    const copied = join(folder, 'copied');
    await cp(first.path, copied, { recursive: true });
    const replaced = (all: readonly ClipEntry[]): ClipEntry[] =>
      all.map((entry, place) => (place === 3 ? { ...entry, path: copied } : entry));
    expect((await tableOf({ entries: replaced })).encoded).toBe(0);
    await writeFile(join(copied, frame), await readFile(join(copied, (await readdir(copied))[2] ?? '')));
    expect((await tableOf({ entries: replaced })).encoded).toBe(1);
  });

  it('are computed again, and told of, where their file is damaged', async () => {
    const first = await tableOf({ seed: 3 });
    for (const name of await pieces()) {
      const file = join(cacheFolder(), name);
      const bytes = await readFile(file);
      await writeFile(file, bytes.subarray(0, bytes.length - 4));
    }
    const again = await tableOf({ seed: 3 });
    expect(again.encoded).toBe(9);
    expect(rowsOf(again.table)).toEqual(rowsOf(first.table));
    expect(problems.join()).toMatch(/\.safetensors is damaged: what it held is computed again/);
    expect((await tableOf({ seed: 3 })).encoded).toBe(0);
  });

  it('are kept as far as they came where the work is stopped', async () => {
    const stop = new AbortController();
    const stopped = tableOf({ seed: 4, views: 4, signal: stop.signal, onEncoded: () => stop.abort() });
    await expect(stopped).rejects.toThrow(InterruptedError);
    expect((await tableOf({ seed: 4, views: 4 })).encoded).toBe(36 - 16);
  });

  it('belong to the parameters of the image tower', async () => {
    const { model } = await tableOf();
    const before = await imageSpace(model);
    const state = await model.stateDict();
    const shifted = (name: string) => new Map(state).set(name, shift(state.get(name)));
    model.loadStateDict(shifted('ln_final.bias'));
    expect(await imageSpace(model)).toBe(before);
    model.loadStateDict(shifted('visual.class_embedding'));
    expect(await imageSpace(model)).not.toBe(before);
  });
});

type State = Awaited<ReturnType<Awaited<ReturnType<typeof tinyRun>>['opened']['model']['stateDict']>>;
function shift(value: ReturnType<State['get']>): NonNullable<typeof value> {
  if (value === undefined || !(value.data instanceof Float32Array)) throw new Error('no such parameter');
  return { ...value, data: value.data.map((element) => element + 1) };
}
