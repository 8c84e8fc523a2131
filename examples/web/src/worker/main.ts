/** The worker: everything heavy. It takes one call after the other and hears of cancellations in between. */
import { OutOfMemoryError } from '@actionclip/tensor';
import { InterruptedError } from 'actionclip/browser';
import type { Answer, CallName, Failure, FromWorker, ToWorker } from '../protocol.ts';
import { Session } from './session.ts';
import { Turn } from './turn.ts';

const session = new Session();
const wanted = new Map<number, AbortController>();
let queue: Promise<void> = Promise.resolve();

self.addEventListener('message', ({ data }: MessageEvent<ToWorker>) => {
  if ('cancel' in data) {
    wanted.get(data.cancel)?.abort();
    return;
  }
  const controller = new AbortController();
  wanted.set(data.id, controller);
  queue = queue.then(() => answer(data, controller.signal));
});

type Call = Exclude<ToWorker, { readonly cancel: number }>;

async function answer(call: Call, signal: AbortSignal): Promise<void> {
  const { id } = call;
  const turn = new Turn(signal, (progress) => say({ id, progress }));
  try {
    await turn.breathe();
    const result = await carryOut(call, turn);
    say({ id, answer: result }, transferred(result));
  } catch (error) {
    say({ id, failure: failureOf(error, signal) });
  } finally {
    wanted.delete(id);
    // Here, so that a frame goes even where nobody got to look at it.
    if ('frame' in call.ask) call.ask.frame.close();
  }
}

function carryOut(call: Call, turn: Turn): Promise<Answer<CallName>> {
  const handler = session[call.call].bind(session) as (ask: Call['ask'], turn: Turn) => Promise<Answer<CallName>>;
  return handler(call.ask, turn);
}

function say(message: FromWorker, transfer: Transferable[] = []): void {
  self.postMessage(message, { transfer });
}

/** Pictures are handed over, not copied. */
const transferred = (result: Answer<CallName>): Transferable[] =>
  'pictures' in result ? result.pictures.map(({ pixels }) => pixels.buffer) : [];

function failureOf(error: unknown, signal: AbortSignal): Failure {
  const cancelled = error instanceof InterruptedError || signal.aborted;
  return { problem: problemOf(error), cancelled };
}

/** Engines and browsers speak to programmers of memory; whoever is here can do something else about it. */
function problemOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const isMemory = error instanceof OutOfMemoryError || (error instanceof RangeError && /allocation/i.test(text));
  if (!isMemory) return text;
  return `There is not enough memory for this (${text.split(';')[0]}); take a smaller model, or another device`;
}
