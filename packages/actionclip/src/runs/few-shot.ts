/**
 * Few-shot training as its protocol has it: a run for each number of clips of a class and each seed, measured on the
 * same held-out clips after its last epoch. What is done is kept in one file, and is not done again.
 */
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../checkpoints/atomic-file.ts';
import { DataError } from '../data/errors.ts';
import { type FigureTable, spread } from '../evaluate/figures.ts';
import { type Spread, spreadOf } from '../evaluate/protocols.ts';
import { LAST_CHECKPOINT } from '../train/checkpoint.ts';
import { LOG_FILE, readRunLog } from '../train/log.ts';
import type { RunOptions } from './options.ts';

export interface FewShotPlan {
  /** Numbers of clips of each class. */
  readonly shots: readonly number[];
  /** Each draws clips, and starts a model, of its own. */
  readonly seeds: readonly number[];
  /** Holds a folder for each run, and the results. */
  readonly folder: string;
  /** What all runs share. */
  readonly options: Omit<RunOptions, 'shots' | 'seed' | 'resume' | 'out'>;
  /** Carries out one run, and comes back when its log is complete. */
  readonly train: (options: RunOptions) => Promise<void>;
  /** Told before a run starts, is taken up again, or is passed over. */
  readonly onRun?: (run: { readonly shots: number; readonly seed: number; readonly state: RunStart }) => void;
}

export type RunStart = 'done' | 'resumed' | 'started';

const runSchema = z.object({
  shots: z.int().positive(),
  seed: z.int().nonnegative(),
  /** Held-out clips that were counted. */
  clips: z.int().positive(),
  top1: z.number(),
  top5: z.number(),
  meanClassAccuracy: z.number(),
});
const fileSchema = z.object({ settings: z.record(z.string(), z.unknown()), runs: z.array(runSchema) });

/** The held-out accuracies of one run after its last epoch, 0 to 1. */
export type FewShotRun = z.output<typeof runSchema>;

export interface FewShotSummary {
  readonly shots: number;
  readonly runs: number;
  readonly top1: Spread;
  readonly top5: Spread;
  readonly meanClassAccuracy: Spread;
}

export interface FewShotResult {
  /** In the order of the plan: by shots, then by seed. */
  readonly runs: readonly FewShotRun[];
  readonly summary: readonly FewShotSummary[];
  readonly file: string;
}

export const FEW_SHOT_FILE = 'few-shot.json';

/**
 * Carries out all runs of a plan that are not done yet.
 * @throws DataError where the folder holds runs of other settings or nothing was held out; and what `train` throws:
 *   the runs before it are kept.
 */
export async function runFewShot(plan: FewShotPlan): Promise<FewShotResult> {
  const { shots, seeds, folder, options, train, onRun = () => {} } = plan;
  const file = join(folder, FEW_SHOT_FILE);
  const settings = settingsOf(options);
  const done = await readDone(file, settings);
  const save = (): Promise<void> =>
    writeFileAtomically(file, `${JSON.stringify({ settings, runs: done, summary: summaryOf(done) }, null, 2)}\n`);
  // The settings stand there before the first run is stopped and may be taken up.
  await save();
  const planned = shots.flatMap((count) => seeds.map((seed) => ({ shots: count, seed })));
  for (const { shots: count, seed } of planned) {
    if (done.some((run) => run.shots === count && run.seed === seed)) {
      onRun({ shots: count, seed, state: 'done' });
      continue;
    }
    const out = join(folder, `shots-${count}-seed-${seed}`);
    const last = join(out, LAST_CHECKPOINT);
    const resumes = await access(last).then(
      () => true,
      () => false,
    );
    onRun({ shots: count, seed, state: resumes ? 'resumed' : 'started' });
    await train({ ...options, shots: count, seed, out, ...(resumes ? { resume: last } : {}) });
    done.push({ shots: count, seed, ...(await lastValidation(join(out, LOG_FILE))) });
    done.sort((a, b) => a.shots - b.shots || a.seed - b.seed);
    await save();
  }
  const runs = planned.flatMap((run) => done.filter(({ shots: k, seed }) => k === run.shots && seed === run.seed));
  return { runs, summary: summaryOf(runs), file };
}

/** Mean and deviation over the seeds, for each number of shots in the order of the runs. */
export function summaryOf(runs: readonly FewShotRun[]): FewShotSummary[] {
  return [...new Set(runs.map(({ shots }) => shots))].map((shots) => {
    const own = runs.filter((run) => run.shots === shots);
    return {
      shots,
      runs: own.length,
      top1: spreadOf(own.map(({ top1 }) => top1)),
      top5: spreadOf(own.map(({ top5 }) => top5)),
      meanClassAccuracy: spreadOf(own.map(({ meanClassAccuracy }) => meanClassAccuracy)),
    };
  });
}

export const fewShotTable = ({ runs, summary }: FewShotResult): FigureTable => ({
  title: `Few-shot, mean ± deviation on ${runs[0]?.clips ?? 0} held-out clips`,
  columns: ['clips of each class', 'runs', 'top-1', 'top-5', 'mean class'],
  rows: summary.map(({ shots, runs: count, ...figures }) => [
    String(shots),
    String(count),
    spread(figures.top1),
    spread(figures.top5),
    spread(figures.meanClassAccuracy),
  ]),
});

/** What results depend on: not how many threads load the clips. */
function settingsOf({ workers: _, ...options }: FewShotPlan['options']): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function readDone(file: string, settings: Record<string, unknown>): Promise<FewShotRun[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
  const found = fileSchema.safeParse(parsed(text));
  if (!found.success) throw new DataError(`${file}: not the results of few-shot runs`, 'choose another folder');
  if (JSON.stringify(found.data.settings) !== JSON.stringify(settings)) {
    throw new DataError(
      `${file} holds runs with the settings ${JSON.stringify(found.data.settings)}, not ${JSON.stringify(settings)}`,
      'choose another folder, or go on with the same options',
    );
  }
  return found.data.runs;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const validationSchema = runSchema.omit({ shots: true, seed: true });

async function lastValidation(log: string): Promise<z.output<typeof validationSchema>> {
  const record = (await readRunLog(log)).filter(({ kind }) => kind === 'validation').at(-1);
  if (record === undefined)
    throw new DataError(`${log}: no clip was held out`, 'few-shot runs need clips to measure on');
  return validationSchema.parse(record);
}
