import { describe, expect, it } from 'vitest';
import { InterruptedError, processTerminal, untilInterrupted } from '../../../packages/actionclip/src/cli/terminal.ts';

const { signal } = new AbortController();

interface Setting {
  readonly outIsTerminal?: boolean;
  readonly errIsTerminal?: boolean;
  readonly environment?: NodeJS.ProcessEnv;
  readonly columns?: number;
}

/** A terminal of streams that keep what is written, in one list. */
function terminalOf({ outIsTerminal = true, errIsTerminal = true, environment = {}, columns = 30 }: Setting = {}): {
  terminal: ReturnType<typeof processTerminal>;
  written: string[];
} {
  const written: string[] = [];
  const stream = (isTTY: boolean) => ({
    isTTY,
    columns,
    write: (text: string | Uint8Array): boolean => {
      written.push(String(text));
      return true;
    },
  });
  const streams = { stdout: stream(outIsTerminal), stderr: stream(errIsTerminal) };
  return { terminal: processTerminal(signal, environment, streams), written };
}

describe('a terminal', () => {
  it.each([
    ['a terminal', {}, [true, true, true]],
    ['a terminal with NO_COLOR', { environment: { NO_COLOR: '1' } }, [false, true, true]],
    ['a terminal with an empty NO_COLOR', { environment: { NO_COLOR: '' } }, [true, true, true]],
    ['a dumb terminal', { environment: { TERM: 'dumb' } }, [false, false, false]],
    ['a pipe for results', { outIsTerminal: false }, [false, false, true]],
    ['a file for messages', { errIsTerminal: false }, [true, true, false]],
  ] as const)('that is %s has colours, blocks and a line of progress: %j', (_, setting, expected) => {
    const { color, blocks, interactive } = terminalOf(setting).terminal;
    expect([color, blocks, interactive]).toEqual(expected);
  });

  it('has the palette alone where the terminal is known for it and does not say otherwise', () => {
    const TERM_PROGRAM = 'Apple_Terminal';
    expect(terminalOf().terminal.palette).toBe(false);
    expect(terminalOf({ environment: { TERM_PROGRAM } }).terminal.palette).toBe(true);
    expect(terminalOf({ environment: { TERM_PROGRAM, COLORTERM: 'truecolor' } }).terminal.palette).toBe(false);
  });

  it('draws progress over itself, in less than its width, and clears it before anything else is written', () => {
    const { terminal, written } = terminalOf({ columns: 10 });
    terminal.progress('化粧をする 1');
    terminal.progress('two\x1b[2J');
    terminal.out('result');
    terminal.say('message');
    terminal.progress('');
    const erase = '\r\x1b[2K';
    expect(written).toEqual(['化粧をす…', erase, 'two\ufffd[2J', erase, 'result\n', 'message\n']);
  });

  it('draws no progress where nobody sees it', () => {
    const { terminal, written } = terminalOf({ errIsTerminal: false });
    terminal.progress('one');
    terminal.say('message');
    expect(written).toEqual(['message\n']);
  });
});

describe('work that may be left', () => {
  it('is left at the signal, and gives what it gives without one', async () => {
    const stop = new AbortController();
    expect(await untilInterrupted(stop.signal, Promise.resolve(7))).toBe(7);
    await expect(untilInterrupted(stop.signal, Promise.reject(new RangeError('wrong')))).rejects.toThrow('wrong');
    const left = untilInterrupted(stop.signal, new Promise(() => {}));
    stop.abort();
    await expect(left).rejects.toBeInstanceOf(InterruptedError);
    await expect(untilInterrupted(stop.signal, Promise.resolve(7))).rejects.toBeInstanceOf(InterruptedError);
  });
});
