// A run that is killed at a random moment and resumed ends as if nothing had happened.
import { spawn } from 'node:child_process';
import { access, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LAST_CHECKPOINT, LOG_FILE, readRunLog, readTrainingCheckpoint } from 'actionclip';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bytesOf, tinyClips } from './tiny-run.ts';

const program = fileURLToPath(new URL('./killed-run.ts', import.meta.url));
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'actionclip-kill-'));
  await tinyClips(join(folder, 'clips'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs the program; `onLine` may kill it. Resolves to whether it ended by itself. */
function start(args: readonly string[], onLine: (kill: () => void) => void = () => {}): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--conditions=@actionclip/source', '--import', 'tsx', program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let errors = '';
    child.stdout.on('data', () => onLine(() => child.kill('SIGKILL')));
    child.stderr.on('data', (text) => {
      errors += String(text);
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (code === 0 || signal === 'SIGKILL') resolve(signal === null);
      else reject(new Error(errors));
    });
  });
}

it('a killed and resumed run has the parameters, moments, best score and log of an unbroken one, bit for bit', async () => {
  const clips = join(folder, 'clips');
  const [whole, broken] = [join(folder, 'whole'), join(folder, 'broken')];
  await start([clips, whole]);

  // Some milliseconds after an epoch's line the program is anywhere: in a step, a validation, or a checkpoint.
  const delay = Math.floor(Math.random() * 120);
  let armed = false;
  const ended = await start([clips, broken], (kill) => {
    if (!armed) setTimeout(kill, delay);
    armed = true;
  });
  expect(ended, `killed ${delay} ms after the first epoch`).toBe(false);
  const last = join(broken, LAST_CHECKPOINT);
  await access(last);
  const { state } = await readTrainingCheckpoint(last);
  expect(state.step, `killed after ${delay} ms`).toBeLessThan(12);
  await start([clips, broken, last]);

  const one = await readTrainingCheckpoint(join(whole, LAST_CHECKPOINT));
  const other = await readTrainingCheckpoint(last);
  expect(other.state, `killed after ${delay} ms`).toEqual(one.state);
  expect(bytesOf(other.parameters)).toEqual(bytesOf(one.parameters));
  expect(bytesOf(other.moments)).toEqual(bytesOf(one.moments));
  const losses = async (run: string): Promise<unknown[]> =>
    (await readRunLog(join(run, LOG_FILE))).map(({ kind, step, loss, top1 }) => ({ kind, step, loss, top1 }));
  expect(await losses(broken)).toEqual(await losses(whole));
  const files = (await readdir(whole)).map((name) => name.replace(/\d{10}/, 'TIME'));
  const events = 'events.out.tfevents.TIME.actionclip.0';
  expect(files.sort()).toEqual(['best.safetensors', events, 'last.safetensors', 'log.jsonl']);
}, 240_000);
