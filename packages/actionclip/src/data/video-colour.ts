/**
 * Decoded video planes to RGB with an explicit matrix, so that every decoder gives the same numbers: ITU-R BT.601,
 * BT.709 and BT.2020, limited or full range, each chroma sample shared by the pixels that it covers.
 */

import type { Image } from './image/image.ts';

/** Weights of red and blue in luma; green has the rest. Keys are FFmpeg's names of colour spaces. */
const lumaWeights = {
  bt709: { red: 0.2126, blue: 0.0722 },
  fcc: { red: 0.3, blue: 0.11 },
  bt470bg: { red: 0.299, blue: 0.114 },
  smpte170m: { red: 0.299, blue: 0.114 },
  smpte240m: { red: 0.212, blue: 0.087 },
  bt2020nc: { red: 0.2627, blue: 0.0593 },
  bt2020c: { red: 0.2627, blue: 0.0593 },
} as const;

export type ColourSpace = keyof typeof lumaWeights;

/** FFmpeg's names in the order of its numbers (ISO/IEC 23091-4); undefined where no matrix of this kind belongs to it. */
const colourSpacesByNumber: readonly (ColourSpace | undefined)[] = [
  undefined,
  'bt709',
  undefined,
  undefined,
  'fcc',
  'bt470bg',
  'smpte170m',
  'smpte240m',
  undefined,
  'bt2020nc',
  'bt2020c',
];

/** Video without a tag is taken for BT.601, as FFmpeg does: frame folders extracted with it then look alike. */
const untagged: ColourSpace = 'smpte170m';

/** The colour space that a stream's tag (FFmpeg's name or number) stands for. */
export function colourSpaceOf(tag: string | number | undefined): ColourSpace {
  if (typeof tag === 'number') return colourSpacesByNumber[tag] ?? untagged;
  return colourSpacesByNumber.find((name) => name === tag) ?? untagged;
}

/** The layouts of 8-bit planes that are converted here: how many times (as powers of two) chroma is coarser than luma. */
const chromaShifts = {
  yuv420p: { x: 1, y: 1 },
  yuv422p: { x: 1, y: 0 },
  yuv444p: { x: 0, y: 0 },
} as const;

export type PlaneLayout = keyof typeof chromaShifts;

/** How a decoded pixel format is brought to RGB: as planes of `layout` (after a change of packing by swscale), or by swscale alone. */
export interface PixelPlan {
  readonly layout: PlaneLayout | 'rgb24';
  /** bits of a sample; above 8 each takes two bytes, the lower one first */
  readonly depth: number;
  /** the decoded planes have this layout and depth already */
  readonly direct: boolean;
  /** the format's name alone says that values use the full range */
  readonly fullRange: boolean;
}

/** Plans the conversion of a pixel format by its FFmpeg name. */
export function planPixels(pixelFormat: string): PixelPlan {
  const planar = /^yuv(j?)(420|422|444)p(?:(9|1[0-6])le)?$/.exec(pixelFormat);
  if (planar !== null) {
    const layout = `yuv${planar[2]}p` as PlaneLayout;
    return { layout, depth: Number(planar[3] ?? 8), direct: true, fullRange: planar[1] === 'j' };
  }
  const other = /^yuva?(420|422|444)p/.exec(pixelFormat);
  if (other !== null) return { layout: `yuv${other[1]}p` as PlaneLayout, depth: 8, direct: false, fullRange: false };
  if (/^(nv12|nv21|p01\d)/.test(pixelFormat)) return { layout: 'yuv420p', depth: 8, direct: false, fullRange: false };
  return { layout: 'rgb24', depth: 8, direct: false, fullRange: false };
}

/** Bytes of one frame whose planes (or RGB pixels) stand one behind another without padding. */
export function frameBytes(layout: PlaneLayout | 'rgb24', width: number, height: number, depth = 8): number {
  if (layout === 'rgb24') return 3 * width * height;
  const shift = chromaShifts[layout];
  const samples = width * height + 2 * chromaSize(width, shift.x) * chromaSize(height, shift.y);
  return depth > 8 ? 2 * samples : samples;
}

/** Samples of more than 8 bits, two bytes each and the lower one first, rounded to 8 bits. */
export function eightBitPlanes(planes: Uint8Array, depth: number): Uint8Array {
  const rounded = new Uint8Array(planes.length >> 1);
  const half = 1 << (depth - 9);
  for (let i = 0; i < rounded.length; i++) {
    const sample = (planes[2 * i] as number) | ((planes[2 * i + 1] as number) << 8);
    rounded[i] = Math.min((sample + half) >> (depth - 8), 255);
  }
  return rounded;
}

function chromaSize(size: number, shift: number): number {
  return (size + (1 << shift) - 1) >> shift;
}

/** Converts planes Y, U, V that stand one behind another, without padding, to an RGB image. */
export function planesToRgb(
  planes: Uint8Array,
  width: number,
  height: number,
  layout: PlaneLayout,
  space: ColourSpace,
  fullRange: boolean,
): Image {
  const tables = tablesOf(space, fullRange);
  const shift = chromaShifts[layout];
  const chromaWidth = chromaSize(width, shift.x);
  const startU = width * height;
  const startV = startU + chromaWidth * chromaSize(height, shift.y);
  const data = new Uint8Array(3 * width * height);
  let pixel = 0;
  for (let y = 0; y < height; y++) {
    const row = (y >> shift.y) * chromaWidth;
    for (let x = 0; x < width; x++, pixel++) {
      const chroma = row + (x >> shift.x);
      const u = planes[startU + chroma] as number;
      const v = planes[startV + chroma] as number;
      const luma = tables.luma[planes[pixel] as number] as number;
      data[3 * pixel] = clampByte((luma + (tables.redV[v] as number)) >> fractionBits);
      data[3 * pixel + 1] = clampByte(
        (luma + (tables.greenU[u] as number) + (tables.greenV[v] as number)) >> fractionBits,
      );
      data[3 * pixel + 2] = clampByte((luma + (tables.blueU[u] as number)) >> fractionBits);
    }
  }
  return { width, height, data };
}

function clampByte(value: number): number {
  return Math.min(Math.max(value, 0), 255);
}

interface ConversionTables {
  readonly luma: Int32Array;
  readonly redV: Int32Array;
  readonly greenU: Int32Array;
  readonly greenV: Int32Array;
  readonly blueU: Int32Array;
}

const fractionBits = 16;
const tableCache = new Map<string, ConversionTables>();

/** Contributions of each sample value in 16.16 fixed point; luma carries the half that makes the shift round. */
function tablesOf(space: ColourSpace, fullRange: boolean): ConversionTables {
  const key = `${space} ${fullRange}`;
  const known = tableCache.get(key);
  if (known !== undefined) return known;
  const { red, blue } = lumaWeights[space];
  const green = 1 - red - blue;
  const one = 1 << fractionBits;
  const lumaScale = fullRange ? 1 : 255 / 219;
  const chromaScale = fullRange ? 1 : 255 / 224;
  const table = (value: (sample: number) => number): Int32Array =>
    Int32Array.from({ length: 256 }, (_, sample) => Math.round(value(sample) * one));
  const chroma = (factor: number): Int32Array => table((sample) => (sample - 128) * chromaScale * factor);
  const tables: ConversionTables = {
    luma: table((sample) => (sample - (fullRange ? 0 : 16)) * lumaScale + 0.5),
    redV: chroma(2 * (1 - red)),
    greenU: chroma((-2 * blue * (1 - blue)) / green),
    greenV: chroma((-2 * red * (1 - red)) / green),
    blueU: chroma(2 * (1 - blue)),
  };
  tableCache.set(key, tables);
  return tables;
}
