/**
 * A video as a `FrameSource`, whatever decodes it. Frames are numbered as they come out of the decoder, without
 * duplication or dropping, and always by one pass from the start, since seeking is not exact everywhere.
 */

import { DataError } from './errors.ts';
import {
  type DamageHandling,
  type FrameSource,
  type FrameVisit,
  imagesAt,
  missingFrame,
  readChosenFrames,
} from './frame-source.ts';
import { type FrameStamps, frameTimesOf } from './frame-times.ts';
import type { Image } from './image/image.ts';

/** A frame in the decoder's hands; nothing of it may be used after the visit. */
export interface DecodedFrame {
  /** the decoder says that parts of it are missing or wrong */
  readonly damaged: boolean;
  /** the picture, upright */
  image(): Image | Promise<Image>;
}

/** What became of a pass over the frames. */
export interface VideoPass {
  /** frames that came out of the decoder */
  readonly frames: number;
  /** what the decoder refused, in words, or undefined */
  readonly damage: string | undefined;
  /** one stamp for each of the frames; left out if this kind of pass does not tell */
  readonly shown?: FrameStamps;
}

/** Called for each frame in turn; the pass waits for it. */
export type FrameDecoded = (frame: DecodedFrame, index: number) => void | Promise<void>;

/** What a decoder does for one video. All of it may be called again and again, and starts from the beginning. */
export interface VideoDecoding {
  /** The frames that the container speaks of, without decoding: mostly, but not always, those that decode. */
  container(): Promise<FrameStamps>;
  /** Goes through all frames without their pictures. */
  scan(): Promise<VideoPass & { readonly shown: FrameStamps }>;
  /** Decodes from the first frame to frame `last`, or to the end. */
  decode(visit: FrameDecoded, last?: number): Promise<VideoPass>;
  /** Lets go of what is held between passes, if anything is. */
  close?(): Promise<void>;
}

const damageHint = 'replace the video, or tolerate damage to take what can be decoded';

/** Opens a video. Nothing is read before it is asked for. */
export function openVideoSource(name: string, damage: DamageHandling, decoding: VideoDecoding): FrameSource {
  let times: Promise<readonly number[]> | undefined;
  let container: Promise<FrameStamps> | undefined;
  const containerStamps = (): Promise<FrameStamps> => {
    container ??= decoding.container();
    return container;
  };

  /** The times after a pass to the end. */
  const learn = async (pass: VideoPass): Promise<readonly number[]> => {
    complainOfDamage(pass, name, damage);
    if (pass.frames === 0) {
      throw new DataError(`${name}: no frame can be decoded`, 'the video is damaged or empty; replace it');
    }
    if (pass.shown !== undefined) return frameTimesOf(pass.shown);
    // decoders hand timestamps on, so that those of the container are the frames' own if there is one for each
    const said = await containerStamps();
    const same = pass.damage === undefined && pass.frames === said.stamps.length && !said.stamps.includes(undefined);
    return same ? frameTimesOf(said) : learn(await decoding.scan());
  };
  const frameTimes = (): Promise<readonly number[]> => {
    times ??= decoding.scan().then(learn);
    return times;
  };

  /** Hands over the frames at `indices`, of those up to `last` or of all. */
  const handOver = (indices: ReadonlySet<number>, visit: FrameVisit, last?: number): Promise<VideoPass> =>
    decoding.decode(async (frame, index) => {
      if (!indices.has(index)) return;
      if (frame.damaged && damage === 'error') {
        throw new DataError(`${name}: frame ${index + 1} is damaged`, damageHint);
      }
      await visit(index, await frame.image());
    }, last);

  /** Hands over the frames at `indices` and stops after the last of them. */
  const handOverOnly = async (indices: readonly number[], visit: FrameVisit): Promise<void> => {
    const wanted = new Set(indices);
    const missing = new Set(indices);
    const last = indices.reduce((largest, index) => Math.max(largest, index), 0);
    const handOut: FrameVisit = (index, image) => {
      missing.delete(index);
      return visit(index, image);
    };
    const pass = await handOver(wanted, handOut, last);
    complainOfDamage(pass, name, damage, last);
    for (const index of missing) throw missingFrame(name, index, pass.frames);
  };

  const source: FrameSource = {
    access: 'sequential',
    frameCount: async () => (await frameTimes()).length,
    frameTimes,
    read: async (indices) => {
      if (indices.length === 0) return [];
      const images = new Map<number, Image>();
      await handOverOnly(indices, (index, image) => {
        images.set(index, image);
      });
      return imagesAt(images, indices, name);
    },
    readChosen: (choose) => readChosenFrames(source, choose, name),
    readEach: async (choose, visit) => {
      const handed = new Set<number>();
      const handOnce: FrameVisit = (index, image) => {
        handed.add(index);
        return visit(index, image);
      };
      if (times === undefined) {
        const said = await containerStamps();
        if (said.stamps.length > 0) {
          const expected = choose(said.stamps.length, frameTimesOf(said));
          const found = await learn(await handOver(new Set(expected), handOnce));
          times ??= Promise.resolve(found);
        }
      }
      const found = await frameTimes();
      const missing = choose(found.length, found).filter((index) => !handed.has(index));
      if (missing.length > 0) await handOverOnly(missing, visit);
      return found.length;
    },
    close: async () => decoding.close?.(),
  };
  return source;
}

function complainOfDamage(pass: VideoPass, name: string, handling: DamageHandling, last?: number): void {
  if (pass.damage === undefined || handling === 'tolerate') return;
  const asked = last === undefined || last < pass.frames ? '' : `frame ${last + 1} was asked for, but `;
  throw new DataError(
    `${name}: the video is damaged or cut off: ${asked}${pass.frames} frames could be decoded and ${pass.damage}`,
    damageHint,
  );
}
