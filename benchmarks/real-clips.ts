/**
 * The small model on real clips: from scratch, and from what is pre-trained on the built-in pairs and on the built-in
 * actions after them, over several seeds, beside chance and beside the nearest class mean on the features of an
 * untrained model.
 *
 *     tsx --conditions=@actionclip/source benchmarks/real-clips.ts [--starts scratch,pairs,actions] TABLE.csv...
 *
 * A table has the columns path,label,text,group,split. Prints means and deviations over the seeds, and keeps every run
 * in benchmarks/results/real-clips.json: runs that are there already, of the same length, are not made again. With
 * --jobs N there are N runs at once, each with the --threads of its device.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openDevice, setDefaultDevice } from '@actionclip/tensor';
import {
  type ClipEntry,
  configFrom,
  describeModel,
  Examiner,
  encodeFrame,
  formatClipList,
  formatLabels,
  openFrameSource,
  openModel,
  readClipTable,
  readRunData,
  resize,
  smallData,
  smallModel,
  spreadOf,
  writeFileAtomically,
} from 'actionclip';
import { describeEnvironment, type Environment } from './harness/environment.ts';
import { actionclip, preTrained, preTrainings } from './harness/pre-training.ts';
import { severalAtOnce } from './harness/several-at-once.ts';

const repository = fileURLToPath(new URL('..', import.meta.url));
const { values, positionals: tables } = parseArgs({
  allowPositionals: true,
  options: {
    starts: { type: 'string', default: 'scratch,pairs,actions' },
    seeds: { type: 'string', default: '1,2,3,4,5' },
    epochs: { type: 'string', default: '60' },
    frames: { type: 'string', default: '8' },
    size: { type: 'string', default: '32' },
    threads: { type: 'string', default: String(availableParallelism()) },
    jobs: { type: 'string', default: '1' },
  },
});
const seeds = values.seeds.split(',').map(Number);

const { epochs, frames, size } = {
  epochs: Number(values.epochs),
  frames: Number(values.frames),
  size: Number(values.size),
};

interface Outcome {
  readonly top1: number;
  /** With the frames of each held-out clip in random order. */
  readonly shuffled: number;
}

interface Plan {
  readonly clips: string;
  readonly start: string;
  readonly seed: number;
  readonly epochs: number;
  readonly frames: number;
  readonly size: number;
}

interface Run extends Plan, Outcome {
  readonly commit: string;
}

interface Table {
  readonly name: string;
  readonly classes: number;
  /** Accuracy of the nearest class mean, for each seed. */
  readonly untrained: readonly number[];
}

interface Results {
  readonly tables: readonly Table[];
  readonly runs: readonly Run[];
  readonly environment: Environment;
}

/** Side in pixels of the extracted frames. They are squeezed to squares, since a crop would cut people off. */
const extractedSide = 80;

/** A table's clips by the paper's lists. */
interface ClipLists {
  readonly root: string;
  readonly train: string;
  readonly val: string;
  readonly labels: string;
}

/** A table's clips as folders of small JPEG frames with lists, in the paper's layout: decoded once for all runs. */
async function extract(table: string): Promise<ClipLists> {
  const root = join(tmpdir(), `real-clips-${basename(dirname(table))}-${extractedSide}`);
  const lists = { root, train: join(root, 'train.txt'), val: join(root, 'val.txt'), labels: join(root, 'labels.csv') };
  // The labels are written last.
  if (existsSync(lists.labels)) return lists;
  const { clips, texts } = await readClipTable(table);
  const entries = { train: [] as ClipEntry[], val: [] as ClipEntry[] };
  for (const [i, clip] of clips.entries()) {
    const folder = `clip_${i}`;
    await mkdir(join(root, folder), { recursive: true });
    const source = await openFrameSource(clip.path);
    const images = await source.read(Array.from({ length: await source.frameCount() }, (_, frame) => frame));
    await source.close();
    for (const [frame, image] of images.entries()) {
      const { data } = resize(image, extractedSide, extractedSide, 'bilinear');
      const { bytes } = await encodeFrame(data as Uint8Array, { width: extractedSide, height: extractedSide });
      await writeFile(join(root, folder, `img_${String(frame + 1).padStart(5, '0')}.jpg`), bytes);
    }
    entries[clip.split === 'train' ? 'train' : 'val'].push({ path: folder, frames: images.length, label: clip.label });
  }
  await writeFileAtomically(lists.train, formatClipList(entries.train));
  await writeFileAtomically(lists.val, formatClipList(entries.val));
  await writeFileAtomically(lists.labels, formatLabels(texts));
  return lists;
}

/** One run of the program on a table. */
async function train(lists: ClipLists, { clips, start, seed }: Plan): Promise<Outcome> {
  const pre = preTrainings.find((known) => known === start);
  const { stderr } = await actionclip([
    ...['train', '--train-list', lists.train, '--val-list', lists.val, '--labels', lists.labels, '--root', lists.root],
    ...['--frames', values.frames, '--size', values.size, '--epochs', values.epochs],
    ...['--head', 'Transf', '--seed', String(seed), '--device', 'wasm', '--threads', values.threads],
    ...['--out', join(tmpdir(), `real-clips-${clips}-${start}-${seed}-${epochs}`)],
    ...(pre === undefined ? [] : ['--init', await preTrained(pre, values.threads)]),
  ]);
  const part = (pattern: RegExp): number => {
    const found = pattern.exec(stderr);
    if (found === null) throw new Error(`no line ${pattern} in the output of the run:\n${stderr}`);
    return Number(found[1]) / 100;
  };
  return { top1: part(/^top-1 ([\d.]+) %, top-5/m), shuffled: part(/random order: ([\d.]+) %/) };
}

/** Accuracy of the class mean nearest by cosine, on video features of a model as it is made. */
async function nearestMean(lists: ClipLists, seed: number): Promise<number> {
  const { config } = configFrom({
    seed,
    data: {
      train_list: lists.train,
      val_list: lists.val,
      label_list: lists.labels,
      root: lists.root,
      num_segments: frames,
      input_size: size,
      batch_size: 16,
      workers: 1,
    },
    network: { arch: 'small', sim_header: 'Transf' },
  });
  const { labels: texts, train: training, validation } = await readRunData(config);
  const opened = await openModel(describeModel(config, smallModel(texts)), seed);
  const examiner = new Examiner(config, opened, smallData(size));
  const known = await examiner.clips(training);
  const asked = await examiner.clips(validation);
  const { width } = known;
  const means = texts.map(() => new Float64Array(width));
  known.labels.forEach((label, i) => {
    const row = known.rows.subarray(i * width, (i + 1) * width);
    const length = Math.hypot(...row);
    row.forEach((value, k) => {
      (means[label] as Float64Array)[k] = ((means[label] as Float64Array)[k] as number) + value / length;
    });
  });
  let right = 0;
  asked.labels.forEach((label, i) => {
    const row = asked.rows.subarray(i * width, (i + 1) * width);
    const scores = means.map(
      (m) => m.reduce((sum, value, k) => sum + value * (row[k] as number), 0) / Math.hypot(...m),
    );
    if (scores.indexOf(Math.max(...scores)) === label) right++;
  });
  return right / asked.labels.length;
}

const file = join(repository, 'benchmarks/results/real-clips.json');
const environment = await describeEnvironment([]);
const earlier = await readFile(file, 'utf8').then(
  (text) => (JSON.parse(text) as Partial<Results>).runs ?? [],
  () => [],
);
const keyOf = (run: Plan): string => [run.clips, run.start, run.seed, run.epochs, run.frames, run.size].join('\n');
const runs = new Map(earlier.map((run) => [keyOf(run), run]));
const measured: Table[] = [];

function percent(parts: readonly number[]): string {
  const { mean, deviation } = spreadOf(parts);
  return `${(100 * mean).toFixed(1)} ± ${(100 * deviation).toFixed(1)} %`;
}

setDefaultDevice(await openDevice('wasm', { threads: Number(values.threads) }));
const clipLists = new Map<string, ClipLists>();
for (const table of tables) {
  const name = basename(dirname(table));
  const lists = await extract(table);
  const untrained: number[] = [];
  for (const seed of seeds) untrained.push(await nearestMean(lists, seed));
  clipLists.set(name, lists);
  measured.push({ name, classes: (await readClipTable(table)).texts.length, untrained });
}
const starts = values.starts.split(',');
// Made once, before several runs at a time ask for it.
for (const pre of preTrainings) if (starts.includes(pre)) await preTrained(pre, values.threads);
const plans = seeds.flatMap((seed) =>
  [...clipLists].flatMap(([clips, lists]) =>
    starts.map((start) => ({ lists, plan: { clips, start, seed, epochs, frames, size } })),
  ),
);
await severalAtOnce({
  items: plans.filter(({ plan }) => !runs.has(keyOf(plan))),
  jobs: Number(values.jobs),
  run: ({ lists, plan }) => train(lists, plan),
  async keep({ plan }, outcome) {
    runs.set(keyOf(plan), { ...plan, ...outcome, commit: environment.commit });
    console.log(`${plan.clips}, ${plan.start}, seed ${plan.seed}: top-1 ${(100 * outcome.top1).toFixed(1)} %`);
    const results: Results = { tables: measured, runs: [...runs.values()], environment };
    await writeFileAtomically(file, `${JSON.stringify(results, null, 2)}\n`);
  },
});

console.log(`\n${epochs} epochs, ${frames} frames of ${size} x ${size}, seeds ${seeds.join(', ')}\n`);
console.log('| clips | start | top-1 | frames in random order |\n| --- | --- | --- | --- |');
for (const { name, classes, untrained } of measured) {
  console.log(`| ${name} | chance | ${(100 / classes).toFixed(1)} % | |`);
  console.log(`| ${name} | nearest class mean, untrained features | ${percent(untrained)} | |`);
  for (const start of starts) {
    const own = seeds.flatMap((seed) => runs.get(keyOf({ clips: name, start, seed, epochs, frames, size })) ?? []);
    const shuffled = percent(own.map((run) => run.shuffled));
    console.log(`| ${name} | ${start} | ${percent(own.map(({ top1 }) => top1))} | ${shuffled} |`);
  }
}
process.exit(0);
