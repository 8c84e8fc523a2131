/**
 * Draws the sample clips of the page, by the same drawing as the built-in data set, and encodes them as H.264. Their
 * seeds are none of that set's.
 *
 *     npx tsx --conditions=@actionclip/source examples/web/draw-samples.ts
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Encoder, Muxer } from 'node-av/api';
import { AV_PIX_FMT_YUV420P, FF_ENCODER_LIBX264 } from 'node-av/constants';
import { Frame, type Packet } from 'node-av/lib';
import { writeFileAtomically } from '../../packages/actionclip/src/checkpoints/atomic-file.ts';
import type { Image } from '../../packages/actionclip/src/data/image/image.ts';
import { renderClip } from '../../packages/actionclip/src/synthetic/clip.ts';

const assets = fileURLToPath(new URL('assets/', import.meta.url));
const framesPerSecond = 10;
const drawing = { size: 256, difficulty: 0, frames: [20, 20] } as const;

/** Each sample's file, the actions in it one after the other, and the seed of the actor and the setting. */
const samples = [
  { file: 'jumping-jacks.mp4', actions: ['jumping jacks'], seed: 90_001 },
  { file: 'three-actions.mp4', actions: ['waving both arms', 'sitting down', 'kicking with one leg'], seed: 90_002 },
] as const;

for (const { file, actions, seed } of samples) {
  const frames = actions.flatMap((action) => renderClip(action, seed, drawing));
  const bytes = await encoded(frames);
  await writeFileAtomically(path.join(assets, file), bytes);
  console.log(`${file}: ${frames.length} frames of ${actions.join(', ')}, ${bytes.length} bytes`);
}

/** The frames as an MP4 file whose index stands at its start. */
async function encoded(frames: readonly Image[]): Promise<Uint8Array> {
  const folder = await mkdtemp(path.join(tmpdir(), 'actionclip-samples-'));
  try {
    const file = path.join(folder, 'clip.mp4');
    // Sizes and times are those of the first frame.
    const encoder = await Encoder.create(FF_ENCODER_LIBX264, { options: { crf: 20, preset: 'slow' } });
    const muxer = await Muxer.open(file, { options: { movflags: '+faststart' } });
    const stream = muxer.addStream(encoder);
    const write = async (packets: AsyncIterable<Packet> | readonly Packet[]): Promise<void> => {
      for await (const packet of packets) {
        await muxer.writePacket(packet, stream);
        packet.free();
      }
    };
    for (const frame of framesOf(frames)) await write(await encoder.encodeAll(frame));
    await encoder.flush();
    await write(encoder.flushPackets());
    await muxer.close();
    return await readFile(file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function* framesOf(images: readonly Image[]): Generator<Frame> {
  for (const [index, image] of images.entries()) {
    yield Frame.fromVideoBuffer(planesOf(image), {
      width: image.width,
      height: image.height,
      format: AV_PIX_FMT_YUV420P,
      timeBase: { num: 1, den: framesPerSecond },
      pts: BigInt(index),
    });
  }
}

/** Planes Y, U, V by BT.601 in its narrow range; a chroma sample is the mean over two by two pixels. */
function planesOf({ width, height, data }: Image): Buffer {
  const luma = width * height;
  const planes = new Float32Array(luma * 1.5);
  planes.fill(128, luma);
  for (let at = 0; at < luma; at++) {
    const [red = 0, green = 0, blue = 0] = data.subarray(3 * at, 3 * at + 3);
    planes[at] = 16 + 0.256788 * red + 0.504129 * green + 0.097906 * blue;
    const chroma = luma + (Math.floor(at / width) >> 1) * (width >> 1) + ((at % width) >> 1);
    const second = chroma + luma / 4;
    planes[chroma] = (planes[chroma] ?? 0) + (0.439216 * blue - 0.148223 * red - 0.290993 * green) / 4;
    planes[second] = (planes[second] ?? 0) + (0.439216 * red - 0.367788 * green - 0.071427 * blue) / 4;
  }
  return Buffer.from(Uint8ClampedArray.from(planes));
}
