/**
 * The options of a command as a table, from which the command line is parsed and the help is written. A key
 * `labelsFile` is the option `--labels-file`. Nothing heavy is imported here: `--help` must come at once.
 */
import { parseArgs } from 'node:util';
import { nearest } from '../nearest.ts';

/** A command line that is unknown, incomplete or of an unfit value. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
  readonly hint: string;

  constructor(problem: string, hint: string) {
    super(`${problem}; ${hint}`);
    this.hint = hint;
  }
}

/** How the text of a value becomes a value; undefined where it does not. `expected` completes "expected ...". */
export interface Kind<Value> {
  readonly expected: string;
  readonly parse: (text: string) => Value | undefined;
}

export const text: Kind<string> = { expected: 'a text', parse: (given) => (given === '' ? undefined : given) };

export const wholeFrom = (least: number, most = Number.MAX_SAFE_INTEGER): Kind<number> => ({
  expected: `a whole number from ${least}${most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`}`,
  parse: (given) =>
    /^\d+$/.test(given) && Number(given) >= least && Number(given) <= most ? Number(given) : undefined,
});

export const positive: Kind<number> = {
  expected: 'a number above 0',
  parse: (given) => (decimal.test(given) && Number(given) > 0 ? finite(given) : undefined),
};

/** From 0 to 1, both included. */
export const fraction: Kind<number> = {
  expected: 'a number from 0 to 1',
  parse: (given) => (decimal.test(given) && Number(given) <= 1 ? finite(given) : undefined),
};

export const oneOf = <const Names extends readonly string[]>(...names: Names): Kind<Names[number]> => ({
  expected: names.join(', '),
  parse: (given) => names.find((name) => name === given),
});

const decimal = /^(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const finite = (given: string): number | undefined => (Number.isFinite(Number(given)) ? Number(given) : undefined);

/** An option with a value (`place` stands for it in the help), or a switch, which has neither place nor kind. */
export type Option =
  | { readonly place: string; readonly kind: Kind<unknown>; readonly help: string }
  | { readonly help: string; readonly place?: never; readonly kind?: never };

export type OptionTable = Readonly<Record<string, Option>>;

export type Values<Table extends OptionTable> = {
  readonly [Key in keyof Table]?: Table[Key] extends { readonly kind: Kind<infer Value> } ? Value : true;
};

/** What stands on a command line without a `--`. */
export interface Positionals {
  /** In the help, such as `VIDEO...`. */
  readonly place: string;
  readonly least: number;
  readonly most: number;
}

export const noPositionals: Positionals = { place: '', least: 0, most: 0 };

export interface Parsed<Table extends OptionTable> {
  readonly values: Values<Table>;
  readonly positionals: readonly string[];
}

/** `labelsFile` -> `labels-file` */
export const flagOf = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/**
 * Parses what follows a command's name. After `--` everything is positional.
 * @returns `help` where `--help` or `-h` is among the arguments.
 * @throws OptionError that names the option and says what was expected.
 */
export function parseOptions<Table extends OptionTable>(
  args: readonly string[],
  table: Table,
  positionalRule: Positionals,
): Parsed<Table> | 'help' {
  const keys = new Map(Object.keys(table).map((key) => [flagOf(key), key]));
  const types = [...keys].map(([flag, key]) => [flag, { type: table[key]?.kind ? 'string' : 'boolean' }] as const);
  const { tokens } = parseArgs({
    args: [...args],
    options: { ...Object.fromEntries(types), help: { type: 'boolean', short: 'h' } },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  if (tokens.some((token) => token.kind === 'option' && token.name === 'help')) return 'help';
  const values = new Map<string, unknown>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') {
      positionals.push(token.value);
      continue;
    }
    const key = keys.get(token.name);
    const option = key === undefined ? undefined : table[key];
    if (key === undefined || option === undefined) throw unknownOption(token.rawName, [...keys.keys()]);
    if (values.has(key)) throw new OptionError(`${token.rawName} is given twice`, 'give it once');
    values.set(key, parsedValue(token.rawName, token.value, option));
  }
  checkPositionals(positionals, positionalRule);
  // Each value came out of its own row's kind.
  return { values: Object.fromEntries(values) as Values<Table>, positionals };
}

function parsedValue(name: string, given: string | undefined, { kind }: Option): unknown {
  if (kind === undefined) {
    if (given !== undefined) throw new OptionError(`${name} takes no value, found "${given}"`, 'see --help');
    return true;
  }
  if (given === undefined || given.startsWith('--')) {
    throw new OptionError(`${name} needs a value: ${kind.expected}`, 'see --help');
  }
  const value = kind.parse(given);
  if (value === undefined) throw new OptionError(`${name}: expected ${kind.expected}, found "${given}"`, 'see --help');
  return value;
}

function unknownOption(given: string, flags: readonly string[]): OptionError {
  const near = nearest(given.replace(/^-+/, ''), flags).map((flag) => `--${flag}`);
  return new OptionError(
    `There is no option ${given}`,
    near.length > 0 ? `did you mean ${near.join(' or ')}?` : 'see --help',
  );
}

function checkPositionals(given: readonly string[], { place, least, most }: Positionals): void {
  if (given.includes('')) throw new OptionError('An argument is empty', 'see --help');
  if (given.length < least) throw new OptionError(`${place} is missing`, 'see --help');
  const [extra] = given.slice(most);
  if (extra !== undefined) throw new OptionError(`"${extra}" belongs to no option`, 'see --help');
}
