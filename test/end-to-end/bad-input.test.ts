// Bad input to the main job: one clear sentence, exit code 1, and no checkpoint, not even a part of one.
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDevice, setDefaultDevice } from '@actionclip/tensor';
import { type ActionDataset, LAST_CHECKPOINT, readSafetensorsFile, train, writeSafetensorsFile } from 'actionclip';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tinyClips, tinyRun } from './tiny-run.ts';

const program = fileURLToPath(new URL('../../examples/train-k400.ts', import.meta.url));
const truncatedVideo = fileURLToPath(
  new URL('../../../shared/data/robust/33_bad_truncated_half_moov_first.mp4', import.meta.url),
);
let folder = '';
let clips: ActionDataset;
let runs = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'actionclip-input-'));
  clips = await tinyClips(join(folder, 'clips'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const file = async (name: string, text: string): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
};

interface Outcome {
  readonly code: number | null;
  /** The last line of what the program said, and all of it. */
  readonly sentence: string;
  readonly text: string;
  /** What it left behind. */
  readonly files: readonly string[];
}

/** Runs the main job on the tiny clips, some options replaced or added. */
async function run(changes: Readonly<Record<string, string | true>>, base = true): Promise<Outcome> {
  const out = join(folder, `run-${runs++}`);
  const usual = {
    '--train-list': clips.trainList,
    '--val-list': clips.valList,
    '--labels': clips.labelFile,
    '--root': clips.root,
    '--frames': '4',
    '--size': '16',
    '--batch-size': '4',
    '--epochs': '1',
  };
  const options: Readonly<Record<string, string | true>> = {
    ...(base ? usual : {}),
    '--device': 'wasm',
    '--threads': '1',
    '--workers': '0',
    '--out': out,
    ...changes,
  };
  const words = Object.entries(options).flatMap(([name, value]) => (value === true ? [name] : [name, value]));
  const command = ['--conditions=@actionclip/source', '--import', 'tsx', program, ...words];
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (part) => {
      text += String(part);
    });
  }
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  const files = await readdir(out).catch(() => []);
  return { code, text, sentence: text.trimEnd().split('\n').at(-1) ?? '', files };
}

function expectRefused({ code, text, sentence, files }: Outcome, wanted: RegExp): void {
  expect(sentence).toMatch(wanted);
  expect(text).not.toMatch(/^\s+at /m);
  expect(code).toBe(1);
  // The logs of the run may have been begun; they are written line by line and record by record.
  const logs = /^(?:log\.jsonl|events\.out\.tfevents\..*)$/;
  expect(files.filter((name) => !logs.test(name))).toEqual([]);
}

it('a missing list', async () => {
  const missing = join(folder, 'missing.txt');
  expectRefused(await run({ '--train-list': missing }), /missing\.txt: the clip list does not exist; check the path/);
});

it('an unreadable frame, where clips must not be passed over', async () => {
  const damaged = join(folder, 'damaged');
  await cp(clips.root, damaged, { recursive: true });
  const [first = ''] = (await readFile(clips.trainList, 'utf8')).split('\n');
  const frames = join(damaged, first.split(' ')[0] ?? '');
  for (const name of await readdir(frames)) await writeFile(join(frames, name), 'no picture');
  expectRefused(await run({ '--root': damaged, '--strict': true }), /img_0000\d\.jpg.*;/);
});

it('a truncated video', async () => {
  const list = await file('videos.txt', `${truncatedVideo} 0\n`.repeat(4));
  expectRefused(await run({ '--train-list': list }), /33_bad_truncated_half_moov_first\.mp4.*;/);
});

it('a class index out of range', async () => {
  const list = await file('range.txt', `${(await readFile(clips.trainList, 'utf8')).trim()}\ntrain/clip 6 3\n`);
  expectRefused(await run({ '--train-list': list }), /range\.txt:10: class index 3 is out of range; expected 0 to 2/);
});

it('an empty label', async () => {
  const labels = await file('labels.csv', 'id,name\n0,sitting down\n1,\n2,jumping jacks\n');
  expectRefused(await run({ '--labels': labels }), /labels\.csv:3: the class name is empty; every class needs a name/);
});

it('a typo in a configuration', async () => {
  const config = await file('typo.yaml', 'data:\n  label_list: labels.csv\nsolver:\n  epoch: 3\n');
  expectRefused(
    await run({ '--config': config }, false),
    /typo\.yaml:4:3: solver\.epoch: unknown key; did you mean epochs\?/,
  );
});

const fail = (message: string): never => {
  throw new Error(message);
};

it('a checkpoint with wrong shapes, and one of another kind', async () => {
  setDefaultDevice(await openDevice('wasm', { threads: 1 }));
  const output = join(folder, 'small');
  await train(await tinyRun(clips, output, { solver: { epochs: 1 } }));
  const { tensors, metadata } = await readSafetensorsFile(join(output, LAST_CHECKPOINT));
  const bent = join(folder, 'bent.safetensors');
  const name = 'model_state_dict.visual.proj';
  const { data, ...rest } = tensors.get(name) ?? fail(`${name} is missing`);
  tensors.set(name, { ...rest, data, shape: [8, 32] });
  await writeSafetensorsFile(bent, tensors, metadata);
  expectRefused(
    await run({ '--init': bent }),
    /bent\.safetensors does not fit the model: 1 of another shape: visual\.proj is \[8,32\], expected \[16,16\]/,
  );
  expectRefused(await run({ '--resume': clips.trainList }), /train\.txt: /);
});

it('an option that there is not, and values that cannot be', async () => {
  expectRefused(await run({ '--epohcs': '3' }), /There is no option --epohcs; did you mean --epochs\?/);
  expectRefused(await run({ '--epochs': 'many' }), /--epochs: expected a whole number from 1, found "many"/);
});
