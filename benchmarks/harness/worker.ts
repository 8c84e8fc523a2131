/** The process of one contender for one case: makes work ready, runs it when asked, and tells the times. */
import type { Contender, Engine, Prepared, Setting } from './contender.ts';
import { sampleOf } from './data.ts';
import type { Reply, Request } from './protocol.ts';
import { costOf, type Work } from './work.ts';

const [listedIn, name] = process.argv.slice(2) as [string, string];
const { contenders } = (await import(listedIn)) as { contenders: readonly Contender[] };
const contender = contenders.find((entry) => entry.name === name) as Contender;

let prepared: Prepared | undefined;

/** Lets collected memory go and the engine put optimised code in place, outside of what is timed. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Runs that are finished together: as many as the last ones' time says are worth waiting for. */
let bundle = 1;
/** A wait for the device costs a fraction of a millisecond: a bundle takes many times that. */
const bundleMilliseconds = 30;

async function timesOf({ run, finish }: Prepared, milliseconds: number): Promise<number[]> {
  const times: number[] = [];
  const end = performance.now() + milliseconds;
  do {
    const start = performance.now();
    for (let i = 0; i < bundle; i++) await run();
    await finish?.();
    const time = (performance.now() - start) / bundle;
    times.push(time);
    if (finish) bundle = Math.max(1, Math.min(2 * bundle, Math.ceil(bundleMilliseconds / time)));
    await breathe();
  } while (performance.now() < end);
  return times;
}

async function prepare(setting: Setting, work: Work, warmUp: number): Promise<Reply> {
  const engine: Engine = await contender.open(setting);
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
  if (request.ask === 'prepare') return prepare(request.setting, request.work, request.warmUp);
  if (!prepared) throw new Error('nothing is prepared');
  if (request.ask === 'time') return { answer: 'times', times: await timesOf(prepared, request.milliseconds) };
  const working = prepared.working?.();
  const device = await prepared.deviceTime?.();
  return {
    answer: 'memory',
    resident: process.resourceUsage().maxRSS * 1024,
    ...(working === undefined ? {} : { working }),
    ...(device === undefined ? {} : { device }),
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
