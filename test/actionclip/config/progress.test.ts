import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatBar,
  formatDuration,
  formatNumber,
  formatPreparation,
  formatPreparationBar,
  formatProgress,
  formatRate,
  Progress,
  type ProgressState,
} from '../../../packages/actionclip/src/train/progress.ts';

const STATE: ProgressState = {
  epoch: 3,
  epochs: 50,
  step: 120,
  steps: 480,
  loss: 1.23456,
  learningRate: 5e-6,
  clipsPerSecond: 85.34,
  dataWait: 0.042,
  secondsLeft: 3900,
  residentBytes: 1.2e9,
  deviceBytes: 310.5e6,
};

function fakeTerminal({ isTTY = true, environment = {} as Record<string, string>, columns = 120 } = {}) {
  const clock = { time: 0 };
  const writes: string[] = [];
  const stream = { isTTY, columns, write: (text: string) => writes.push(text) };
  return { clock, writes, progress: new Progress({ stream, now: () => clock.time, environment }) };
}

/** What a reader sees: the text without escapes and carriage returns. */
const visible = (text: string): string => stripVTControlCharacters(text).replaceAll('\r', '');

describe('a line of progress', () => {
  it('tells epoch, step, loss, rate, speed, data wait, time left and memory', () => {
    expect(formatProgress(STATE)).toBe(
      'epoch 3/50  step 120/480  loss 1.235  lr 5.00e-6  85.3 clips/s  data wait 4%  left 1h 05m  ' +
        'memory 1.20 GB  device 310.5 MB',
    );
  });

  it('tells of work before the steps how much is done, how fast, and what is left', () => {
    const state = { what: 'clip views encoded', done: 320, total: 6480, perSecond: 85.34 };
    expect(formatPreparation(state)).toBe('clip views encoded 320/6480  85.3/s  left 1m 12s');
    expect(formatPreparationBar(state, 80)).toBe(`clip views encoded ━${'─'.repeat(19)} 320/6480  85.3/s  left 1m 12s`);
    expect(formatPreparationBar(state, 60)).toMatch(/320\/6480 {2}85\.3\/s$/);
    for (let columns = 0; columns < 90; columns++) {
      expect(formatPreparationBar(state, columns).length).toBeLessThanOrEqual(columns);
    }
  });

  it('fits any width on a terminal, and keeps the loss and the time left longest', () => {
    expect([139, 119, 95, 89, 79, 59, 30].map((columns) => formatBar(STATE, columns))).toEqual([
      'epoch 3/50 ━━━━━─────────────── 120/480  loss 1.235  left 1h 05m  85.3 clips/s  lr 5.00e-6  data wait 4%  memory 1.20 GB  device 310.5 MB',
      'epoch 3/50 ━━━━━────────────── 120/480  loss 1.235  left 1h 05m  85.3 clips/s  lr 5.00e-6  data wait 4%  memory 1.20 GB',
      'epoch 3/50 ━━───── 120/480  loss 1.235  left 1h 05m  85.3 clips/s  lr 5.00e-6  wait 4%  1.20 GB',
      'epoch 3/50 120/480  loss 1.235  left 1h 05m  85.3 clips/s  lr 5.00e-6  wait 4%  1.20 GB',
      '3/50 120/480  loss 1.235  left 1h 05m  85.3/s  lr 5.0e-6  wait 4%  1.20 GB',
      '3/50 120/480  loss 1.235  left 1h 05m  85.3/s  lr 5.0e-6',
      '3/50 120/480  loss 1.235',
    ]);
    expect(formatBar(STATE, 160)).toMatch(/memory 1\.20 GB {2}device 310\.5 MB$/);
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 200 }),
        fc.nat(2000),
        fc.integer({ min: 1, max: 2000 }),
        (columns, step, steps) => {
          expect(formatBar({ ...STATE, step, steps }, columns).length).toBeLessThanOrEqual(columns);
          expect(visible(formatBar({ ...STATE, step, steps }, columns, true))).toBe(
            formatBar({ ...STATE, step, steps }, columns),
          );
        },
      ),
    );
  });

  it('prints durations in their two largest units', () => {
    expect([0.4, 59, 185, 3900, 183_600, Number.POSITIVE_INFINITY, Number.NaN].map(formatDuration)).toEqual([
      '0s',
      '59s',
      '3m 05s',
      '1h 05m',
      '2d 03h',
      '?',
      '?',
    ]);
  });

  it('prints numbers briefly, whatever their size', () => {
    expect([0, 0.01234, 1.23456, 85.34, 1828.4, 1e-9, 4e7, Number.NaN].map(formatNumber)).toEqual([
      '0.000',
      '0.01234',
      '1.235',
      '85.3',
      '1828',
      '1.00e-9',
      '4.00e+7',
      'NaN',
    ]);
    expect(formatRate(0)).toBe('0');
  });
});

describe('progress on a terminal', () => {
  it('redraws one line, at most ten times a second', () => {
    const { clock, writes, progress } = fakeTerminal();
    for (clock.time = 0; clock.time < 1000; clock.time += 10) progress.update(STATE);
    expect(writes).toHaveLength(10);
    for (const text of writes) expect(text.startsWith('\r')).toBe(true);
    expect(writes.join('')).not.toContain('\n');
  });

  it('always shows the end of an epoch', () => {
    const { writes, progress } = fakeTerminal();
    progress.update(STATE);
    progress.update({ ...STATE, step: 480 });
    expect(writes[1]).toContain('480/480');
  });

  it('prints a message on a line of its own and draws the bar again below it', () => {
    const { writes, progress } = fakeTerminal();
    progress.update(STATE);
    progress.message('validation: top-1 78.4 %');
    progress.done();
    const text = visible(writes.join(''));
    expect(text).toMatch(/^epoch 3.*validation: top-1 78\.4 %\nepoch 3[^\n]*\n$/);
  });

  it('uses colour unless NO_COLOR is set', () => {
    const colored = fakeTerminal();
    colored.progress.update(STATE);
    expect(colored.writes[0]).toContain('\x1b[36m');
    const plain = fakeTerminal({ environment: { NO_COLOR: '1' } });
    plain.progress.update(STATE);
    expect(plain.writes[0]).not.toContain('\x1b[36m');
  });
});

describe('progress in a pipe', () => {
  it('is plain lines without carriage returns or escapes, at most one in ten seconds', () => {
    const { clock, writes, progress } = fakeTerminal({ isTTY: false });
    for (clock.time = 0; clock.time < 25_000; clock.time += 100) progress.update(STATE);
    progress.message('done');
    progress.done();
    expect(writes).toEqual([...Array(3).fill(`${formatProgress(STATE)}\n`), 'done\n']);
  });

  it('is the same on a terminal that calls itself dumb', () => {
    const { writes, progress } = fakeTerminal({ environment: { TERM: 'dumb' } });
    progress.update(STATE);
    expect(writes).toEqual([`${formatProgress(STATE)}\n`]);
  });
});
