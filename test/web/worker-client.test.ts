// The page's end of the worker, against workers that answer, hang, die, or do not hear.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CallError, WorkerClient } from '../../examples/web/src/page/worker-client.ts';
import type { FromWorker, Progress, ToWorker } from '../../examples/web/src/protocol.ts';

/** A worker whose answers the test gives. */
class StagedWorker extends EventTarget {
  readonly heard: ToWorker[] = [];
  ended = false;

  postMessage(message: ToWorker): void {
    this.heard.push(message);
  }

  terminate(): void {
    this.ended = true;
  }

  say(message: FromWorker): void {
    this.dispatchEvent(new MessageEvent('message', { data: message }));
  }

  die(message: string): void {
    this.dispatchEvent(Object.assign(new Event('error'), { message }));
  }
}

let workers: StagedWorker[];
let client: WorkerClient;

beforeEach(() => {
  vi.useFakeTimers();
  workers = [];
  client = new WorkerClient(() => {
    const worker = new StagedWorker();
    workers.push(worker);
    return worker as unknown as Worker;
  });
});
afterEach(() => {
  vi.useRealTimers();
});

const answer = { name: 'wasm', description: 'two threads', features: [] };
const open = (signal?: AbortSignal): Promise<unknown> =>
  client.call('open', { device: 'auto' }, signal === undefined ? {} : { signal }).catch((error: unknown) => error);
const worker = (at = 0): StagedWorker => workers[at] as StagedWorker;

describe('a call to the worker', () => {
  it('is answered, after news of how far it is', async () => {
    const news: Progress[] = [];
    const result = client.call('open', { device: 'auto' }, { onProgress: (progress) => news.push(progress) });
    worker().say({ id: 1, progress: { activity: 'starting', done: 1, total: 2 } });
    worker().say({ id: 1, answer });
    expect(await result).toEqual(answer);
    expect(news).toEqual([{ activity: 'starting', done: 1, total: 2 }]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('fails with what the worker says', async () => {
    const result = open();
    worker().say({ id: 1, failure: { problem: 'no adapter', cancelled: false } });
    expect(await result).toMatchObject({ message: 'no adapter', cancelled: false, lost: false });
    expect(worker().ended).toBe(false);
  });

  it('is cancelled on the way, and goes nowhere if it was before', async () => {
    const controller = new AbortController();
    const result = open(controller.signal);
    controller.abort();
    expect(worker().heard.at(-1)).toEqual({ cancel: 1 });
    worker().say({ id: 1, failure: { problem: '', cancelled: true } });
    expect(await result).toMatchObject({ cancelled: true, lost: false });
    expect(await open(controller.signal)).toBeInstanceOf(CallError);
    expect(worker().heard).toHaveLength(2);
  });

  it('leaves nothing with a signal that outlasts it', async () => {
    const { signal } = new AbortController();
    const [added, removed] = [vi.spyOn(signal, 'addEventListener'), vi.spyOn(signal, 'removeEventListener')];
    const results = [open(signal), open(signal)];
    worker().say({ id: 1, answer });
    worker().say({ id: 2, failure: { problem: 'no adapter', cancelled: false } });
    await Promise.all(results);
    expect(removed.mock.calls.map(([, listener]) => listener)).toEqual(
      added.mock.calls.map(([, listener]) => listener),
    );
    expect(added).toHaveBeenCalledTimes(2);
  });

  it('goes on for as long as there is news', async () => {
    const result = open();
    for (let minute = 0; minute < 10; minute++) {
      vi.advanceTimersByTime(60_000);
      worker().say({ id: 1, progress: { activity: 'computing' } });
    }
    worker().say({ id: 1, answer });
    expect(await result).toEqual(answer);
  });

  it('ends a worker that hangs, says so, and the next call gets another one', async () => {
    const result = open();
    worker().say({ id: 1, progress: { activity: 'opening a file', patience: 30 } });
    vi.advanceTimersByTime(29_000);
    expect(worker().ended).toBe(false);
    vi.advanceTimersByTime(2000);
    expect(await result).toMatchObject({ lost: true, cancelled: false, message: expect.stringMatching(/30 seconds/) });
    expect(worker().ended).toBe(true);
    const next = open();
    worker(0).say({ id: 2, answer: { ...answer, name: 'of a worker that is gone' } });
    worker(1).say({ id: 2, answer });
    expect(await next).toEqual(answer);
  });

  it('leaves a worker that computes more time than one that reads', async () => {
    const result = open();
    worker().say({ id: 1, progress: { activity: 'opening a file', patience: 30 } });
    worker().say({ id: 1, progress: { activity: 'computing' } });
    vi.advanceTimersByTime(299_000);
    expect(worker().ended).toBe(false);
    vi.advanceTimersByTime(2000);
    expect(await result).toMatchObject({ lost: true, message: expect.stringMatching(/300 seconds/) });
  });

  it('ends a worker that does not hear of its cancellation', async () => {
    const controller = new AbortController();
    const result = open(controller.signal);
    controller.abort();
    vi.advanceTimersByTime(6000);
    expect(await result).toMatchObject({ cancelled: true, lost: true });
    expect(worker().ended).toBe(true);
  });

  it('says that the worker died, to all that wait', async () => {
    const results = [open(), open()];
    worker().die('out of memory');
    for (const result of results)
      expect(await result).toMatchObject({ lost: true, message: 'The worker stopped: out of memory' });
    expect(vi.getTimerCount()).toBe(0);
  });
});
