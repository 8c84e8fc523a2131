/** What the options of the benchmarks have in common. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { Pace } from './measure.ts';

/** An option that is unknown or of an unfit value. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
  readonly hint = 'see --help';
}

/** Options that both benchmarks have. */
export interface CommonOptions {
  readonly help: boolean;
  readonly quick: boolean;
  readonly only: RegExp;
  readonly contenders: RegExp;
  readonly pace: Pace;
  readonly out?: string;
}

/** Their texts. */
export const commonTable = {
  help: { type: 'boolean', default: false },
  quick: { type: 'boolean', default: false },
  only: { type: 'string', default: '' },
  contenders: { type: 'string', default: '' },
  rounds: { type: 'string', default: '5' },
  turn: { type: 'string', default: '400' },
  out: { type: 'string' },
} as const;

/** Their lines in the help. */
export const commonUsage = `  --only REGEX         cases whose name matches
  --contenders REGEX   contenders whose name matches, beside actionclip
  --rounds N           turns of each contender (5)
  --turn MS            length of a turn; at least one run (400)
  --quick              2 short turns: whether everything works, not how fast
  --out FILE           where the JSON goes; a whole run goes to benchmarks/results`;

/** A whole number from 1. Throws OptionError. */
export function whole(option: string, given: string): number {
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

type Texts = ReturnType<typeof parseArgs<{ options: typeof commonTable }>>['values'];

/** The common options from their texts. Throws OptionError. */
export function commonOptions({ help, quick, only, contenders, rounds, turn, out }: Texts): CommonOptions {
  return {
    help,
    quick,
    only: pattern('only', only),
    contenders: pattern('contenders', contenders),
    pace: quick
      ? { rounds: 2, turn: 50, warmUp: 200 }
      : { rounds: whole('rounds', rounds), turn: whole('turn', turn), warmUp: 1000 },
    ...(out === undefined ? {} : { out }),
  };
}

/** The texts of the options of a table; parseArgs' complaints become ours. */
export function readOptions<T extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: T,
): ReturnType<typeof parseArgs<{ options: T }>>['values'] {
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new OptionError(error instanceof Error ? error.message : String(error));
  }
}
