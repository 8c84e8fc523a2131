// The training and evaluation chains: determinism, shapes, the table of RandAugment, the crops of the released code.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalise, stackFrames } from '../../../packages/actionclip/src/data/augment/clip.ts';
import { colourJitter } from '../../../packages/actionclip/src/data/augment/colour-jitter.ts';
import {
  cropRectangles,
  cropSizes,
  multiScaleCrop,
} from '../../../packages/actionclip/src/data/augment/multi-scale-crop.ts';
import {
  evaluationPipeline,
  evaluationShortSide,
  flipChance,
  trainingPipeline,
} from '../../../packages/actionclip/src/data/augment/pipelines.ts';
import {
  randAugment,
  randAugmentRanges,
  randAugmentValue,
} from '../../../packages/actionclip/src/data/augment/rand-augment.ts';
import { Random } from '../../../packages/actionclip/src/data/random.ts';
import { anyClip, noise, seed, side } from './arbitraries.ts';

const everything = { flip: 0.5, blur: 0.5, solarize: 0.5, randAugment: { operations: 2, magnitude: 9 } };
const inputSize = fc.integer({ min: 1, max: 48 });

describe('RandAugment', () => {
  it('has the released values at magnitude 9', () => {
    const values = randAugmentRanges.map((range) => [range.name, randAugmentValue(range, 9)] as const);
    const expected = {
      Rotate: 9,
      Posterize: 1,
      Solarize: 76.8,
      SolarizeAdd: 33,
      Color: 0.64,
      Contrast: 0.64,
      Brightness: 0.64,
      Sharpness: 0.64,
      ShearX: 0.09,
      ShearY: 0.09,
      CutoutAbs: 12,
      TranslateXabs: 30,
      TranslateYabs: 30,
    };
    expect(values).toHaveLength(16);
    for (const [name, value] of Object.entries(expected))
      expect(new Map<string, number>(values).get(name)).toBeCloseTo(value, 12);
  });

  it('scales lengths in pixels with the input size, and nothing else', () => {
    for (const range of randAugmentRanges) {
      const ratio = range.pixels ? 0.5 : 1;
      expect(randAugmentValue(range, 20, 112)).toBeCloseTo(ratio * randAugmentValue(range, 20), 12);
    }
    expect(randAugmentRanges.filter(({ pixels }) => pixels).map(({ name }) => name)).toEqual([
      'CutoutAbs',
      'TranslateXabs',
      'TranslateYabs',
    ]);
  });

  it('keeps at least one bit when posterising at magnitude 0', () => {
    const posterize = randAugmentRanges.filter(({ whole }) => whole);
    expect(posterize.map((range) => [range.name, randAugmentValue(range, 0)])).toEqual([['Posterize', 1]]);
  });

  it('draws anew for every frame, or once for the clip', () => {
    const frame = noise(24, 18, 5);
    const clip = Array.from({ length: 8 }, () => frame);
    const distinct = (per: 'frame' | 'clip'): number => {
      const result = randAugment({ operations: 2, magnitude: 9, per })(clip, new Random(3));
      return new Set(result.map(({ data }) => data.join())).size;
    };
    expect(distinct('clip')).toBe(1);
    expect(distinct('frame')).toBeGreaterThan(4);
  });

  it('leaves the clip alone when N is 0, and refuses numbers out of range', () => {
    const clip = [noise(5, 4, 1)];
    expect(randAugment({ operations: 0, magnitude: 9 })(clip, new Random(1))).toEqual(clip);
    expect(() => randAugment({ operations: 1.5, magnitude: 9 })).toThrow(/N = 1\.5/);
    expect(() => randAugment({ operations: 2, magnitude: 31 })).toThrow(/M = 31.*0 to 30/);
  });
});

describe('multi-scale crop', () => {
  it('has ten sizes and thirteen positions', () => {
    expect(cropSizes(340, 256, 224)).toHaveLength(10);
    expect(cropSizes(340, 256, 224)).toEqual([
      { width: 256, height: 256 },
      { width: 224, height: 256 },
      { width: 256, height: 224 },
      { width: 224, height: 224 },
      { width: 192, height: 224 },
      { width: 224, height: 192 },
      { width: 192, height: 192 },
      { width: 168, height: 192 },
      { width: 192, height: 168 },
      { width: 168, height: 168 },
    ]);
    const places = cropRectangles(340, 256, 168, 168).map(({ left, top }) => `${left},${top}`);
    expect(new Set(places).size).toBe(13);
    expect(places.slice(0, 5)).toEqual(['0,0', '172,0', '0,88', '172,88', '86,44']);
  });

  it('snaps a side within two pixels of the input size to it', () => {
    const sides = (width: number) => new Set(cropSizes(width, width, 224).map((size) => size.width));
    expect(sides(226).has(224)).toBe(true);
    expect(sides(226).has(226)).toBe(false);
    expect(sides(227).has(227)).toBe(true);
    expect(sides(258).has(224)).toBe(true); // floor(258 * 0.875) = 225
  });

  it('never snaps to an input larger than the frame', () => {
    expect(Math.max(...cropSizes(340, 223, 224).map(({ height }) => height))).toBe(223);
    expect(Math.max(...cropSizes(340, 223, 224).map(({ width }) => width))).toBe(223);
  });

  it('always lies inside the frame and has pixels', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 600 }),
        fc.integer({ min: 1, max: 600 }),
        fc.integer({ min: 1, max: 336 }),
        (width, height, size) => {
          for (const part of cropSizes(width, height, size)) {
            expect(Math.min(part.width, part.height)).toBeGreaterThan(0);
            for (const { left, top } of cropRectangles(width, height, part.width, part.height)) {
              expect(Math.min(left, top)).toBeGreaterThanOrEqual(0);
              expect(left + part.width).toBeLessThanOrEqual(width);
              expect(top + part.height).toBeLessThanOrEqual(height);
            }
          }
        },
      ),
    );
  });

  it('crops all frames alike, and says which frame has another size', () => {
    const frame = noise(30, 20, 2);
    const [first, second] = multiScaleCrop(16)([frame, frame], new Random(4));
    expect(second).toEqual(first);
    expect(() => multiScaleCrop(16)([frame, noise(20, 30, 2)], new Random(4))).toThrow(/frame 1 .*20 x 30.*30 x 20/);
  });
});

describe('the training chain', () => {
  it('gives bytes [T, 3, S, S] for frames of any size', () => {
    fc.assert(
      fc.property(anyClip, inputSize, seed, (clip, size, key) => {
        const result = trainingPipeline({ inputSize: size, ...everything })(clip, new Random(key));
        expect(result).toBeInstanceOf(Uint8Array);
        expect(result.length).toBe(clip.length * 3 * size * size);
      }),
    );
  });

  it('depends on the stream only: equal keys give equal bytes, in any order of work', () => {
    const pipeline = trainingPipeline({ inputSize: 16, ...everything });
    const root = new Random('run');
    fc.assert(
      fc.property(anyClip, fc.nat(50), fc.nat(5000), (clip, epoch, sample) => {
        const once = pipeline(clip, root.fork(epoch, sample));
        root.uniform();
        pipeline(clip, root.fork(epoch, sample + 1));
        expect(pipeline(clip, root.fork(epoch, sample))).toEqual(once);
      }),
      { numRuns: 30 },
    );
  });

  it('differs between samples', () => {
    const pipeline = trainingPipeline({ inputSize: 16, ...everything });
    const clip = [noise(40, 30, 1)];
    const results = Array.from({ length: 50 }, (_, sample) => pipeline(clip, new Random(1).fork(0, sample)).join());
    expect(new Set(results).size).toBe(50);
  });

  it('mirrors about half of the clips, and none where directions matter', () => {
    const clip = [noise(8, 8, 1)];
    const mirroredOf = (flip: number): number => {
      // Equal streams crop alike, so a difference is the mirroring.
      const pipeline = trainingPipeline({ inputSize: 8, flip, colourJitter: 0, grayscale: 0 });
      const still = trainingPipeline({ inputSize: 8, flip: 0, colourJitter: 0, grayscale: 0 });
      const keys = Array.from({ length: 400 }, (_, key) => key);
      return keys.filter((key) => pipeline(clip, new Random(key)).join() !== still(clip, new Random(key)).join())
        .length;
    };
    expect(flipChance('something_v1')).toBe(0);
    expect(flipChance('kinetics400')).toBe(0.5);
    expect(mirroredOf(flipChance('something_v1'))).toBe(0);
    expect(mirroredOf(flipChance('kinetics400'))).toBeGreaterThan(150);
    expect(mirroredOf(flipChance('kinetics400'))).toBeLessThan(250);
  });

  it('jitters the colours of every frame differently', () => {
    const frame = noise(12, 12, 9);
    const result = colourJitter()([frame, frame, frame, frame], new Random(2));
    expect(new Set(result.map(({ data }) => data.join())).size).toBe(4);
  });

  it('says what is wrong with an empty clip or an input of no size', () => {
    expect(() => trainingPipeline({ inputSize: 8 })([], new Random(1))).toThrow(/no frames/);
    expect(() => trainingPipeline({ inputSize: 0 })).toThrow(/model's input has the size 0 x 0/);
    expect(() => stackFrames([noise(4, 5, 1)], 4)).toThrow(/frame 0 .*4 x 5.*expected 4 x 4/);
  });
});

describe('the evaluation chain', () => {
  it('takes the shorter side to 256/224 of the input, rounded down', () => {
    expect([224, 336, 112, 32].map(evaluationShortSide)).toEqual([256, 384, 128, 36]);
  });

  it('gives bytes [T, 3, S, S] for frames of any size', () => {
    fc.assert(
      fc.property(anyClip, inputSize, (clip, size) => {
        expect(evaluationPipeline(size)(clip).length).toBe(clip.length * 3 * size * size);
      }),
    );
  });
});

describe('planar frames', () => {
  it('hold frame by frame each channel in turn', () => {
    const data = Uint8Array.from({ length: 12 }, (_, i) => i); // 2 x 2 pixels
    const frame = { width: 2, height: 2, data };
    const planar = [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11];
    expect([...stackFrames([frame, frame], 2)]).toEqual([...planar, ...planar]);
  });

  it('are normalised by the mean and deviation of their channel', () => {
    fc.assert(
      fc.property(side, fc.integer({ min: 1, max: 3 }), seed, (size, frames, key) => {
        const planar = stackFrames(
          Array.from({ length: frames }, (_, i) => noise(size, size, key + i)),
          size,
        );
        const mean = [122.771, 116.746, 104.093]; // in levels, as the spec has them
        const deviation = [68.5, 66.632, 70.323];
        normalise(planar, size).forEach((value, i) => {
          const channel = Math.floor(i / (size * size)) % 3;
          const expected = ((planar[i] ?? 0) - (mean[channel] ?? 0)) / (deviation[channel] ?? 1);
          expect(Math.abs(value - expected)).toBeLessThan(3e-5);
        });
      }),
      { numRuns: 20 },
    );
    expect(() => normalise(new Uint8Array(13), 2)).toThrow(/13 bytes.*3 x 2 x 2/);
  });
});
