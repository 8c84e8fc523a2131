/**
 * The paper's ablations as questions to the small model on the built-in data set, each answered by one command:
 *
 *     npx tsx --conditions=@actionclip/source benchmarks/ablations.ts temporal [--seeds 1,2,3] [--epochs 10]
 *
 * Prints means and deviations over the seeds, and keeps every run in benchmarks/results/ablations/STUDY.json: runs
 * that are there already, of the same number of epochs, are not made again. With --jobs N there are N runs at once,
 * each with the --threads of its device.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { spreadOf, writeFileAtomically } from 'actionclip';
import { type Study, studies } from './ablations/studies.ts';
import { describeEnvironment, type Environment } from './harness/environment.ts';
import { preTrained } from './harness/pre-training.ts';
import { severalAtOnce } from './harness/several-at-once.ts';

interface Run {
  readonly variant: string;
  readonly seed: number;
  readonly epochs: number;
  /** Parts of clips named right: held-out ones, those of pairs that only the order tells apart, those of labels never trained. */
  readonly top1: number;
  readonly pairs: number;
  readonly zeroShot?: number;
  readonly commit: string;
}

interface Results {
  readonly question: string;
  readonly runs: readonly Run[];
  readonly environment: Environment;
}

const repository = fileURLToPath(new URL('..', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string', default: '1,2,3' },
    epochs: { type: 'string' },
    threads: { type: 'string', default: String(availableParallelism()) },
    jobs: { type: 'string', default: '1' },
  },
});
const [name = ''] = positionals;
const found = studies[name];
if (found === undefined) throw new Error(`name a study: ${Object.keys(studies).join(', ')}`);
const study: Study = found;
const seeds = values.seeds.split(',').map(Number);
const epochs = Number(values.epochs ?? study.epochs ?? 10);
const file = join(repository, 'benchmarks/results/ablations', `${name}.json`);
const environment = await describeEnvironment([]);

const earlier = await readFile(file, 'utf8').then(
  (text) => (JSON.parse(text) as Results).runs,
  () => [] as Run[],
);
const runs = new Map(earlier.map((run) => [keyOf(run), run]));

function keyOf({ variant, seed, epochs: length }: Pick<Run, 'variant' | 'seed' | 'epochs'>): string {
  return `${variant}\n${seed}\n${length}`;
}

const startsElsewhere = study.variants.some(({ start }) => start !== undefined);
const pairs = startsElsewhere ? [await preTrained('pairs', values.threads)] : [];
const plans = seeds.flatMap((seed) => study.variants.map(({ name: variant }) => ({ variant, seed, epochs })));
await severalAtOnce({
  items: plans.filter((plan) => !runs.has(keyOf(plan))),
  jobs: Number(values.jobs),
  async run({ variant, seed }) {
    const script = join(repository, 'benchmarks/ablations/one-run.ts');
    const args = ['--conditions=@actionclip/source', '--import', 'tsx', script, name, variant, String(seed)];
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [...args, String(epochs), join(tmpdir(), 'actionclip-ablations'), values.threads, ...pairs],
      { cwd: repository, maxBuffer: 2 ** 26 },
    );
    return JSON.parse(stdout) as Omit<Run, keyof (typeof plans)[number] | 'commit'>;
  },
  async keep(plan, outcome) {
    const run: Run = { ...plan, ...outcome, commit: environment.commit };
    runs.set(keyOf(plan), run);
    console.log(`${plan.variant}, seed ${plan.seed}: top-1 ${percent(run.top1)}, ordered pairs ${percent(run.pairs)}`);
    const results: Results = { question: study.question, runs: [...runs.values()], environment };
    await writeFileAtomically(file, `${JSON.stringify(results, null, 2)}\n`);
  },
});

console.log(`\n${study.question}; ${epochs} epochs, seeds ${seeds.join(', ')}\n`);
console.log('| | top-1 | ordered pairs | zero-shot |\n| --- | --- | --- | --- |');
for (const { name: variant } of study.variants) {
  const own = seeds.flatMap((seed) => runs.get(keyOf({ variant, seed, epochs })) ?? []);
  const unseen = own.flatMap(({ zeroShot }) => zeroShot ?? []);
  const cells = [own.map(({ top1 }) => top1), own.map(({ pairs }) => pairs), unseen].map(spread);
  console.log(`| ${variant} | ${cells.join(' | ')} |`);
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}

/** `97.5 ± 1.2 %`; a dash where there is nothing. */
function spread(parts: readonly number[]): string {
  if (parts.length === 0) return '–';
  const { mean, deviation } = spreadOf(parts);
  return parts.length === 1 ? percent(mean) : `${(100 * mean).toFixed(1)} ± ${(100 * deviation).toFixed(1)} %`;
}
