/**
 * A page on this machine that shows a run while it trains. It lives in a thread of its own: drawing and readers never
 * hold the run up, and the page answers while a step occupies the main thread. If it fails, the run goes on.
 */
import { Worker } from 'node:worker_threads';
import type { RunLog } from '../train/log.ts';
import { workerProgram } from '../worker-program.ts';
import type { LiveSubject } from './history.ts';
import { ADDRESS, LivePageError } from './server.ts';
import type { LiveMessage, LiveReply, LiveStart } from './worker-messages.ts';

/** The port that is tried first unless told, and how many from there on. */
export const LIVE_PORT = 8765;
const TRIED_PORTS = 16;

/** Milliseconds that the thread has for its last words. */
const CLOSING_TIME = 3000;

export interface LivePage extends RunLog {
  readonly url: string;
  /** Says what is run. */
  begin(subject: LiveSubject): void;
  /** Says how the run ended, to whoever looks, and closes the page; later calls do nothing. */
  end(text: string): Promise<void>;
}

export interface LivePageOptions {
  /** This port or none, 0 for any that is free; unless told 8765, or the next one that is free. */
  readonly port?: number | undefined;
  /** Told once where the page fails later on. */
  readonly onProblem?: (text: string) => void;
}

/** @throws LivePageError where the port is taken. */
export async function openLivePage({ port, onProblem }: LivePageOptions = {}): Promise<LivePage> {
  const ports = port === undefined ? Array.from({ length: TRIED_PORTS }, (_, i) => LIVE_PORT + i) : [port];
  const { url, execArgv } = workerProgram('./live-worker', import.meta.url);
  const worker = new Worker(url, { workerData: { ports } satisfies LiveStart, execArgv });
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const listening = await new Promise<LiveReply>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  if (listening.kind === 'failed') {
    await exited;
    throw new LivePageError(listening.problem, listening.hint);
  }
  worker.removeAllListeners('error');
  worker.on('error', (error) => onProblem?.(`The live page has stopped, training goes on: ${messageOf(error)}`));
  // The page alone does not keep the process alive.
  worker.unref();
  const tell = (message: LiveMessage): void => worker.postMessage(message);
  let ended: Promise<void> | undefined;
  const end = async (text: string): Promise<void> => {
    worker.ref();
    tell({ kind: 'end', text });
    const timer = setTimeout(() => void worker.terminate(), CLOSING_TIME);
    await exited;
    clearTimeout(timer);
  };
  return {
    url: `http://${ADDRESS}:${listening.port}/`,
    begin: (subject) => tell({ kind: 'subject', subject }),
    write: async (record) => tell({ kind: 'record', record }),
    end: (text) => {
      ended ??= end(text);
      return ended;
    },
    close: () => {
      ended ??= end('The run has ended.');
      return ended;
    },
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
