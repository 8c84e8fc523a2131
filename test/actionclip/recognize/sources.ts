/** Videos made of numbers, and small models, for tests of recognition. */
import path from 'node:path';
import { Generator } from '@actionclip/tensor';
import { type BytePairTokenizer, trainBytePairs } from '@actionclip/tokenizer';
import { ActionCLIP, type ActionClipOptions, type FrameSource, formatPrompts, type Image } from 'actionclip';
import sharp from 'sharp';
import { readChosenFrames } from '../../../packages/actionclip/src/data/frame-source.ts';

/** A picture that differs from frame to frame and from place to place. */
export function picture(width: number, height: number, seed: number): Image {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = 128 + 127 * Math.sin(seed * 1.7 + i * 0.013 + (i % 3));
  return { width, height, data };
}

export interface MadeVideo {
  readonly source: FrameSource;
  /** Indices of the frames handed out, in order. */
  readonly handed: number[];
}

/**
 * A video of `count` frames at 25 a second.
 * @param claimed The number of frames that its container gives, where that is wrong.
 */
export function madeVideo(count: number, { width = 40, height = 32, claimed = count } = {}): MadeVideo {
  const handed: number[] = [];
  let known = claimed;
  const times = (frames: number): number[] => Array.from({ length: frames }, (_, index) => index / 25);
  const read = async (indices: readonly number[]): Promise<Image[]> => {
    handed.push(...indices);
    return indices.map((index) => picture(width, height, index));
  };
  const source: FrameSource = {
    access: 'sequential',
    frameCount: async () => count,
    frameTimes: async () => times(count),
    read,
    readChosen: (choose) => readChosenFrames(source, choose, 'video'),
    readEach: async (choose, visit) => {
      const done = new Set<number>();
      for (const frames of new Set([known, count])) {
        for (const index of [...new Set(choose(frames, times(frames)))].sort((a, b) => a - b)) {
          const [image] = index < count && !done.has(index) ? await read([index]) : [];
          done.add(index);
          if (image) await visit(index, image);
        }
      }
      known = count;
      return count;
    },
    close: async () => {},
  };
  return { source, handed };
}

export const labels = ['raising one arm', 'yoga', 'jumping', 'riding a bike', 'lying'];

export const tokenizer: BytePairTokenizer = trainBytePairs(formatPrompts(labels), { vocabularySize: 600 });

/** A model of two layers a tower, with random weights. */
export async function smallModel(options: Partial<ActionClipOptions> = {}): Promise<ActionCLIP> {
  const model = new ActionCLIP({
    sizes: {
      embedding: 16,
      vision: { resolution: 16, patch: 4, width: 16, layers: 2, heads: 2 },
      text: { context: 40, vocabulary: tokenizer.vocabularySize, width: 16, layers: 2, heads: 2 },
    },
    frames: 4,
    temporalLayers: 1,
    generator: new Generator(3),
    ...options,
  });
  await model.initialize();
  return model;
}

/** Writes frames of a video of numbers as a folder of images, `img_00001.png` and on. */
export async function writePictures(folder: string, count: number, width = 40, height = 32): Promise<void> {
  for (let index = 0; index < count; index++) {
    const { data } = picture(width, height, index);
    const name = `img_${String(index + 1).padStart(5, '0')}.png`;
    await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toFile(path.join(folder, name));
  }
}
