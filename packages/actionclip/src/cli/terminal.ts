/** Where a command writes: results to the standard output, everything else to the standard error. */
import { fitText, printable } from './drawing/text-width.ts';

export { InterruptedError, throwIfInterrupted, untilInterrupted } from '../interrupted.ts';

export interface Terminal {
  /** Writes a line of the result. */
  readonly out: (line: string) => void;
  /** Writes a line for the person who waits; it is no part of the result. */
  readonly say: (line: string) => void;
  /** Width of the output in characters. */
  readonly columns: number;
  /** Whether the output may have colours: a terminal, no `NO_COLOR`, not `TERM=dumb`. */
  readonly color: boolean;
  /** Whether the colours have to be of the palette of 256, since the terminal does not know those of 24 bits. */
  readonly palette?: boolean;
  /** Whether a person sees the output on a terminal that draws block characters; else drawings are in ASCII. */
  readonly blocks: boolean;
  /** Whether a person sees the standard error as it is written, so that a line may be drawn over. */
  readonly interactive: boolean;
  /** Redraws the one line of progress; an empty text removes it. Does nothing where it is not interactive. */
  readonly progress: (line: string) => void;
  /** Set off by the first SIGINT or SIGTERM: work stops at the next safe point. */
  readonly signal: AbortSignal;
}

const DEFAULT_COLUMNS = 80;
const ERASE_LINE = '\r\x1b[2K';

interface Streams {
  readonly stdout: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>;
  readonly stderr: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>;
}

/** The terminal of this process, or of the streams and the environment given. */
export function processTerminal(
  signal: AbortSignal,
  environment: NodeJS.ProcessEnv = process.env,
  { stdout, stderr }: Streams = process,
): Terminal {
  const plain = environment.TERM === 'dumb';
  const blocks = stdout.isTTY === true && !plain;
  const interactive = stderr.isTTY === true && !plain;
  let drawn = false;
  const erase = (): void => {
    if (drawn) stderr.write(ERASE_LINE);
    drawn = false;
  };
  return {
    out: (line) => {
      erase();
      stdout.write(`${line}\n`);
    },
    say: (line) => {
      erase();
      stderr.write(`${line}\n`);
    },
    columns: stdout.columns || DEFAULT_COLUMNS,
    color: blocks && !environment.NO_COLOR,
    palette: environment.TERM_PROGRAM === 'Apple_Terminal' && !environment.COLORTERM,
    blocks,
    interactive,
    progress: (line) => {
      if (!interactive) return;
      erase();
      if (line === '') return;
      // The last column stays free: a full line would wrap on some terminals.
      stderr.write(fitText(printable(line), (stderr.columns || DEFAULT_COLUMNS) - 1));
      drawn = true;
    },
    signal,
  };
}
