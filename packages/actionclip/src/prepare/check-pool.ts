/**
 * Checks clips in child processes. Processes, not threads: a decoder that crashes on a damaged file, or hangs in it, takes
 * its whole process with it, and only a process can be ended from outside.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { throwIfInterrupted } from '../interrupted.ts';
import type { CheckResult, ClipCheck } from './check-clip.ts';
import type { CheckReply, CheckRequest } from './check-protocol.ts';
import { counted } from './counted.ts';

export interface CheckPoolOptions {
  /** child processes */
  readonly workers: number;
  /** time for one clip, after which it is given up */
  readonly timeoutSeconds: number;
  /** called for each clip as it is done, in any order; the next one of this child waits for it */
  readonly onResult: (index: number, result: CheckResult) => void | Promise<void>;
  readonly signal?: AbortSignal | undefined;
  /** the program of the children, if not the one beside this file */
  readonly program?: URL;
}

/**
 * Checks all clips. Children are started as they are needed and ended when there is nothing left to check.
 * @throws InterruptedError if the signal is set off, at once; and what no clip is to blame for
 */
export async function runChecks(checks: readonly ClipCheck[], options: CheckPoolOptions): Promise<void> {
  const { workers, timeoutSeconds, onResult, signal, program } = options;
  throwIfInterrupted(signal);
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort);
  let next = 0;
  const lane = async (): Promise<void> => {
    const child = new CheckingChild(program ?? ownProgram());
    const end = (): void => child.end();
    stop.signal.addEventListener('abort', end);
    try {
      while (next < checks.length && !stop.signal.aborted) {
        const index = next++;
        const check = checks[index];
        if (check === undefined) break;
        const result = await child.check(check, timeoutSeconds);
        if (stop.signal.aborted) break;
        await onResult(index, result);
      }
    } catch (error) {
      if (!stop.signal.aborted) stop.abort(error);
    } finally {
      stop.signal.removeEventListener('abort', end);
      child.end();
    }
  };
  await Promise.all(Array.from({ length: Math.min(workers, checks.length) }, lane));
  signal?.removeEventListener('abort', onAbort);
  throwIfInterrupted(signal);
  stop.signal.throwIfAborted();
}

/** A child process, started when there is something to check, and again after it was lost. */
class CheckingChild {
  readonly #program: URL;
  #process: ChildProcess | undefined;
  #nextId = 0;

  constructor(program: URL) {
    this.#program = program;
  }

  /** @throws an Error if the child does not start, or reports a fault that is not the clip's */
  async check(check: ClipCheck, timeoutSeconds: number): Promise<CheckResult> {
    const child = this.#process ?? (await this.#start());
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        finish();
        this.end();
        resolve({ reason: `given up: it was not checked within ${counted(timeoutSeconds, 'second')}`, givenUp: true });
      }, timeoutSeconds * 1000);
      const onMessage = (reply: CheckReply): void => {
        if (reply.kind === 'ready' || reply.id !== id) return;
        finish();
        if (reply.kind === 'result') resolve(reply.result);
        else reject(new Error(reply.message));
      };
      const onExit = (code: number | null, signal: string | null): void => {
        finish();
        this.#process = undefined;
        resolve({ reason: `the decoder crashed on it (${signal ?? `exit code ${code}`})` });
      };
      const finish = (): void => {
        clearTimeout(timer);
        child.off('message', onMessage);
        child.off('exit', onExit);
      };
      child.on('message', onMessage);
      child.on('exit', onExit);
      child.send({ id, check } satisfies CheckRequest, () => {}); // a child that is gone says so by its exit
    });
  }

  /** Ends the child, in the midst of whatever it does. */
  end(): void {
    this.#process?.kill('SIGKILL');
    this.#process = undefined;
  }

  #start(): Promise<ChildProcess> {
    const child = fork(this.#program, {
      execArgv: loadingArguments(this.#program),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#process = child;
    let complaint = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      complaint = (complaint + chunk.toString()).slice(-2000);
    });
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => {
        this.#process = undefined;
        reject(new Error(`a process for checking did not start (exit code ${code}): ${complaint.trim()}`));
      };
      child.once('exit', onExit);
      child.once('error', reject);
      child.once('message', () => {
        child.off('exit', onExit);
        resolve(child);
      });
    });
  }
}

/** The program beside this file, as JavaScript where this is, as TypeScript where it runs from sources. */
function ownProgram(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './check-child.ts' : './check-child.js', import.meta.url);
}

/** From TypeScript sources a process needs tsx and the condition under which packages are sources. */
function loadingArguments(program: URL): string[] {
  if (!program.href.endsWith('.ts')) return [];
  return ['--conditions=@actionclip/source', '--import', import.meta.resolve('tsx')];
}
