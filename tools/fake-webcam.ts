/** A webcam for the headless Chromium that shows a drawn action again and again. */
import { writeFile } from 'node:fs/promises';
import type { Image } from '../packages/actionclip/src/data/image/image.ts';
import { renderClip } from '../packages/actionclip/src/synthetic/clip.ts';

/** As the page's samples are drawn: two seconds of an action. */
const framesPerSecond = 10;
const drawing = { size: 256, difficulty: 0, frames: [20, 20] } as const;

/** Writes the action of a label as the uncompressed video that Chromium takes for a webcam's (YUV4MPEG2, 4:2:0). */
export async function writeWebcamVideo(file: string, label: string, seed: number): Promise<void> {
  const frames = renderClip(label, seed, drawing);
  const header = `YUV4MPEG2 W${drawing.size} H${drawing.size} F${framesPerSecond}:1 Ip A1:1 C420\n`;
  const parts = frames.flatMap((frame) => [Buffer.from('FRAME\n'), planesOf(frame)]);
  await writeFile(file, Buffer.concat([Buffer.from(header), ...parts]));
}

/**
 * Flags of a Chromium whose webcam shows a file.
 * @param answer What the browser says to every page that asks for the webcam, in the place of a person.
 */
export function webcamFlags(file: string, answer: 'allow' | 'deny' = 'allow'): string[] {
  const asked = answer === 'allow' ? '--use-fake-ui-for-media-stream' : '--use-fake-ui-for-media-stream=deny';
  return ['--use-fake-device-for-media-stream', `--use-file-for-fake-video-capture=${file}`, asked];
}

/** Planes Y, U and V of ITU-R BT.601, limited range; a chroma sample is the mean of four pixels. Sides are even. */
function planesOf({ width, height, data }: Image): Uint8Array {
  const planes = new Uint8Array((width * height * 3) / 2);
  const [startU, startV] = [width * height, (width * height * 5) / 4];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [red = 0, green = 0, blue = 0] = data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3);
      planes[y * width + x] = Math.round(16 + 0.25679 * red + 0.50413 * green + 0.09791 * blue);
    }
  }
  for (let y = 0; y < height; y += 2) {
    for (let x = 0; x < width; x += 2) {
      const [red, green, blue] = [0, 1, 2].map((channel) => {
        const at = (row: number, column: number): number => data[3 * (row * width + column) + channel] ?? 0;
        return (at(y, x) + at(y, x + 1) + at(y + 1, x) + at(y + 1, x + 1)) / 4;
      }) as [number, number, number];
      const place = ((y / 2) * width) / 2 + x / 2;
      planes[startU + place] = Math.round(128 - 0.14822 * red - 0.29099 * green + 0.43922 * blue);
      planes[startV + place] = Math.round(128 + 0.43922 * red - 0.36779 * green - 0.07143 * blue);
    }
  }
  return planes;
}
