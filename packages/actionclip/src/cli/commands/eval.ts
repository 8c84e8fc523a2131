/** `actionclip eval`: how many clips of a data set a model names right, by the protocols of zero-shot evaluation. */
import { defineCommand } from '../command.ts';
import { deviceOptions } from '../device-options.ts';
import {
  fraction,
  type Kind,
  noPositionals,
  OptionError,
  type OptionTable,
  oneOf,
  text,
  type Values,
  wholeFrom,
} from '../options.ts';

/** Several values separated by commas, none of them empty. */
const listOf = <Value>(kind: Kind<Value>, expected: string): Kind<readonly Value[]> => ({
  expected,
  parse: (given) => {
    const values = given.split(',').map((part) => kind.parse(part.trim()));
    return values.some((value) => value === undefined) ? undefined : (values as Value[]);
  },
});

export const evalOptions = {
  weights: { place: 'W', kind: text, help: 'the model: a checkpoint of any known layout, or a hub: name' },
  list: {
    place: 'FILE[,FILE...]',
    kind: listOf(text, 'file names separated by commas'),
    help: 'clips: lines "path [frames] class[,class...]"; several files are several splits',
  },
  labelsFile: {
    place: 'FILE',
    kind: text,
    help: 'class names: CSV "id,name"; those of the checkpoint where it has them',
  },
  clipsTable: { place: 'FILE', kind: text, help: 'in place of the list: CSV "path,label,text,group,split"' },
  split: { place: 'NAME', kind: text, help: 'split of the table; those held out (val, validation, test) unless told' },
  root: { place: 'FOLDER', kind: text, help: 'where relative paths of clips start' },
  labelOrder: {
    place: 'list|paths',
    kind: oneOf('list', 'paths'),
    help: 'class indices as the list has them (unless told), or mapped by the class names in the paths',
  },
  templates: {
    place: 'NAME|FILE',
    kind: text,
    help: 'texts around the labels; those of the training unless told, or actionclip, the 16 of the paper',
  },
  labelCleaning: {
    place: 'MODE',
    kind: oneOf('as-is', 'split', 'auto'),
    help: 'as-is, split (CamelCase and underscores into words), or auto: split where the whole set is spelled so',
  },
  protocol: {
    place: 'NAME',
    kind: oneOf('full', 'half-classes', 'splits', 'base-to-novel'),
    help: 'full, half-classes, splits or base-to-novel, see below',
  },
  trainList: { place: 'FILE', kind: text, help: 'base-to-novel: clips that say which classes are frequent' },
  interpolate: { place: 'OTHER', kind: text, help: 'mix with the weights that these were fine-tuned from' },
  alpha: {
    place: 'A[,A...]',
    kind: listOf(fraction, 'numbers from 0 to 1 separated by commas'),
    help: 'shares of OTHER in the mixture, each evaluated; 0.5',
  },
  frames: { place: 'N', kind: wholeFrom(1), help: 'frames per clip; those of the checkpoint unless told' },
  clips: { place: 'N', kind: wholeFrom(1), help: 'places in time that are looked at and averaged; 1' },
  crops: { place: '1|3', kind: oneOf('1', '3'), help: 'squares of each frame; 1, the centre' },
  imageTemplate: { place: 'TEXT', kind: text, help: 'names of frames in folders, such as img_{:05d}.jpg' },
  batchSize: { place: 'N', kind: wholeFrom(1), help: 'views that are encoded at once; 8' },
  workers: { place: 'N', kind: wholeFrom(0), help: 'threads that load clips; 0 for none' },
  scores: { place: 'FILE', kind: text, help: 'write the probabilities of every clip: .csv or .safetensors' },
  html: {
    place: 'FILE',
    kind: text,
    help: 'write a page with tables, the confusion matrix, and the best and worst clips',
  },
  json: { help: 'print one JSON object instead of tables, see docs/eval-json.md' },
  ...deviceOptions,
} as const satisfies OptionTable;

export type EvalValues = Values<typeof evalOptions>;

export const evaluation = defineCommand({
  summary: 'Evaluate a model on clips: accuracy by class, and the protocols of zero-shot evaluation',
  positionals: noPositionals,
  options: evalOptions,
  examples: [
    'actionclip eval --weights runs/train-k400/best.safetensors --list val.txt --labels-file labels.csv --root clips',
    'actionclip eval --weights hub:ViT-B/16 --list ucf1.txt,ucf2.txt,ucf3.txt --labels-file ucf.csv --protocol splits',
    'actionclip eval --weights vit-b-16-8f.pt --list hmdb.txt --labels-file hmdb.csv --label-order paths --protocol half-classes',
    'actionclip eval --weights best.safetensors --clips-table clips/labels.csv --split test --clips 4 --crops 3 --json',
    'actionclip eval --weights best.safetensors --interpolate hub:ViT-B/16 --alpha 0,0.25,0.5,0.75,1 --list val.txt --labels-file labels.csv',
  ],
  notes: `Protocols
  full           all clips against all classes
  half-classes   ten random halves of the classes (seeds 0 to 9, those of Text4Vis): mean and deviation
  splits         each file of --list for itself: mean and deviation
  base-to-novel  the frequent half of the classes and the others, each among their own: harmonic mean
Deviations are those of a sample, by n - 1. Clips that cannot be read are in no figure; they are named at the end, and
the exit code is then 1.`,
  async run({ values }, terminal) {
    checkTogether(values);
    const { runEvaluation } = await import('../evaluation.ts');
    await runEvaluation(values, terminal);
  },
});

/** What fits each option by itself but not together. */
function checkTogether(values: EvalValues): void {
  const { weights, scores, html, interpolate, alpha } = values;
  if (weights === undefined) {
    throw new OptionError(
      '--weights is missing',
      'name the best.safetensors of a run, a published checkpoint or a hub: name',
    );
  }
  checkClips(values);
  if (alpha !== undefined && interpolate === undefined) {
    throw new OptionError('--alpha needs --interpolate', 'name the weights to mix with');
  }
  if ((alpha?.length ?? 0) > 1 && (scores !== undefined || html !== undefined)) {
    throw new OptionError('--scores and --html are of one evaluation', 'give one --alpha');
  }
  if (scores !== undefined && !/\.(?:csv|safetensors)$/i.test(scores)) {
    throw new OptionError(`--scores: ${scores} is of no known kind`, 'end the name in .csv or .safetensors');
  }
}

function checkClips({ list, clipsTable, split, labelOrder, protocol, trainList }: EvalValues): void {
  if ((list === undefined) === (clipsTable === undefined)) {
    throw new OptionError(
      list === undefined ? 'There are no clips' : '--list and --clips-table are both given',
      'give one of --list FILE and --clips-table FILE',
    );
  }
  if (clipsTable !== undefined && labelOrder !== undefined) {
    throw new OptionError('--label-order is of list files', 'a table names its classes: leave it out');
  }
  if (clipsTable === undefined && split !== undefined) {
    throw new OptionError('--split is of a table', 'give --clips-table, or the list of that split');
  }
  const lists = list?.length ?? 0;
  if (protocol === 'splits' && lists < 2) {
    throw new OptionError('--protocol splits needs several lists', 'give --list FILE,FILE,FILE');
  }
  if (protocol !== 'splits' && lists > 1) {
    throw new OptionError(`${lists} lists are given`, 'add --protocol splits, or give one list');
  }
  if (trainList !== undefined && protocol !== 'base-to-novel') {
    throw new OptionError('--train-list is of base-to-novel', 'add --protocol base-to-novel or leave it out');
  }
}
