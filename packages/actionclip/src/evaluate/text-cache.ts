/**
 * Text features that were computed before. They are kept by content: what they depend on is the text tower, how it
 * computes, and the tokens of the prompt, so neither a renamed file nor a label set in another order changes a key,
 * and one more label costs only its own prompts. Runs in browsers; the store on disk is in `text-cache-files.ts`.
 */
import { defaultDevice } from '@actionclip/tensor';
import { throwIfInterrupted } from '../interrupted.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import type { FeatureEncoder, PromptFeatures } from './features.ts';
import type { PromptTokens } from './prompt-tokens.ts';

/** A store of rows. One that cannot keep or find a row does without: it never fails. */
export interface TextCache {
  /**
   * The rows that are there.
   * @param space What all rows of a text tower have in common: see `textSpace`.
   * @param keys Tokens of prompts: see `promptKey`.
   */
  get(space: string, keys: readonly string[]): Promise<ReadonlyMap<string, Float32Array>>;
  put(space: string, rows: ReadonlyMap<string, Float32Array>): Promise<void>;
}

/** A cache, and the space of the model at hand. */
export interface TextCacheSpace {
  readonly cache: TextCache;
  readonly space: string;
}

/** The SHA-256 of bytes. */
export type Digest = (bytes: Uint8Array) => Promise<Uint8Array> | Uint8Array;

const subtleDigest: Digest = async (bytes) =>
  new Uint8Array(await globalThis.crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));

const textParameter = /^(?:transformer\.|token_embedding\.|positional_embedding$|ln_final\.|text_projection$)/;

/**
 * What all text features of a model have in common, as 64 hexadecimal digits: the names, shapes and values of every
 * parameter of the text tower, its sizes, and the kind of device and the precision that compute. Two files of one
 * model in different layouts share a space. Every value goes into a SHA-256: samples of a file would tell a fine-tuned
 * tower from its origin in most cases, and this must hold in all. For CLIP's 63 million parameters that is 254 MB, 0.2
 * to 0.6 s with Node's digest; `rememberedTextSpace` saves it for a file that was seen before.
 */
export async function textSpace(model: ActionCLIP, digest: Digest = subtleDigest): Promise<string> {
  const { text, embedding } = model.clip.sizes;
  const lines = [`text features, f32 on ${(await defaultDevice()).name}`, JSON.stringify({ ...text, embedding })];
  const { adapter } = model.options;
  if (adapter?.kind === 'lora') lines.push(`LoRA scaled by ${adapter.alpha} / ${adapter.rank}`);
  await model.initialize();
  for (const [name, parameter] of model.clip.namedParameters()) {
    if (!textParameter.test(name)) continue;
    const values = (await parameter.data()) as Float32Array;
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    lines.push(`${name} [${parameter.shape}] ${hexadecimal(await digest(bytes))}`);
  }
  return hexadecimal(await digest(new TextEncoder().encode(lines.join('\n'))));
}

export const hexadecimal = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** The key of a prompt: its token ids up to the end token, the largest id. What stands behind it changes nothing. */
export const promptKey = (tokens: Int32Array): string => promptOf(tokens).join();

const promptOf = (tokens: Int32Array): Int32Array => tokens.subarray(0, endOf(tokens) + 1);

function endOf(tokens: Int32Array): number {
  let end = 0;
  for (let i = 1; i < tokens.length; i++) if ((tokens[i] as number) > (tokens[end] as number)) end = i;
  return end;
}

export interface CachedPromptOptions {
  /** Without one every prompt is encoded. */
  readonly texts?: TextCacheSpace;
  readonly signal?: AbortSignal;
  readonly onEncoded?: (progress: { readonly prompts: number; readonly totalPrompts: number }) => void;
}

/** Prompts that are encoded and kept together, so that little is lost where the work is stopped. */
const portion = 512;

/**
 * Features of all prompts of a label set, template-major, of which only those are encoded that the cache does not have.
 * A prompt's feature is the same to rounding whatever others are encoded with it, as sizes choose the kernels.
 * @throws InterruptedError where the signal was set off.
 */
export async function cachedPrompts(
  encoder: FeatureEncoder,
  { tokens, length, templates, classes }: PromptTokens,
  { texts, signal, onEncoded }: CachedPromptOptions = {},
): Promise<PromptFeatures> {
  const prompts = Array.from({ length: templates * classes }, (_, row) =>
    promptOf(tokens.subarray(row * length, (row + 1) * length)),
  );
  const keys = prompts.map((prompt) => prompt.join());
  const found = new Map(await texts?.cache.get(texts.space, [...new Set(keys)]));
  const missing = [...new Map(keys.map((key, row) => [key, prompts[row] as Int32Array]))].filter(
    ([key]) => !found.has(key),
  );
  for (let first = 0; first < missing.length; first += portion) {
    throwIfInterrupted(signal);
    const part = missing.slice(first, first + portion);
    const rows = await encodeRows(encoder, part);
    for (const [key, row] of rows) found.set(key, row);
    await texts?.cache.put(texts.space, rows);
    onEncoded?.({ prompts: Math.min(first + portion, missing.length), totalPrompts: missing.length });
  }
  const width = encoder.width;
  const all = new Float32Array(keys.length * width);
  for (const [at, key] of keys.entries()) all.set(found.get(key) ?? [], at * width);
  return { rows: all, width, templates, classes };
}

async function encodeRows(
  encoder: FeatureEncoder,
  prompts: readonly (readonly [key: string, prompt: Int32Array])[],
): Promise<Map<string, Float32Array>> {
  const length = prompts.reduce((longest, [, prompt]) => Math.max(longest, prompt.length), 0);
  const tokens = new Int32Array(prompts.length * length);
  for (const [at, [, prompt]] of prompts.entries()) tokens.set(prompt, at * length);
  const { rows, width } = await encoder.prompts({ tokens, length, templates: 1, classes: prompts.length });
  return new Map(prompts.map(([key], at) => [key, rows.slice(at * width, (at + 1) * width)]));
}
