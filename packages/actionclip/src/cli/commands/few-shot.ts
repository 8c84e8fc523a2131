/** `actionclip few-shot`: training on K clips of each class, for several K and seeds, as a table of means. */
import { defineCommand } from '../command.ts';
import { openDeviceFrom } from '../device-options.ts';
import { type Kind, noPositionals, OptionError, type OptionTable, text, wholeFrom } from '../options.ts';
import { checkTogether, trainOptions } from './train.ts';

const wholeNumbers: Kind<readonly number[]> = {
  expected: 'different whole numbers from 1, separated by commas',
  parse: (given) => {
    const numbers = given.split(',').map((part) => wholeFrom(1).parse(part.trim()));
    const known = numbers.filter((value) => value !== undefined);
    return known.length === numbers.length && new Set(known).size === known.length ? known : undefined;
  },
};

const { seed: _seed, resume: _resume, shots: _shots, builtIn: _builtIn, ...shared } = trainOptions;

const fewShotOptions = {
  shots: { place: 'K[,K...]', kind: wholeNumbers, help: 'clips of each class; 2,4,8,16' },
  seeds: { place: 'N', kind: wholeFrom(1), help: 'runs for each K, with the seeds 1 to N; 3' },
  ...shared,
  out: { place: 'FOLDER', kind: text, help: 'a folder for each run, and few-shot.json; runs/few-shot' },
  json: { help: 'print the content of few-shot.json for these runs instead of a table' },
} as const satisfies OptionTable;

export const fewShot = defineCommand({
  summary: 'Train on a few clips of each class, for several numbers and seeds: mean and deviation',
  positionals: noPositionals,
  options: fewShotOptions,
  examples: [
    'actionclip few-shot --clips-table clips/labels.csv --init hub:ViT-B/16 --shots 2,4,8,16 --seeds 3',
    'actionclip few-shot --config hmdb_train.yaml --root frames --shots 16 --out runs/hmdb-few-shot',
  ],
  notes: `The clips of a run are drawn with its seed from those for training; a larger draw contains the smaller one of the
same seed. A class with fewer clips gives all it has, with a warning. Each run is measured on all held-out clips after
its last epoch: no epoch is chosen on them. Deviations are those of a sample, by n - 1. The same command line goes on
where it was stopped: runs that are done are kept, and the one at hand is taken up from its last checkpoint.`,
  async run({ values }, terminal) {
    const {
      shots = [2, 4, 8, 16],
      seeds = 3,
      out = 'runs/few-shot',
      json,
      device: _device,
      threads: _threads,
      engineFlags: _engineFlags,
      ...options
    } = values;
    if (options.config === undefined && options.clipsTable === undefined && options.trainList === undefined) {
      throw new OptionError(
        'There are no clips',
        'give --clips-table, or --train-list, --val-list and --labels, or --config',
      );
    }
    checkTogether(options);
    const [{ fewShotTable, runFewShot }, { startRun }, { weightsProgress }, { tableLines }] = await Promise.all([
      import('../../runs/few-shot.ts'),
      import('../../runs/run.ts'),
      import('../fetch-progress.ts'),
      import('../evaluation-lines.ts'),
    ]);
    const says = { done: 'is done', resumed: 'goes on', started: 'starts' } as const;
    const device = await openDeviceFrom(values, terminal);
    try {
      const result = await runFewShot({
        shots,
        seeds: Array.from({ length: seeds }, (_, index) => index + 1),
        folder: out,
        options,
        train: (run) => startRun(run, weightsProgress(terminal)),
        onRun: ({ shots: count, seed, state }) =>
          terminal.say(
            `${count} ${count === 1 ? 'clip' : 'clips'} of each class, seed ${seed}: the run ${says[state]}`,
          ),
      });
      if (json) terminal.out(JSON.stringify({ runs: result.runs, summary: result.summary }));
      else for (const line of tableLines(fewShotTable(result), terminal)) terminal.out(line);
      terminal.say(`Results: ${result.file}`);
    } finally {
      await device.close();
    }
  },
});
