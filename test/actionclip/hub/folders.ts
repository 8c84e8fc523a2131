/** Temporary homes and caches for tests of downloads, and what lies in them. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, vi } from 'vitest';
import { MockHub } from './mock-hub.ts';

const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'];
const HUB = ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN', 'HF_TOKEN_PATH', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE'];
const OTHERS = ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE', 'XDG_CACHE_HOME', 'ACTIONCLIP_CACHE'];

export interface Place {
  readonly hub: MockHub;
  /** A folder that holds the home, the caches and nothing else. */
  readonly folder: string;
}

/** Gives each test a server and a home of its own; the environment points to both. */
export function withHubAndHome(): () => Place {
  let place: Place | undefined;
  beforeEach(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hub-'));
    const hub = await MockHub.open();
    place = { hub, folder };
    for (const name of [...PROXIES, ...PROXIES.map((name) => name.toLowerCase()), ...HUB, ...OTHERS])
      vi.stubEnv(name, '');
    vi.stubEnv('HF_HUB_CACHE', undefined);
    vi.stubEnv('HUGGINGFACE_HUB_CACHE', undefined);
    vi.stubEnv('HOME', join(folder, 'home'));
    vi.stubEnv('HF_HOME', join(folder, 'huggingface'));
    vi.stubEnv('XDG_CACHE_HOME', join(folder, 'cache'));
    vi.stubEnv('HF_ENDPOINT', hub.address);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await place?.hub.close();
    if (place) await rm(place.folder, { recursive: true, force: true });
  });
  return () => {
    if (place === undefined) throw new Error('only inside of a test');
    return place;
  };
}

/** Every file and link below a folder, by relative path, sorted. */
export async function filesBelow(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}
