/** The process of one contender for one case: makes work ready, runs it when asked, and tells the times. */
import { type Contender, contenders, type Engine, type Prepared } from './contender.ts';
import { sampleOf } from './data.ts';
import type { Reply, Request } from './protocol.ts';
import { costOf, type Work } from './work.ts';

const [name, threads] = process.argv.slice(2) as [string, string];
const contender = contenders.find((entry) => entry.name === name) as Contender;

let prepared: Prepared | undefined;

/** Lets collected memory go and the engine put optimised code in place, outside of what is timed. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function timesOf({ run }: Prepared, milliseconds: number): Promise<number[]> {
  const times: number[] = [];
  const end = performance.now() + milliseconds;
  do {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
    await breathe();
  } while (performance.now() < end);
  return times;
}

async function prepare(engine: Engine, work: Work, warmUp: number): Promise<Reply> {
  const ability = engine.abilities[work.kind] as ((work: Work) => Promise<Prepared | string>) | string;
  const made = typeof ability === 'string' ? ability : await ability(work);
  if (typeof made === 'string') return { answer: 'absent', reason: made };
  prepared = made;
  const result = await prepared.result?.();
  await timesOf(prepared, warmUp);
  const cost = prepared.cost ?? costOf(work);
  return {
    answer: 'prepared',
    description: engine.description,
    ...(result === undefined ? {} : { sample: sampleOf(result) }),
    ...(cost === undefined ? {} : { cost }),
  };
}

async function answer(request: Request): Promise<Reply> {
  if (request.ask === 'prepare') return prepare(await contender.open(Number(threads)), request.work, request.warmUp);
  if (!prepared) throw new Error('nothing is prepared');
  if (request.ask === 'time') return { answer: 'times', times: await timesOf(prepared, request.milliseconds) };
  const working = prepared.working?.();
  return {
    answer: 'memory',
    resident: process.resourceUsage().maxRSS * 1024,
    ...(working === undefined ? {} : { working }),
  };
}

process.on('message', (request: Request) => {
  answer(request)
    .catch((error: unknown): Reply => {
      const message = error instanceof Error ? error.message : String(error);
      const missing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND';
      const ours = contender.packages.length === 0;
      return missing && !ours
        ? { answer: 'absent', reason: 'not installed (npm ci --prefix benchmarks)' }
        : { answer: 'failed', message };
    })
    .then((reply) => process.send?.(reply));
});

// Without the process that asks there is nothing to do.
process.on('disconnect', () => process.exit());
