/** Where and with what a run was made. */
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Contender } from './contender.ts';
import { flagsOf } from './process.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));

export interface Environment {
  readonly processor: string;
  /** Threads that the process may use at once. */
  readonly processors: number;
  readonly memoryBytes: number;
  /** Processes that wanted to run in the minute before: near 0 on a quiet machine. */
  readonly load: number;
  readonly system: string;
  readonly node: string;
  readonly v8: string;
  readonly commit: string;
  /** Whether tracked files differed from the commit. */
  readonly modified: boolean;
  readonly date: string;
  /** Versions of the installed peers. */
  readonly packages: Readonly<Record<string, string>>;
  /** Options of Node that a contender ran with, where there were any. */
  readonly flags: Readonly<Record<string, readonly string[]>>;
}

/** What git says of the repository; nothing where the files lie without one. */
function git(...args: string[]): string | undefined {
  try {
    return execFileSync('git', args, { cwd: repository, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

/** Where a bundle names the commit that it was made of. */
const commitFile = join(repository, 'COMMIT');

async function commitOf(): Promise<{ commit: string; modified: boolean }> {
  const commit = git('rev-parse', 'HEAD');
  if (commit !== undefined) return { commit, modified: git('status', '--porcelain', '--untracked-files=no') !== '' };
  const named = await readFile(commitFile, 'utf8').catch(() => 'unknown');
  return { commit: named.trim().split(' ')[0] as string, modified: / modified/.test(named) };
}

async function versionOf(name: string): Promise<[string, string]> {
  const path = join(repository, 'benchmarks', 'node_modules', name, 'package.json');
  try {
    const { version } = JSON.parse(await readFile(path, 'utf8')) as { version: string };
    return [name, version];
  } catch {
    return [name, 'not installed'];
  }
}

/** @param contenders whose packages and flags are named. */
export async function describeEnvironment(contenders: readonly Contender[]): Promise<Environment> {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    processors: availableParallelism(),
    memoryBytes: totalmem(),
    load: loadavg()[0] ?? 0,
    system: `${type()} ${release()}, ${process.arch}`,
    node: process.version,
    v8: process.versions.v8,
    ...(await commitOf()),
    date: new Date().toISOString(),
    packages: Object.fromEntries(await Promise.all(contenders.flatMap(({ packages }) => packages).map(versionOf))),
    flags: Object.fromEntries(
      contenders.flatMap((contender) => {
        const flags = flagsOf(contender);
        return flags.length > 0 ? [[contender.name, flags] as const] : [];
      }),
    ),
  };
}
