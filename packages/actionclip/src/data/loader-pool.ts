/** Where clips are loaded: in this thread, or in a pool of worker threads. Either answers `load` with a promise. */

import { Worker } from 'node:worker_threads';
import { workerProgram } from '../worker-program.ts';
import { ClipDataset, type ClipDatasetDescription, type LoadedClip } from './dataset.ts';
import { errorOf, failureOf, type LoadReply, type LoadRequest, type WorkerStart } from './loader-protocol.ts';

export interface ClipPool {
  /** Loads a clip with the randomness of an epoch. Rejects with a DataError if the clip is at fault. */
  load(index: number, epoch: number): Promise<LoadedClip>;
  /** Ends the threads; clips that were asked for and not yet loaded reject. */
  close(): Promise<void>;
}

/** Loads in the calling thread, when asked. */
export function openInlinePool(description: ClipDatasetDescription): ClipPool {
  const dataset = new ClipDataset(description);
  return {
    load: async (index, epoch) => {
      try {
        return await dataset.load(index, epoch);
      } catch (error) {
        throw errorOf(failureOf(error, description.entries[index]?.path ?? `clip ${index}`));
      }
    },
    close: async () => {},
  };
}

/** Loads in worker threads. A clip always goes to the same thread, so that caches and frame counts are kept once. */
export function openWorkerPool(description: ClipDatasetDescription, workers: number): ClipPool {
  new ClipDataset(description); // a description that makes no sense is an error here, not in a thread
  const dataset = { ...description, cacheBytes: Math.floor((description.cacheBytes ?? 0) / workers) };
  const lanes = Array.from({ length: workers }, () => openLane({ dataset }));
  return {
    load: (index, epoch) => (lanes[index % workers] as Lane).load(index, epoch),
    close: async () => {
      await Promise.all(lanes.map((lane) => lane.close()));
    },
  };
}

type Lane = ClipPool;

/** Time for the clip in hand when a thread is asked to end, in milliseconds. */
const closingTime = 5000;

function openLane(start: WorkerStart): Lane {
  const { url, execArgv } = workerProgram('./loader-worker', import.meta.url);
  const worker = new Worker(url, { workerData: start, execArgv });
  const pending = new Map<number, { resolve: (clip: LoadedClip) => void; reject: (error: Error) => void }>();
  let nextId = 0;
  let ended: Error | undefined;

  const settle = (id: number): ReturnType<typeof pending.get> => {
    const request = pending.get(id);
    pending.delete(id);
    if (pending.size === 0) worker.unref(); // an idle thread does not keep the process alive
    return request;
  };
  const end = (error: Error): void => {
    ended ??= error;
    for (const id of [...pending.keys()]) settle(id)?.reject(ended);
  };
  worker.on('message', (reply: LoadReply) => {
    const request = settle(reply.id);
    if ('failure' in reply) request?.reject(errorOf(reply.failure));
    else request?.resolve({ frames: reply.frames, label: reply.label });
  });
  worker.on('error', (error) => end(error instanceof Error ? error : new Error(String(error))));
  const exited = new Promise<void>((resolve) => {
    worker.on('exit', (code) => {
      end(new Error(`a loader thread ended by itself with code ${code}`));
      resolve();
    });
  });
  worker.unref();

  const send = (request: LoadRequest): void => worker.postMessage(request);
  return {
    load: (index, epoch) =>
      new Promise((resolve, reject) => {
        if (ended !== undefined) {
          reject(ended);
          return;
        }
        const id = nextId++;
        pending.set(id, { resolve, reject });
        worker.ref();
        send({ kind: 'load', id, index, epoch });
      }),
    close: async () => {
      end(new Error('the loader was closed'));
      worker.ref();
      send({ kind: 'close' });
      const timer = setTimeout(() => void worker.terminate(), closingTime);
      await exited;
      clearTimeout(timer);
    },
  };
}
