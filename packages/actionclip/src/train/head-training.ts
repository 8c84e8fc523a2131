/**
 * Training of a temporal head on clips whose frames are features already, in memory: the towers stay as they are, and
 * every epoch looks at other frames of each clip. Runs in browsers.
 */
import { AdamW, cosineSchedule, tensor } from '@actionclip/tensor';
import { Random } from '../data/random.ts';
import { sampleFrames } from '../data/sampling.ts';
import { evenBatch, type PromptFeatures } from '../evaluate/features.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import { drawTexts, rowsOf } from './batch-inputs.ts';
import { TrainingError } from './errors.ts';
import { applySchedule, RELEASED_BETAS } from './optimization.ts';
import { readMeasures, trainingStep } from './step.ts';

/** A clip of which more frames are known than the model looks at. */
export interface FeatureClip {
  /** Features of its frames in their order, [frames, D], not normalised. */
  readonly rows: Float32Array;
  /** The place of its class among the prompts. */
  readonly label: number;
}

export interface HeadTrainingOptions {
  readonly epochs: number;
  readonly learningRate: number;
  /** Of the order of the clips, their frames and the texts around the labels. */
  readonly seed: number;
}

/** A step that is done. */
export interface HeadStep {
  /** Counted from 0. */
  readonly epoch: number;
  readonly step: number;
  /** Of one epoch. */
  readonly steps: number;
  readonly loss: number;
}

/** Most clips of a batch. */
const batchLimit = 32;
/** The released decay. */
const weightDecay = 0.2;
/** The part of the epochs in which the rate rises. */
const warmUp = 0.1;

/**
 * Trains the head of a model by the paper's objective, step by step: whoever stops asking ends it there, with what the
 * head has learnt until then. Equal seeds give equal heads.
 * @param prompts Features of all classes in all templates, by the model's text tower.
 * @throws TrainingError where the loss is no number
 */
export async function* trainHead(
  model: ActionCLIP,
  clips: readonly FeatureClip[],
  prompts: PromptFeatures,
  { epochs, learningRate, seed }: HeadTrainingOptions,
): AsyncGenerator<HeadStep, void, undefined> {
  const width = model.clip.sizes.embedding;
  const size = evenBatch(clips.length, batchLimit);
  const steps = Math.ceil(clips.length / size);
  const draws = new Random(seed);
  const optimizer = new AdamW(model.fusion.namedParameters('fusion.'), {
    learningRate,
    weightDecay,
    betas: RELEASED_BETAS,
  });
  const schedule = cosineSchedule({ epochs, warmupEpochs: warmUp * epochs });
  const step = trainingStep(model, optimizer, {
    freezeText: true,
    freezeImage: true,
    fromFrameFeatures: true,
    fromTextFeatures: true,
  });
  model.fusion.train();
  try {
    for (let epoch = 0; epoch < epochs; epoch++) {
      for (const [batchIndex, places] of batchesOf(clips.length, size, draws.fork('order', epoch)).entries()) {
        applySchedule(optimizer, schedule(epoch + (batchIndex + 1) / steps));
        const batch = places.map((place) => clips[place] as FeatureClip);
        const labels = Int32Array.from(batch, ({ label }) => label);
        const place = { epoch, batchIndex, labels, indices: Int32Array.from(places), waitMilliseconds: 0 };
        const frames = batch.map(({ rows }, at) =>
          framesOf(rows, width, model.frames, draws.fork('frames', epoch, batchIndex, at)),
        );
        const texts = drawTexts(place, [], { ...noTokens, ...prompts }, draws.fork('templates'), prompts);
        const inputs = [
          tensor(joined(frames), { shape: [size, model.frames, width] }),
          tensor(texts.data, { shape: texts.shape }),
          tensor(labels),
        ] as const;
        const { loss } = await step(...inputs)
          .then((output) => readMeasures(output))
          .finally(() => {
            for (const input of inputs) input.dispose();
          });
        if (!Number.isFinite(loss)) {
          throw new TrainingError(`in epoch ${epoch + 1} the loss became no number`, 'choose a smaller learning rate');
        }
        yield { epoch, step: batchIndex, steps, loss };
      }
    }
  } finally {
    model.fusion.eval();
    await step.dispose();
  }
}

/** Texts are drawn as features. */
const noTokens = { tokens: new Int32Array(0), length: 0 };

/** Every clip once, in a random order and in parts of one size; what the last part lacks is taken from the first. */
function batchesOf(clips: number, size: number, random: Random): number[][] {
  const order = random.shuffle([...Array(clips).keys()]);
  return Array.from({ length: Math.ceil(clips / size) }, (_, part) =>
    Array.from({ length: size }, (_, at) => order[(part * size + at) % clips] ?? 0),
  );
}

/** One frame at random from each of T segments of a clip, [T, D]; the middle ones without `random`. */
export function framesOf(rows: Float32Array, width: number, segments: number, random?: Random): Float32Array {
  const sampling = { segments, randomShift: random !== undefined };
  const frames = sampleFrames(rows.length / width, sampling, random ?? new Random(0)).map((frame) => frame - 1);
  return rowsOf(rows, new Float32Array(segments * width), frames).data;
}

/** Rows of one length, one after the other. */
function joined(rows: readonly Float32Array[]): Float32Array {
  const length = rows[0]?.length ?? 0;
  const all = new Float32Array(rows.length * length);
  for (const [at, row] of rows.entries()) all.set(row, at * length);
  return all;
}
