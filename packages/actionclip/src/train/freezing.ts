/** Which parts of a model a run leaves as they are. The logit scale is part of none: it is always trained. */
import type { NetworkConfig } from './config.ts';

export type Part = 'text' | 'image' | 'temporal';

/** The parts that a run leaves as they are. */
export function frozenParts({
  freezeText,
  freezeImage,
  freezeTemporal,
}: Pick<NetworkConfig, 'freezeText' | 'freezeImage' | 'freezeTemporal'>): ReadonlySet<Part> {
  const frozen: readonly (readonly [Part, boolean])[] = [
    ['text', freezeText],
    ['image', freezeImage],
    ['temporal', freezeTemporal],
  ];
  return new Set(frozen.flatMap(([part, isFrozen]) => (isFrozen ? [part] : [])));
}

/** The part that a parameter belongs to, by its name in checkpoints; undefined for the logit scale. */
export function partOf(name: string): Part | undefined {
  if (name === 'logit_scale') return undefined;
  if (name.startsWith('visual.')) return 'image';
  return name.startsWith('fusion.') ? 'temporal' : 'text';
}

/** Whether a parameter is one that a run trains. */
export function isTrained(name: string, frozen: ReadonlySet<Part>): boolean {
  const part = partOf(name);
  return part === undefined || !frozen.has(part);
}
