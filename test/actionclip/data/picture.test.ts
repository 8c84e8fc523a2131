import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { describe, expect, it } from 'vitest';
import { openFrameSource } from '../../../packages/actionclip/src/data/open-source.ts';
import { isMovingPng, pictureTypeOf } from '../../../packages/actionclip/src/data/picture-type.ts';
import { rejection, withFolder } from './shared-clips.ts';

/** Two columns, red and blue, of 4 x 2 pixels. */
function twoColumns(): Sharp {
  const row = [255, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0, 255];
  return sharp(Buffer.from([...row, ...row]), { raw: { width: 4, height: 2, channels: 3 } });
}

describe('a picture', () => {
  it.each(['jpeg', 'png', 'webp', 'avif'] as const)(
    'in %s is a clip of one frame, whatever its name',
    async (format) => {
      await withFolder(async (folder) => {
        const file = path.join(folder, 'photo.mp4');
        await twoColumns().resize(64, 32, { kernel: 'nearest' }).toFormat(format).toFile(file);
        const source = await openFrameSource(file);
        const { frameCount, images } = await source.readChosen((count) => [count - 1]);
        expect(frameCount).toBe(1);
        expect(await source.frameTimes()).toEqual([0]);
        const [image] = images;
        expect([image?.width, image?.height]).toEqual([64, 32]);
        const [red = 0, , blue = 255] = image?.data ?? [];
        expect(red - blue).toBeGreaterThan(200);
        expect(await rejection(source.read([1]))).toContain(
          'photo.mp4: frame 2 was asked for, but only 1 can be decoded',
        );
      });
    },
  );

  it('is turned as its EXIF data say', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'turned.png');
      await twoColumns().withMetadata({ orientation: 6 }).png().toFile(file); // shown a quarter turn clockwise
      const [image] = await (await openFrameSource(file)).read([0]);
      expect([image?.width, image?.height]).toEqual([2, 4]);
      expect([...(image?.data.subarray(0, 3) ?? [])]).toEqual([255, 0, 0]);
      expect([...(image?.data.subarray(-3) ?? [])]).toEqual([0, 0, 255]);
    });
  });

  it('that moves is a clip of its frames, with the times that it gives', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'moving.webp');
      const frames = [10, 90, 200].map((value) => Buffer.alloc(16 * 16 * 3, value));
      const stacked = { raw: { width: 16, height: 48, channels: 3, pageHeight: 16 } } as const;
      await sharp(Buffer.concat(frames), stacked)
        .webp({ lossless: true, delay: [100, 300, 50] })
        .toFile(file);
      const source = await openFrameSource(file);
      const { frameCount, images } = await source.readChosen((count) => [count - 1, 0, 1]);
      expect(frameCount).toBe(3);
      expect(images.map((image) => [image.height, image.data[0]])).toEqual([
        [16, 200],
        [16, 10],
        [16, 90],
      ]);
      for (const [at, time] of (await source.frameTimes()).entries()) expect(time).toBeCloseTo([0, 0.1, 0.4][at] ?? -1);
    });
  });

  it('that is cut off is an error that names it', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'cut.jpg');
      const whole = await twoColumns().resize(64, 32).jpeg().toBuffer();
      await writeFile(file, whole.subarray(0, whole.length - 200));
      expect(await rejection((await openFrameSource(file)).read([0]))).toMatch(
        /cut\.jpg: the picture cannot be decoded \(.+\); it is damaged/,
      );
      await writeFile(file, whole.subarray(0, 20));
      expect(await rejection((await openFrameSource(file)).frameCount())).toMatch(/cut\.jpg: the picture cannot be/);
    });
  });

  it('is told by its first bytes', () => {
    const bytes = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    expect(pictureTypeOf(bytes('GIF89a......'))).toBe('image/gif');
    expect(pictureTypeOf(bytes('RIFF1234WEBPVP8 '))).toBe('image/webp');
    expect(pictureTypeOf(bytes('RIFF1234AVI LIST'))).toBeUndefined();
    expect(pictureTypeOf(bytes('1234ftypisom....'))).toBeUndefined();
    expect(pictureTypeOf(bytes(''))).toBeUndefined();
    expect(isMovingPng(bytes('PNG IHDR acTL fcTL IDAT'))).toBe(true);
    expect(isMovingPng(bytes('PNG IHDR IDAT acTL'))).toBe(false);
  });
});
