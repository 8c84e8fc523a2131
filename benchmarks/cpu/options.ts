/** The options of the CPU benchmark. */
import { availableParallelism } from 'node:os';
import { type CommonOptions, commonOptions, commonTable, commonUsage, readOptions, whole } from '../harness/options.ts';

export const usage = `The WebAssembly backend beside other engines on the CPU.
${commonUsage}
  --threads 1,2        numbers of threads of those that have threads`;

export interface Options extends CommonOptions {
  readonly threads: readonly number[];
}

const table = {
  ...commonTable,
  threads: { type: 'string', default: availableParallelism() > 1 ? '1,2' : '1' },
} as const;

/** Reads the options. Throws OptionError. */
export function parseOptions(args: readonly string[]): Options {
  const { threads, ...common } = readOptions(args, table);
  return { ...commonOptions(common), threads: threads.split(',').map((given) => whole('threads', given)) };
}
