/** Where and with what a run was made. */
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { contenders } from './contender.ts';
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

const git = (...args: string[]): string => execFileSync('git', args, { cwd: repository, encoding: 'utf8' }).trim();

async function versionOf(name: string): Promise<[string, string]> {
  const path = join(repository, 'benchmarks', 'node_modules', name, 'package.json');
  try {
    const { version } = JSON.parse(await readFile(path, 'utf8')) as { version: string };
    return [name, version];
  } catch {
    return [name, 'not installed'];
  }
}

export async function describeEnvironment(): Promise<Environment> {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    processors: availableParallelism(),
    memoryBytes: totalmem(),
    load: loadavg()[0] ?? 0,
    system: `${type()} ${release()}, ${process.arch}`,
    node: process.version,
    v8: process.versions.v8,
    commit: git('rev-parse', 'HEAD'),
    modified: git('status', '--porcelain', '--untracked-files=no') !== '',
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
