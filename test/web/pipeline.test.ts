// What the page does again after a change, with a worker whose answers the test gives.
import { beforeEach, describe, expect, it } from 'vitest';
import { Pipeline, type Stage } from '../../examples/web/src/page/pipeline.ts';
import { CallError, type WorkerClient } from '../../examples/web/src/page/worker-client.ts';

interface Made {
  readonly stage: Stage;
  readonly signal: AbortSignal;
  readonly answer: () => Promise<void>;
  readonly fail: (error: CallError) => Promise<void>;
}

let calls: Made[];
let told: string[];
let pipeline: Pipeline;

/** Lets what waits for an answer go on. */
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
};

beforeEach(() => {
  calls = [];
  told = [];
  const client = {
    call: (stage: Stage, _ask: unknown, { signal }: { signal: AbortSignal }) =>
      new Promise((resolve, reject) => {
        calls.push({
          stage,
          signal,
          answer: () => {
            resolve({});
            return settled();
          },
          fail: (error) => {
            reject(error);
            return settled();
          },
        });
        signal.addEventListener('abort', () => reject(new CallError('cancelled', { cancelled: true })));
      }),
  } as unknown as WorkerClient;
  const done = (stage: Stage) => () => void told.push(`${stage} done`);
  pipeline = new Pipeline(client, {
    started: () => {},
    progress: () => {},
    done: {
      open: done('open'),
      load: done('load'),
      watch: done('watch'),
      score: done('score'),
      follow: done('follow'),
    },
    failed: (stage, { message }) => void told.push(`${stage} failed: ${message}`),
    cancelled: (stage) => void told.push(`${stage} cancelled`),
    idle: () => void told.push('idle'),
  });
});

const last = (): Made => calls.at(-1) as Made;
const stages = (): Stage[] => calls.map(({ stage }) => stage);
const video = { name: 'clip', blob: new Blob() };

/** Goes through all four stages. */
async function ready(): Promise<void> {
  pipeline.set('open', { device: 'auto' });
  pipeline.set('load', { weights: { name: 'weights', address: '' }, clipMerges: '' });
  pipeline.set('watch', video);
  pipeline.set('score', { labels: ['a'] });
  for (let stage = 0; stage < 4; stage++) await last().answer();
}

describe('the pipeline', () => {
  it('takes the stages in their order, and waits for what is not chosen', async () => {
    pipeline.set('score', { labels: ['a'] });
    pipeline.set('open', { device: 'auto' });
    await last().answer();
    expect(stages()).toEqual(['open']);
    await ready();
    expect(told.filter((event) => event !== 'idle')).toContain('score done');
    expect(told.at(-1)).toBe('idle');
  });

  it('does again only what a change concerns', async () => {
    await ready();
    calls.length = 0;
    pipeline.set('score', { labels: ['a', 'b'] });
    await last().answer();
    expect(stages()).toEqual(['score']);
    pipeline.set('load', { weights: { name: 'others', address: '' }, clipMerges: '' });
    for (let stage = 0; stage < 3; stage++) await last().answer();
    expect(stages()).toEqual(['score', 'load', 'watch', 'score']);
  });

  it('cancels what a change makes useless, and nothing else', async () => {
    await ready();
    pipeline.set('watch', { ...video });
    const watching = last();
    pipeline.set('score', { labels: ['b'] });
    expect(watching.signal.aborted).toBe(false);
    pipeline.set('watch', { ...video });
    expect(watching.signal.aborted).toBe(true);
    await settled();
    expect(last().stage).toBe('watch');
    expect(last()).not.toBe(watching);
    expect(told.filter((event) => /failed|cancelled/.test(event))).toEqual([]);
  });

  it('stops at what failed until it is changed or tried again', async () => {
    await ready();
    pipeline.set('watch', { ...video });
    await last().fail(new CallError('no video'));
    expect(told.slice(-2)).toEqual(['watch failed: no video', 'idle']);
    const made = calls.length;
    pipeline.set('score', { labels: ['c'] });
    await settled();
    expect(calls).toHaveLength(made);
    pipeline.retry();
    expect(last().stage).toBe('watch');
    await last().fail(new CallError('no video'));
    pipeline.set('watch', { ...video });
    await last().answer();
    await last().answer();
    expect(told.at(-2)).toBe('score done');
  });

  it('stops when a person wants it to, and goes on when they do', async () => {
    await ready();
    pipeline.set('watch', { ...video });
    pipeline.cancel();
    await settled();
    expect(told.slice(-2)).toEqual(['watch cancelled', 'idle']);
    pipeline.retry();
    await last().answer();
    await last().answer();
    expect(told.at(-2)).toBe('score done');
  });

  it('starts over with the device where the worker is lost', async () => {
    await ready();
    pipeline.set('score', { labels: ['b'] });
    await last().fail(new CallError('the worker stopped', { lost: true }));
    expect(told.slice(-2)).toEqual(['score failed: the worker stopped', 'idle']);
    calls.length = 0;
    pipeline.retry();
    for (let stage = 0; stage < 4; stage++) await last().answer();
    expect(stages()).toEqual(['open', 'load', 'watch', 'score']);
  });
});
