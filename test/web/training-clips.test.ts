// What the training tab holds of clips, and the points of its curves.
import { describe, expect, it } from 'vitest';
import { Clips, mostClips, mostLabels } from '../../examples/web/src/page/training/clips.ts';
import { binned, type Point, roundAbove } from '../../examples/web/src/page/training/curve.ts';
import type { ClipReport } from '../../examples/web/src/training-protocol.ts';

const report = (value = 0): ClipReport => ({
  rows: Float32Array.of(value),
  frames: 1,
  picture: { index: 0, time: 0, width: 1, height: 1, pixels: new Uint8ClampedArray(4) },
});
const names = (clips: Clips): readonly (readonly string[])[] =>
  clips.labels.map((one) => one.clips.map(({ name }) => name));

describe('recorded clips', () => {
  it('say what a training lacks', () => {
    const clips = new Clips();
    expect(clips.lack).toMatch(/at least two/);
    expect(clips.addLabels(['up', 'down', 'UP'])).toEqual([]);
    clips.add('up', report());
    expect(clips.lack).toMatch(/“down” has no clip/);
    clips.add('down', report());
    expect(clips.lack).toBeUndefined();
    clips.removeLabel('up');
    expect(clips.lack).toMatch(/at least two/);
  });

  it('have names of their own, whatever is removed', () => {
    const clips = new Clips();
    clips.addLabels(['up', 'down']);
    clips.add('up', report());
    clips.add('up', report(), 'clip.mp4');
    clips.add('up', report());
    clips.remove(1);
    clips.add('up', report());
    expect(names(clips)).toEqual([['clip.mp4', 'recording 2', 'recording 3'], []]);
    clips.clear();
    expect(names(clips)).toEqual([[], []]);
  });

  it('are examples with the places of their labels', () => {
    const clips = new Clips();
    clips.addLabels(['up', 'down']);
    clips.add('down', report(1));
    clips.add('up', report(2));
    clips.add('gone', report(3));
    expect(clips.examples.map(({ rows, label }) => [rows[0], label])).toEqual([
      [2, 0],
      [1, 1],
    ]);
  });

  it('are no more than there is room for', () => {
    const clips = new Clips();
    expect(clips.addLabels(Array.from({ length: mostLabels + 2 }, (_, at) => `label ${at}`))).toEqual([
      `label ${mostLabels}`,
      `label ${mostLabels + 1}`,
    ]);
    for (let at = 0; at < mostClips + 5; at++) clips.add('label 0', report());
    expect([clips.count, clips.isFull]).toEqual([mostClips, true]);
  });
});

describe('the points of a curve', () => {
  it('are means of neighbours, and end where the work stands', () => {
    const points = Array.from({ length: 1000 }, (_, at): Point => [(at + 1) / 10, at % 2]);
    const few = binned(points, 100, 50);
    expect(few).toHaveLength(50);
    expect(few[3]?.[1]).toBeCloseTo(0.5);
    expect(few.at(-1)).toEqual([100, 1]);
    expect(few.every(([x], at) => at === 0 || x > (few[at - 1]?.[0] ?? 0))).toBe(true);
    expect(binned([], 100, 50)).toEqual([]);
    expect(binned([[0.5, 3]], 100, 50)).toEqual([[0.5, 3]]);
  });

  it('stand below a round number', () => {
    expect([0.7, 1, 1.2, 3.1, 42, 0.013].map(roundAbove)).toEqual([1, 1, 2, 5, 50, 0.02]);
    expect([0, Number.NaN].map(roundAbove)).toEqual([1, 1]);
  });
});
