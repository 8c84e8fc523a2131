/** What a run tells while it goes on, beside its lines on the terminal. */
import { cpus } from 'node:os';
import { defaultDevice } from '@actionclip/tensor';
import type { ResolveOptions } from '../hub/resolve.ts';
import type { LivePage } from '../live/live-page.ts';
import type { Config } from '../train/config.ts';
import type { RunData } from '../train/datasets.ts';
import type { OpenedModel } from '../train/model-description.ts';
import type { TrainingRun } from '../train/training-run.ts';

export interface RunWatch extends ResolveOptions {
  /** The page that shows the run, where one was asked for. */
  readonly live?: LivePage | undefined;
}

/** A run about to be trained. */
export interface WatchedRun {
  readonly title: string;
  readonly config: Config;
  readonly data: RunData;
  readonly opened: OpenedModel;
}

/** Says on the live page what is run; returns who watches it and what stops it, as training takes them. */
export async function watched(
  { signal, live }: RunWatch,
  { title, config, data, opened }: WatchedRun,
): Promise<Pick<TrainingRun, 'signal' | 'watcher'>> {
  live?.begin({
    title,
    subtitle: sizesOf(data),
    epochs: config.solver.epochs,
    batchesPerEpoch: Math.floor(data.train.length / config.data.batchSize),
    facts: [...(await machineFacts(config, opened)), ['folder', config.output.folder]],
    configuration: JSON.stringify(config, null, 2),
  });
  return { ...(signal === undefined ? {} : { signal }), ...(live === undefined ? {} : { watcher: live }) };
}

export const sizesOf = ({ train, validation, labels }: RunData): string =>
  `${train.length} clips for training, ${validation.length} held out, ${labels.length} classes`;

/** What is trained, and on what. */
export async function machineFacts(config: Config, { model }: OpenedModel): Promise<[name: string, value: string][]> {
  const backend = await (await defaultDevice()).backend();
  return [
    ['model', `${model.parameterCount().toLocaleString('en')} parameters`],
    ['device', backend.description],
    ['processor', `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} threads`],
    ['Node', process.version],
    ['precision', config.solver.precision],
    ['seed', String(config.seed)],
  ];
}
