// Whoever watches a run gets every record of its log: those that a resumed run goes on from, then each as it is written.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { configFrom } from '../../../packages/actionclip/src/train/config-file.ts';
import { LOG_FILE, type LogRecord, readRunLog } from '../../../packages/actionclip/src/train/log.ts';
import { openRunRecords } from '../../../packages/actionclip/src/train/records.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'actionclip-watcher-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const record = (step: number, loss: number): LogRecord => ({ kind: 'step', step, loss });

it('tells a watcher what the log holds, also of a resumed run', async () => {
  const { config } = configFrom({
    data: { train_list: 'train.txt', val_list: 'val.txt', label_list: 'labels.csv' },
    output: { folder },
  });
  const watch = async (resumeAtStep: number | undefined, records: readonly LogRecord[]): Promise<LogRecord[]> => {
    const seen: LogRecord[] = [];
    const watcher = { write: async (one: LogRecord) => void seen.push(one), close: async () => {} };
    const log = await openRunRecords(config, { resumeAtStep, watcher });
    for (const one of records) await log.write(one);
    await log.close();
    expect(seen).toEqual(await readRunLog(join(folder, LOG_FILE)));
    return seen;
  };
  const first = await watch(undefined, [record(0, 3), record(1, 2), record(2, 1)]);
  expect(first).toHaveLength(3);
  const resumed = await watch(2, [record(2, 0.5)]);
  expect(resumed.map(({ loss }) => loss)).toEqual([3, 2, 0.5]);
  expect(await watch(undefined, [])).toEqual([]);
});
