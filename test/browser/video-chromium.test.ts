/** Video in a page: the frames, times and colours of Node's decoder, or a sentence on why there are none. */
import { describe, expect, it } from 'vitest';
import { commands } from 'vitest/browser';
import { openVideoInBrowser } from '../../packages/actionclip/src/browser.ts';
import type { decodeClip, readClip } from '../../tools/clip-commands.ts';

declare module 'vitest/browser' {
  interface BrowserCommands {
    readClip(name: string): ReturnType<typeof readClip>;
    decodeClip(name: string, places: readonly number[]): ReturnType<typeof decodeClip>;
  }
}

async function clip(name: string): Promise<File> {
  const text = atob(await commands.readClip(name));
  return new File([Uint8Array.from(text, (letter) => letter.charCodeAt(0))], name);
}

async function hashOf(data: Uint8Array | Uint8ClampedArray): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', Uint8Array.from(data));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const places = [0, 0.3, 1];

describe('a video in a page', () => {
  it.each([
    '04_webm_vp8_vorbis.webm',
    '05_mkv_h264_opus_pancake.mkv',
    '06_gif_basketball.gif',
    '07_mov_h264_rot-90_vfr_aac_portrait.MOV',
    '09_mov_rot180_3frames.mov',
    '10_mov_rot270_3frames.mov',
    '12_mp4_h264_vfr_phone_fall.mp4',
    '13_mkv_av1.mkv',
    '16_mp4_two_video_streams_subs.mp4',
    '19_mp4_h264_6fps_armwrestling.mp4',
    '22_mov_unordered_pts.mov',
    '23_mp4_h264_odd_321x241_yuv444p.mp4',
    '24_mp4_single_frame.mp4',
  ])('%s gives the frames that Node gives', async (name) => {
    const expected = await commands.decodeClip(name, places);
    const source = await openVideoInBrowser(await clip(name));
    const { frameCount, images } = await source.readChosen((count) =>
      places.map((place) => Math.round(place * (count - 1))),
    );
    expect(frameCount).toBe(expected.times.length);
    const frames = await Promise.all(
      images.map(async ({ width, height, data }) => ({ width, height, hash: await hashOf(data) })),
    );
    expect(frames).toEqual(expected.frames);
    const times = await source.frameTimes();
    expect(times).toHaveLength(expected.times.length);
    // WebCodecs counts whole microseconds, the first of which is subtracted
    for (const [at, time] of times.entries()) expect(Math.abs(time - (expected.times[at] ?? 0))).toBeLessThan(2e-6);
    await source.close();
  });

  it('can be read from an address', async () => {
    const address = URL.createObjectURL(await clip('25_mp4_five_frames.mp4'));
    const source = await openVideoInBrowser(address);
    expect(await source.frameCount()).toBe(5);
    expect(await source.read([4, 0, 4])).toHaveLength(3);
    await source.close();
    URL.revokeObjectURL(address);
    await expect(openVideoInBrowser('/none.mp4#clip')).rejects.toThrow(/\/none\.mp4#clip: the clip cannot be/);
  });

  it.each([
    ['02_avi_mpeg4_ucf101_basketball.avi', /avi: it cannot be opened as a video in a browser \(.+\); .*convert others/],
    ['03_mpg_mpeg1_ucf11_biking.mpg', /mpg: it cannot be opened as a video in a browser \(.+\); .*convert others/],
    ['08_mov_hevc_yuvj420p_rot-90_320x318.MOV', /MOV: this browser has no decoder for hevc; .* H\.264, VP9 or AV1/],
    ['17_ogv_theora_vorbis.ogv', /ogv: there is no video track in it; expected/],
    ['31_bad_textfile.mp4', /textfile\.mp4: there is no video track in it; expected a whole MP4/],
    ['32_bad_zero_bytes.mp4', /zero_bytes\.mp4: it cannot be opened as a video/],
    ['33_bad_truncated_half_moov_first.mp4', /moov_first\.mp4: the video is damaged or cut off: 5\d frames/],
    ['34_bad_truncated_half_no_moov.mp4', /no_moov\.mp4: /],
    ['36_bad_audio_only.mp4', /audio_only\.mp4: there is no video track in it; expected/],
  ])('%s is an error that says why', async (name, problem) => {
    const source = await openVideoInBrowser(await clip(name));
    await expect(source.readChosen(() => [0])).rejects.toThrow(problem);
    await source.close();
  });

  it('that is a picture is a clip of one frame, upright and on white', async () => {
    const canvas = new OffscreenCanvas(4, 2);
    const context = canvas.getContext('2d');
    if (context === null) throw new Error('no canvas');
    context.fillStyle = 'rgb(10, 20, 30)';
    context.fillRect(0, 0, 2, 2);
    const source = await openVideoInBrowser(await canvas.convertToBlob({ type: 'image/png' }));
    expect(await source.frameTimes()).toEqual([0]);
    const [image] = await source.read([0]);
    expect([image?.width, image?.height]).toEqual([4, 2]);
    expect([...(image?.data.subarray(0, 12) ?? [])]).toEqual([10, 20, 30, 10, 20, 30, 255, 255, 255, 255, 255, 255]);
    await source.close();
  });
});
