import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Command } from '../../../packages/actionclip/src/cli/command.ts';
import { commands } from '../../../packages/actionclip/src/cli/commands.ts';
import { commandHelp, programHelp } from '../../../packages/actionclip/src/cli/help.ts';
import {
  flagOf,
  fraction,
  OptionError,
  type OptionTable,
  oneOf,
  parseOptions,
  positive,
  text,
  wholeFrom,
} from '../../../packages/actionclip/src/cli/options.ts';

const loaded: readonly (readonly [string, Command<OptionTable>])[] = await Promise.all(
  [...commands].map(async ([name, { load }]) => [name, await load()] as const),
);

const table = {
  labels: { place: 'LIST', kind: text, help: '' },
  labelsFile: { place: 'FILE', kind: text, help: '' },
  top: { place: 'N', kind: wholeFrom(1), help: '' },
  window: { place: 'S', kind: positive, help: '' },
  part: { place: 'X', kind: fraction, help: '' },
  crops: { place: '1|3', kind: oneOf('1', '3'), help: '' },
  json: { help: '' },
} as const satisfies OptionTable;
const videos = { place: 'VIDEO...', least: 1, most: 2 };

describe('the options of a command', () => {
  it('become values of their kinds, and what is no option stays in its order', () => {
    const line = [
      'a.mp4',
      '--labels-file',
      'l.csv',
      '--top=3',
      '--window',
      '2.5',
      '--json',
      '--crops',
      '3',
      '--',
      '--b',
    ];
    expect(parseOptions(line, table, videos)).toEqual({
      values: { labelsFile: 'l.csv', top: 3, window: 2.5, json: true, crops: '3' },
      positionals: ['a.mp4', '--b'],
    });
    expect(parseOptions(['--top', 'x', '-h'], { json: table.json }, videos)).toBe('help');
  });

  it.each([
    [[], 'VIDEO... is missing; see --help'],
    [['a', 'b', 'c'], '"c" belongs to no option; see --help'],
    [['a', ''], 'An argument is empty; see --help'],
    [['a', '--lables', 'x'], 'There is no option --lables; did you mean --labels?'],
    [['a', '--qqqqqqqq'], 'There is no option --qqqqqqqq; see --help'],
    [['a', '--top'], '--top needs a value: a whole number from 1; see --help'],
    [['a', '--top', '--json'], '--top needs a value: a whole number from 1; see --help'],
    [['a', '--top', '0'], '--top: expected a whole number from 1, found "0"; see --help'],
    [['a', '--top', '1e400'], '--top: expected a whole number from 1, found "1e400"; see --help'],
    [['a', '--window', '-1'], '--window: expected a number above 0, found "-1"; see --help'],
    [['a', '--window', '0x10'], '--window: expected a number above 0, found "0x10"; see --help'],
    [['a', '--part', '1.01'], '--part: expected a number from 0 to 1, found "1.01"; see --help'],
    [['a', '--crops', '2'], '--crops: expected 1, 3, found "2"; see --help'],
    [['a', '--labels='], '--labels: expected a text, found ""; see --help'],
    [['a', '--json=yes'], '--json takes no value, found "yes"; see --help'],
    [['a', '--json', '--json'], '--json is given twice; give it once'],
    [['a', '--__proto__', 'x'], 'There is no option --__proto__; did you mean --part or --crops?'],
  ])('%j is refused: %s', (line, message) => {
    expect(() => parseOptions(line, table, videos)).toThrow(
      new OptionError(...(message.split('; ') as [string, string])),
    );
  });

  it('are values of their kind or an OptionError for any command line of any command', () => {
    const anyLine = fc.constantFrom(...loaded).chain(([name, { options }]) => {
      const flag = fc.constantFrom(...Object.keys(options).map(flagOf), 'help', 'nothing', '__proto__', 'constructor');
      const value = fc.oneof(
        fc.constantFrom(
          '1',
          '0',
          '3',
          '-1',
          '1.5',
          '1e9',
          'Infinity',
          'NaN',
          'auto',
          'wasm',
          'on',
          'meanP',
          '',
          ' ',
          '-',
          '--',
        ),
        fc.string({ maxLength: 8 }),
        fc.string({ unit: 'binary', maxLength: 8 }),
        fc.double().map(String),
      );
      const part = fc.oneof(
        flag.map((key) => [`--${key}`]),
        fc.tuple(flag, value).map(([key, given]) => [`--${key}`, given]),
        fc.tuple(flag, value).map(([key, given]) => [`--${key}=${given}`]),
        value.map((given) => [given]),
        fc.string({ maxLength: 6 }).map((given) => [`-${given}`]),
      );
      return fc.tuple(
        fc.constant(name),
        fc.array(part, { maxLength: 6 }).map((parts) => parts.flat()),
      );
    });
    const byName = new Map(loaded);
    let parsedLines = 0;
    fc.assert(
      fc.property(anyLine, ([name, line]) => {
        const command = byName.get(name);
        if (command === undefined) throw new Error(`no command ${name}`);
        const { options, positionals } = command;
        try {
          const parsed = parseOptions(line, options, positionals);
          if (parsed === 'help') return;
          parsedLines++;
          for (const [key, value] of Object.entries(parsed.values)) {
            const kind = options[key]?.kind;
            expect(value).toEqual(kind === undefined ? true : kind.parse(String(value)));
            expect(value).toBeDefined();
          }
          expect(parsed.positionals.length).toBeGreaterThanOrEqual(positionals.least);
          expect(parsed.positionals.length).toBeLessThanOrEqual(positionals.most);
          expect(parsed.positionals).not.toContain('');
        } catch (error) {
          if (!(error instanceof OptionError)) throw error;
        }
      }),
      { numRuns: 10_000 },
    );
    expect(parsedLines).toBeGreaterThan(100);
  });
});

/** Words as a shell makes them of a line without variables: quotes group, and end with `>`, `|` or a comment. */
function shellWords(line: string): string[] {
  const words = line.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  const end = words.findIndex((word) => ['>', '|', '#', '&&'].includes(word));
  return (end < 0 ? words : words.slice(0, end)).map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'));
}

describe('the help', () => {
  it('of the program names every command with its summary and the exit codes', () => {
    const help = programHelp(new Map([...commands].map(([name, { summary }]) => [name, summary])));
    for (const [name, { summary }] of commands)
      expect(help).toMatch(new RegExp(`^ {2}${name} .*${summary.slice(0, 20)}`, 'm'));
    expect(help).toMatch(/Exit codes: 0 .* 1 .*\n?.* 130 /);
  });

  it.each(loaded)('of %s names every option, and its examples are command lines that it takes', (name, command) => {
    const help = commandHelp(name, command);
    for (const key of Object.keys(command.options)) expect(help).toContain(`  --${flagOf(key)}`);
    expect(command.examples.length).toBeGreaterThan(0);
    for (const example of command.examples) {
      expect(help).toContain(example);
      const [program, called, ...line] = shellWords(example);
      expect([program, called]).toEqual(['actionclip', name]);
      expect(parseOptions(line, command.options, command.positionals)).not.toBe('help');
    }
  });
});
