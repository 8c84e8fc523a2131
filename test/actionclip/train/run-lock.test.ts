// One run in a folder at a time: a second is refused, a killed one is followed, and nothing stays behind.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TrainingError } from 'actionclip';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { removeAbandonedWrites } from '../../../packages/actionclip/src/checkpoints/atomic-file.ts';
import { LOCK_FILE, takeRunLock } from '../../../packages/actionclip/src/train/run-lock.ts';

const program = fileURLToPath(new URL('./held-lock.ts', import.meta.url));
let base = '';
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'actionclip-lock-'));
});
afterAll(() => rm(base, { recursive: true, force: true }));

/** A process that holds the lock of a folder. */
async function holder(folder: string): Promise<ChildProcess> {
  const args = ['--conditions=@actionclip/source', '--import', 'tsx', program, folder];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

const messageOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'nothing',
    (error: unknown) => (error instanceof TrainingError ? error.message : String(error)),
  );

const writeOwner = (folder: string, owner: object): Promise<void> =>
  writeFile(join(folder, LOCK_FILE), JSON.stringify(owner));

it('refuses the folder of another process, and takes it over with a line when that was killed', async () => {
  const folder = join(base, 'killed');
  const child = await holder(folder);
  const told: string[] = [];
  const attempt = (): ReturnType<typeof takeRunLock> => takeRunLock(folder, (message) => told.push(message));
  expect(await messageOf(attempt())).toMatch(
    new RegExp(
      `killed: another run is at work in this folder: process ${child.pid} of this machine, since \\d{4}-.*; ` +
        `give another folder with --out, wait for its end, or, if process ${child.pid} is no run, remove .*run\\.lock$`,
    ),
  );
  expect(told).toEqual([]);
  await end(child, 'SIGKILL');
  expect(await readdir(folder)).toEqual([LOCK_FILE]);
  const lock = await attempt();
  expect(told).toHaveLength(1);
  expect(told[0]).toMatch(
    new RegExp(`taking over the lock of process ${child.pid} \\(since \\d{4}-.*\\), which ended`),
  );
  expect(JSON.parse(await readFile(join(folder, LOCK_FILE), 'utf8'))).toMatchObject({
    pid: process.pid,
    host: hostname(),
  });
  await lock.release();
  expect(await readdir(folder)).toEqual([]);
});

it('removes the lock of a process that ends at an interruption', async () => {
  const folder = join(base, 'interrupted');
  await end(await holder(folder), 'SIGINT');
  expect(await readdir(folder)).toEqual([]);
});

it('refuses a second run of the same process until the first has ended', async () => {
  const folder = join(base, 'twice');
  const first = await takeRunLock(folder);
  expect(await messageOf(takeRunLock(folder))).toContain(`process ${process.pid} of this machine`);
  await first.release();
  await (await takeRunLock(folder)).release();
});

it('refuses the lock of another machine, whose processes it cannot see', async () => {
  const folder = await mkdtemp(join(base, 'elsewhere-'));
  await writeOwner(folder, { pid: process.pid, host: 'elsewhere', start: '2026-01-01T00:00:00.000Z' });
  expect(await messageOf(takeRunLock(folder))).toMatch(
    /process \d+ of elsewhere, since 2026-01-01T00:00:00.000Z; .* if it no longer runs there, remove .*run\.lock$/,
  );
});

it('takes over what a process left that was killed while it wrote its name, or had the number of this one', async () => {
  const folder = await mkdtemp(join(base, 'torn-'));
  const told: string[] = [];
  await writeFile(join(folder, LOCK_FILE), '{"pid":');
  await (await takeRunLock(folder, (message) => told.push(message))).release();
  await writeOwner(folder, { pid: process.pid, host: hostname(), start: 'before' });
  await (await takeRunLock(folder, (message) => told.push(message))).release();
  expect(told.map((message) => message.slice(folder.length))).toEqual([
    ': taking over the lock of a run, which ended without removing it',
    `: taking over the lock of process ${process.pid} (since before), which ended without removing it`,
  ]);
});

it('removes temporary files of processes that are gone, and no other files', async () => {
  const folder = await mkdtemp(join(base, 'abandoned-'));
  const child = await holder(join(base, 'dead'));
  const temporary = (pid: number | undefined): string => `.last.safetensors.${pid}.0123abcd`;
  const kept = [temporary(process.ppid), '.hidden', 'last.safetensors'];
  for (const name of [temporary(child.pid), temporary(process.pid), ...kept]) await writeFile(join(folder, name), 'x');
  await end(child, 'SIGKILL');
  await removeAbandonedWrites(folder);
  expect((await readdir(folder)).sort()).toEqual(kept.sort());
});
