/**
 * Pre-training on pictures and captions: CLIP's contrastive loss, in which each caption is a class of its own, on the small
 * model with one frame. Its checkpoint starts the training on actions.
 */
import { join } from 'node:path';
import { cacheFolder } from '../cache-folder.ts';
import { readClipList, readLabels } from '../data/lists.ts';
import { evaluateFeatures } from '../evaluate/evaluate.ts';
import { actionLabels, generatePairDataset } from '../synthetic/index.ts';
import { configFrom } from '../train/config-file.ts';
import { readRunData } from '../train/datasets.ts';
import { describeModel, openModel } from '../train/model-description.ts';
import { train } from '../train/trainer.ts';
import { openConsole, percent } from './console.ts';
import { Examiner } from './examiner.ts';
import { corruptClipsOf, networkOf, type RunOptions } from './options.ts';
import { smallData, smallInput, smallModel } from './small-model.ts';
import { type RunWatch, watched } from './watch.ts';

/** Captions that the vocabulary is learnt from, beside the labels of all actions: they hold every word of the grammar. */
const vocabularyCaptions = 300;

/** Where the built-in pairs are drawn, once for all runs. */
export const pairDatasetFolder = (): string => join(cacheFolder(), 'pairs');

export async function pairsRun(options: RunOptions, watch: RunWatch = {}): Promise<void> {
  const output = openConsole();
  const dataset = await generatePairDataset(pairDatasetFolder());
  output.line(`${dataset.reused ? 'Pairs' : 'Pairs, drawn for this and later runs'}: ${dataset.root}`);
  const epochs = options.epochs ?? 20;
  const { config } = configFrom({
    seed: options.seed ?? 1,
    resume: options.resume,
    data: {
      dataset: 'built-in pairs',
      train_list: dataset.trainList,
      label_list: dataset.labelFile,
      root: dataset.root,
      num_segments: 1,
      templates: 'bare',
      input_size: options.size ?? smallInput,
      batch_size: options.batchSize ?? 64,
      workers: options.workers ?? 1,
      ...corruptClipsOf(options),
    },
    network: { arch: 'small', sim_header: 'meanP', ...networkOf(options) },
    solver: {
      precision: options.precision,
      epochs,
      lr: options.lr ?? 1.5e-3,
      lr_warmup_step: Math.min(2, epochs / 10),
      f_ratio: 1,
      weight_decay: 0.1,
      max_gradient_norm: 1,
    },
    output: { folder: options.out ?? join('runs', 'pretrain-pairs') },
  });
  const data = await readRunData(config, output.line);
  const texts = [...data.labels.slice(0, vocabularyCaptions), ...actionLabels];
  const opened = await openModel(describeModel(config, smallModel(texts)), config.seed);
  const datasets = smallData(config.data.inputSize);
  output.line(
    `${opened.model.parameterCount().toLocaleString('en')} parameters on ${data.train.length} pairs of a picture and a caption`,
  );
  const watchers = await watched(watch, { title: 'ActionCLIP on the built-in pairs', config, data, opened });
  const outcome = await train({ config, data, opened, datasets, progress: output.progress, ...watchers });

  const captions = await readLabels(dataset.valLabelFile);
  const held = await readClipList(dataset.valList, { root: dataset.root });
  const examiner = new Examiner(config, opened, datasets);
  const { top1, top5 } = evaluateFeatures(await examiner.clips(held), await examiner.prompts(captions));
  output.line(
    `Held-out pictures find their caption among ${captions.length}: top-1 ${percent(top1)}, top-5 ${percent(top5)}; ` +
      `chance ${percent(1 / captions.length)}`,
  );
  output.line(`Go on with: actionclip train --init ${outcome.lastCheckpoint}`);
}
