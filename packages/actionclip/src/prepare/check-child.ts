/** A child process that checks one clip after another. It ends with its parent, and leaves interruption to that. */
import { checkClip } from './check-clip.ts';
import type { CheckReply, CheckRequest } from './check-protocol.ts';

const reply = (message: CheckReply): void => {
  process.send?.(message);
};

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit());
process.on('message', ({ id, check }: CheckRequest) => {
  checkClip(check).then(
    (result) => reply({ kind: 'result', id, result }),
    (error: unknown) =>
      reply({ kind: 'fault', id, message: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  );
});
reply({ kind: 'ready' });
