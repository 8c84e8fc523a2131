/** One case by all contenders: made ready one after another, compared, then timed in turns. */
import type { Contender, Setting } from './contender.ts';
import { relativeDifference } from './data.ts';
import { ContenderProcess } from './process.ts';
import type { PreparedReply, Reply } from './protocol.ts';
import { medianOf, type Spread, spreadOf } from './statistics.ts';
import type { Case, Cost, Work } from './work.ts';

export interface Pace {
  /** Turns of each contender. */
  readonly rounds: number;
  /** Of one turn, in milliseconds; a turn is at least one run. */
  readonly turn: number;
  /** Of runs before the first turn, in milliseconds. */
  readonly warmUp: number;
}

/** A contender with its setting. */
export interface Entrant extends Setting {
  readonly contender: Contender;
}

interface Named {
  readonly name: string;
  readonly threads: number;
}

/** A contender that ran. */
export interface Timed extends Named {
  readonly description: string;
  /** Of one run, over the runs of all turns. */
  readonly milliseconds: Spread;
  readonly runs: number;
  /** The median of each turn, in milliseconds. */
  readonly turns: readonly number[];
  /** The process at its fullest, in bytes. */
  readonly resident: number;
  /** Device memory of a run beside the parameters, in bytes. */
  readonly working?: number;
  /** Milliseconds of one run as the device counts them. */
  readonly device?: number;
  /** From the first contender's result, relative to its largest element. */
  readonly difference?: number;
  /** How many times as long as this engine with as many threads: the median over turns. */
  readonly ratio?: number;
}

export type Outcome =
  | Timed
  /** Not done, for a reason. */
  | (Named & { readonly absent: string })
  | (Named & { readonly failed: string });

export interface CaseResult {
  readonly name: string;
  readonly work: Work;
  readonly cost?: Cost;
  readonly outcomes: readonly Outcome[];
}

export const isTimed = (outcome: Outcome): outcome is Timed => 'milliseconds' in outcome;

/** Results that differ by more compute something else, unless the contender rounds more. */
const largestDifference = 1e-3;

interface Runner extends Entrant {
  readonly process: ContenderProcess;
  readonly prepared: PreparedReply;
  readonly difference?: number;
  readonly times: number[][];
}

const named = ({ contender, threads }: Entrant): Named => ({ name: contender.name, threads });

const without = (entrant: Entrant, reply: Reply): Outcome => ({
  ...named(entrant),
  ...(reply.answer === 'absent'
    ? { absent: reply.reason }
    : { failed: reply.answer === 'failed' ? reply.message : `an answer of another kind: ${reply.answer}` }),
});

/** Starts a contender and compares its result with the first one's. */
async function start(
  entrant: Entrant,
  work: Work,
  { warmUp }: Pace,
  expected: Float32Array | undefined,
): Promise<Runner | Outcome> {
  const { contender, threads, software } = entrant;
  const process = new ContenderProcess(contender);
  const reply = await process.ask({ ask: 'prepare', setting: { threads, software }, work, warmUp });
  if (reply.answer !== 'prepared') {
    await process.close();
    return without(entrant, reply);
  }
  const { sample } = reply;
  const difference = expected && sample ? relativeDifference(expected, sample) : undefined;
  if (difference !== undefined && !(difference <= (contender.tolerance ?? largestDifference))) {
    await process.close();
    return { ...named(entrant), failed: `its result differs by ${difference.toExponential(1)}` };
  }
  return { ...entrant, process, prepared: reply, times: [], ...(difference === undefined ? {} : { difference }) };
}

/** Turns of all runners. Each round starts with another one, so that none is always behind the same neighbour. */
async function takeTurns(runners: Runner[], { rounds, turn }: Pace): Promise<Map<Runner, Reply>> {
  const failures = new Map<Runner, Reply>();
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < runners.length; i++) {
      const runner = runners[(i + round) % runners.length] as Runner;
      if (failures.has(runner)) continue;
      const reply = await runner.process.ask({ ask: 'time', milliseconds: turn });
      if (reply.answer === 'times') runner.times.push([...reply.times]);
      else failures.set(runner, reply);
    }
  }
  return failures;
}

async function summarise(runner: Runner, ours: readonly number[] | undefined): Promise<Outcome> {
  const memory = await runner.process.ask({ ask: 'memory' });
  if (memory.answer !== 'memory') return without(runner, memory);
  const times = runner.times.flat();
  const turns = runner.times.map(medianOf);
  const ratio = ours && medianOf(turns.map((value, i) => value / (ours[i] as number)));
  return {
    ...named(runner),
    description: runner.prepared.description,
    milliseconds: spreadOf(times),
    runs: times.length,
    turns,
    resident: memory.resident,
    ...(memory.working === undefined ? {} : { working: memory.working }),
    ...(memory.device === undefined ? {} : { device: memory.device }),
    ...(runner.difference === undefined ? {} : { difference: runner.difference }),
    ...(ratio === undefined ? {} : { ratio }),
  };
}

/** Measures one case. The first entrant is the one that the others are compared with. */
export async function measureCase({ name, work }: Case, entrants: readonly Entrant[], pace: Pace): Promise<CaseResult> {
  const outcomes = new Map<Entrant, Outcome>();
  const runners = new Map<Entrant, Runner>();
  let expected: Float32Array | undefined;
  try {
    for (const entrant of entrants) {
      const started = await start(entrant, work, pace, expected);
      if ('process' in started) {
        runners.set(entrant, started);
        expected ??= started.prepared.sample;
      } else outcomes.set(entrant, started);
    }
    const failures = await takeTurns([...runners.values()], pace);
    const [first] = entrants;
    for (const [entrant, runner] of runners) {
      const failure = failures.get(runner);
      const ours = [...runners.values()].find(
        (other) => other.contender === first?.contender && other.threads === entrant.threads,
      );
      const isPeer = entrant.contender !== first?.contender && ours !== undefined && !failures.has(ours);
      const base = isPeer ? ours.times.map(medianOf) : undefined;
      outcomes.set(entrant, failure ? without(entrant, failure) : await summarise(runner, base));
    }
  } finally {
    await Promise.all([...runners.values()].map(({ process }) => process.close()));
  }
  const cost = [...runners.values()].find(({ prepared }) => prepared.cost)?.prepared.cost;
  return {
    name,
    work,
    ...(cost === undefined ? {} : { cost }),
    outcomes: entrants.flatMap((entrant) => outcomes.get(entrant) ?? []),
  };
}
