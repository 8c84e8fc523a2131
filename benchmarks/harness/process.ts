/** A contender in a process of its own, so that flags, threads and memory of one do not disturb another. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Contender } from './contender.ts';
import type { Reply, Request } from './protocol.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const worker = fileURLToPath(new URL('./worker.ts', import.meta.url));
const major = Number(process.versions.node.split('.')[0]);

/** Characters of a process's error output that are kept. */
const keptOutput = 2000;

/** The Node options with which a contender runs. */
export const flagsOf = ({ flags }: Contender): readonly string[] => flags?.(major) ?? [];

export class ContenderProcess {
  readonly #child: ChildProcess;
  #errors = '';

  constructor(contender: Contender) {
    this.#child = fork(worker, [contender.listedIn, contender.name], {
      cwd: repository,
      execArgv: ['--conditions=@actionclip/source', '--import', 'tsx', ...flagsOf(contender)],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString()).slice(-keptOutput);
    });
  }

  /** Asks and waits. A process that dies answers `failed` with the end of its error output. */
  ask(request: Request): Promise<Reply> {
    return new Promise((resolve) => {
      const finish = (reply: Reply): void => {
        this.#child.off('message', finish);
        this.#child.off('exit', died);
        resolve(reply);
      };
      const died = (code: number | null, signal: string | null): void => {
        const output = this.#errors.trim().split('\n').slice(-3).join(' ');
        finish({ answer: 'failed', message: `the process ended with ${signal ?? code}: ${output}` });
      };
      this.#child.on('message', finish);
      this.#child.on('exit', died);
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        died(this.#child.exitCode, this.#child.signalCode);
        return;
      }
      this.#child.send(request);
    });
  }

  /** Ends the process and waits until its memory is free. */
  close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      this.#child.once('exit', () => resolve());
      this.#child.kill('SIGKILL');
    });
  }
}
