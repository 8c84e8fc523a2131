import { readFileSync } from 'node:fs';
import { symlink } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseCsv } from '../../../packages/actionclip/src/data/csv.ts';
import type { FrameSource } from '../../../packages/actionclip/src/data/frame-source.ts';
import type { Image } from '../../../packages/actionclip/src/data/image/image.ts';
import { openFrameSource } from '../../../packages/actionclip/src/data/open-source.ts';
import {
  findFfmpeg,
  openVideoWithFfmpeg,
  passthroughOption,
} from '../../../packages/actionclip/src/data/video-ffmpeg.ts';
import { rejection, sharedData, withFolder } from './shared-clips.ts';

const robust = path.join(sharedData, 'robust');
const [header, ...rows] = parseCsv(readFileSync(path.join(robust, 'manifest.csv'), 'utf8'), 'manifest.csv');
const manifest = rows.map((row) => {
  const field = (name: string): string => row.fields[header?.fields.indexOf(name) ?? -1] ?? '';
  const turned = Math.abs(Number(field('rotation'))) === 90;
  const [width, height] = [Number(field('coded_w')), Number(field('coded_h'))];
  return {
    file: field('file'),
    frames: Number(field('ffmpeg_decoded_frames')),
    width: turned ? height : width,
    height: turned ? width : height,
  };
});
const readable = manifest.filter((clip) => !clip.file.includes('_bad_'));
const broken = manifest.filter((clip) => clip.file.includes('_bad_'));

const open = (file: string): Promise<FrameSource> => openFrameSource(path.join(robust, file), { decoder: 'node-av' });

/** Mean of each channel over a part of the image, whose edges are given as fractions of its sides. */
function meanColour(image: Image, left: number, top: number, right: number, bottom: number): [number, number, number] {
  const sums: [number, number, number] = [0, 0, 0];
  let pixels = 0;
  for (let y = Math.floor(top * image.height); y < bottom * image.height; y++) {
    for (let x = Math.floor(left * image.width); x < right * image.width; x++, pixels++) {
      for (const channel of [0, 1, 2] as const) sums[channel] += image.data[3 * (y * image.width + x) + channel] ?? 0;
    }
  }
  return [sums[0] / pixels, sums[1] / pixels, sums[2] / pixels];
}

/** Equality of large images, without the cost of a comparison that can print the difference. */
function sameImage(a: Image | undefined, b: Image | undefined): boolean {
  return a !== undefined && b !== undefined && a.width === b.width && Buffer.from(a.data).equals(Buffer.from(b.data));
}

describe('a video file', () => {
  it('is there to be tested', () => {
    expect(readable).toHaveLength(26);
    expect(broken).toHaveLength(7);
  });

  it.each(readable)('$file has $frames frames of $width x $height', async ({ file, frames, width, height }) => {
    const source = await open(file);
    expect(await source.frameCount()).toBe(frames);
    const [last, first] = await source.read([frames - 1, 0]);
    for (const image of [first, last]) {
      expect([image?.width, image?.height]).toEqual([width, height]);
      expect(image?.data.length).toBe(width * height * 3);
    }
    expect(await rejection(source.read([frames]))).toContain(
      `${file}: frame ${frames + 1} was asked for, but only ${frames} can be decoded`,
    );
    await source.close();

    const chosen = await (await open(file)).readChosen((count) => [count - 1, 0]);
    expect(chosen.frameCount).toBe(frames);
    expect(sameImage(chosen.images[0], last)).toBe(true);
    expect(sameImage(chosen.images[1], first)).toBe(true);
  });

  it.each(broken)('$file is damaged, and the error names it', async ({ file }) => {
    const source = await open(file);
    expect(await rejection(source.frameCount())).toMatch(new RegExp(`^DataError: .*${file}: .*; `));
    expect(await rejection((await open(file)).readChosen(() => [0]))).toMatch(
      new RegExp(`^DataError: .*${file}: .*; `),
    );
    expect(await rejection(source.read([119]))).toMatch(new RegExp(`^DataError: .*${file}: .*; `));
  });

  it('that is cut off still gives the frames before the cut', async () => {
    const source = await open('33_bad_truncated_half_moov_first.mp4');
    expect(await source.read([0, 40])).toHaveLength(2);
    expect(await rejection(source.read([0, 80]))).toContain('frame 81 was asked for, but 57 frames could be decoded');
  });

  it('that is damaged gives what can be decoded where damage is tolerated', async () => {
    const file = path.join(robust, '35_bad_200_bitflips.mp4');
    const source = await openFrameSource(file, { decoder: 'node-av', damage: 'tolerate' });
    expect(await source.frameCount()).toBe(118);
    expect(await source.read([0, 117])).toHaveLength(2);
    // the container promises 120 frames, so that the first choice is wrong
    expect((await source.readChosen((count) => [count - 1])).frameCount).toBe(118);
    const fresh = await openFrameSource(file, { decoder: 'node-av', damage: 'tolerate' });
    const { frameCount, images } = await fresh.readChosen((count) => [count - 1]);
    expect(frameCount).toBe(118);
    expect(sameImage(images[0], (await source.read([117]))[0])).toBe(true);
  });

  it('gives the same frame whether it is read alone or with others', async () => {
    const source = await open('05_mkv_h264_opus_pancake.mkv');
    const together = await source.read([10, 200, 10]);
    expect(together[0]).toBe(together[2]);
    expect(sameImage((await source.read([200]))[0], together[1])).toBe(true);
    expect(sameImage(together[0], together[1])).toBe(false);
    expect(await source.read([])).toEqual([]);
  });

  it('stored on its side or upside down is shown upright', async () => {
    const [screen] = await (await open('07_mov_h264_rot-90_vfr_aac_portrait.MOV')).read([0]);
    const [keyboard] = await (await open('09_mov_rot180_3frames.mov')).read([0]);
    if (!screen || !keyboard) throw new Error('two frames were expected');
    expect(Math.max(...meanColour(screen, 0, 0.9, 1, 1))).toBeLessThan(30); // the black rim below the screen
    expect(Math.max(...meanColour(screen, 0, 0, 1, 0.1))).toBeGreaterThan(60);
    const corner = meanColour(keyboard, 0.95, 0, 1, 0.1); // a red glow in one corner
    expect(corner[0]).toBeGreaterThan(corner[1] + 30);
    const opposite = meanColour(keyboard, 0, 0.9, 0.05, 1);
    expect(opposite[0]).toBeLessThan(opposite[1] + 15);
  });

  it('that does not exist is an error that names it', async () => {
    expect(await rejection(open('none.mp4'))).toContain(
      'none.mp4: the clip does not exist; expected a video file or a folder',
    );
  });
});

describe('without any decoder', () => {
  it('a video is an error that says what to install', async () => {
    const programs = { ffmpeg: 'no-such-ffmpeg', ffprobe: 'no-such-ffprobe' };
    const file = path.join(robust, '24_mp4_single_frame.mp4');
    expect(await rejection(openFrameSource(file, { decoder: 'ffmpeg', programs }))).toMatch(
      /24_mp4_single_frame\.mp4: no video decoder can be used: the program no-such-ffprobe is not there; run `npm install node-av`, or install ffmpeg/,
    );
  });
});

describe('the ffmpeg program', () => {
  let present = false;
  beforeAll(async () => {
    present = 'version' in (await findFfmpeg());
  });

  it.each([
    ['4.4.2-0ubuntu0.22.04.1', '-vsync'],
    ['5.0.1', '-vsync'],
    ['5.1.9-0+deb12u1', '-fps_mode'],
    ['n8.0', '-fps_mode'],
    ['N-118000-g1234567', '-fps_mode'],
  ])('of version %s is told with %s to pass every frame once', (version, option) => {
    expect(passthroughOption(version)).toEqual([option, 'passthrough']);
  });

  it('gives exactly the frames that node-av gives, or, where it is missing, an error that says so', async () => {
    const names = ['04_webm', '08_mov', '10_mov', '14_mp4', '23_mp4', '25_mp4'];
    for (const { file, frames } of readable.filter((clip) => names.some((name) => clip.file.startsWith(name)))) {
      const whole = path.join(robust, file);
      if (!present) {
        expect(await rejection(openFrameSource(whole, { decoder: 'ffmpeg' }))).toContain(
          'no video decoder can be used',
        );
        continue;
      }
      const source = await openFrameSource(whole, { decoder: 'ffmpeg' });
      expect(await source.frameCount(), file).toBe(frames);
      const indices = [frames - 1, 0];
      const expected = await (await open(file)).read(indices);
      const images = await source.read(indices);
      // decoders are exact by standard; the programs' versions may differ in the rounding of a change of pixel format
      for (const [at, image] of images.entries()) {
        expect([image.width, image.height], file).toEqual([expected[at]?.width, expected[at]?.height]);
        let worst = 0;
        for (const [i, value] of image.data.entries())
          worst = Math.max(worst, Math.abs(value - (expected[at]?.data[i] ?? 0)));
        expect(worst, file).toBeLessThanOrEqual(2);
      }
    }
  });

  it('reports damaged files by name, or, where it is missing, cannot be opened', async () => {
    for (const { file } of broken) {
      const whole = path.join(robust, file);
      const problem = present
        ? await rejection(openVideoWithFfmpeg(whole).frameCount())
        : await rejection(openFrameSource(whole, { decoder: 'ffmpeg' }));
      expect(problem).toMatch(new RegExp(`^DataError: .*${file}: .*; `));
    }
  });

  it('takes a name with a colon for a file, as node-av does', async () => {
    await withFolder(async (folder) => {
      const odd = path.join(folder, 'a:b c.mp4');
      await symlink(path.join(robust, '25_mp4_five_frames.mp4'), odd);
      expect(await (await openFrameSource(odd, { decoder: 'node-av' })).frameCount()).toBe(5);
      if (present) expect(await (await openFrameSource(odd, { decoder: 'ffmpeg' })).frameCount()).toBe(5);
    });
  });
});
