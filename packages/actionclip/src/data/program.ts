/** Running another program to its end: its output, its complaints, and a limit to how long it may be silent. */

import { spawn } from 'node:child_process';
import { messageOf } from './errors.ts';

export interface ProgramOutput {
  readonly stdout: Buffer;
  /** what it said on stderr, at most about 10,000 characters */
  readonly stderr: string;
  /** null if a signal ended it */
  readonly exitCode: number | null;
}

export interface ProgramOptions {
  /** takes the output instead of `stdout`; the program waits while it works */
  readonly onData?: (chunk: Uint8Array) => void | Promise<void>;
  /** milliseconds without any output after which the program is ended */
  readonly patience: number;
}

/** The program was silent for too long and was ended. */
export class ProgramStalled extends Error {
  override readonly name = 'ProgramStalled';
}

/**
 * Runs a program and waits until it ended. If `onData` throws, the program is ended too.
 * @throws the system's error if it cannot be started, ProgramStalled if it was silent for too long
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  { onData, patience }: ProgramOptions,
): Promise<ProgramOutput> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  ended.catch(() => {}); // a program that cannot be started is reported below, after its empty output
  const stdout: Buffer[] = [];
  let stderr = '';
  let stalled = false;
  const silence = setTimeout(() => {
    stalled = true;
    child.kill('SIGKILL');
  }, patience);
  child.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < 10_000) stderr += chunk.toString();
    silence.refresh();
  });
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      if (onData === undefined) stdout.push(chunk);
      else await onData(chunk);
      silence.refresh();
    }
    const exitCode = await ended;
    if (stalled) throw new ProgramStalled(`${program} gave no output for ${patience / 1000} seconds`);
    return { stdout: Buffer.concat(stdout), stderr: stderr.trim(), exitCode };
  } finally {
    clearTimeout(silence);
    child.kill('SIGKILL'); // without effect on one that ended
    await ended.catch(messageOf);
  }
}
