import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openFrameSource } from '../../../packages/actionclip/src/data/open-source.ts';
import { trimmed } from '../../../packages/actionclip/src/data/trimmed.ts';
import { rejection, sharedData, withFolder, writeFrames } from './shared-clips.ts';

const png = { imageTemplate: 'img_{:05d}.png', framesPerSecond: 2 };

describe('a part of a clip', () => {
  it('has the frames that are shown within it, counted and timed from its own start', async () => {
    await withFolder(async (folder) => {
      await writeFrames(folder, 0, 10);
      const part = trimmed(await openFrameSource(folder, png), { start: 1, end: 3.5 }, 'clip');
      expect(await part.frameCount()).toBe(5);
      expect(await part.frameTimes()).toEqual([0, 0.5, 1, 1.5, 2]);
      expect((await part.read([4, 0])).map((image) => image.data[0])).toEqual([6, 2]);
      const { frameCount, images } = await part.readChosen((count, times) => [times.length - 1, count - 2]);
      expect(frameCount).toBe(5);
      expect(images.map((image) => image.data[0])).toEqual([6, 5]);
      const handed: number[][] = [];
      await part.readEach(
        () => [0, 3],
        (index, image) => {
          handed.push([index, image.data[0] ?? -1]);
        },
      );
      expect(handed).toEqual([
        [0, 2],
        [3, 5],
      ]);
      const rest = trimmed(await openFrameSource(folder, png), { start: 4 }, 'clip');
      expect(await rest.frameTimes()).toEqual([0, 0.5]);
    });
  });

  it('of a video is read in the pass that reads the video', async () => {
    const file = path.join(sharedData, 'robust', '19_mp4_h264_6fps_armwrestling.mp4');
    const whole = await (await openFrameSource(file)).read([12, 17]);
    const part = trimmed(await openFrameSource(file), { start: 2, end: 3 }, file);
    const { frameCount, images } = await part.readChosen((count) => [0, count - 1]);
    expect(frameCount).toBe(6);
    expect(images.map((image, at) => Buffer.from(image.data).equals(Buffer.from(whole[at]?.data ?? [])))).toEqual([
      true,
      true,
    ]);
    await part.close();
  });

  it('that lies outside of the clip is an error that names it', async () => {
    await withFolder(async (folder) => {
      await writeFrames(folder, 0, 4);
      const source = await openFrameSource(folder, png);
      expect(() => trimmed(source, { start: 2, end: 2 }, 'clip')).toThrow(/clip: a part from 2 to 2 seconds/);
      expect(() => trimmed(source, { start: -1 }, 'clip')).toThrow(/clip: a part from -1 to Infinity/);
      const problem = 'clip: there is no frame from 9 to 10 seconds, the last is shown at 1.5 seconds';
      expect(await rejection(trimmed(source, { start: 9, end: 10 }, 'clip').frameCount())).toContain(problem);
      const part = trimmed(source, { start: 0.5 }, 'clip');
      for (const index of [-1, 3]) {
        expect(await rejection(part.read([index]))).toContain(`clip: frame ${index + 1} of a part of 3`);
        expect(await rejection(part.readChosen(() => [index]))).toContain(`clip: frame ${index + 1} of a part of 3`);
      }
    });
  });
});
