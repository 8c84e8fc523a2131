/** The options of the GPU benchmark. */
import { type CommonOptions, commonOptions, commonTable, commonUsage, readOptions } from '../harness/options.ts';

export const usage = `The WebGPU backend beside other engines on the graphics processor.
${commonUsage}
  --tiny               small sizes in place of those of a graphics card
  --software           on the adapter of the tests, which computes on the processor (Linux on x64)`;

export interface Options extends CommonOptions {
  readonly tiny: boolean;
  readonly software: boolean;
}

const table = {
  ...commonTable,
  tiny: { type: 'boolean', default: false },
  software: { type: 'boolean', default: false },
} as const;

/** Reads the options. Throws OptionError. */
export function parseOptions(args: readonly string[]): Options {
  const { tiny, software, ...common } = readOptions(args, table);
  return { ...commonOptions(common), tiny, software };
}
