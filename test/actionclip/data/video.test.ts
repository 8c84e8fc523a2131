import { readFileSync } from 'node:fs';
import { chmod, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseCsv } from '../../../packages/actionclip/src/data/csv.ts';
import type { DamageHandling, FrameSource } from '../../../packages/actionclip/src/data/frame-source.ts';
import type { Image } from '../../../packages/actionclip/src/data/image/image.ts';
import { openFrameSource } from '../../../packages/actionclip/src/data/open-source.ts';
import { runProgram } from '../../../packages/actionclip/src/data/program.ts';
import { planesToRgb } from '../../../packages/actionclip/src/data/video-colour.ts';
import { findFfmpeg, passthroughOption } from '../../../packages/actionclip/src/data/video-ffmpeg.ts';
import { rejection, sharedData, withFolder } from './shared-clips.ts';

const robust = path.join(sharedData, 'robust');
const [header, ...rows] = parseCsv(readFileSync(path.join(robust, 'manifest.csv'), 'utf8'), 'manifest.csv');
const manifest = rows.map((row) => {
  const field = (name: string): string => row.fields[header?.fields.indexOf(name) ?? -1] ?? '';
  const turned = Math.abs(Number(field('rotation'))) === 90;
  const [width, height] = [Number(field('coded_w')), Number(field('coded_h'))];
  return {
    file: field('file'),
    codec: field('codec'),
    rotation: Number(field('rotation')),
    frames: Number(field('ffmpeg_decoded_frames')),
    width: turned ? height : width,
    height: turned ? width : height,
  };
});
const readable = manifest.filter((clip) => !clip.file.includes('_bad_'));
const broken = manifest.filter((clip) => clip.file.includes('_bad_'));

type Decoder = 'node-av' | 'ffmpeg';
const open = (file: string, decoder: Decoder = 'node-av', damage: DamageHandling = 'error'): Promise<FrameSource> =>
  openFrameSource(path.join(robust, file), { decoder, damage });

/** The decoders that are here: the ffmpeg program need not be, and then tests below hold it to say so. */
const decoders: Decoder[] = 'version' in (await findFfmpeg()) ? ['node-av', 'ffmpeg'] : ['node-av'];

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
  return worstDifference(a, b) === 0;
}

/** Largest difference of a channel of a pixel; infinite for images of other sizes. */
function worstDifference(a: Image | undefined, b: Image | undefined): number {
  if (a === undefined || b === undefined || a.width !== b.width || a.height !== b.height)
    return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let at = 0; at < a.data.length; at++) worst = Math.max(worst, Math.abs((a.data[at] ?? 0) - (b.data[at] ?? 0)));
  return worst;
}

describe('a video file', () => {
  it('is there to be tested', () => {
    expect(readable).toHaveLength(26);
    expect(broken).toHaveLength(7);
  });

  it.each(readable)('$file has $frames frames of $width x $height, the same by every decoder', async (clip) => {
    const { file, frames, width, height, codec } = clip;
    const choose = (count: number): number[] => [0, 0.4, 1].map((at) => Math.round(at * (count - 1)));
    let first: readonly Image[] | undefined;
    for (const decoder of decoders) {
      const source = await open(file, decoder);
      let guessed: readonly number[] = [];
      const { frameCount, images } = await source.readChosen((count, times) => {
        guessed = times;
        return choose(count);
      });
      first ??= images;
      expect(frameCount, decoder).toBe(frames);
      expect(guessed).toHaveLength(frames);
      for (const [at, image] of images.entries()) {
        expect([image.width, image.height]).toEqual([width, height]);
        expect(image.data.length).toBe(width * height * 3);
        // MPEG-4 part 2 leaves the rounding of its transform open within bounds; all other codecs here are exact
        expect(worstDifference(image, first[at]), `${decoder} ${at}`).toBeLessThanOrEqual(codec === 'mpeg4' ? 2 : 0);
      }
      const times = await source.frameTimes();
      expect(times).toHaveLength(frames);
      expect(times[0]).toBe(0);
      expect(times.every((time, index) => index === 0 || time >= (times[index - 1] ?? 0))).toBe(true);
      await source.close();
    }
  });

  it.each(broken)('$file is damaged: every decoder says so and names it', async ({ file }) => {
    for (const decoder of decoders) {
      const problem = new RegExp(`^DataError: .*${file}: [^;]{10,200}; [^;]{10,100}$`);
      expect(await rejection(open(file, decoder).then((source) => source.frameCount()))).toMatch(problem);
      const chosen = open(file, decoder).then((source) => source.readChosen(() => [0]));
      expect(await rejection(chosen)).toMatch(problem);
      expect(await rejection(open(file, decoder).then((source) => source.read([119])))).toMatch(problem);
    }
  });

  it.each([
    ['30_bad_corrupted.mp4', 49],
    ['33_bad_truncated_half_moov_first.mp4', 57],
    ['35_bad_200_bitflips.mp4', 118],
  ])('%s still gives %i frames where damage is tolerated', async (file, frames) => {
    for (const decoder of decoders) {
      // the container promises other numbers, so that the first choice is wrong
      const source = await open(file, decoder, 'tolerate');
      const { frameCount, images } = await source.readChosen((count) => [count - 1, 0]);
      expect(frameCount, decoder).toBe(frames);
      expect(await source.frameTimes()).toHaveLength(frames);
      const whole = await (await open(file, decoder, 'tolerate')).read([frames - 1, 0]);
      expect(images.map((image, at) => sameImage(image, whole[at]))).toEqual([true, true]);
    }
  });

  it.each(['31_bad_textfile.mp4', '34_bad_truncated_half_no_moov.mp4', '36_bad_audio_only.mp4'])(
    '%s is an error even where damage is tolerated, for nothing can be decoded',
    async (file) => {
      for (const decoder of decoders) {
        const problem = await rejection(open(file, decoder, 'tolerate').then((source) => source.frameCount()));
        expect(problem).toMatch(new RegExp(`^DataError: .*${file}: `));
      }
    },
  );

  it('without a byte is said to be empty', async () => {
    expect(await rejection(open('32_bad_zero_bytes.mp4'))).toMatch(
      /32_bad_zero_bytes\.mp4: the file is empty; expected/,
    );
  });

  it('that is cut off still gives the frames before the cut', async () => {
    const source = await open('33_bad_truncated_half_moov_first.mp4');
    expect(await source.read([0, 40])).toHaveLength(2);
    expect(await rejection(source.read([0, 80]))).toContain('frame 81 was asked for, but 57 frames could be decoded');
  });

  it('gives the same frame whether it is read alone or with others', async () => {
    const source = await open('05_mkv_h264_opus_pancake.mkv');
    const together = await source.read([10, 200, 10]);
    expect(together[0]).toBe(together[2]);
    expect(sameImage((await source.read([200]))[0], together[1])).toBe(true);
    expect(sameImage(together[0], together[1])).toBe(false);
    expect(await source.read([])).toEqual([]);
  });

  it('gives the same frames with any number of threads', async () => {
    for (const [file, threads] of [
      ['05_mkv_h264_opus_pancake.mkv', 4],
      ['14_mp4_hevc_10bit.mp4', 0],
      ['23_mp4_h264_odd_321x241_yuv444p.mp4', 3],
    ] as const) {
      for (const decoder of decoders) {
        const whole = path.join(robust, file);
        const options = { decoder } as const;
        const one = await (await openFrameSource(whole, options)).readChosen((count) => [0, count - 1]);
        const many = await (await openFrameSource(whole, { ...options, threads })).readChosen((count) => [
          0,
          count - 1,
        ]);
        expect(many.frameCount, file).toBe(one.frameCount);
        expect(many.images.map((image, at) => sameImage(image, one.images[at]))).toEqual([true, true]);
      }
    }
  });

  it('tells which frame was asked for beyond its end', async () => {
    for (const decoder of decoders) {
      const source = await open('25_mp4_five_frames.mp4', decoder);
      const problem = '25_mp4_five_frames.mp4: frame 6 was asked for, but only 5 can be decoded';
      expect(await rejection(source.read([5]))).toContain(problem);
      expect(await rejection(source.readChosen((count) => [count]))).toContain(problem);
    }
  });

  it('stored on its side or upside down is shown upright', async () => {
    const [screen] = await (await open('07_mov_h264_rot-90_vfr_aac_portrait.MOV')).read([0]);
    if (!screen) throw new Error('a frame was expected');
    expect(Math.max(...meanColour(screen, 0, 0.9, 1, 1))).toBeLessThan(30); // the black rim below the screen
    expect(Math.max(...meanColour(screen, 0, 0, 1, 0.1))).toBeGreaterThan(60);

    const [keyboard] = await (await open('09_mov_rot180_3frames.mov')).read([0]);
    if (!keyboard) throw new Error('a frame was expected');
    const corner = meanColour(keyboard, 0.95, 0, 1, 0.1); // a red glow in one corner
    expect(corner[0]).toBeGreaterThan(corner[1] + 30);
    const opposite = meanColour(keyboard, 0, 0.9, 0.05, 1);
    expect(opposite[0]).toBeLessThan(opposite[1] + 15);
  });

  it('is turned as the ffmpeg program turns it by itself', async () => {
    for (const { file, rotation, width, height } of readable.filter((clip) => clip.rotation !== 0)) {
      if (!decoders.includes('ffmpeg')) {
        expect(await rejection(open(file, 'ffmpeg')), `${rotation}`).toContain('no video decoder can be used');
        continue;
      }
      // the format has no other range than that of the name, so that nothing but the turn is done to the planes
      const format = file.startsWith('08_') ? 'yuvj420p' : 'yuv420p';
      const args = [
        '-v',
        'error',
        '-i',
        path.join(robust, file),
        '-frames:v',
        '1',
        '-f',
        'rawvideo',
        '-pix_fmt',
        format,
      ];
      const { stdout } = await runProgram('ffmpeg', [...args, 'pipe:1'], { patience: 60_000 });
      const space = format === 'yuvj420p' ? 'smpte170m' : 'bt709';
      const turned = planesToRgb(stdout, width, height, 'yuv420p', space, format === 'yuvj420p');
      for (const decoder of decoders) {
        const [image] = await (await open(file, decoder)).read([0]);
        expect(sameImage(image, turned), `${decoder} ${file}`).toBe(true);
      }
    }
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
  it.each([
    ['4.4.2-0ubuntu0.22.04.1', '-vsync'],
    ['5.0.1', '-vsync'],
    ['5.1.9-0+deb12u1', '-fps_mode'],
    ['n8.0', '-fps_mode'],
    ['N-118000-g1234567', '-fps_mode'],
  ])('of version %s is told with %s to pass every frame once', (version, option) => {
    expect(passthroughOption(version)).toEqual([option, 'passthrough']);
  });

  it('is an error that says what is missing where it is not there', async () => {
    const programs = { ffmpeg: 'no-such-ffmpeg', ffprobe: 'ffprobe' };
    const problem = await rejection(
      openFrameSource(path.join(robust, '25_mp4_five_frames.mp4'), { decoder: 'ffmpeg', programs }),
    );
    expect(problem).toContain('25_mp4_five_frames.mp4: no video decoder can be used: the program no-such-ff');
  });

  it('that falls silent is ended, and the file is named', async () => {
    await withFolder(async (folder) => {
      const silent = path.join(folder, 'silent');
      await writeFile(silent, '#!/bin/sh\n[ "$1" = -version ] && echo silent version 9.0 && exit 0\nexec sleep 600\n');
      await chmod(silent, 0o755);
      const programs = { ffmpeg: silent, ffprobe: silent, patience: 0.5 };
      const source = await openFrameSource(path.join(robust, '25_mp4_five_frames.mp4'), {
        decoder: 'ffmpeg',
        programs,
      });
      expect(await rejection(source.frameCount())).toMatch(
        /25_mp4_five_frames\.mp4: the video cannot be read \(\S*silent gave no output for 0\.5 seconds\); /,
      );
    });
  });

  it('takes a name with a colon for a file, as node-av does', async () => {
    await withFolder(async (folder) => {
      const odd = path.join(folder, 'a:b c.mp4');
      await symlink(path.join(robust, '25_mp4_five_frames.mp4'), odd);
      for (const decoder of decoders) expect(await (await openFrameSource(odd, { decoder })).frameCount()).toBe(5);
    });
  });
});
