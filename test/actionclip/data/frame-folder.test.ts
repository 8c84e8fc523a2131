import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import {
  frameFileName,
  openFrameFolder,
  parseImageTemplate,
} from '../../../packages/actionclip/src/data/frame-folder.ts';
import { openFrameSource } from '../../../packages/actionclip/src/data/open-source.ts';
import { decodeImageFile } from '../../../packages/actionclip/src/data/picture-file.ts';
import { rejection, withFolder, writeFrames } from './shared-clips.ts';

const png = { imageTemplate: 'img_{:05d}.png' };

describe('an image template', () => {
  it.each([
    ['img_{:05d}.jpg', 7, 'img_00007.jpg'],
    ['frame{:d}.png', 12, 'frame12.png'],
    ['{}.jpg', 3, '3.jpg'],
    ['{0:06}.jpg', 1234567, '1234567.jpg'],
    ['{:3d}', 5, '  5'],
  ])('%s gives for frame %i the name %s', (template, number, name) => {
    expect(frameFileName(parseImageTemplate(template), number)).toBe(name);
  });

  it.each(['img.jpg', '{}{}', 'img_{:05f}.jpg', 'img_%05d.jpg', ''])('"%s" is refused, with an example', (template) => {
    expect(() => parseImageTemplate(template)).toThrow(/has no single integer field; expected .*img_\{:05d\}\.jpg/);
  });

  it('gives different names to different frames', () => {
    const template = parseImageTemplate('img_{:05d}.jpg');
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (a, b) => {
        expect(frameFileName(template, a) === frameFileName(template, b)).toBe(a === b);
      }),
    );
  });
});

describe('a folder of frames', () => {
  it('counts its frames and reads them in the order asked for, repeats included', async () => {
    await withFolder(async (folder) => {
      await writeFrames(folder, 9, 5);
      const source = await openFrameSource(folder, png);
      expect(await source.frameCount()).toBe(5);
      const images = await source.read([4, 0, 4]);
      expect(images.map((image) => [...image.data.subarray(0, 3)])).toEqual([
        [4, 9, 251],
        [0, 9, 255],
        [4, 9, 251],
      ]);
      expect(images[0]?.data.length).toBe(16 * 16 * 3);
      await source.close();
    });
  });

  it('hands its frames over one after another, with times by its rate', async () => {
    await withFolder(async (folder) => {
      await writeFrames(folder, 0, 5);
      const handed: number[][] = [];
      const source = await openFrameSource(folder, { ...png, framesPerSecond: 10 });
      const count = await source.readEach(
        (frames) => [frames - 1, 1, 1],
        (index, image) => {
          handed.push([index, image.data[0] ?? -1]);
        },
      );
      expect(count).toBe(5);
      expect(handed).toEqual([
        [1, 1],
        [4, 4],
      ]);
      expect(await source.frameTimes()).toEqual([0, 0.1, 0.2, 0.3, 0.4]);
      expect((await openFrameFolder(folder, png).frameTimes())[4]).toBe(4 / 25);
      for (const framesPerSecond of [0, -1, Number.NaN]) {
        expect(await rejection(openFrameSource(folder, { framesPerSecond }))).toContain('expected a number above 0');
      }
    });
  });

  it('starts at the index bias', async () => {
    await withFolder(async (folder) => {
      await writeFrames(folder, 0, 5);
      const source = openFrameFolder(folder, { ...png, indexBias: 3 });
      expect(await source.frameCount()).toBe(3);
      expect((await source.read([0]))[0]?.data[0]).toBe(2);
    });
  });

  it('gives grey, transparent, palette and 16-bit images as 8-bit RGB', async () => {
    await withFolder(async (folder) => {
      const grey = path.join(folder, 'grey.png');
      const values = Buffer.from([0, 100, 200, 255]);
      await sharp(values, { raw: { width: 2, height: 2, channels: 1 } })
        .toColourspace('b-w')
        .png()
        .toFile(grey);
      expect([...(await decodeImageFile(grey)).data]).toEqual([0, 0, 0, 100, 100, 100, 200, 200, 200, 255, 255, 255]);

      const clear = path.join(folder, 'clear.png');
      const pixel = Buffer.from([10, 20, 30, 128]);
      await sharp(pixel, { raw: { width: 1, height: 1, channels: 4 } })
        .png()
        .toFile(clear);
      expect([...(await decodeImageFile(clear)).data]).toEqual([10, 20, 30]);

      const palette = path.join(folder, 'palette.png');
      const red = { create: { width: 1, height: 1, channels: 3 as const, background: { r: 255, g: 0, b: 0 } } };
      await sharp(red).png({ palette: true }).toFile(palette);
      expect([...(await decodeImageFile(palette)).data]).toEqual([255, 0, 0]);

      const deep = path.join(folder, 'deep.png');
      await sharp(red).toColourspace('rgb16').png().toFile(deep);
      expect([...(await decodeImageFile(deep)).data]).toEqual([255, 0, 0]);
    });
  });

  it('names the file of a frame that is missing, cut off or no image', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'img_00001.jpg');
      const source = openFrameFolder(folder);
      expect(await rejection(source.read([0]))).toContain(`${file}: the frame does not exist`);
      await writeFile(file, 'no image');
      expect(await rejection(source.read([0]))).toContain(`${file}: the frame cannot be decoded`);
      const noise = Buffer.from(Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 7919) % 256));
      await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
        .jpeg()
        .toFile(file);
      expect((await source.read([0]))[0]?.width).toBe(64);
      const whole = await readFile(file);
      await writeFile(file, whole.subarray(0, whole.length / 2));
      expect(await rejection(source.read([0]))).toContain(`${file}: the frame cannot be decoded`);
    });
  });

  it('without a first frame says what the folder has', async () => {
    await withFolder(async (folder) => {
      await writeFrames(folder, 0, 2);
      expect(await rejection(openFrameFolder(folder).frameCount())).toBe(
        `DataError: ${folder}: there is no frame "img_00001.jpg" (the folder has "img_00001.png"); set the image template and the index bias`,
      );
    });
  });
});
