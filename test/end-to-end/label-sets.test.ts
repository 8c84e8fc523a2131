// Training on clips of several classes: measured by mean average precision, and resumed bit for bit.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDevice, setDefaultDevice } from '@actionclip/tensor';
import { type ActionDataset, readRunLog, readTrainingCheckpoint, train } from 'actionclip';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bytesOf, tinyClips, tinyRun } from './tiny-run.ts';

let folder = '';
let clips: ActionDataset;

beforeAll(async () => {
  setDefaultDevice(await openDevice('wasm', { threads: 1 }));
  folder = await mkdtemp(join(tmpdir(), 'actionclip-label-sets-'));
  const plain = await tinyClips(join(folder, 'clips'));
  /** Every clip of class 0 is of class 2 as well. */
  const several = async (list: string, name: string): Promise<string> => {
    const file = join(folder, name);
    await writeFile(file, (await readFile(list, 'utf8')).replaceAll(/ 0$/gm, ' 0,2'));
    return file;
  };
  clips = {
    ...plain,
    trainList: await several(plain.trainList, 'train.txt'),
    valList: await several(plain.valList, 'val.txt'),
  };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('logs and keeps the mean average precision, and goes on from a checkpoint with the same parameters', async () => {
  const run = await tinyRun(clips, join(folder, 'whole'), { solver: { epochs: 2 } });
  expect(run.data.train.filter(({ labels }) => labels?.join() === '0,2')).toHaveLength(3);
  const { log, best, lastCheckpoint } = await train(run);
  const logged = (await readRunLog(log)).filter(({ kind }) => kind === 'validation');
  const measures = logged.map(({ meanAveragePrecision }) => Number(meanAveragePrecision));
  expect(measures).toHaveLength(2);
  expect(measures.every((measure) => measure > 0 && measure <= 1)).toBe(true);
  expect(best?.meanAveragePrecision).toBe(Math.max(...measures));

  const stopped = await tinyRun(clips, join(folder, 'stopped'), { solver: { epochs: 2 } });
  const stop = new AbortController();
  const interrupted = train({ ...stopped, signal: stop.signal, onValidation: () => stop.abort() });
  await expect(interrupted).rejects.toThrow(/resume from/);
  const resume = join(folder, 'stopped', 'last.safetensors');
  const again = await tinyRun(clips, join(folder, 'stopped'), { solver: { epochs: 2 }, resume });
  const outcome = await train(again);
  const parameters = async (file: string) => bytesOf((await readTrainingCheckpoint(file)).parameters);
  expect(await parameters(outcome.lastCheckpoint)).toEqual(await parameters(lastCheckpoint));
  expect(outcome.best).toEqual(best);
});
