/**
 * The WebAssembly backend beside other engines on the CPU, in one run and in turns: matrix products, row kernels,
 * attention, AdamW, CLIP's image towers, training steps, and how cost grows with frames.
 *
 *     npm ci --prefix benchmarks
 *     npx tsx --conditions=@actionclip/source benchmarks/cpu.ts [--help]
 *
 * A whole run goes to benchmarks/results/cpu-node<version>.json; a part of one only where --out says so.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeFileAtomically } from 'actionclip';
import { cases } from './cpu/cases.ts';
import { contenders } from './cpu/contenders.ts';
import { growthLines, growthOf, shareLine, sharesOf } from './cpu/findings.ts';
import { type Options, parseOptions, usage } from './cpu/options.ts';
import { describeEnvironment, type Environment } from './harness/environment.ts';
import { type CaseResult, type Entrant, measureCase } from './harness/measure.ts';
import { OptionError } from './harness/options.ts';
import { caseLines, comparison, overview } from './harness/table.ts';
import type { Case } from './harness/work.ts';

/** A load above which other processes disturb the measurement. */
const busy = 0.5;

/** Contenders without threads take part once, if ever one thread is measured. */
const entrantsOf = ({ contenders: names, threads: counts }: Options): Entrant[] =>
  contenders
    .filter(({ name }, i) => i === 0 || names.test(name))
    .flatMap((contender) =>
      counts
        .filter((threads) => contender.threaded || threads === 1)
        .map((threads) => ({ contender, threads, software: false })),
    );

async function measureAll(chosen: readonly Case[], options: Options): Promise<CaseResult[]> {
  const entrants = entrantsOf(options);
  const own = entrants.filter(({ contender }) => contender === contenders[0]);
  const results: CaseResult[] = [];
  for (const entry of chosen) {
    // Peers have no part in how this project's model grows.
    const result = await measureCase(entry, entry.work.kind === 'video' ? own : entrants, options.pace);
    for (const line of caseLines(result)) console.log(line);
    results.push(result);
  }
  return results;
}

/** Where the record goes: where it was asked to, else a whole run to the folder of results. */
function destination({ out, quick, contenders: names }: Options, count: number): string | undefined {
  if (out !== undefined) return out;
  if (quick || count < cases.length || names.source !== /(?:)/.source) return undefined;
  const folder = fileURLToPath(new URL('results', import.meta.url));
  return join(folder, `cpu-node${process.versions.node.split('.')[0]}.json`);
}

const heading = ({ processor, processors, node, v8, commit, load }: Environment): string =>
  `${processor}, ${processors} processors; Node ${node}, V8 ${v8}; commit ${commit.slice(0, 10)}\n` +
  `Load of the last minute: ${load.toFixed(2)}${load > busy ? '; a quiet machine gives better numbers' : ''}\n`;

async function run(options: Options): Promise<void> {
  const chosen = cases.filter(({ name }) => options.only.test(name));
  if (chosen.length === 0)
    throw new OptionError(`--only matches none of the cases: ${cases.map(({ name }) => name).join('; ')}`);
  const environment = await describeEnvironment(contenders);
  console.log(heading(environment));
  const results = await measureAll(chosen, options);
  const [growth, shares] = [growthOf(results), sharesOf(results)];
  for (const lines of [overview(results), comparison(results), ...growth.map(growthLines), shares.map(shareLine)])
    if (lines.length > 0) console.log(`\n${lines.join('\n')}`);
  const out = destination(options, chosen.length);
  if (out !== undefined) {
    const { only, contenders: names, threads, pace } = options;
    const given = { only: only.source, contenders: names.source, threads, ...pace };
    await writeFileAtomically(
      out,
      `${JSON.stringify({ environment, options: given, results, growth, shares }, null, 2)}\n`,
    );
    console.log(`\nWritten to ${out}`);
  }
  if (results.some(({ outcomes }) => outcomes.some((outcome) => 'failed' in outcome))) process.exitCode = 1;
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) console.log(usage);
  else await run(options);
} catch (error) {
  if (!(error instanceof OptionError)) throw error;
  console.error(`${error.message}; ${error.hint}`);
  process.exitCode = 2;
}
