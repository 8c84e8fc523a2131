/** What the environment says about the hub: the variables that Python's `huggingface_hub` and `clip` go by. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { HubError } from './errors.ts';

export interface HubSettings {
  /** Without a slash at its end: `HF_ENDPOINT`, else `https://huggingface.co`. */
  readonly endpoint: string;
  /** `HF_TOKEN`, else what stands in the file `HF_TOKEN_PATH` or `HF_HOME/token`. */
  readonly token: string | undefined;
  /** `HF_HUB_OFFLINE`: nothing but the caches is asked. */
  readonly offline: boolean;
  /** `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else `huggingface/hub` in the folder for caches; shared with Python. */
  readonly cache: string;
}

/** @throws HubError where HF_ENDPOINT is no address */
export function hubSettings(): HubSettings {
  const { HF_ENDPOINT, HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE } = process.env;
  const home = resolve(hubHome());
  return {
    endpoint: endpointOf(HF_ENDPOINT || 'https://huggingface.co'),
    token: tokenIn(home),
    offline: [HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE].some((value) => /^(?:1|on|yes|true)$/i.test(value ?? '')),
    cache: resolve(process.env.HF_HUB_CACHE || process.env.HUGGINGFACE_HUB_CACHE || join(home, 'hub')),
  };
}

function endpointOf(text: string): string {
  if (!URL.canParse(text) || !/^https?:/.test(text)) {
    throw new HubError(`HF_ENDPOINT is "${text}"`, 'expected an address such as https://huggingface.co');
  }
  return text.replace(/\/+$/, '');
}

/** `HF_HOME`, else `huggingface` in the folder for caches, which Python takes as `~/.cache` on every system. */
function hubHome(): string {
  const { HF_HOME, XDG_CACHE_HOME } = process.env;
  return HF_HOME || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface');
}

function tokenIn(home: string): string | undefined {
  const { HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH } = process.env;
  const given = HF_TOKEN || HUGGING_FACE_HUB_TOKEN;
  if (given) return given.trim();
  const path = HF_TOKEN_PATH || join(home, 'token');
  try {
    return readFileSync(path, 'utf8').trim() || undefined;
  } catch {
    // Most people have none.
    return undefined;
  }
}

/** Where OpenAI's Python package keeps its archives. */
export const clipCache = (): string => join(homedir(), '.cache', 'clip');
