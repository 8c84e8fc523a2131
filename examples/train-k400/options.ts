/** The options of train-k400: one table for parsing, checking and `--help`. */
import { parseArgs } from 'node:util';
import type { DeviceName } from '@actionclip/tensor';
import type { TemporalHeadName } from 'actionclip';

/** An option that is unknown, incomplete or of an unfit value. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
  readonly hint = 'see --help';
}

export interface Options {
  readonly config?: string;
  readonly trainList?: string;
  readonly valList?: string;
  readonly labels?: string;
  readonly root?: string;
  readonly clipsTable?: string;
  readonly init?: string;
  readonly frames?: number;
  readonly size?: number;
  readonly epochs?: number;
  readonly batchSize?: number;
  readonly lr?: number;
  readonly head?: TemporalHeadName;
  readonly precision?: 'f32' | 'mixed';
  readonly checkpoint?: 'on' | 'off';
  readonly seed?: number;
  readonly device?: DeviceName;
  readonly threads?: number;
  readonly engineFlags?: 'on' | 'off';
  readonly workers?: number;
  readonly resume?: string;
  readonly out?: string;
}

type Value = string | number;

/** How the text of a value becomes a value; a sentence part says what was expected. */
interface Kind {
  readonly expected: string;
  readonly parse: (text: string) => Value | undefined;
}

const wholeFrom = (least: number): Kind => ({
  expected: `a whole number from ${least}`,
  parse: (text) => (/^\d+$/.test(text) && Number(text) >= least ? Number(text) : undefined),
});
const text: Kind = { expected: 'a name', parse: (given) => (given === '' ? undefined : given) };
const positive: Kind = {
  expected: 'a number above 0',
  parse: (given) => (Number(given) > 0 && Number.isFinite(Number(given)) ? Number(given) : undefined),
};
const oneOf = (...names: string[]): Kind => ({
  expected: names.join(', '),
  parse: (given) => (names.includes(given) ? given : undefined),
});

interface Row {
  readonly flag: string;
  readonly place: string;
  readonly kind: Kind;
  readonly help: string;
}

const table: Readonly<Record<keyof Options, Row>> = {
  config: { flag: 'config', place: 'FILE', kind: text, help: "the paper's run: one of ActionCLIP's YAML files" },
  trainList: { flag: 'train-list', place: 'FILE', kind: text, help: 'your clips: lines "path [frames] class"' },
  valList: { flag: 'val-list', place: 'FILE', kind: text, help: 'held-out clips' },
  labels: { flag: 'labels', place: 'FILE', kind: text, help: 'class names: CSV with the header "id,name"' },
  root: { flag: 'root', place: 'FOLDER', kind: text, help: 'where relative paths of clips start' },
  clipsTable: {
    flag: 'clips-table',
    place: 'FILE',
    kind: text,
    help: 'in place of the lists: CSV "path,label,text,group,split"',
  },
  init: { flag: 'init', place: 'FILE', kind: text, help: 'start from the model of a checkpoint of this program' },
  frames: { flag: 'frames', place: 'N', kind: wholeFrom(1), help: 'frames per clip' },
  size: { flag: 'size', place: 'N', kind: wholeFrom(8), help: "side of the model's input in pixels" },
  epochs: { flag: 'epochs', place: 'N', kind: wholeFrom(1), help: 'passes over the training clips' },
  batchSize: { flag: 'batch-size', place: 'N', kind: wholeFrom(2), help: 'clips per step' },
  lr: { flag: 'lr', place: 'X', kind: positive, help: 'the highest learning rate' },
  head: {
    flag: 'head',
    place: 'NAME',
    kind: oneOf('meanP', 'LSTM', 'Transf', 'Conv_1D', 'Transf_cls'),
    help: 'how frames become a clip: meanP, LSTM, Transf, Conv_1D or Transf_cls',
  },
  precision: {
    flag: 'precision',
    place: 'NAME',
    kind: oneOf('f32', 'mixed'),
    help: "f32, or mixed: the towers' matrix products take factors of half precision",
  },
  checkpoint: {
    flag: 'checkpoint',
    place: 'on|off',
    kind: oneOf('on', 'off'),
    help: 'whether blocks are computed again for their gradients, in less memory',
  },
  seed: { flag: 'seed', place: 'N', kind: wholeFrom(0), help: 'of everything random' },
  device: {
    flag: 'device',
    place: 'NAME',
    kind: oneOf('auto', 'webgpu', 'wasm', 'reference'),
    help: 'auto (a GPU where there is one), webgpu, wasm or reference',
  },
  threads: { flag: 'threads', place: 'N', kind: wholeFrom(1), help: 'threads of the wasm device' },
  engineFlags: {
    flag: 'engine-flags',
    place: 'on|off',
    kind: oneOf('on', 'off'),
    help: "whether the wasm device may switch the JavaScript engine's vector flags on",
  },
  workers: { flag: 'workers', place: 'N', kind: wholeFrom(0), help: 'threads that load clips; 0 for none' },
  resume: { flag: 'resume', place: 'FILE', kind: text, help: 'go on from a checkpoint of the same run' },
  out: { flag: 'out', place: 'FOLDER', kind: text, help: 'checkpoints, log and report' },
};

const rows = Object.entries(table) as [keyof Options, Row][];

/**
 * Reads the command line.
 * @returns The options, or `help` where it was asked for.
 * @throws OptionError that names the option.
 */
export function parseOptions(args: readonly string[]): Options | 'help' {
  const known = Object.fromEntries(rows.map(([, { flag }]) => [flag, { type: 'string' as const }]));
  const { tokens } = parseArgs({
    args: [...args],
    options: { ...known, help: { type: 'boolean', short: 'h' } },
    strict: false,
    tokens: true,
  });
  const options: Partial<Record<keyof Options, Value>> = {};
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') throw new OptionError(`"${token.value}" belongs to no option; see --help`);
    if (token.name === 'help') return 'help';
    const [key, row] = rows.find(([, { flag }]) => flag === token.name) ?? [];
    if (key === undefined || row === undefined) throw unknownOption(token.rawName);
    if (token.value === undefined || token.value.startsWith('--')) {
      throw new OptionError(`${token.rawName} needs a value: ${row.kind.expected}`);
    }
    const value = row.kind.parse(token.value);
    if (value === undefined) {
      throw new OptionError(`${token.rawName}: expected ${row.kind.expected}, found "${token.value}"`);
    }
    options[key] = value;
  }
  const checked = options as Options;
  checkTogether(checked);
  return checked;
}

function unknownOption(given: string): OptionError {
  const flags = rows.map(([, { flag }]) => `--${flag}`);
  const near = flags.filter((flag) => flag.startsWith(given.slice(0, 5)));
  return new OptionError(
    `There is no option ${given}; ${near.length > 0 ? `did you mean ${near.join(' or ')}?` : 'see --help'}`,
  );
}

function checkTogether(options: Options): void {
  const has = (...keys: (keyof Options)[]): boolean => keys.some((key) => options[key] !== undefined);
  if (has('config') && has('clipsTable', 'init')) {
    throw new OptionError('--config brings its own data and model; leave out --clips-table and --init');
  }
  if (has('clipsTable') && has('trainList', 'valList', 'labels')) {
    throw new OptionError(
      '--clips-table takes the place of --train-list, --val-list and --labels; give one or the other',
    );
  }
  const lists = [options.trainList, options.valList, options.labels].filter((file) => file !== undefined).length;
  if (!has('config') && lists > 0 && lists < 3) {
    throw new OptionError('Clips of your own need --train-list, --val-list and --labels together');
  }
  if (lists === 0 && !has('config', 'clipsTable') && has('root', 'init')) {
    throw new OptionError(
      '--root and --init need clips of your own: --clips-table, or --train-list, --val-list and --labels',
    );
  }
}

/** The configuration of the blocks that the options ask for. */
export const blocksOf = ({ checkpoint }: Options): { readonly checkpoint?: boolean } =>
  checkpoint === undefined ? {} : { checkpoint: checkpoint === 'on' };

/** What `--help` prints. */
export function usage(): string {
  const left = rows.map(([, { flag, place }]) => `--${flag} ${place}`);
  const width = Math.max(...left.map(({ length }) => length));
  const lines = rows.map(([, { help }], i) => `  ${(left[i] ?? '').padEnd(width)}  ${help}`);
  return `Trains ActionCLIP. Without options: a small model on the built-in data set, with a report, in minutes.

  npm run train -- [options]

${lines.join('\n')}
  ${'--help'.padEnd(width)}  this text

Examples
  npm run train
  npm run train -- --config k400_train.yaml --root frames/ --out runs/k400
  npm run train -- --clips-table clips/labels.csv --init runs/train-k400/last.safetensors --epochs 30
  npm run train -- --train-list train.txt --val-list val.txt --labels labels.csv --root clips/ --frames 8
`;
}
