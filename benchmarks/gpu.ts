/**
 * The WebGPU backend beside other engines on the graphics processor, in one run and in turns: what the device can do at
 * most (memory copied, multiply-adds), matrix products, attention, row kernels, AdamW, CLIP's image towers, and
 * training steps; by wall clock, and by the device's own clock where it has one.
 *
 *     npm ci --prefix benchmarks
 *     npx tsx --conditions=@actionclip/source benchmarks/gpu.ts [--help]
 *
 * A whole run goes to benchmarks/results/gpu.json, one of tiny sizes to gpu-tiny.json; a part only where --out says so.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DeviceError, openDevice } from '@actionclip/tensor';
import { writeFileAtomically } from 'actionclip';
import { findSoftware } from './contenders/navigator.ts';
import { cases, imagesOf, tinyCases } from './gpu/cases.ts';
import { contenders } from './gpu/contenders.ts';
import { type Options, parseOptions, usage } from './gpu/options.ts';
import { describeEnvironment } from './harness/environment.ts';
import { type CaseResult, type Entrant, isTimed, measureCase } from './harness/measure.ts';
import { OptionError } from './harness/options.ts';
import { caseLines, comparison, label, overview } from './harness/table.ts';
import type { Case } from './harness/work.ts';

async function measureAll(chosen: readonly Case[], options: Options): Promise<CaseResult[]> {
  const { contenders: names, software, pace } = options;
  const entrants: Entrant[] = contenders
    .filter(({ name }, i) => i === 0 || names.test(name))
    .map((contender) => ({ contender, threads: 0, software }));
  const results: CaseResult[] = [];
  for (const entry of chosen) {
    const result = await measureCase(entry, entrants, pace);
    for (const line of caseLines(result)) console.log(line);
    results.push(result);
  }
  return results;
}

/** Throws DeviceError where there is no adapter: once, rather than in every case. */
async function requireAdapter(software: boolean): Promise<void> {
  await findSoftware({ threads: 0, software });
  await (await openDevice('webgpu', { allowSoftware: software })).close();
}

/** Images a second of the towers and the training steps. */
function imageLines(results: readonly CaseResult[]): string[] {
  return results.flatMap((result) => {
    const images = imagesOf(result.work);
    if (images === undefined) return [];
    const rates = result.outcomes.filter(isTimed).map((outcome) => {
      return `${label(outcome)} ${((1000 * images) / outcome.milliseconds.median).toFixed(1)}`;
    });
    return [`${result.name}, images a second: ${rates.join(', ')}`];
  });
}

/** Where the record goes: where it was asked to, else a whole run to the folder of results. */
function destination({ out, quick, tiny, only, contenders: names }: Options): string | undefined {
  if (out !== undefined) return out;
  if (quick || [only, names].some(({ source }) => source !== /(?:)/.source)) return undefined;
  return join(fileURLToPath(new URL('results', import.meta.url)), tiny ? 'gpu-tiny.json' : 'gpu.json');
}

async function run(options: Options): Promise<void> {
  const all = options.tiny ? tinyCases : cases;
  const chosen = all.filter(({ name }) => options.only.test(name));
  if (chosen.length === 0)
    throw new OptionError(`--only matches none of the cases: ${all.map(({ name }) => name).join('; ')}`);
  await requireAdapter(options.software);
  const environment = await describeEnvironment(contenders);
  const results = await measureAll(chosen, options);
  const [first] = results.flatMap(({ outcomes }) => outcomes.filter(isTimed));
  const device = first?.description ?? 'none';
  console.log(`\n${device}; Node ${environment.node}; commit ${environment.commit.slice(0, 10)}`);
  for (const lines of [overview(results), comparison(results), imageLines(results)])
    if (lines.length > 0) console.log(`\n${lines.join('\n')}`);
  const out = destination(options);
  if (out !== undefined) {
    const { only, contenders: names, tiny, software, pace } = options;
    const given = { only: only.source, contenders: names.source, tiny, software, ...pace };
    await writeFileAtomically(out, `${JSON.stringify({ environment, device, options: given, results }, null, 2)}\n`);
    console.log(`\nWritten to ${out}`);
  }
  if (results.some(({ outcomes }) => outcomes.some((outcome) => 'failed' in outcome))) process.exitCode = 1;
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) console.log(usage);
  else await run(options);
} catch (error) {
  if (error instanceof OptionError) {
    console.error(`${error.message}; ${error.hint}`);
    process.exitCode = 2;
  } else if (error instanceof DeviceError) {
    console.error(error.message);
    process.exitCode = 1;
  } else throw error;
}
