/** A worker thread of the loader: loads one clip after another and sends each back with its buffer transferred. */

import { parentPort, workerData } from 'node:worker_threads';
import { ClipDataset } from './dataset.ts';
import { failureOf, type LoadReply, type LoadRequest, type WorkerStart } from './loader-protocol.ts';

const port = parentPort;
if (port === null) throw new Error('loader-worker.ts is started by the loader, as a worker thread');

const dataset = new ClipDataset((workerData as WorkerStart).dataset);
const waiting: Extract<LoadRequest, { kind: 'load' }>[] = [];
let busy = false;

port.on('message', (request: LoadRequest) => {
  if (request.kind === 'close') {
    waiting.length = 0;
    port.close(); // the thread ends once the clip in hand is done
  } else {
    waiting.push(request);
    if (!busy) void work();
  }
});

async function work(): Promise<void> {
  busy = true;
  for (let request = waiting.shift(); request !== undefined; request = waiting.shift()) {
    const reply = await answer(request.id, request.index, request.epoch);
    port?.postMessage(reply, 'frames' in reply ? [reply.frames.buffer] : []);
  }
  busy = false;
}

async function answer(id: number, index: number, epoch: number): Promise<LoadReply> {
  try {
    const { frames, label } = await dataset.load(index, epoch);
    const own = frames.byteLength === frames.buffer.byteLength && frames.buffer instanceof ArrayBuffer;
    return { id, frames: own ? (frames as Uint8Array<ArrayBuffer>) : Uint8Array.from(frames), label };
  } catch (error) {
    return { id, failure: failureOf(error, dataset.description.entries[index]?.path ?? `clip ${index}`) };
  }
}
