// Frames that go on and on, against the same frames as a video.
import { type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import {
  type ActionClipOptions,
  type FrameStream,
  Recognizer,
  type StreamedFrame,
  scoreViews,
  type VideoEmbedding,
} from 'actionclip';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { TowerStream } from '../../../packages/actionclip/src/recognize/stream.ts';
import { VideoTowers } from '../../../packages/actionclip/src/recognize/towers.ts';
import { labels, madeVideo, picture, smallModel, tokenizer } from './sources.ts';

let device: Device;
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
});
afterAll(() => device.close());

const variants = {
  Transf: {},
  'Conv_1D on shifted frames': { shift: true, temporal: 'Conv_1D' },
  'the joint prompt': { joint: true, temporal: 'meanP' },
  'ST-Adapters': { adapter: { kind: 'st-adapter', channels: 4 } },
} as const;

/** Pushes the pictures of these numbers, each at its time; what came of each. */
async function pushed(stream: FrameStream, frames: readonly (readonly [picture: number, time: number])[]) {
  const answers: StreamedFrame[] = [];
  for (const [number, time] of frames) answers.push(await stream.push(picture(40, 32, number), time));
  return answers;
}
const clipsOf = (answers: readonly StreamedFrame[]): (VideoEmbedding | undefined)[] => answers.map(({ clip }) => clip);
const sampledOf = (clip: VideoEmbedding | undefined): number[] | undefined => clip?.sampled.map(({ index }) => index);

describe('a stream of frames', () => {
  it.each(Object.entries(variants))('scores as a video of the same frames does, with %s', async (_, options) => {
    const recognizer = new Recognizer(await smallModel(options), tokenizer);
    const prompts = await recognizer.embedLabels(labels);
    // A second in four frames: pictures 0 to 3, and then 1 to 4.
    const frames = [0, 1, 2, 3, 4].map((number) => [number, 10 + number / 4] as const);
    const clips = clipsOf(await pushed(recognizer.stream(1), frames));
    expect(clips.map((clip) => clip !== undefined)).toEqual([false, false, false, true, true]);
    expect(clips.slice(3).map(sampledOf)).toEqual([
      [0, 1, 2, 3],
      [1, 2, 3, 4],
    ]);

    const video = await recognizer.embedVideo(madeVideo(4).source);
    const expected = scoreViews(video, prompts, labels);
    const given = scoreViews(clips[3] as VideoEmbedding, prompts, labels);
    for (const [at, probability] of expected.probabilities.entries())
      expect(given.probabilities[at]).toBeCloseTo(probability, 6);
    for (const [at, { similarities, image }] of expected.sampled.entries()) {
      expect(given.sampled[at]?.image).toEqual(image);
      for (const [label, similarity] of similarities.entries())
        expect(given.sampled[at]?.similarities[label]).toBeCloseTo(similarity, 5);
    }
    await recognizer.close();
  });

  it('encodes each frame once, where the model sees it by itself, and else every clip', async () => {
    const pictures = async (options: Partial<ActionClipOptions>): Promise<number[]> => {
      const towers = new VideoTowers(await smallModel(options));
      const encode = vi.spyOn(towers, 'encode');
      await pushed(
        new TowerStream(towers, 1),
        [0, 1, 2, 3, 4, 5].map((number) => [number, number / 4]),
      );
      await towers.close();
      return encode.mock.calls.map(([images]) => images.length);
    };
    expect(await pictures({})).toEqual([1, 1, 1, 1, 1, 1]);
    expect(await pictures({ shift: true })).toEqual([4, 4, 4]);
  });

  it('takes the frames nearest to even steps, however they come', async () => {
    const recognizer = new Recognizer(await smallModel(), tokenizer);
    const sampled = async (times: readonly number[]) =>
      clipsOf(
        await pushed(
          recognizer.stream(1),
          times.map((time, number) => [number, time] as const),
        ),
      ).map(sampledOf);
    // A little early and late.
    expect((await sampled([0, 0.27, 0.49, 0.72])).at(-1)).toEqual([0, 1, 2, 3]);
    // More often than is needed.
    expect((await sampled([0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75])).at(-1)).toEqual([0, 2, 4, 6]);
    // Too seldom: frames count more than once, and the clip still spans its seconds.
    expect(await sampled([0, 0.75, 1.5])).toEqual([undefined, [0, 0, 1, 1], [1, 1, 2, 2]]);
    await recognizer.close();
  });

  it('begins anew when it is told to, and says how much is there', async () => {
    const recognizer = new Recognizer(await smallModel(), tokenizer);
    const stream = recognizer.stream(1);
    expect(stream.filled).toBe(0);
    await pushed(stream, [[0, 0]]);
    expect(stream.filled).toBeCloseTo(0.25);
    await pushed(stream, [
      [1, 0.25],
      [2, 0.5],
      [3, 0.75],
      [4, 1],
    ]);
    expect(stream.filled).toBe(1);
    stream.restart();
    expect(stream.filled).toBe(0);
    const clips = clipsOf(
      await pushed(stream, [
        [5, 9],
        [6, 9.25],
        [7, 9.5],
        [8, 9.75],
      ]),
    );
    expect(clips.map(sampledOf)).toEqual([undefined, undefined, undefined, [5, 6, 7, 8]]);
    expect(() => recognizer.stream(0)).toThrow('a clip spans 0 seconds; expected a number above 0');
    await recognizer.close();
  });

  it('leaves nothing on the device with each frame', async () => {
    const recognizer = new Recognizer(await smallModel(), tokenizer);
    const stream = recognizer.stream(1);
    const live: number[] = [];
    for (let number = 0; number < 40; number++) {
      await pushed(stream, [[number, number / 4]]);
      live.push((await device.memory()).live);
    }
    expect(new Set(live.slice(5)).size).toBe(1);
    await recognizer.close();
  });
});
