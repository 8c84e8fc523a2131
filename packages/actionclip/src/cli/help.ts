/** The help of the program and of its commands. */
import type { Command } from './command.ts';
import { flagOf, type OptionTable } from './options.ts';

/** What `actionclip --help` prints. */
export function programHelp(commands: ReadonlyMap<string, string>): string {
  const width = Math.max(...[...commands.keys()].map(({ length }) => length));
  const lines = [...commands].map(([name, summary]) => `  ${name.padEnd(width)}  ${summary}`);
  return `Action recognition in videos by words.

  actionclip COMMAND [options]

${lines.join('\n')}

actionclip COMMAND --help says more, actionclip --version which version this is.

Results go to the standard output, messages to the standard error. Exit codes: 0 all was done; 1 something was not, and
a message says what; 130 it was interrupted. NO_COLOR=1 turns colours off.`;
}

/** What `actionclip NAME --help` prints. */
export function commandHelp(name: string, command: Command<OptionTable>): string {
  const { summary, positionals, options, examples, notes } = command;
  const rows = Object.entries(options).map(([key, { place, help }]) => ({
    left: `--${flagOf(key)}${place === undefined ? '' : ` ${place}`}`,
    help,
  }));
  rows.push({ left: '--help', help: 'this text' });
  const width = Math.max(...rows.map(({ left }) => left.length));
  return [
    `${summary}.`,
    `  actionclip ${[name, positionals.place, '[options]'].filter((part) => part !== '').join(' ')}`,
    rows.map(({ left, help }) => `  ${left.padEnd(width)}  ${help}`).join('\n'),
    ...(notes === undefined ? [] : [notes]),
    `Examples\n${examples.map((example) => `  ${example}`).join('\n')}`,
  ].join('\n\n');
}
