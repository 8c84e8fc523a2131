/**
 * The small model on real clips: from scratch and from the model of the main job, over several seeds, beside chance and
 * beside the nearest class mean on the features of an untrained model.
 *
 *     tsx --conditions=@actionclip/source benchmarks/real-clips.ts --init runs/train-k400/best.safetensors TABLE.csv...
 *
 * A table has the columns path,label,text,group,split. Results go to benchmarks/results/real-clips.json.
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { openDevice, setDefaultDevice } from '@actionclip/tensor';
import {
  type ClipEntry,
  type Config,
  configFrom,
  describeModel,
  Examiner,
  encodeFrame,
  formatClipList,
  formatLabels,
  openFrameSource,
  openModel,
  readClipTable,
  resize,
  smallData,
  smallModel,
  writeFileAtomically,
} from 'actionclip';

const repository = fileURLToPath(new URL('..', import.meta.url));
const { values, positionals: tables } = parseArgs({
  allowPositionals: true,
  options: {
    init: { type: 'string' },
    seeds: { type: 'string', default: '1,2,3' },
    epochs: { type: 'string', default: '60' },
    frames: { type: 'string', default: '8' },
    size: { type: 'string', default: '32' },
  },
});
const seeds = values.seeds.split(',').map(Number);

interface Outcome {
  readonly top1: number;
  /** With the frames of each held-out clip in random order. */
  readonly shuffled: number;
}

/** Side in pixels of the extracted frames. They are squeezed to squares, since a crop would cut people off. */
const extractedSide = 80;

/** A table's clips as folders of small JPEG frames with lists, in the paper's layout: decoded once for all runs. */
async function extract(table: string): Promise<readonly string[]> {
  const root = join(tmpdir(), `real-clips-${basename(dirname(table))}-${extractedSide}`);
  const files = { train: join(root, 'train.txt'), val: join(root, 'val.txt'), labels: join(root, 'labels.csv') };
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
  await writeFileAtomically(files.train, formatClipList(entries.train));
  await writeFileAtomically(files.val, formatClipList(entries.val));
  await writeFileAtomically(files.labels, formatLabels(texts));
  return ['--train-list', files.train, '--val-list', files.val, '--labels', files.labels, '--root', root];
}

/** One run of the main job's program on a table. */
async function run(name: string, clips: readonly string[], seed: number, init: string | undefined): Promise<Outcome> {
  const out = join(tmpdir(), `real-clips-${name}-${init === undefined ? 'scratch' : 'trained'}-${seed}`);
  const fixed = ['--frames', values.frames, '--size', values.size, '--epochs', values.epochs];
  const args = [...clips, ...fixed, '--seed', String(seed), '--out', out];
  const { stderr } = await promisify(execFile)(
    process.execPath,
    [
      '--conditions=@actionclip/source',
      '--import',
      'tsx',
      join(repository, 'examples/train-k400.ts'),
      ...args,
      ...(init === undefined ? [] : ['--init', init]),
    ],
    { cwd: repository, maxBuffer: 2 ** 26 },
  );
  const part = (pattern: RegExp): number => {
    const found = pattern.exec(stderr);
    if (found === null) throw new Error(`no line ${pattern} in the output of the run:\n${stderr}`);
    return Number(found[1]) / 100;
  };
  return { top1: part(/^top-1 ([\d.]+) %, top-5/m), shuffled: part(/random order: ([\d.]+) %/) };
}

const mean = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
const deviation = (list: readonly number[]): number =>
  Math.sqrt(list.reduce((sum, x) => sum + (x - mean(list)) ** 2, 0) / Math.max(1, list.length - 1));

/** Accuracy of the class mean nearest by cosine, on video features of a model as it is made. */
async function nearestMean(table: string, seed: number): Promise<number> {
  const { clips, texts } = await readClipTable(table);
  const { config } = configFrom({
    seed,
    data: {
      label_list: table,
      num_segments: Number(values.frames),
      input_size: Number(values.size),
      batch_size: 16,
      workers: 1,
    },
    network: { arch: 'small', sim_header: 'Transf' },
  }) as { config: Config };
  const opened = await openModel(describeModel(config, smallModel(texts)), seed);
  const examiner = new Examiner(config, opened, smallData(config.data.inputSize));
  const known = await examiner.clips(clips.filter(({ split }) => split === 'train'));
  const asked = await examiner.clips(clips.filter(({ split }) => split !== 'train'));
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

const percent = (list: readonly number[]): string =>
  `${(100 * mean(list)).toFixed(1)} ± ${(100 * deviation(list)).toFixed(1)} %`;

setDefaultDevice(await openDevice('wasm'));
const results: object[] = [];
for (const table of tables) {
  const { texts } = await readClipTable(table);
  const name = basename(dirname(table));
  const clips = await extract(table);
  const untrained: number[] = [];
  for (const seed of seeds) untrained.push(await nearestMean(table, seed));
  console.log(
    `${name}: chance ${percent([1 / texts.length])}, nearest class mean on untrained features ${percent(untrained)}`,
  );
  const row: Record<string, unknown> = { name, classes: texts.length, seeds, untrained };
  for (const start of values.init === undefined ? [undefined] : [undefined, values.init]) {
    const outcomes: Outcome[] = [];
    for (const seed of seeds) outcomes.push(await run(name, clips, seed, start));
    const title = start === undefined ? 'from scratch' : 'from the trained model';
    console.log(
      `${name}, ${title}: top-1 ${percent(outcomes.map(({ top1 }) => top1))}, frames in random order ${percent(outcomes.map(({ shuffled }) => shuffled))}`,
    );
    row[start === undefined ? 'scratch' : 'trained'] = outcomes;
  }
  results.push(row);
}
const record = {
  machine: `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} processors`,
  node: process.version,
  commit: execFileSync('git', ['rev-parse', 'HEAD'], { cwd: repository, encoding: 'utf8' }).trim(),
  epochs: Number(values.epochs),
  frames: Number(values.frames),
  results,
};
await mkdir(join(repository, 'benchmarks/results'), { recursive: true });
await writeFileAtomically(
  join(repository, 'benchmarks/results/real-clips.json'),
  `${JSON.stringify(record, null, 2)}\n`,
);
process.exit(0);
