/**
 * What Hugging Face's `config.json` says of a CLIP model beyond the shapes of its parameters: attention heads, and
 * whether it computes as OpenAI's does. Runs in browsers.
 */
import type { TowerHeads } from './describe.ts';
import { CheckpointError } from './errors.ts';

/** What must be so wherever a tower says something of it; CLIPConfig has the same where it says nothing. */
const AS_OPENAI: Readonly<Record<string, string | number>> = { hidden_act: 'quick_gelu', layer_norm_eps: 1e-5 };

const TOWERS = [
  ['vision', 'image tower'],
  ['text', 'text tower'],
] as const;

type Fields = Readonly<Record<string, unknown>>;
const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

/**
 * @param source Named in errors.
 * @returns The heads, where it tells those of both towers.
 * @throws CheckpointError where it is no JSON, or a tower computes otherwise than OpenAI's.
 */
export function readHuggingFaceConfig(text: string, source: string): TowerHeads | undefined {
  const config = parsed(text, source);
  const heads: { vision?: number; text?: number } = {};
  for (const [tower, called] of TOWERS) {
    // Older files have the second name, for what differs from the usual.
    for (const part of [config[`${tower}_config`], config[`${tower}_config_dict`]]) {
      if (!isFields(part)) continue;
      for (const [key, expected] of Object.entries(AS_OPENAI)) {
        const given = part[key];
        if (given === undefined || given === null || given === expected) continue;
        throw new CheckpointError(
          `${source}: the ${called}'s ${key} is ${JSON.stringify(given)}, this program computes with ${expected} alone`,
          "choose weights of OpenAI's CLIP",
        );
      }
      const count = part.num_attention_heads;
      if (Number.isSafeInteger(count) && Number(count) >= 1) heads[tower] = Number(count);
    }
  }
  const { vision, text: words } = heads;
  return vision !== undefined && words !== undefined ? { vision, text: words } : undefined;
}

function parsed(text: string, source: string): Fields {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(`${source}: not JSON`, 'fetch it again, or remove it', { cause });
  }
  if (!isFields(config)) throw new CheckpointError(`${source}: not an object in JSON`, 'fetch it again, or remove it');
  return config;
}
