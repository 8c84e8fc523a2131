/** Digests of files: SHA-256, and what Git calls a file by. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Digest } from './repository.ts';

/** A digest under way. */
export interface RunningDigest {
  readonly update: (bytes: Uint8Array) => void;
  readonly value: () => string;
}

/** Starts a digest of a file of `size` bytes, which SHA-256 need not know. */
export function startDigest(algorithm: Digest['algorithm'], size: number | undefined): RunningDigest {
  const hash = createHash(algorithm === 'git' ? 'sha1' : 'sha256');
  if (algorithm === 'git') hash.update(`blob ${size ?? 0}\0`);
  return {
    update: (bytes) => {
      hash.update(bytes);
    },
    value: () => hash.digest('hex'),
  };
}

/** Feeds the first `length` bytes of a file. */
export async function digestFile(path: string, length: number, digest: RunningDigest): Promise<void> {
  if (length === 0) return;
  for await (const chunk of createReadStream(path, { end: length - 1, highWaterMark: 1 << 20 })) digest.update(chunk);
}
