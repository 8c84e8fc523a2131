/** What a command is: its options, its help, and what it does. Its work is imported only when it runs. */
import type { OptionTable, Parsed, Positionals } from './options.ts';
import type { Terminal } from './terminal.ts';

export interface Command<Table extends OptionTable = OptionTable> {
  /** What it does, in a sentence without its end. */
  readonly summary: string;
  readonly positionals: Positionals;
  readonly options: Table;
  /** Complete command lines that work. */
  readonly examples: readonly string[];
  /** What the help says below the options. */
  readonly notes?: string;
  readonly run: (given: Parsed<Table>, terminal: Terminal) => Promise<void>;
}

/** Lets the types of the values follow from the table of options. */
export function defineCommand<const Table extends OptionTable>(command: Command<Table>): Command<Table> {
  return command;
}
