/** Adapters: few parameters that are trained in place of CLIP's own, which stay as they are. Runs in browsers. */
import type { Generator } from '@actionclip/tensor';
import { addLora, type CLIP, type LoraLayer, loraLayers } from '@actionclip/transformer';
import { SpatioTemporalAdapter } from './st-adapter.ts';

export type Tower = 'image' | 'text';

export const towers = ['image', 'text'] as const satisfies readonly Tower[];

/** Low-rank updates of linear layers: see `LowRankUpdate`. */
export interface LoraOptions {
  readonly kind: 'lora';
  readonly rank: number;
  /** The updates are scaled by alpha / rank. */
  readonly alpha: number;
  /** In every block of the towers. */
  readonly layers: readonly LoraLayer[];
  readonly towers: readonly Tower[];
}

/** A temporal bottleneck before every block of the image tower: see `SpatioTemporalAdapter`. */
export interface SpatioTemporalAdapterOptions {
  readonly kind: 'st-adapter';
  /** Width of the bottleneck; 384 in the released code. */
  readonly channels: number;
}

export type AdapterOptions = LoraOptions | SpatioTemporalAdapterOptions;

/** The towers that have adapters. */
export const adaptedTowers = (adapter: AdapterOptions): readonly Tower[] =>
  adapter.kind === 'lora' ? adapter.towers : ['image'];

/** Puts LoRA's updates into the towers of a CLIP. */
export function addLoraTo(
  clip: CLIP,
  { layers, towers: chosen, rank, alpha }: LoraOptions,
  generator: Generator,
): void {
  const all = { image: clip.visual.transformer, text: clip.transformer };
  for (const tower of towers) if (chosen.includes(tower)) addLora(all[tower], layers, { rank, alpha, generator });
}

/** An adapter for every block of an image tower. */
export const spatioTemporalAdapters = (
  { layers, width }: CLIP['sizes']['vision'],
  { channels }: SpatioTemporalAdapterOptions,
  generator: Generator,
): SpatioTemporalAdapter[] =>
  Array.from({ length: layers }, () => new SpatioTemporalAdapter(width, channels, generator));

/** What stands before an ST-Adapter's own names: those of the block whose input it changes. */
export const spatioTemporalPrefix = (layer: number): string =>
  `visual.transformer.resblocks.${layer}.adapter_pre_attn.`;

const loraName = /^(?:visual\.)?transformer\.resblocks\.\d+\..*lora\.[AB]$/;
const spatioTemporalName = /^visual\.transformer\.resblocks\.\d+\.adapter_pre_attn\./;

/** Whether a parameter, by its name in checkpoints, is one of LoRA's. */
export const isLora = (name: string): boolean => loraName.test(name);
/** Whether a parameter, by its name in checkpoints, is one of an ST-Adapter. */
export const isSpatioTemporal = (name: string): boolean => spatioTemporalName.test(name);

/** The adapter in words, for messages. */
export function printAdapter(adapter: AdapterOptions | undefined): string {
  if (adapter === undefined) return 'no adapter';
  if (adapter.kind === 'st-adapter') return `ST-Adapters of ${adapter.channels} channels`;
  const { rank, alpha, layers, towers: chosen } = adapter;
  return `LoRA of rank ${rank} and alpha ${alpha} in ${layers.join(', ')} of the ${chosen.join(' and ')} tower${chosen.length > 1 ? 's' : ''}`;
}

export const sameAdapter = (a: AdapterOptions | undefined, b: AdapterOptions | undefined): boolean =>
  printAdapter(a) === printAdapter(b);

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 1;
const areSome = (value: unknown, known: readonly string[]): boolean =>
  Array.isArray(value) && value.length > 0 && value.every((entry) => known.includes(entry));

/** Whether a value from outside describes an adapter. */
export function isAdapter(value: unknown): value is AdapterOptions {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return false;
  const { kind, rank, alpha, layers, towers: chosen, channels } = value as Record<string, unknown>;
  if (kind === 'st-adapter') return isCount(channels);
  const isScale = typeof alpha === 'number' && Number.isFinite(alpha) && alpha > 0;
  return kind === 'lora' && isCount(rank) && isScale && areSome(layers, loraLayers) && areSome(chosen, towers);
}
