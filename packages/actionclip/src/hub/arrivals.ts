/** The bytes of an answer as they arrive. */
import type { Readable } from 'node:stream';

/** Bytes that may wait to be taken before the sender is held back. */
const MOST_WAITING = 1 << 20;

/**
 * Collects the chunks of a stream from now on, and hands over every one of them before the error that the stream may
 * have ended with. The stream's own iterator drops what was not yet taken when a connection breaks.
 */
export function arrivals(body: Readable): AsyncIterable<Buffer> {
  const waiting: Buffer[] = [];
  let size = 0;
  let end: { readonly error?: unknown } | undefined;
  let wake = (): void => undefined;
  const finish = (ending: { readonly error?: unknown }): void => {
    end ??= ending;
    wake();
  };
  body.on('data', (chunk: Buffer) => {
    waiting.push(chunk);
    size += chunk.length;
    if (size > MOST_WAITING) body.pause();
    wake();
  });
  body.on('end', () => finish({}));
  body.on('error', (error) => finish({ error }));
  body.on('close', () => finish({}));
  return {
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const chunk = waiting.shift();
        if (chunk !== undefined) {
          size -= chunk.length;
          if (size <= MOST_WAITING) body.resume();
          yield chunk;
        } else if (end !== undefined) {
          if (end.error !== undefined) throw end.error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    },
  };
}
