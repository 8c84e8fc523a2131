/** The options of the CPU benchmark. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { Pace } from './measure.ts';

/** An option that is unknown or of an unfit value. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
  readonly hint = 'see --help';
}

export const usage = `The WebAssembly backend beside other engines on the CPU.
  --only REGEX         cases whose name matches
  --contenders REGEX   contenders whose name matches, beside actionclip
  --threads 1,2        numbers of threads of those that have threads
  --rounds N           turns of each contender (5)
  --turn MS            length of a turn; at least one run (400)
  --quick              2 short turns: whether everything works, not how fast
  --out FILE           where the JSON goes; a whole run goes to benchmarks/results`;

export interface Options {
  readonly help: boolean;
  readonly quick: boolean;
  readonly only: RegExp;
  readonly contenders: RegExp;
  readonly threads: readonly number[];
  readonly pace: Pace;
  readonly out?: string;
}

const table = {
  help: { type: 'boolean', default: false },
  quick: { type: 'boolean', default: false },
  only: { type: 'string', default: '' },
  contenders: { type: 'string', default: '' },
  threads: { type: 'string', default: availableParallelism() > 1 ? '1,2' : '1' },
  rounds: { type: 'string', default: '5' },
  turn: { type: 'string', default: '400' },
  out: { type: 'string' },
} as const;

function whole(option: string, given: string): number {
  if (!/^[1-9]\d*$/.test(given))
    throw new OptionError(`--${option} has '${given}', where a whole number from 1 was expected`);
  return Number(given);
}

function pattern(option: string, given: string): RegExp {
  try {
    return new RegExp(given);
  } catch {
    throw new OptionError(`--${option} is '${given}', which is no regular expression`);
  }
}

/** Reads the options. Throws OptionError. */
export function parseOptions(args: readonly string[]): Options {
  const { help, quick, only, contenders, threads, rounds, turn, out } = read(args);
  return {
    help,
    quick,
    only: pattern('only', only),
    contenders: pattern('contenders', contenders),
    threads: threads.split(',').map((given) => whole('threads', given)),
    pace: quick
      ? { rounds: 2, turn: 50, warmUp: 200 }
      : { rounds: whole('rounds', rounds), turn: whole('turn', turn), warmUp: 1000 },
    ...(out === undefined ? {} : { out }),
  };
}

/** The texts of the options; parseArgs' complaints become ours. */
function read(args: readonly string[]): ReturnType<typeof parseArgs<{ options: typeof table }>>['values'] {
  try {
    return parseArgs({ args: [...args], options: table }).values;
  } catch (error) {
    throw new OptionError(error instanceof Error ? error.message : String(error));
  }
}
