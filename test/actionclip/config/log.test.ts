import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogError, openRunLog, readRunLog } from '../../../packages/actionclip/src/train/log.ts';

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'run-log-test-'));
  path = join(folder, 'run/log.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true }));

async function writeSteps(from: number, to: number, resumeAtStep?: number): Promise<void> {
  const log = await openRunLog(path, resumeAtStep);
  for (let step = from; step < to; step++) await log.write({ kind: 'step', step, loss: 1 / (step + 1) });
  await log.close();
}
const steps = async () => (await readRunLog(path)).map(({ step }) => step);

describe('the log of a run', () => {
  it('keeps every record on a line of its own', async () => {
    await writeSteps(0, 3);
    expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(4);
    expect(await readRunLog(path)).toEqual([0, 1, 2].map((step) => ({ kind: 'step', step, loss: 1 / (step + 1) })));
  });

  it('keeps the order of writes that nobody waited for', async () => {
    const log = await openRunLog(path);
    await Promise.all(
      Array.from({ length: 50 }, (_, step) => log.write({ kind: 'step', step, text: 'x'.repeat(50 - step) })),
    );
    await log.close();
    expect(await steps()).toEqual(Array.from({ length: 50 }, (_, step) => step));
  });

  it('shows a diverged loss', async () => {
    const log = await openRunLog(path);
    await log.write({ kind: 'step', step: 0, loss: Number.NaN, norm: Number.POSITIVE_INFINITY });
    await log.close();
    expect(await readRunLog(path)).toEqual([{ kind: 'step', step: 0, loss: 'NaN', norm: 'Infinity' }]);
  });

  it('loses at most the line that a kill tore, wherever it was torn', async () => {
    await writeSteps(0, 5);
    const whole = readFileSync(path);
    for (let length = whole.byteLength; length >= 0; length--) {
      truncateSync(path, length);
      const kept = whole.subarray(0, length).filter((byte) => byte === 10).length;
      expect(await steps()).toEqual(Array.from({ length: kept }, (_, step) => step));
    }
  });

  it('continues as if the run had never stopped', async () => {
    await writeSteps(0, 9);
    const unbroken = readFileSync(path, 'utf8');
    await writeSteps(0, 7);
    appendFileSync(path, '{"kind":"step","step":7,"lo');
    await writeSteps(4, 9, 4);
    expect(readFileSync(path, 'utf8')).toBe(unbroken);
  });

  it('starts empty without resume, and resumes where there is no log yet', async () => {
    await writeSteps(0, 2);
    await writeSteps(0, 1);
    expect(await steps()).toEqual([0]);
    rmSync(path);
    expect(await readRunLog(path)).toEqual([]);
    await writeSteps(3, 4, 3);
    expect(await steps()).toEqual([3]);
  });

  it('refuses a damaged line in the middle by its number and leaves the file alone', async () => {
    await writeSteps(0, 1);
    const damaged = `${readFileSync(path, 'utf8')}garbage\n{"kind":"step","step":1}\n`;
    writeFileSync(path, damaged);
    await expect(readRunLog(path)).rejects.toThrow(LogError);
    await expect(openRunLog(path, 1)).rejects.toThrow(/log\.jsonl:2: not a record/);
    expect(readFileSync(path, 'utf8')).toBe(damaged);
  });
});
