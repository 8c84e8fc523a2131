/** What a page and its workers keep in memory after a collection of garbage, as Chromium's debugger tells it. */
import type { CDPSession, Page } from 'playwright';

/** Bytes, but for the nodes. */
export interface BrowserMemory {
  /** JavaScript's heap of the page, and of all of its workers. */
  readonly pageHeap: number;
  readonly workerHeap: number;
  /** Buffers of JavaScript outside of the heaps. */
  readonly pageBuffers: number;
  readonly workerBuffers: number;
  /** Memories of WebAssembly in the workers. */
  readonly wasm: number;
  /** Nodes of documents, whether they are shown or not. */
  readonly nodes: number;
  /** Workers that were asked. */
  readonly workers: number;
}

interface HeapUsage {
  readonly usedSize: number;
  readonly backingStorageSize: number;
}

/** Asks one thread: a method of the debugger with its parameters, and its result. */
type Ask = (method: string, parameters?: object) => Promise<unknown>;

export class MemoryProbe {
  readonly #session: CDPSession;
  readonly #workers = new Map<string, Ask>();

  /** A probe of a page that has its workers already or starts them later. */
  static async of(page: Page): Promise<MemoryProbe> {
    const session = await page.context().newCDPSession(page);
    const probe = new MemoryProbe(session);
    await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
    return probe;
  }

  private constructor(session: CDPSession) {
    this.#session = session;
    const waiting = new Map<string, (result: unknown) => void>();
    let last = 0;
    session.on('Target.receivedMessageFromTarget', ({ sessionId, message }) => {
      const { id, result } = JSON.parse(message) as { id?: number; result?: unknown };
      waiting.get(`${sessionId} ${id}`)?.(result);
      waiting.delete(`${sessionId} ${id}`);
    });
    session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
      if (targetInfo.type !== 'worker') return;
      this.#workers.set(sessionId, (method, params = {}) => {
        const id = ++last;
        const answer = new Promise((resolve) => waiting.set(`${sessionId} ${id}`, resolve));
        return session
          .send('Target.sendMessageToTarget', { sessionId, message: JSON.stringify({ id, method, params }) })
          .then(() => answer);
      });
    });
    session.on('Target.detachedFromTarget', ({ sessionId }) => this.#workers.delete(sessionId));
  }

  /** Collects garbage everywhere, and tells what is left. */
  async sample(): Promise<BrowserMemory> {
    const page: Ask = (method) => this.#session.send(method as 'Runtime.getHeapUsage');
    const workers = [...this.#workers.values()];
    const [ofPage, ...ofWorkers] = await Promise.all([page, ...workers].map(leftover));
    const memories = await Promise.all(workers.map(wasmBytes));
    const { nodes } = await this.#session.send('Memory.getDOMCounters');
    const sum = (of: (usage: HeapUsage) => number): number => ofWorkers.reduce((total, usage) => total + of(usage), 0);
    return {
      pageHeap: ofPage?.usedSize ?? 0,
      pageBuffers: ofPage?.backingStorageSize ?? 0,
      workerHeap: sum(({ usedSize }) => usedSize),
      workerBuffers: sum(({ backingStorageSize }) => backingStorageSize),
      wasm: memories.reduce((total, bytes) => total + bytes, 0),
      nodes,
      workers: ofWorkers.length,
    };
  }
}

async function leftover(ask: Ask): Promise<HeapUsage> {
  // What a first collection finalizes, a second one frees.
  for (let round = 0; round < 2; round++) await ask('HeapProfiler.collectGarbage');
  return (await ask('Runtime.getHeapUsage')) as HeapUsage;
}

/** Bytes of all memories of WebAssembly that a thread can reach. */
async function wasmBytes(ask: Ask): Promise<number> {
  const objectGroup = 'memories';
  const prototype = await ask('Runtime.evaluate', { expression: 'WebAssembly.Memory.prototype', objectGroup });
  const { objectId: prototypeObjectId } = (prototype as RemoteValue).result;
  const { objects } = (await ask('Runtime.queryObjects', { prototypeObjectId, objectGroup })) as RemoteObjects;
  const sum = await ask('Runtime.callFunctionOn', {
    objectId: objects.objectId,
    functionDeclaration: 'function () { return this.reduce((sum, { buffer }) => sum + buffer.byteLength, 0); }',
    returnByValue: true,
  });
  await ask('Runtime.releaseObjectGroup', { objectGroup });
  return Number((sum as RemoteValue).result.value);
}

interface RemoteValue {
  readonly result: { readonly objectId?: string; readonly value?: unknown };
}
interface RemoteObjects {
  readonly objects: { readonly objectId: string };
}
