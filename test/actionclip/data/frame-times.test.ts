import { describe, expect, it } from 'vitest';
import type { FrameSource } from '../../../packages/actionclip/src/data/frame-source.ts';
import { frameTimesOf, rateOf } from '../../../packages/actionclip/src/data/frame-times.ts';
import { openVideoSource, type VideoDecoding } from '../../../packages/actionclip/src/data/video-source.ts';
import { rejection } from './shared-clips.ts';

describe('times of frames', () => {
  it('begin at 0 whatever the first timestamp is', () => {
    expect(frameTimesOf({ stamps: [5, 5.5, 7], framesPerSecond: 2 })).toEqual([0, 0.5, 2]);
    expect(frameTimesOf({ stamps: [-0.5, 0, 0.5], framesPerSecond: 2 })).toEqual([0, 0.5, 1]);
    expect(frameTimesOf({ stamps: [], framesPerSecond: 2 })).toEqual([]);
  });

  it('follow the rate where there are no timestamps', () => {
    expect(frameTimesOf({ stamps: [undefined, undefined, undefined], framesPerSecond: 4 })).toEqual([0, 0.25, 0.5]);
    expect(frameTimesOf({ stamps: [undefined, 3, undefined, 4], framesPerSecond: 4 })).toEqual([0, 0.25, 0.5, 1.25]);
  });

  it('never go back', () => {
    expect(frameTimesOf({ stamps: [0, 2, 1, 3], framesPerSecond: 1 })).toEqual([0, 2, 2, 3]);
    expect(frameTimesOf({ stamps: [undefined, 0, 9], framesPerSecond: 1 })).toEqual([0, 1, 10]);
  });

  it('take the default rate where the container has none that makes sense', () => {
    expect(rateOf(30000, 1001)).toBeCloseTo(29.97, 3);
    for (const [numerator, denominator] of [
      [0, 0],
      [25, 0],
      [0, 1],
      [Number.NaN, 1],
    ] as const) {
      expect(rateOf(numerator, denominator)).toBe(25);
    }
  });
});

/** A video of `frames` grey frames whose container speaks of `said` frames; counts its passes. */
function video(frames: number, said: number): { source: FrameSource; passes: () => number } {
  let passes = 0;
  const stamps = (count: number): number[] => Array.from({ length: count }, (_, index) => index / 10);
  const decode: VideoDecoding['decode'] = async (visit, last = frames) => {
    passes += 1;
    let index = 0;
    for (; index < Math.min(frames, last + 1); index++) {
      const data = new Uint8Array(3).fill(index);
      await visit({ damaged: false, image: () => ({ width: 1, height: 1, data }) }, index);
    }
    return { frames: index, damage: undefined };
  };
  const scan: VideoDecoding['scan'] = async () => {
    passes += 1;
    return { frames, damage: undefined, shown: { stamps: stamps(frames), framesPerSecond: 10 } };
  };
  const container: VideoDecoding['container'] = async () => ({ stamps: stamps(said), framesPerSecond: 10 });
  return { source: openVideoSource('made.mp4', 'error', { container, scan, decode }), passes: () => passes };
}

/** Indices and grey values of the frames that were handed over. */
async function handedOver(source: FrameSource, choose: (frames: number) => number[]): Promise<[number, number][]> {
  const handed: [number, number][] = [];
  await source.readEach(choose, (index, image) => {
    handed.push([index, image.data[0] ?? -1]);
  });
  return handed;
}

describe('a pass over a video', () => {
  it('hands over each chosen frame once, in ascending order, and decodes once', async () => {
    const { source, passes } = video(6, 6);
    expect(await handedOver(source, (frames) => [frames - 1, 0, 3, 3])).toEqual([
      [0, 0],
      [3, 3],
      [5, 5],
    ]);
    expect(await source.frameCount()).toBe(6);
    expect(await source.frameTimes()).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5]);
    expect(passes()).toBe(1);
  });

  it('lets frames be chosen by their times', async () => {
    const { source, passes } = video(6, 6);
    const images = await source.readChosen((_, times) => times.flatMap((time, index) => (time > 0.35 ? [index] : [])));
    expect(images.images.map((image) => image.data[0])).toEqual([4, 5]);
    expect(passes()).toBe(1);
  });

  it('waits for each visit', async () => {
    const { source } = video(3, 3);
    const order: string[] = [];
    await source.readEach(
      () => [0, 1],
      async (index) => {
        order.push(`begin ${index}`);
        await new Promise((resolve) => setTimeout(resolve, 1));
        order.push(`end ${index}`);
      },
    );
    expect(order).toEqual(['begin 0', 'end 0', 'begin 1', 'end 1']);
  });

  it.each([
    [5, 8],
    [8, 5],
    [5, 0],
  ])('of %i frames gives the right ones though the container speaks of %i', async (frames, said) => {
    const choose = (count: number): number[] => [0, Math.floor(count / 2), count - 1];
    const handed = await handedOver(video(frames, said).source, choose);
    expect(new Set(handed.map(([index]) => index)).size).toBe(handed.length);
    for (const index of choose(frames)) expect(handed).toContainEqual([index, index]);
    const { frameCount, images } = await video(frames, said).source.readChosen(choose);
    expect(frameCount).toBe(frames);
    expect(images.map((image) => image.data[0])).toEqual(choose(frames));
  });

  it('names the frame that is not there', async () => {
    for (const index of [4, -1, 0.5]) {
      const problem = `DataError: made.mp4: frame ${index + 1} was asked for, but only`;
      expect(await rejection(video(4, 4).source.read([0, index]))).toContain(problem);
      expect(await rejection(video(4, 4).source.readChosen(() => [0, index]))).toContain(problem);
      expect(await rejection(handedOver(video(4, 4).source, () => [0, index]))).toContain(problem);
    }
  });

  it('ends with the error of a visit', async () => {
    const failing = video(4, 4).source.readEach(
      () => [1, 2],
      (index) => {
        throw new Error(`no room for ${index}`);
      },
    );
    expect(await rejection(failing)).toBe('Error: no room for 1');
  });
});
