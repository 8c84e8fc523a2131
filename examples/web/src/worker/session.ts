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
import { labelsTooLong, readLabels } from './labels.ts';
import { Live } from './live.ts';
import { Training } from './training.ts';
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
  readonly #live = new Live();
  #training: Training | undefined;

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
      width: sizes.embedding,
      perFrame: model.perFrame,
      labels,
    };
  }

  async watch({ name, blob, window }: Ask<'watch'>, turn: Turn): Promise<Answer<'watch'>> {
    const recognizer = this.#model();
    const device = this.#device;
    if (device === undefined) throw missing('device');
    this.#embedding = undefined;
    turn.reportReading('Opening the video');
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
    const { labels, tooLong, prompts } = await readLabels(recognizer, asked, turn);
    if (prompts === undefined) return { ...nothingScored, tooLong };
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

  follow(ask: Ask<'follow'>, turn: Turn): Promise<Answer<'follow'>> {
    return this.#live.follow(this.#model(), ask, turn);
  }

  async look(ask: Ask<'look'>, turn: Turn): Promise<Answer<'look'>> {
    const device = this.#device;
    if (device === undefined) throw missing('device');
    const report = await this.#live.look(ask, turn);
    return { ...report, liveBytes: (await device.memory()).live };
  }

  async measure({ labels }: Ask<'measure'>, turn: Turn): Promise<Answer<'measure'>> {
    return { tooLong: await labelsTooLong(this.#model(), labels, turn) };
  }

  async record(ask: Ask<'record'>): Promise<Answer<'record'>> {
    return this.#trainer().record(ask);
  }

  async encode(ask: Ask<'encode'>, turn: Turn): Promise<Answer<'encode'>> {
    return this.#trainer().encode(ask, turn);
  }

  async train(ask: Ask<'train'>, turn: Turn): Promise<Answer<'train'>> {
    return this.#trainer().train(ask, turn);
  }

  #trainer(): Training {
    const [opened, device] = [this.#opened, this.#device];
    if (opened === undefined || device === undefined) throw missing('model');
    this.#training ??= new Training({ opened, device, recognizer: this.#model() });
    return this.#training;
  }

  #model(): Recognizer {
    if (this.#recognizer === undefined) throw missing('model');
    return this.#recognizer;
  }

  async #forgetModel(): Promise<void> {
    this.#embedding = undefined;
    this.#live.forget();
    await this.#training?.close();
    this.#training = undefined;
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
