import type { Classification } from 'actionclip';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bar, drawBars } from '../../../packages/actionclip/src/cli/drawing/bars.ts';
import type { Canvas } from '../../../packages/actionclip/src/cli/drawing/canvas.ts';
import { drawClassification } from '../../../packages/actionclip/src/cli/drawing/classification.ts';
import { heightCharacter, rangeOf } from '../../../packages/actionclip/src/cli/drawing/curves.ts';
import { drawThumbnail } from '../../../packages/actionclip/src/cli/drawing/filmstrip.ts';
import { arrange } from '../../../packages/actionclip/src/cli/drawing/frames.ts';
import { layoutFor } from '../../../packages/actionclip/src/cli/drawing/layout.ts';
import {
  clipLine,
  fitText,
  lineWidth,
  padText,
  printable,
  textWidth,
} from '../../../packages/actionclip/src/cli/drawing/text-width.ts';
import { timeText } from '../../../packages/actionclip/src/cli/drawing/times.ts';
import { bestOverTime, windowRuns } from '../../../packages/actionclip/src/recognize/timeline.ts';
import { anyClassification, anyLabel } from './classifications.ts';

const anyCanvas: fc.Arbitrary<Canvas> = fc.oneof(
  fc.record({ columns: fc.integer({ min: 1, max: 200 }), color: fc.constant(false), blocks: fc.boolean() }),
  fc.record({ columns: fc.integer({ min: 1, max: 200 }), color: fc.constant(true), blocks: fc.constant(true) }),
);
const plain: Canvas = { columns: 80, color: false, blocks: false };
const blocks: Canvas = { ...plain, blocks: true };
const colors: Canvas = { ...blocks, color: true };
const escapes = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');
const controls = /\p{Cc}/u;

describe('the width of a text', () => {
  it.each([
    ['push ups', 8],
    ['化粧をする', 10],
    ['한국어', 6],
    ['ｆｕｌｌ', 8],
    ['👩‍🚀', 2],
    ['👍🏽', 2],
    ['🇩🇪', 2],
    ['1️⃣', 2],
    ['e\u0301', 1],
    ['naïve – “quoted”', 16],
    ['नमस्ते', 4],
    ['█▌▁▀', 4],
  ])('of %s is %i columns', (text, width) => {
    expect(textWidth(text)).toBe(width);
  });

  it('is kept by fitting, padding and clipping, whatever the text', () => {
    fc.assert(
      fc.property(anyLabel.map(printable), fc.integer({ min: 0, max: 30 }), (text, width) => {
        expect(textWidth(fitText(text, width))).toBeLessThanOrEqual(width);
        expect(textWidth(padText(text, width))).toBe(width);
        expect(lineWidth(clipLine(`\x1b[1m${text}\x1b[0m${text}`, width))).toBeLessThanOrEqual(width);
        if (textWidth(text) <= width) expect(fitText(text, width)).toBe(text);
      }),
    );
  });

  it('leaves nothing that steers the terminal', () => {
    fc.assert(
      fc.property(anyLabel, (text) => {
        expect(printable(text)).not.toMatch(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
      }),
    );
  });
});

describe('what a person sees of a video', () => {
  const options = fc.record({ top: fc.integer({ min: 1, max: 50 }), filmstrip: fc.boolean() });

  it('is never wider than the terminal, and escapes only where there are colours', () => {
    fc.assert(
      fc.property(anyCanvas, anyLabel, anyClassification, options, (canvas, name, classification, wishes) => {
        for (const line of drawClassification(canvas, name, classification, wishes)) {
          expect(lineWidth(line)).toBeLessThanOrEqual(canvas.columns);
          expect(canvas.color ? line.replace(escapes, '') : line).not.toMatch(controls);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is ASCII in a pipe where labels are', () => {
    const ascii = anyClassification.map(
      (one): Classification => ({
        ...one,
        labels: one.labels.map((_, index) => `a rather long label of an action ${index}`),
      }),
    );
    fc.assert(
      fc.property(ascii, options, (classification, wishes) => {
        for (const line of drawClassification(plain, 'a.mp4', classification, wishes)) expect(line).toMatch(/^[ -~]*$/);
      }),
      { numRuns: 100 },
    );
  });

  it('says the same with colours as without but for the pictures', () => {
    fc.assert(
      fc.property(anyClassification, (classification) => {
        const still = { ...classification, windows: classification.windows.slice(0, 1) };
        const draw = (canvas: Canvas): string[] =>
          drawClassification(canvas, 'a.mp4', still, { top: 5, filmstrip: false });
        expect(draw(colors).map((line) => line.replace(escapes, '').trimEnd())).toEqual(draw(blocks));
      }),
      { numRuns: 100 },
    );
  });

  it('names every label once where all are shown and there is room', () => {
    const labels = ['push ups', '化粧をする', 'yoga'];
    const classification: Classification = {
      labels,
      probabilities: new Float64Array([0.2, 0.7, 0.1]),
      frames: 1,
      duration: 0.04,
      sampled: [],
      windows: [{ start: 0, end: 0.04, probabilities: new Float64Array([0.2, 0.7, 0.1]) }],
    };
    expect(drawClassification(plain, 'a.mp4', classification, { top: 9, filmstrip: true })).toEqual([
      'a.mp4  1 frame, 0.0 s',
      `  化粧をする  ${'#'.repeat(41)}${' '.repeat(17)}  70.0 %`,
      `  push ups    ${'#'.repeat(12)}${' '.repeat(46)}  20.0 %`,
      `  yoga        ${'#'.repeat(6)}${' '.repeat(52)}  10.0 %`,
    ]);
    const [, , second = '', rest = ''] = drawClassification(plain, 'a.mp4', classification, {
      top: 1,
      filmstrip: true,
    });
    expect(second).toMatch(/^ {2}2 others {4}#+ +30\.0 %$/);
    expect(rest).toBe('');
  });
});

describe('bars', () => {
  it('are the longer the more probable, from nothing to the whole width', () => {
    const length = (canvas: Canvas, part: number): number => bar(canvas, part, 40).length;
    fc.assert(
      fc.property(
        fc.constantFrom(plain, blocks),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (canvas, a, b) => {
          expect(length(canvas, Math.min(a, b))).toBeLessThanOrEqual(length(canvas, Math.max(a, b)));
        },
      ),
    );
    for (const canvas of [plain, blocks]) {
      expect(bar(canvas, 0, 40)).toBe('');
      expect(textWidth(bar(canvas, 1, 40))).toBe(40);
    }
  });

  it('and the rest together are the whole', () => {
    fc.assert(
      fc.property(anyClassification, fc.integer({ min: 1, max: 50 }), (classification, top) => {
        const lines = drawClassification(
          plain,
          'a',
          { ...classification, sampled: [], windows: [] },
          { top, filmstrip: false },
        );
        const percents = lines
          .map((line) => / (\d+\.\d) %$/.exec(line)?.[1])
          .filter((percent) => percent !== undefined);
        const sum = percents.reduce((all, percent) => all + Number(percent), 0);
        expect(percents).toHaveLength(Math.min(classification.labels.length, top + 1));
        expect(Math.abs(sum - 100)).toBeLessThanOrEqual(0.05 * percents.length + 1e-6);
      }),
      { numRuns: 100 },
    );
  });

  it('give way to the numbers where the terminal is narrow', () => {
    const canvas = { ...plain, columns: 20 };
    expect(drawBars(canvas, layoutFor(['archery'], canvas), [{ label: 'archery', probability: 0.5 }])).toEqual([
      '  archery   50.0 %',
    ]);
  });
});

describe('frames', () => {
  it('stand in as few rows as fit, as even as can be, within the width', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 10, max: 200 }),
        fc.integer({ min: 4, max: 10 }),
        (count, width, least) => {
          const { perRow, cellWidth } = arrange(count, width, least, 16);
          expect(perRow * (cellWidth + 1) - 1).toBeLessThanOrEqual(width);
          expect(cellWidth).toBeGreaterThanOrEqual(Math.min(least, width));
          expect(perRow).toBeLessThanOrEqual(count);
          const rows = Math.ceil(count / perRow);
          expect(rows).toBe(Math.ceil(count / Math.floor((width + 1) / (least + 1))));
        },
      ),
    );
  });

  it('are pictures of half blocks, the upper pixel in front and the lower behind', () => {
    const data = new Uint8Array([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9]);
    expect(drawThumbnail(colors, { width: 2, height: 2, data }, 2)).toEqual([
      '\x1b[38;2;255;0;0;48;2;0;0;255m▀\x1b[0m\x1b[38;2;0;255;0;48;2;9;9;9m▀\x1b[0m',
    ]);
  });

  it('have the nearest colours of the palette where the terminal knows no others', () => {
    const data = new Uint8Array([250, 10, 0, 100, 100, 100]);
    expect(drawThumbnail({ ...colors, palette: true }, { width: 1, height: 2, data }, 1)).toEqual([
      '\x1b[38;5;196;48;5;59m▀\x1b[0m',
    ]);
  });

  it('have curves that rise with the similarity', () => {
    const range = rangeOf([0.1, Number.NaN, 0.3]);
    expect(range).toEqual({ least: 0.1, most: 0.3 });
    const drawn = (canvas: Canvas): string =>
      [0.1, 0.2, 0.3].map((value) => heightCharacter(canvas, value, range)).join('');
    expect([drawn(blocks), drawn(plain)]).toEqual(['▁▅█', '_=#']);
    expect(heightCharacter(plain, Number.NaN, range)).toBe(' ');
  });
});

describe('a timeline', () => {
  const window = (start: number, end: number, ...probabilities: number[]): Classification['windows'][number] => ({
    start,
    end,
    probabilities: new Float64Array(probabilities),
  });

  it('joins neighbouring windows with the same best label, with the mean of its probabilities', () => {
    const runs = windowRuns([
      window(0, 8, 0.9, 0.1),
      window(4, 12, 0.7, 0.3),
      window(8, 16, 0.2, 0.8),
      window(12, 20, 0.6, 0.4),
    ]);
    expect(runs).toEqual([
      { start: 0, end: 12, label: 0, probability: expect.closeTo(0.8, 12), windows: 2 },
      { start: 8, end: 16, label: 1, probability: 0.8, windows: 1 },
      { start: 12, end: 20, label: 0, probability: 0.6, windows: 1 },
    ]);
  });

  it('covers every window once, in their order, whatever the probabilities', () => {
    fc.assert(
      fc.property(anyClassification, ({ windows }) => {
        const runs = windowRuns(windows);
        expect(runs.reduce((sum, run) => sum + run.windows, 0)).toBe(windows.length);
        expect(runs[0]?.start).toBe(windows[0]?.start);
        for (const [at, run] of runs.entries()) expect(run.label).not.toBe(runs[at - 1]?.label);
      }),
      { numRuns: 100 },
    );
  });

  it('takes over each moment the best mean of the windows that hold it, and nothing between windows', () => {
    const windows = [window(0, 2, 0.9, 0.1), window(1, 3, 0, 1), window(4, 5, 0.6, 0.4)];
    expect(bestOverTime(windows, 5, 5)).toEqual([0, 1, 1, undefined, 0]);
  });

  it('shows the whole video and a line for each run', () => {
    const classification: Classification = {
      labels: ['running', 'jumping'],
      probabilities: new Float64Array([0.55, 0.45]),
      frames: 500,
      duration: 20,
      sampled: [],
      windows: [window(0, 8, 0.9, 0.1), window(8, 16, 0.2, 0.8)],
    };
    const lines = drawClassification({ ...plain, columns: 34 }, 'a.mp4', classification, { top: 2, filmstrip: true });
    expect(lines.slice(-4)).toEqual([
      '  timeline    AAAAAAAABBBBBBBB....',
      '              0:00            0:20',
      '  0:00-0:08  A  90.0 %  running',
      '  0:08-0:16  B  80.0 %  jumping',
    ]);
  });

  it.each([
    [0, 0, '0:00'],
    [12.34, 0, '0:12'],
    [59.96, 1, '1:00.0'],
    [3723.5, 1, '1:02:03.5'],
  ])('writes %d s with %i decimals as %s', (seconds, digits, expected) => {
    expect(timeText(seconds, digits)).toBe(expected);
  });
});
