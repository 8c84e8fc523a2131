/** Clips that a person records: features of their frames, and the training of a temporal head on them. */
import type { Device } from '@actionclip/tensor';
import {
  type FeatureClip,
  FrameEncoder,
  HeadScores,
  headModel,
  heldOutPlaces,
  type Image,
  LiveFrameReader,
  modelFileParts,
  type OpenedCheckpoint,
  openVideoInBrowser,
  type Recognizer,
  resize,
  shareRight,
  someFrames,
  trainHead,
} from 'actionclip/browser';
import type { Answer, Ask } from '../protocol.ts';
import { type Accuracy, framesOfClip, type TrainedClip } from '../training-protocol.ts';
import { readLabels } from './labels.ts';
import type { Turn } from './turn.ts';
import { pictureOf } from './video.ts';

/** Pixels across and up and down of a clip's picture, at most. */
const pictureWidth = 160;
const pictureHeight = 90;
/** How often in a training it is looked how many clips are right. */
const checks = 20;

/** A frame of a recording: as the model sees it, and for a person. */
interface KeptFrame {
  readonly square: Image;
  readonly picture: Image;
}

/** What is open: a model that looks at each frame by itself, and its recognizer. */
export interface TrainingBase {
  readonly opened: OpenedCheckpoint;
  readonly recognizer: Recognizer;
  readonly device: Device;
}

export class Training {
  readonly #base: TrainingBase;
  readonly #encoder: FrameEncoder;
  readonly #reader = new LiveFrameReader();
  #recording: KeptFrame[] = [];

  /** @throws RecognitionError where the model looks across frames. */
  constructor(base: TrainingBase) {
    this.#base = base;
    this.#encoder = new FrameEncoder(base.opened);
  }

  /** Keeps a frame of the webcam for the clip that is recorded; what is beyond a clip's frames is passed over. */
  async record({ frame, isFirst }: Ask<'record'>): Promise<Answer<'record'>> {
    if (isFirst) this.#recording = [];
    if (this.#recording.length < framesOfClip) this.#recording.push(this.#kept(await this.#reader.read(frame)));
    return { frames: this.#recording.length };
  }

  /** The recorded clip, or a video file as one clip. */
  async encode({ video }: Ask<'encode'>, turn: Turn): Promise<Answer<'encode'>> {
    const frames = video === undefined ? this.#recording : await this.#framesOf(video, turn);
    this.#recording = [];
    const middle = frames[Math.floor(frames.length / 2)];
    if (middle === undefined) throw new Error('No frame came of the clip; record it again.');
    const rows = await this.#encoder.encode(
      frames.map(({ square }) => square),
      async (done) => {
        turn.report('Looking at the frames', done, frames.length);
        await turn.breathe();
      },
    );
    return {
      rows: new Float32Array(rows),
      frames: frames.length,
      picture: pictureOf({ index: 0, time: 0, image: middle.picture }),
    };
  }

  /** Trains to the end, or until the turn is no longer wanted: then what was learnt until then is given. */
  async train({ labels, clips, head, holdsOut, ...options }: Ask<'train'>, turn: Turn): Promise<Answer<'train'>> {
    const { opened, recognizer, device } = this.#base;
    const started = performance.now();
    const { prompts, tooLong } = await readLabels(recognizer, labels, turn);
    if (prompts === undefined || tooLong.length > 0) {
      throw new Error(`Too long for this model: ${tooLong.map(({ label }) => `“${label}”`).join(', ')}.`);
    }
    const { model, description } = await headModel(opened, head, options.seed);
    const scores = new HeadScores(model, prompts);
    const aside = new Set(
      holdsOut
        ? heldOutPlaces(
            clips.map(({ label }) => label),
            options.seed,
          )
        : [],
    );
    const learnt = clips.filter((_, place) => !aside.has(place));
    const check = async (): Promise<{ accuracy: Accuracy; of: Float64Array[] }> => {
      const of = await scores.of(clips, () => turn.hear());
      return { accuracy: accuracyOf(clips, of, aside), of };
    };
    try {
      let epochs = 0;
      let checked = 0;
      for await (const { epoch, step, steps, loss } of trainHead(model, learnt, prompts, options)) {
        const done = epoch + (step + 1) / steps;
        const isDue = done >= ((checked + 1) * options.epochs) / checks;
        if (isDue) checked = Math.floor((done * checks) / options.epochs);
        turn.train({ epochs: done, loss, ...(isDue ? { accuracy: (await check()).accuracy } : {}) }, options.epochs);
        await turn.hear();
        epochs = Math.floor(done);
        if (turn.signal.aborted) break;
      }
      const { accuracy, of } = await check();
      const parts: Uint8Array<ArrayBuffer>[] = [];
      for await (const part of modelFileParts(model, description, labels)) parts.push(part);
      return {
        clips: of.map((probabilities, place) => trainedClip(probabilities, aside.has(place))),
        accuracy,
        epochs,
        milliseconds: performance.now() - started,
        peakBytes: (await device.memory()).peak,
        file: new Blob(parts),
      };
    } finally {
      await scores.close();
      for (const parameter of model.fusion.parameters()) parameter.dispose();
    }
  }

  /** Gives back what is kept on the device. */
  close(): Promise<void> {
    return this.#encoder.close();
  }

  #kept(frame: Image): KeptFrame {
    const scale = Math.min(1, pictureHeight / frame.height, pictureWidth / frame.width);
    const [width, height] = [frame.width, frame.height].map((side) => Math.max(1, Math.round(scale * side)));
    return { square: this.#encoder.square(frame), picture: resize(frame, width ?? 1, height ?? 1, 'bilinear') };
  }

  async #framesOf({ name, blob }: { readonly name: string; readonly blob: Blob }, turn: Turn): Promise<KeptFrame[]> {
    turn.reportReading(`Opening ${name}`);
    const source = await openVideoInBrowser(blob, { name });
    try {
      let done = 0;
      return await someFrames(source, framesOfClip, async (frame) => {
        turn.reportReading(`Reading ${name}`, ++done, framesOfClip);
        await turn.breathe();
        return this.#kept(frame);
      });
    } finally {
      await source.close();
    }
  }
}

function accuracyOf(
  clips: readonly FeatureClip[],
  scores: readonly Float64Array[],
  aside: ReadonlySet<number>,
): Accuracy {
  const share = (isAside: boolean): number | undefined => {
    const places = [...clips.keys()].filter((place) => aside.has(place) === isAside);
    return shareRight(
      places.flatMap((place) => clips[place] ?? []),
      places.flatMap((place) => (scores[place] === undefined ? [] : [scores[place]])),
    );
  };
  const heldOut = share(true);
  return { learnt: share(false) ?? 0, ...(heldOut === undefined ? {} : { heldOut }) };
}

function trainedClip(probabilities: Float64Array, isHeldOut: boolean): TrainedClip {
  const probability = Math.max(...probabilities);
  return { best: probabilities.indexOf(probability), probability, isHeldOut };
}
