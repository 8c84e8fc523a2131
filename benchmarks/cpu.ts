/**
 * The WebAssembly backend beside other engines on the CPU, in one run and in turns: matrix products, row kernels,
 * attention, AdamW, CLIP's image towers, training steps, and how cost grows with frames.
 *
 *     npm ci --prefix benchmarks
 *     npx tsx --conditions=@actionclip/source benchmarks/cpu.ts [--help]
 *
 * A whole run goes to benchmarks/results/cpu-node<version>.json; a part of one only where --out says so.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeFileAtomically } from 'actionclip';
import { cases } from './cpu/cases.ts';
import { contenders } from './cpu/contender.ts';
import { describeEnvironment } from './cpu/environment.ts';
import { growthLines, growthOf, shareLine, sharesOf } from './cpu/findings.ts';
import { type CaseResult, type Entrant, measureCase, type Pace } from './cpu/measure.ts';
import { caseLines, comparison, overview } from './cpu/table.ts';

const usage = `Options:
  --only REGEX         cases whose name matches
  --contenders REGEX   contenders whose name matches, beside actionclip
  --threads 1,2        numbers of threads of those that have threads
  --rounds N           turns of each contender (5)
  --turn MS            length of a turn; at least one run (400)
  --quick              2 short turns: whether everything works, not how fast
  --out FILE           where the JSON goes`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    contenders: { type: 'string', default: '' },
    threads: { type: 'string', default: availableParallelism() > 1 ? '1,2' : '1' },
    rounds: { type: 'string', default: '5' },
    turn: { type: 'string', default: '400' },
    quick: { type: 'boolean', default: false },
    out: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

/** A load above which other processes disturb the measurement. */
const busy = 0.5;

/** A whole number from 1, or the end of the program with a sentence. */
function whole(option: string, given: string): number {
  if (/^[1-9]\d*$/.test(given)) return Number(given);
  console.error(`--${option} is '${given}', where a whole number from 1 was expected\n${usage}`);
  process.exit(2);
}

const pace: Pace = values.quick
  ? { rounds: 2, turn: 50, warmUp: 200 }
  : { rounds: whole('rounds', values.rounds), turn: whole('turn', values.turn), warmUp: 1000 };
const threadCounts = values.threads.split(',').map((given) => whole('threads', given));
const chosen = cases.filter(({ name }) => new RegExp(values.only).test(name));

/** Contenders without threads take part once, if ever one thread is measured. */
const entrants = contenders
  .filter((contender, i) => i === 0 || new RegExp(values.contenders).test(contender.name))
  .flatMap((contender): Entrant[] =>
    threadCounts.filter((threads) => contender.threaded || threads === 1).map((threads) => ({ contender, threads })),
  );

async function measureAll(): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const entry of chosen) {
    // Peers have no part in what only this project's model does.
    const alone = entry.work.kind === 'video';
    const result = await measureCase(
      entry,
      entrants.filter(({ contender }) => !alone || contender === contenders[0]),
      pace,
    );
    for (const line of caseLines(result)) console.log(line);
    results.push(result);
  }
  return results;
}

if (values.help) console.log(usage);
else {
  const environment = await describeEnvironment();
  const { processor, processors, node, v8, commit, load } = environment;
  console.log(`${processor}, ${processors} processors; Node ${node}, V8 ${v8}; commit ${commit.slice(0, 10)}`);
  console.log(
    `Load of the last minute: ${load.toFixed(2)}${load > busy ? '; a quiet machine gives better numbers' : ''}\n`,
  );
  const results = await measureAll();
  const [growth, shares] = [growthOf(results), sharesOf(results)];
  for (const lines of [overview(results), comparison(results), ...growth.map(growthLines), shares.map(shareLine)])
    if (lines.length > 0) console.log(`\n${lines.join('\n')}`);
  const isWhole = !values.quick && chosen.length === cases.length && values.contenders === '';
  const folder = fileURLToPath(new URL('results', import.meta.url));
  const out = values.out ?? (isWhole ? join(folder, `cpu-node${node.slice(1).split('.')[0]}.json`) : undefined);
  if (out !== undefined) {
    const record = {
      environment,
      options: { only: values.only, contenders: values.contenders, threads: threadCounts, ...pace },
      results,
      growth,
      shares,
    };
    await writeFileAtomically(out, `${JSON.stringify(record, null, 2)}\n`);
    console.log(`\nWritten to ${out}`);
  }
  if (results.some(({ outcomes }) => outcomes.some((outcome) => 'failed' in outcome))) process.exitCode = 1;
}
