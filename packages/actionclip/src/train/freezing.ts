/**
 * Which parts of a model a run leaves as they are. The logit scale is part of none: it is always trained. With adapters
 * the towers keep CLIP's parameters, and the adapters belong to their towers.
 */

import { isTemporal } from '../checkpoints/names.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import { isLora } from '../model/adapters.ts';
import type { NetworkConfig } from './config.ts';

export type Part = 'text' | 'image' | 'temporal';

/** Parts, and the parameters of both towers that CLIP has. */
export type Frozen = ReadonlySet<Part | 'CLIP'>;

/** The parts that a run leaves as they are. */
export function frozenParts({
  freezeText,
  freezeImage,
  freezeTemporal,
  adapter,
}: Pick<NetworkConfig, 'freezeText' | 'freezeImage' | 'freezeTemporal' | 'adapter'>): Frozen {
  const frozen: readonly (readonly [Part | 'CLIP', boolean])[] = [
    ['text', freezeText],
    ['image', freezeImage],
    ['temporal', freezeTemporal],
    ['CLIP', adapter !== undefined],
  ];
  return new Set(frozen.flatMap(([part, isFrozen]) => (isFrozen ? [part] : [])));
}

/** The part that a parameter belongs to, by its name in checkpoints; undefined for the logit scale. */
export function partOf(name: string): Part | undefined {
  if (name === 'logit_scale') return undefined;
  if (name.startsWith('visual.')) return 'image';
  return name.startsWith('fusion.') ? 'temporal' : 'text';
}

/** Elements of a model's parameters that a run trains. */
export function trainedCount(model: ActionCLIP, network: Parameters<typeof frozenParts>[0]): number {
  const frozen = frozenParts(network);
  const trained = [...model.namedParameters()].filter(([name]) => isTrained(name, frozen));
  return trained.reduce((sum, [, { size }]) => sum + size, 0);
}

/** Whether a parameter is one that a run trains. */
export function isTrained(name: string, frozen: Frozen): boolean {
  const part = partOf(name);
  if (part === undefined) return true;
  return !frozen.has(part) && !(frozen.has('CLIP') && isOfClip(name));
}

const isOfClip = (name: string): boolean => !isLora(name) && !isTemporal(name);
