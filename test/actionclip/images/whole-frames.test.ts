import { describe, expect, it } from 'vitest';
import { cropSizes, multiScaleCrop } from '../../../packages/actionclip/src/data/augment/multi-scale-crop.ts';
import { evaluationPipeline } from '../../../packages/actionclip/src/data/augment/pipelines.ts';
import { Random } from '../../../packages/actionclip/src/data/random.ts';

const gradient = (side: number) => {
  const data = new Uint8Array(side * side * 3);
  for (let i = 0; i < side * side; i++) data.fill(i % side, i * 3, i * 3 + 3);
  return { width: side, height: side, data };
};

describe('a small data set', () => {
  it('is cropped to the scales that it asks for', () => {
    const sides = new Set(cropSizes(100, 100, 10, [1, 0.9]).flatMap(({ width, height }) => [width, height]));
    expect([...sides].sort((a, b) => a - b)).toEqual([90, 100]);
  });

  it('keeps whole frames with the one scale 1', () => {
    const [frame] = multiScaleCrop(16, [1])([gradient(16)], new Random(1));
    expect([...(frame?.data ?? [])]).toEqual([...gradient(16).data]);
  });

  it('refuses scales that are no part of the frame', () => {
    for (const scales of [[], [0], [1.2], [Number.NaN]])
      expect(() => multiScaleCrop(16, scales)).toThrow(/crop scales/);
  });

  it('is evaluated on whole frames where the short side is the input size', () => {
    const bytes = evaluationPipeline(16, 16)([gradient(16)]);
    expect([...bytes.subarray(0, 16)]).toEqual(Array.from({ length: 16 }, (_, x) => x));
  });
});
