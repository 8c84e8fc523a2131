import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { orientationOf, orientationOfTurn, upright } from '../../../packages/actionclip/src/data/orientation.ts';
import {
  colourSpaceOf,
  eightBitPlanes,
  frameBytes,
  planesToRgb,
  planPixels,
} from '../../../packages/actionclip/src/data/video-colour.ts';

const space = fc.constantFrom('bt709', 'smpte170m', 'bt2020nc', 'smpte240m', 'fcc' as const);
const weights = {
  bt709: [0.2126, 0.0722],
  smpte170m: [0.299, 0.114],
  bt2020nc: [0.2627, 0.0593],
  smpte240m: [0.212, 0.087],
  fcc: [0.3, 0.11],
};

describe('planes to RGB', () => {
  it.each([
    ['black', [16, 128, 128], [0, 0, 0]],
    ['white', [235, 128, 128], [255, 255, 255]],
    ['blacker than black', [0, 128, 128], [0, 0, 0]],
    ['red of BT.601', [81, 90, 240], [254, 0, 0]],
  ])('%s', (_, planes, rgb) => {
    expect([...planesToRgb(Uint8Array.from(planes), 1, 1, 'yuv444p', 'smpte170m', false).data]).toEqual(rgb);
  });

  it('undo the definition of luma and chroma within 2 levels, in full range, for every matrix', () => {
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(space, byte, byte, byte, (name, r, g, b) => {
        const [red = 0, blue = 0] = weights[name];
        const luma = red * r + (1 - red - blue) * g + blue * b;
        const planes = [luma, 128 + (b - luma) / (2 * (1 - blue)), 128 + (r - luma) / (2 * (1 - red))];
        const bytes = Uint8ClampedArray.from(planes); // rounds, and 255.5 is no 256th level
        const image = planesToRgb(Uint8Array.from(bytes), 1, 1, 'yuv444p', name, true);
        for (const [channel, value] of [r, g, b].entries()) {
          expect(Math.abs((image.data[channel] ?? 0) - value)).toBeLessThanOrEqual(2);
        }
      }),
    );
  });

  it('share a chroma sample among the pixels it covers, at odd sizes too', () => {
    const planes = Uint8Array.from([...Array(9).fill(128), 128, 200, 128, 128, 128, 128, 128, 128]); // 3x3, chroma 2x2
    expect(planes.length).toBe(frameBytes('yuv420p', 3, 3));
    const blue = [...planesToRgb(planes, 3, 3, 'yuv420p', 'smpte170m', true).data].filter((_, i) => i % 3 === 2);
    expect(blue).toEqual([128, 128, 255, 128, 128, 255, 128, 128, 128]);
  });

  it('round deeper samples to the nearest of 8 bits', () => {
    const samples = fc.array(fc.integer({ min: 0, max: 1023 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(samples, (values) => {
        const bytes = Uint8Array.from(values.flatMap((value) => [value & 255, value >> 8]));
        const rounded = [...eightBitPlanes(bytes, 10)];
        expect(rounded).toEqual(values.map((value) => Math.min(Math.round(value / 4), 255)));
      }),
    );
    expect(frameBytes('yuv420p', 3, 3, 10)).toBe(2 * frameBytes('yuv420p', 3, 3));
  });

  it('take what a tag says, by name or number, and BT.601 where there is none', () => {
    expect(colourSpaceOf(1)).toBe('bt709');
    expect(colourSpaceOf('bt709')).toBe('bt709');
    expect(colourSpaceOf(2)).toBe('smpte170m');
    expect(colourSpaceOf('unknown')).toBe('smpte170m');
    expect(colourSpaceOf(9)).toBe('bt2020nc');
  });

  it.each([
    ['yuv420p', { layout: 'yuv420p', depth: 8, direct: true, fullRange: false }],
    ['yuvj422p', { layout: 'yuv422p', depth: 8, direct: true, fullRange: true }],
    ['yuv444p10le', { layout: 'yuv444p', depth: 10, direct: true, fullRange: false }],
    ['yuv420p12le', { layout: 'yuv420p', depth: 12, direct: true, fullRange: false }],
    ['yuv420p10be', { layout: 'yuv420p', depth: 8, direct: false, fullRange: false }],
    ['yuva420p', { layout: 'yuv420p', depth: 8, direct: false, fullRange: false }],
    ['nv12', { layout: 'yuv420p', depth: 8, direct: false, fullRange: false }],
    ['bgra', { layout: 'rgb24', depth: 8, direct: false, fullRange: false }],
  ])('are planned for %s', (format, plan) => {
    expect(planPixels(format)).toEqual(plan);
  });
});

describe('a display matrix', () => {
  const one = 65536;
  // 1 2 3
  // 4 5 6   as grey pixels
  const image = {
    width: 3,
    height: 2,
    data: Uint8Array.from([1, 2, 3, 4, 5, 6].flatMap((value) => [value, value, value])),
  };
  const shown = (a: number, b: number, c: number, d: number): string => {
    const result = upright(image, orientationOf([a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30], 'clip.mp4'));
    return `${result.width}x${result.height} ${[...result.data].filter((_, index) => index % 3 === 0).join('')}`;
  };

  it.each([
    ['nothing', [1, 0, 0, 1], '3x2 123456'],
    ['a quarter turn clockwise', [0, 1, -1, 0], '2x3 415263'],
    ['half a turn', [-1, 0, 0, -1], '3x2 654321'],
    ['a quarter turn counterclockwise', [0, -1, 1, 0], '2x3 362514'],
    ['a mirror left to right', [-1, 0, 0, 1], '3x2 321654'],
    ['a mirror top to bottom', [1, 0, 0, -1], '3x2 456123'],
    ['a mirror at the diagonal', [0, 1, 1, 0], '2x3 142536'],
    ['a change of scale alone', [2, 0, 0, 2], '3x2 123456'],
  ])('of %s', (_, matrix, expected) => {
    const [a = 0, b = 0, c = 0, d = 0] = matrix;
    expect(shown(a, b, c, d)).toBe(expected);
  });

  it('turns as its angle says', () => {
    const [cos, sin] = [
      [1, 0, -1, 0],
      [0, 1, 0, -1],
    ] as const;
    for (const [quarter, degrees] of [0, 90, 180, 270].entries()) {
      const [c = 0, s = 0] = [cos[quarter], sin[quarter]];
      const plain = orientationOf([c * one, s * one, 0, -s * one, c * one, 0, 0, 0, 1 << 30], 'clip.mp4');
      expect(upright(image, orientationOfTurn(degrees, false))).toEqual(upright(image, plain));
      const mirror = orientationOf([-one, 0, 0, 0, one, 0, 0, 0, 1 << 30], 'clip.mp4');
      expect(upright(image, orientationOfTurn(degrees, true))).toEqual(upright(upright(image, plain), mirror));
    }
  });

  it('with a turn that is not a multiple of 90 degrees is an error', () => {
    expect(() => shown(0.7, 0.7, -0.7, 0.7)).toThrow('clip.mp4: the display matrix turns the picture by 45 degrees');
  });
});
