// A disk that is full while a run writes: a sentence that says how to go on, the last good checkpoint, nothing half-written.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, configFrom, LAST_CHECKPOINT, TrainingError } from 'actionclip';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writePartsAtomically } from '../../../packages/actionclip/src/checkpoints/atomic-file.ts';
import { inRunFolder } from '../../../packages/actionclip/src/train/run-folder.ts';

let base = '';
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'actionclip-folder-'));
});
afterAll(() => rm(base, { recursive: true, force: true }));

const configOf = (folder: string): Config => configFrom({ data: { label_list: 'l' }, output: { folder } }).config;

/** The error that the system gives where a disk is full. */
const noSpace = (): Error =>
  Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });

/** Writes a checkpoint of two parts, of which the disk takes the first only. */
const fillDisk = (folder: string) => (): Promise<void> =>
  writePartsAtomically(join(folder, LAST_CHECKPOINT), async (append) => {
    await append(Uint8Array.of(1, 2, 3));
    throw noSpace();
  });

async function failureIn(folder: string): Promise<string> {
  const error: unknown = await inRunFolder(configOf(folder), () => {}, fillDisk(folder)).catch((reason) => reason);
  expect(error).toBeInstanceOf(TrainingError);
  return (error as TrainingError).message;
}

it('says where to make room and what to resume from, and keeps the last good checkpoint alone', async () => {
  const folder = join(base, 'later');
  await mkdir(folder);
  await writeFile(join(folder, LAST_CHECKPOINT), 'good');
  expect(await failureIn(folder)).toBe(
    `Training stopped: nothing more can be written to ${folder} (ENOSPC: no space left on device, write); ` +
      `make room there; resume from ${join(folder, LAST_CHECKPOINT)}`,
  );
  expect(await readdir(folder)).toEqual([LAST_CHECKPOINT]);
  expect(await readFile(join(folder, LAST_CHECKPOINT), 'utf8')).toBe('good');
});

it('says that there is nothing to resume from before the first checkpoint', async () => {
  const folder = join(base, 'first');
  expect(await failureIn(folder)).toMatch(/no checkpoint was written yet: start again$/);
  expect(await readdir(folder)).toEqual([]);
});

it('hands on every other error as it is, and lets the next run in', async () => {
  const folder = join(base, 'other');
  const fault = new RangeError('a fault');
  const fail = (): Promise<never> => Promise.reject(fault);
  await expect(inRunFolder(configOf(folder), () => {}, fail)).rejects.toBe(fault);
  expect(await readdir(folder)).toEqual([]);
});
