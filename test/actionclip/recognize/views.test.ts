// Which frames and windows of a video are looked at, for any number of frames and any times.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../packages/actionclip/src/data/random.ts';
import { sampleFrames } from '../../../packages/actionclip/src/data/sampling.ts';
import {
  chooseViews,
  clipFrames,
  durationOf,
  evenly,
  slidingWindows,
  windowFrames,
} from '../../../packages/actionclip/src/recognize/views.ts';

const counts = fc.record({
  frames: fc.integer({ min: 1, max: 2000 }),
  length: fc.integer({ min: 1, max: 40 }),
  clips: fc.integer({ min: 1, max: 12 }),
});
const seconds = fc.double({ min: 0.05, max: 500, noNaN: true });

/** Parts of a whole, up to `most` of it. */
const parts = (most: number): fc.Arbitrary<number> => fc.double({ min: 0.1, max: most, noNaN: true });

/** Times of frames with irregular steps, from 0. */
const timesOf = (steps: readonly number[]): number[] => {
  let time = 0;
  return [0, ...steps].map((step) => {
    time += step;
    return time;
  });
};

describe('clips of a whole video', () => {
  it('are those of evaluation where there is one', () => {
    fc.assert(
      fc.property(counts, ({ frames, length }) => {
        const evaluated = sampleFrames(frames, { segments: length, randomShift: false }, new Random(0));
        expect(clipFrames(frames, length, 1)).toEqual([evaluated.map((number) => number - 1)]);
      }),
    );
  });

  it('keep each frame in its own segment, and go from its start to its end', () => {
    fc.assert(
      fc.property(counts, ({ frames, length, clips }) => {
        const chosen = clipFrames(frames, length, clips);
        expect(chosen.length).toBe(clips);
        for (const clip of chosen) {
          expect(clip.length).toBe(length);
          expect(clip.every((index) => Number.isInteger(index) && index >= 0 && index < frames)).toBe(true);
        }
        if (clips === 1 || frames <= length) return;
        for (let segment = 0; segment < length; segment++) {
          const own = chosen.map((clip) => clip[segment] ?? Number.NaN);
          expect(own).toEqual([...own].sort((a, b) => a - b));
          expect(own[0]).toBe(Math.floor((segment * frames) / length + 1e-6));
          expect(own[clips - 1]).toBe(Math.floor(((segment + 1) * frames) / length - 1 + 1e-6));
        }
      }),
    );
  });

  it('are spread by equal shifts', () => {
    expect(clipFrames(100, 4, 3)).toEqual([
      [0, 25, 50, 75],
      [12, 37, 62, 87],
      [24, 49, 74, 99],
    ]);
  });
});

describe('sliding windows', () => {
  it('cover the video without a gap where the stride is no longer than a window, and end with it', () => {
    fc.assert(
      fc.property(seconds, parts(2), parts(1), (duration, size, part) => {
        const window = duration * size;
        const stride = window * part;
        const windows = slidingWindows(duration, window, stride);
        expect(windows[0]?.start).toBe(0);
        expect(windows[windows.length - 1]?.end).toBe(duration);
        for (const [at, { start, end }] of windows.entries()) {
          expect(start).toBeGreaterThanOrEqual(0);
          expect(end).toBeLessThanOrEqual(duration + 1e-6);
          if (at === 0) continue;
          const before = windows[at - 1] ?? { start: Number.NaN, end: Number.NaN };
          expect(start).toBeGreaterThan(before.start);
          expect(start - before.start).toBeLessThanOrEqual(stride + 1e-6);
          expect(start).toBeLessThanOrEqual(before.end + 1e-6);
          expect(end - start).toBeCloseTo(window, 6);
        }
      }),
    );
  });

  it('are one where the video is no longer than a window', () => {
    expect(slidingWindows(3, 3, 1)).toEqual([{ start: 0, end: 3 }]);
    expect(slidingWindows(2, 3, 1)).toEqual([{ start: 0, end: 2 }]);
    expect(slidingWindows(4, 2, 1).map(({ start }) => start)).toEqual([0, 1, 2]);
    expect(slidingWindows(4.5, 2, 1).map(({ start }) => start)).toEqual([0, 1, 2, 2.5]);
  });

  it('are refused where there would be millions', () => {
    expect(() => slidingWindows(3600, 1, 1e-3)).toThrow('makes 3599001 windows of a video of 3600.0 seconds');
  });

  it('show the frames that are seen at their moments, however irregular the times', () => {
    const steps = fc.array(fc.double({ min: 0.01, max: 0.5, noNaN: true }), { minLength: 3, maxLength: 80 });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 4 }), (given, length, clips) => {
        const times = timesOf(given);
        const duration = durationOf(times);
        for (const span of slidingWindows(duration, duration / 3, duration / 7)) {
          for (const frames of windowFrames(times, span, length, clips)) {
            expect(frames).toEqual([...frames].sort((a, b) => a - b));
            const first = times[frames[0] ?? 0] ?? 0;
            const last = times[frames[length - 1] ?? 0] ?? 0;
            expect(last).toBeLessThanOrEqual(span.end);
            // The frame that is seen may have come up before the window, and then the next comes after its start.
            expect(first >= span.start || (times[(frames[0] ?? 0) + 1] ?? duration) >= span.start - 1e-6).toBe(true);
          }
        }
      }),
    );
  });

  it('share the frames of one grid where the stride is a whole number of segments', () => {
    const times = Array.from({ length: 3000 }, (_, index) => index / 29.97);
    const frames = slidingWindows(100, 8, 2).flatMap((span) => windowFrames(times, span, 8, 1).flat());
    expect(new Set(frames).size).toBe(100);
  });
});

describe('options of views', () => {
  it.each([
    [{ clips: 0 }, 'clips is 0'],
    [{ crops: 2 as never }, 'crops is 2'],
    [{ window: 0 }, 'window is 0 seconds'],
    [{ window: Number.NaN }, 'window is NaN seconds'],
    [{ stride: 1 }, 'a stride but no window'],
    [{ window: 1, stride: -1 }, 'stride is -1 seconds'],
    [{ pictures: 1.5 }, 'pictures is 1.5'],
  ])('%o are refused: %s', (options, message) => {
    expect(() => chooseViews(options)).toThrow(message);
  });

  it('take half a window as the stride', () => {
    expect(chooseViews({ window: 3 })).toMatchObject({ clips: 1, crops: 1, window: 3, stride: 1.5 });
  });
});

describe('values chosen evenly', () => {
  it('are as many as may be, in order, from all over', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 1, max: 60 }), (count, limit) => {
        const values = Array.from({ length: count }, (_, index) => index);
        const chosen = evenly(values, limit);
        expect(chosen.length).toBe(Math.min(count, limit));
        expect(new Set(chosen).size).toBe(chosen.length);
        expect(chosen).toEqual([...chosen].sort((a, b) => a - b));
        const gaps = chosen.map((value, at) => value - (chosen[at - 1] ?? -1));
        expect(Math.max(...gaps, 1)).toBeLessThanOrEqual(Math.ceil(count / limit) + 1);
      }),
    );
  });
});
