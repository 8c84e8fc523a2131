// A run that is killed while it writes, at every kind of instant: it goes on from a whole checkpoint, ends as if nothing
// had happened, and nothing half-written is left.
import { spawn } from 'node:child_process';
import { cpSync, existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import {
  type ActionDataset,
  BEST_CHECKPOINT,
  LAST_CHECKPOINT,
  LOG_FILE,
  readRunLog,
  readTrainingCheckpoint,
  train,
} from 'actionclip';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bytesOf, shortRun, tinyClips } from './tiny-run.ts';
import { type Instant, nameOf, watchWrites } from './watched-writes.ts';

/** The instants at which runs are broken off: in the first checkpoint, in later ones, and in the log. */
const broken = [
  'within write 20 of last.safetensors (1)',
  'before rename of last.safetensors (1)',
  'after rename of last.safetensors (1)',
  'within write 40 of last.safetensors (2)',
  'before rename of last.safetensors (2)',
  'after rename of last.safetensors (2)',
  'within write 30 of best.safetensors (1)',
  'within write 2 of log.jsonl (1)',
] as const;

const isBeforeFirst = (instant: string): boolean =>
  instant.endsWith('of last.safetensors (1)') && instant !== 'after rename of last.safetensors (1)';

let folder = '';
let clips: ActionDataset;
let device: Device;
const instants: Instant[] = [];
const whole = (): string => join(folder, 'whole');
/** What a run killed at the instant left. */
const leftAt = (instant: string): string => join(folder, instant.replaceAll(' ', '-'));

beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1 });
  setDefaultDevice(device);
  folder = await mkdtemp(join(tmpdir(), 'actionclip-killed-'));
  clips = await tinyClips(join(folder, 'clips'));
  const unwatch = watchWrites(whole(), (instant) => {
    instants.push(instant);
    const name = nameOf(instant);
    if (broken.some((one) => one === name)) cpSync(whole(), leftAt(name), { recursive: true });
  });
  await train(await shortRun(clips, whole())).finally(unwatch);
}, 120_000);
afterAll(async () => {
  await device.close();
  await rm(folder, { recursive: true, force: true });
});

/** Everything of a run's end that does not depend on the time of day. */
async function endOf(output: string): Promise<unknown> {
  const { state, parameters, moments } = await readTrainingCheckpoint(join(output, LAST_CHECKPOINT));
  const log = await readRunLog(join(output, LOG_FILE));
  const files = (await readdir(output)).filter((name) => !name.startsWith('events.out.tfevents.'));
  return {
    state,
    parameters: bytesOf(parameters),
    moments: bytesOf(moments),
    log: log.map(({ kind, step, loss, top1 }) => ({ kind, step, loss, top1 })),
    files: files.sort(),
  };
}

it('writes every checkpoint beside the one before, whole and flushed before it takes its place', () => {
  for (const checkpoint of [LAST_CHECKPOINT, BEST_CHECKPOINT]) {
    const own = instants.filter(({ file, phase }) => file === checkpoint && phase === 'after');
    expect(own.every(({ temporary }) => temporary)).toBe(true);
    const versions = [...new Set(own.map(({ version }) => version))];
    expect(versions.length).toBeGreaterThan(checkpoint === LAST_CHECKPOINT ? 3 : 0);
    for (const version of versions) {
      const operations = own.filter((instant) => instant.version === version).map(({ operation }) => operation);
      expect(operations.filter((operation, i) => operation !== operations[i - 1])).toEqual([
        'open',
        'write',
        'sync',
        'rename',
      ]);
    }
  }
});

it.each(broken)('a run killed %s goes on and ends as the unbroken one', async (instant) => {
  const output = leftAt(instant);
  const last = join(output, LAST_CHECKPOINT);
  // Before the first checkpoint is in its place, there is nothing to go on from.
  const resume = existsSync(last) ? last : undefined;
  expect(resume === undefined).toBe(isBeforeFirst(instant));
  await train(await shortRun(clips, output, resume));
  expect(await endOf(output)).toEqual(await endOf(whole()));
});

it('a process that SIGKILL ends within a checkpoint leaves the one before, from which the run goes on', async () => {
  const instant = 'within write 40 of last.safetensors (2)';
  const program = fileURLToPath(new URL('./killed-in-write.ts', import.meta.url));
  const output = join(folder, 'killed');
  const signal = await new Promise((resolve, reject) => {
    const args = [
      '--conditions=@actionclip/source',
      '--import',
      'tsx',
      program,
      join(folder, 'clips'),
      output,
      instant,
    ];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    child.on('error', reject);
    child.on('exit', (_, signal) => resolve(signal));
  });
  expect(signal).toBe('SIGKILL');
  const part = (await readdir(output)).find((name) => name.startsWith(`.${LAST_CHECKPOINT}.`)) ?? '';
  const last = join(output, LAST_CHECKPOINT);
  expect((await stat(join(output, part))).size).toBeLessThan((await stat(last)).size);
  expect((await readTrainingCheckpoint(last)).state.step).toBe(1);
  await train(await shortRun(clips, output, last));
  expect(await endOf(output)).toEqual(await endOf(whole()));
}, 240_000);
