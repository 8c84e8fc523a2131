/** The program `actionclip`: finds the command, runs it, and turns whatever goes wrong into one sentence. */
import { readFileSync } from 'node:fs';
import { nearest } from '../nearest.ts';
import { commands } from './commands.ts';
import { commandHelp, programHelp } from './help.ts';
import { OptionError, parseOptions } from './options.ts';
import { InterruptedError, processTerminal, type Terminal } from './terminal.ts';

/** Exit codes; the help of the program names them. A program that SIGINT ended has 130 by convention of shells. */
const failureCode = 1;
const interruptedCode = 130;

/** Runs the program with what follows its name on the command line; sets the exit code of the process. */
export async function main(args: readonly string[]): Promise<void> {
  const stop = new AbortController();
  const terminal = processTerminal(stop.signal);
  listenForInterruption(stop);
  leaveWhenNobodyReads();
  process.on('uncaughtException', (error) => {
    endAfter(error, terminal);
    process.exit();
  });
  try {
    await dispatch(args, terminal);
  } catch (error) {
    endAfter(error, terminal);
  }
}

/** Says what went wrong and sets the exit code. After an interruption the work under way is not waited for. */
function endAfter(error: unknown, terminal: Terminal): void {
  terminal.progress('');
  if (error instanceof InterruptedError || terminal.signal.aborted) {
    if (error instanceof InterruptedError && error.message !== '') terminal.say(error.message);
    process.exit(interruptedCode);
  }
  terminal.say(isForUser(error) ? error.message : isOfSystem(error) ? ofSystem(error) : fault(error));
  process.exitCode = failureCode;
}

/** The errors of these packages are sentences for the user; any other is a fault of the program. */
const isForUser = (error: unknown): error is Error => error instanceof Error && 'hint' in error;

/** A file or folder that the system refuses: no fault of the program. */
const isOfSystem = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && 'syscall' in error && 'code' in error;

const ofSystem = ({ message }: Error): string => `${message}; check the path, who may use it, and the space there`;

/** The whole stack, and what to do with it. */
const fault = (error: unknown): string =>
  `${error instanceof Error ? (error.stack ?? error.message) : error}
This is a fault of actionclip ${version()}: please report it with the lines above and the command that you ran.`;

async function dispatch(args: readonly string[], terminal: Terminal): Promise<void> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    terminal.out(programHelp(new Map([...commands].map(([key, { summary }]) => [key, summary]))));
    return;
  }
  if (name === '--version') {
    terminal.out(version());
    return;
  }
  const entry = commands.get(name);
  if (entry === undefined) {
    const near = nearest(name, [...commands.keys()]);
    const advice = near.length > 0 ? `did you mean ${near.join(' or ')}?` : `see actionclip --help`;
    throw new OptionError(`There is no command "${name}"`, advice);
  }
  const command = await entry.load();
  const parsed = parseOptions(rest, command.options, command.positionals);
  if (parsed === 'help') terminal.out(commandHelp(name, command));
  else await command.run(parsed, terminal);
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** The first signal asks, so that files and the terminal are left in order; the second ends the process at once. */
function listenForInterruption(stop: AbortController): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(interruptedCode);
      stop.abort(new InterruptedError());
    });
  }
}

/** `actionclip ... | head` closes the pipe early: that is no error. */
function leaveWhenNobodyReads(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }
}
