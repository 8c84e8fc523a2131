/**
 * One run of an ablation in a process of its own: trains the small model on the built-in data set and prints what it
 * reached as JSON.
 *
 *     one-run.ts STUDY VARIANT SEED EPOCHS FOLDER THREADS [PAIRS]
 *
 * PAIRS is the checkpoint of the pre-training on the built-in pairs, for variants that start from it.
 */
import { join } from 'node:path';
import { openDevice, setDefaultDevice } from '@actionclip/tensor';
import {
  actionDatasetFolder,
  configFrom,
  Examiner,
  evaluateFeatures,
  generateActionDataset,
  loadClipWeights,
  type OpenedModel,
  openFrom,
  pairAccuracy,
  readClipList,
  readRunData,
  smallData,
  smallInput,
  smallModel,
  standardDrawing,
  startOf,
  train,
} from 'actionclip';
import { studies, type Variant } from './studies.ts';

const [studyName = '', variantName = '', seed = '', epochs = '', folder = '', threads = '', pairs = ''] =
  process.argv.slice(2);
const variant = studies[studyName]?.variants.find(({ name }) => name === variantName);
if (variant === undefined) throw new Error(`there is no ${studyName} ${variantName}`);

setDefaultDevice(await openDevice('wasm', { threads: Number(threads) }));
const dataset = await generateActionDataset(actionDatasetFolder(), standardDrawing);
const { config } = configFrom({
  seed: Number(seed),
  data: {
    dataset: 'built-in actions',
    train_list: dataset.trainList,
    val_list: dataset.valList,
    label_list: dataset.labelFile,
    root: dataset.root,
    num_segments: 8,
    input_size: smallInput,
    batch_size: 32,
    workers: 1,
    ...variant.data,
  },
  network: { arch: 'small', sim_header: 'Transf', ...variant.network },
  solver: {
    epochs: Number(epochs),
    lr: 1.5e-3,
    lr_warmup_step: Number(epochs) / 10,
    f_ratio: 2,
    weight_decay: 0.1,
    max_gradient_norm: 1,
  },
  logging: { eval_freq: Number(epochs) },
  output: { folder: join(folder, `${studyName}-${variantName.replace(/\W+/g, '-')}-${seed}`) },
});
const { texts = (labels: readonly string[]) => labels } = variant;
const read = await readRunData(config);
const data = { ...read, labels: texts(read.labels) };
const datasets = smallData(config.data.inputSize);
const opened = await modelOf(variant);
await train({ config, data, opened, datasets });
const examiner = new Examiner(config, opened, datasets);
const clips = await examiner.clips(data.validation);
const prompts = await examiner.prompts(data.labels);
const unseen = await readClipList(dataset.zeroShotList, { root: dataset.root });
const orderedPairs = dataset.orderedPairs.map(([forward, backward]): [number, number] => [
  read.labels.indexOf(forward),
  read.labels.indexOf(backward),
]);
const outcome = {
  top1: evaluateFeatures(clips, prompts).top1,
  pairs: pairAccuracy(clips, prompts, orderedPairs),
  // Numbers of classes that were never trained mean nothing.
  ...(variant.texts === undefined
    ? {
        zeroShot: evaluateFeatures(await examiner.clips(unseen), await examiner.prompts(dataset.zeroShotLabels)).top1,
      }
    : {}),
};
process.stdout.write(JSON.stringify(outcome));
process.exit(0);

/** A small model for the texts of the classes, or that of the pairs with the weights that the variant starts from. */
async function modelOf({ start }: Variant): Promise<OpenedModel> {
  const own = smallModel([...data.labels, ...texts(dataset.zeroShotLabels)]);
  if (start === undefined) return openFrom(undefined, config, own);
  const known = await startOf(pairs);
  if (known === undefined) throw new Error('name the checkpoint of the pre-training');
  if (start === 'all') return openFrom(known, config, own);
  const { sizes, vocabulary } = known.description;
  const model = await openFrom(undefined, config, { ...own, sizes, vocabulary });
  if (start === 'image') await loadClipWeights(model.model, known.path, { text: false });
  return model;
}
