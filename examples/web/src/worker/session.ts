/** What the worker holds from call to call: a device, a model on it, a video as the model sees it. */
import type { Device } from '@actionclip/tensor';
import {
  type OpenedCheckpoint,
  openVideoInBrowser,
  type Recognizer,
  recognizerOf,
  scoreViews,
  type TextCache,
  type VideoEmbedding,
  windowRuns,
} from 'actionclip/browser';
import type { Answer, Ask, CallName, ScoreReport } from '../protocol.ts';
import { openChosen } from './devices.ts';
import type { Turn } from './turn.ts';
import { MeasuredSource, pictureOf, windowOf } from './video.ts';
import { openWeights } from './weights.ts';

/** A call came before what it needs: a fault of the page. */
const missing = (what: string): Error => new Error(`there is no ${what} yet`);

export type Handlers = { readonly [K in CallName]: (ask: Ask<K>, turn: Turn) => Promise<Answer<K>> };

export class Session implements Handlers {
  #device: Device | undefined;
  #recognizer: Recognizer | undefined;
  #opened: OpenedCheckpoint | undefined;
  #embedding: VideoEmbedding | undefined;
  /** Whether the model has seen a video: then its programs are there. */
  #hasSeen = false;

  async open({ device }: Ask<'open'>, turn: Turn): Promise<Answer<'open'>> {
    turn.report('Starting the device');
    await this.#forgetModel();
    await this.#device?.close();
    this.#device = undefined;
    const opened = await openChosen(device);
    this.#device = opened.device;
    return opened.report;
  }

  async load({ weights, clipMerges }: Ask<'load'>, turn: Turn): Promise<Answer<'load'>> {
    await this.#forgetModel();
    const opened = await openWeights(weights, clipMerges, turn);
    const { model, layout, labels = [] } = opened;
    const { frames, temporal = 'meanP', sizes } = opened.description;
    this.#opened = opened;
    this.#recognizer = recognizerOf(opened, { texts: async () => ({ cache: textMemory(), space: '' }) });
    return {
      name: weights.name,
      layout,
      parameters: model.parameterCount(),
      frames,
      inputSize: sizes.vision.resolution,
      temporal,
      labels,
    };
  }

  async watch({ name, blob, window }: Ask<'watch'>, turn: Turn): Promise<Answer<'watch'>> {
    const recognizer = this.#model();
    const device = this.#device;
    if (device === undefined) throw missing('device');
    this.#embedding = undefined;
    turn.report('Opening the video');
    const started = performance.now();
    const source = new MeasuredSource(await openVideoInBrowser(blob, { name }), turn);
    try {
      const times = await source.frameTimes();
      await turn.breathe();
      const embedding = await recognizer.embedVideo(source, {
        ...windowOf(times.at(-1) ?? 0, window),
        signal: turn.signal,
      });
      this.#embedding = embedding;
      const compiled = !this.#hasSeen;
      this.#hasSeen = true;
      const { live, peak } = await device.memory();
      return {
        frames: embedding.frames,
        duration: embedding.duration,
        clips: embedding.windows.reduce((clips, { views }) => clips + views.rows.length / views.width, 0),
        pictures: embedding.sampled.map(pictureOf),
        milliseconds: performance.now() - started,
        modelMilliseconds: source.visited,
        compiled,
        liveBytes: live,
        peakBytes: peak,
      };
    } finally {
      await source.close();
    }
  }

  async score({ labels: asked }: Ask<'score'>, turn: Turn): Promise<Answer<'score'>> {
    const recognizer = this.#model();
    const embedding = this.#embedding;
    if (embedding === undefined) throw missing('video');
    const tooLong = await recognizer.longLabels(asked);
    const leftOut = new Set(tooLong.map(({ label }) => label));
    const labels = asked.filter((label) => !leftOut.has(label));
    if (labels.length === 0) return { ...nothingScored, tooLong };
    // Part by part, so that a person may change their mind; the texts are kept.
    const portion = labelsAtOnce(recognizer);
    for (let first = 0; first < labels.length; first += portion) {
      turn.report('Reading the labels', first, labels.length);
      await turn.breathe();
      await recognizer.embedLabels(labels.slice(first, first + portion), { signal: turn.signal });
    }
    const prompts = await recognizer.embedLabels(labels, { signal: turn.signal });
    const { probabilities, sampled, windows } = scoreViews(embedding, prompts, labels);
    return {
      labels,
      tooLong,
      probabilities,
      similarities: sampled.map(({ similarities }) => similarities),
      windows,
      runs: windowRuns(windows),
    };
  }

  #model(): Recognizer {
    if (this.#recognizer === undefined) throw missing('model');
    return this.#recognizer;
  }

  async #forgetModel(): Promise<void> {
    this.#embedding = undefined;
    await this.#recognizer?.close();
    for (const parameter of this.#opened?.model.parameters() ?? []) parameter.dispose();
    this.#recognizer = undefined;
    this.#opened = undefined;
    this.#hasSeen = false;
  }
}

const nothingScored: Omit<ScoreReport, 'tooLong'> = {
  labels: [],
  probabilities: new Float64Array(),
  similarities: [],
  windows: [],
  runs: [],
};

/** Labels that are encoded before messages are heard again: a second's work or so of a small text tower, and of a large one. */
function labelsAtOnce({ model }: Recognizer): number {
  return model.clip.sizes.text.width > 128 ? 4 : 32;
}

/** Text features of one model, for as long as it is there. */
function textMemory(): TextCache {
  const kept = new Map<string, Float32Array>();
  return {
    get: async (_space, keys) => new Map(keys.flatMap((key) => entryOf(kept, key))),
    put: async (_space, rows) => {
      for (const [key, row] of rows) kept.set(key, row);
    },
  };
}

function entryOf(kept: ReadonlyMap<string, Float32Array>, key: string): [string, Float32Array][] {
  const row = kept.get(key);
  return row === undefined ? [] : [[key, row]];
}
