/** Decoded frames of WebCodecs to RGB by our own matrix, so that browsers give the numbers that Node gives. */
import type { Image } from './image/image.ts';
import {
  type ColourSpace,
  colourSpaceOf,
  eightBitPlanes,
  frameBytes,
  type PlaneLayout,
  planesToRgb,
} from './video-colour.ts';

/** What frames of WebCodecs and of the libraries over it have in common. */
export interface StoredFrame {
  /** WebCodecs' name of the pixel format; null where there is none. */
  readonly format: string | null;
  /** The part that is shown, in pixels. */
  readonly visibleRect: { readonly width: number; readonly height: number } | null;
  allocationSize(): number;
  copyTo(bytes: Uint8Array): Promise<unknown>;
}

interface PlaneFormat {
  readonly layout: PlaneLayout;
  readonly depth: number;
  /** both kinds of chroma samples stand in one plane, in turn */
  readonly interleaved?: boolean;
}

/** The planar formats of WebCodecs; those with an alpha plane have it behind the others. */
const planeFormats: ReadonlyMap<string | null, PlaneFormat> = new Map([
  ['I420', { layout: 'yuv420p', depth: 8 }],
  ['I420A', { layout: 'yuv420p', depth: 8 }],
  ['I420P10', { layout: 'yuv420p', depth: 10 }],
  ['I420P12', { layout: 'yuv420p', depth: 12 }],
  ['I422', { layout: 'yuv422p', depth: 8 }],
  ['I422P10', { layout: 'yuv422p', depth: 10 }],
  ['I422P12', { layout: 'yuv422p', depth: 12 }],
  ['I444', { layout: 'yuv444p', depth: 8 }],
  ['I444P10', { layout: 'yuv444p', depth: 10 }],
  ['I444P12', { layout: 'yuv444p', depth: 12 }],
  ['NV12', { layout: 'yuv420p', depth: 8, interleaved: true }],
]);

/** The colour space that WebCodecs names; that of untagged videos where it names none. */
export const colourSpaceOfMatrix = (matrix: string | null | undefined): ColourSpace =>
  colourSpaceOf(matrix === 'bt2020-ncl' ? 'bt2020nc' : (matrix ?? undefined));

/** The frame as stored, in RGB; undefined where it is not stored in planes that are known. */
export async function rgbOfPlanes(
  frame: StoredFrame,
  space: ColourSpace,
  fullRange: boolean,
): Promise<Image | undefined> {
  const format = planeFormats.get(frame.format);
  if (format === undefined || frame.visibleRect === null) return undefined;
  const { width, height } = frame.visibleRect;
  const { layout, depth, interleaved = false } = format;
  const bytes = new Uint8Array(frame.allocationSize());
  await frame.copyTo(bytes);
  const stored = bytes.subarray(0, frameBytes(layout, width, height, depth));
  const planes = depth > 8 ? eightBitPlanes(stored, depth) : stored;
  const separate = interleaved ? separateChroma(planes, width * height) : planes;
  return planesToRgb(separate, width, height, layout, space, fullRange);
}

/** Planes Y, U, V from planes Y and UV. */
function separateChroma(planes: Uint8Array, luma: number): Uint8Array {
  const separate = Uint8Array.from(planes);
  const chroma = (planes.length - luma) >> 1;
  for (let i = 0; i < chroma; i++) {
    separate[luma + i] = planes[luma + 2 * i] as number;
    separate[luma + chroma + i] = planes[luma + 2 * i + 1] as number;
  }
  return separate;
}
