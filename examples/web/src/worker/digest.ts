/** Digests of files that come in pieces: SHA-256, and what Git calls a file by. WebCrypto takes only whole files. */
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import type { HubFile } from 'actionclip/browser';

/** A digest under way. */
export interface RunningDigest {
  update(bytes: Uint8Array): unknown;
  /** Nothing can be added afterwards. */
  digest(): Uint8Array;
}

/** Each algorithm's beginning for a file of `size` bytes. */
const beginnings: Readonly<Record<HubFile['digest']['algorithm'], (size: number) => RunningDigest>> = {
  sha256: () => sha256.create(),
  git: (size) => sha1.create().update(utf8ToBytes(`blob ${size}\0`)),
};

export const startDigest = (algorithm: HubFile['digest']['algorithm'], size: number): RunningDigest =>
  beginnings[algorithm](size);
