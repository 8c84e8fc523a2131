/** `actionclip train`: the built-in data set, the paper's run by its YAML files, or clips of one's own. */
import type { RunOptions } from '../../runs/options.ts';
import { defineCommand } from '../command.ts';
import { deviceOptions, openDeviceFrom } from '../device-options.ts';
import { noPositionals, OptionError, type OptionTable, oneOf, positive, text, wholeFrom } from '../options.ts';

export const trainOptions = {
  builtIn: {
    place: 'NAME',
    kind: oneOf('standard', 'hard', 'pairs'),
    help: 'the built-in data set: standard, hard (more actions, two people, occlusion) or pairs (pictures with captions)',
  },
  config: { place: 'FILE', kind: text, help: "the paper's run: one of ActionCLIP's YAML files" },
  trainList: { place: 'FILE', kind: text, help: 'your clips: lines "path [frames] class[,class...]"' },
  valList: { place: 'FILE', kind: text, help: 'held-out clips' },
  labels: { place: 'FILE', kind: text, help: 'class names: CSV with the header "id,name"' },
  root: { place: 'FOLDER', kind: text, help: 'where relative paths of clips start' },
  clipsTable: {
    place: 'FILE',
    kind: text,
    help: 'in place of the lists: CSV "path,label,text,group,split"',
  },
  init: {
    place: 'FILE',
    kind: text,
    help: 'start from the weights of a checkpoint or a hub name (actionclip fetch --list)',
  },
  frames: { place: 'N', kind: wholeFrom(1), help: 'frames per clip' },
  size: { place: 'N', kind: wholeFrom(8), help: "side of the model's input in pixels" },
  epochs: { place: 'N', kind: wholeFrom(1), help: 'passes over the training clips' },
  batchSize: { place: 'N', kind: wholeFrom(2), help: 'clips per step' },
  accumulate: {
    place: 'N',
    kind: wholeFrom(1),
    help: 'compute each batch in N equal parts, in the memory of one: the same step, up to rounding, where dropout is 0',
  },
  lr: { place: 'X', kind: positive, help: 'the highest learning rate' },
  head: {
    place: 'NAME',
    kind: oneOf('meanP', 'LSTM', 'Transf', 'Conv_1D', 'Transf_cls'),
    help: 'how frames become a clip: meanP, LSTM, Transf, Conv_1D or Transf_cls',
  },
  precision: {
    place: 'NAME',
    kind: oneOf('f32', 'mixed'),
    help: "f32, or mixed: the towers' matrix products take factors of half precision",
  },
  trainOnly: {
    place: 'PART',
    kind: oneOf('temporal', 'image', 'text'),
    help: 'the part that is trained, with the logit scale; the others stay as they are',
  },
  featureViews: {
    place: 'K',
    kind: wholeFrom(0),
    help: 'with a frozen image tower: views of each clip whose features are kept; 4 with --train-only temporal; 0: new ones in every epoch',
  },
  adapter: {
    place: 'NAME',
    kind: oneOf('lora', 'st-adapter'),
    help: 'train few parameters in place of those of the towers: lora, or st-adapter (over time, in the image tower)',
  },
  adapterSize: { place: 'N', kind: wholeFrom(1), help: "LoRA's rank (8), or the channels of ST-Adapters (384)" },
  checkpoint: {
    place: 'on|off',
    kind: oneOf('on', 'off'),
    help: 'whether blocks are computed again for their gradients, in less memory',
  },
  seed: { place: 'N', kind: wholeFrom(0), help: 'of everything random' },
  shots: { place: 'K', kind: wholeFrom(1), help: 'train on K clips of each class, drawn with the seed' },
  ...deviceOptions,
  workers: { place: 'N', kind: wholeFrom(0), help: 'threads that load clips; 0 for none' },
  strict: { help: 'end at the first clip that cannot be read; others are passed over, counted and reported' },
  resume: { place: 'FILE', kind: text, help: 'go on from a checkpoint of the same run' },
  out: { place: 'FOLDER', kind: text, help: 'checkpoints, log and report' },
  live: { help: 'show the run on a page of this machine while it trains' },
  port: { place: 'N', kind: wholeFrom(0, 65_535), help: 'of the live page; 8765 or the next free one unless told' },
} as const satisfies OptionTable;

export const train = defineCommand({
  summary: 'Train ActionCLIP; without options a small model on the built-in data set, with a report, in minutes',
  positionals: noPositionals,
  options: trainOptions,
  examples: [
    'actionclip train',
    'actionclip train --built-in hard --live',
    'actionclip train --built-in pairs',
    'actionclip train --init runs/pretrain-pairs/last.safetensors',
    'actionclip train --config k400_train.yaml --root frames --out runs/k400',
    'actionclip train --clips-table clips/labels.csv --init runs/train-k400/last.safetensors --epochs 30',
    'actionclip train --clips-table clips/labels.csv --init hub:ViT-B/16 --adapter lora',
    'actionclip train --train-list train.txt --val-list val.txt --labels labels.csv --root clips --frames 8',
    'actionclip train --resume runs/train-k400/last.safetensors',
  ],
  notes: `Checkpoints, a log and report.html go to the folder of --out. A run that was stopped, by Ctrl-C or in any other
way, goes on with the same options and --resume FOLDER/last.safetensors. Pre-training on pairs, a few minutes,
leaves no report: its last.safetensors is what --init takes, for the built-in actions or for clips of your own.`,
  async run({ values }, terminal) {
    checkTogether(values);
    const [{ startRun }, { weightsProgress }] = await Promise.all([
      import('../../runs/run.ts'),
      import('../fetch-progress.ts'),
    ]);
    const device = await openDeviceFrom(values, terminal);
    try {
      await startRun(values, weightsProgress(terminal));
    } finally {
      await device.close();
    }
  },
});

/** What fits each option by itself but not together. */
export function checkTogether(options: RunOptions): void {
  const has = (...keys: (keyof RunOptions)[]): boolean => keys.some((key) => options[key] !== undefined);
  if (has('builtIn') && has('config', 'clipsTable', 'trainList', 'valList', 'labels', 'root')) {
    throw new OptionError('--built-in brings its own clips', 'leave out --config, and the options that name clips');
  }
  if (has('config') && has('clipsTable', 'init')) {
    throw new OptionError('--config brings its own data and model', 'leave out --clips-table and --init');
  }
  if (has('clipsTable') && has('trainList', 'valList', 'labels')) {
    throw new OptionError(
      '--clips-table takes the place of --train-list, --val-list and --labels',
      'give one or the other',
    );
  }
  if (has('adapterSize') && !has('adapter')) throw new OptionError('--adapter-size needs --adapter', 'choose one');
  if (has('adapter') && !has('init', 'config')) {
    throw new OptionError(
      '--adapter leaves the towers as they are, and these would be random',
      'name the weights with --init, or give --config',
    );
  }
  if (has('port') && !has('live')) throw new OptionError('--port is of the live page', 'add --live');
  const lists = [options.trainList, options.valList, options.labels].filter((file) => file !== undefined).length;
  if (!has('config') && lists > 0 && lists < 3) {
    throw new OptionError('Clips of your own need --train-list, --val-list and --labels', 'give all three');
  }
  if (lists === 0 && !has('config', 'clipsTable') && has('shots')) {
    throw new OptionError(
      '--shots needs clips of your own',
      'give --clips-table, or --train-list, --val-list and --labels, or --config',
    );
  }
  if (options.builtIn === 'pairs' && has('init', 'frames', 'head')) {
    throw new OptionError(
      'Pre-training on pairs has one frame and starts from scratch',
      'leave out --init, --frames and --head',
    );
  }
  if (lists === 0 && !has('config', 'clipsTable') && has('root')) {
    throw new OptionError(
      '--root needs clips of your own',
      'give --clips-table, or --train-list, --val-list and --labels',
    );
  }
}
