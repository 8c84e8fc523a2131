/** Frames of a clip as the small images of a report. */
import sharp from 'sharp';
import type { ReportImage } from './data.ts';

const QUALITY = 80;

/**
 * Encodes one frame as JPEG.
 * @param pixels RGB bytes, [height, width, 3].
 */
export async function encodeFrame(
  pixels: Uint8Array,
  { width, height, shownWidth = width }: { width: number; height: number; shownWidth?: number },
): Promise<ReportImage> {
  const image = sharp(pixels, { raw: { width, height, channels: 3 } });
  const jpeg = await image
    .resize({ width: Math.min(width, shownWidth) })
    .jpeg({ quality: QUALITY })
    .toBuffer();
  return { type: 'image/jpeg', bytes: jpeg };
}

/** An image as the source of an `img` in a page that stands alone. */
export function dataUri({ type, bytes }: ReportImage): string {
  return `data:${type};base64,${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')}`;
}
