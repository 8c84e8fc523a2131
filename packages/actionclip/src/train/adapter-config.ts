/** The adapters of a configuration: `network.adapter`, and what can be chosen of each kind. */
import { type LoraLayer, loraLayers } from '@actionclip/transformer';
import { z } from 'zod';
import { type AdapterOptions, adaptedTowers, towers } from '../model/adapters.ts';
import type { NetworkConfig } from './config.ts';
import type { ConfigProblem } from './config-problems.ts';

const count = z.int().positive();
/** At least one of some names, in their usual order. */
const someOf = <Name extends string>(names: readonly [Name, ...Name[]], usual: readonly Name[]) =>
  z
    .array(z.enum(names))
    .min(1)
    .transform((chosen) => names.filter((name) => chosen.includes(name)))
    .default([...usual]);

const loraSchema = z.strictObject({
  rank: count.default(8),
  alpha: z.number().positive().optional(),
  layers: someOf<LoraLayer>(loraLayers as [LoraLayer, ...LoraLayer[]], ['in_proj', 'out_proj']),
  towers: someOf(towers, towers),
});

const spatioTemporalSchema = z.strictObject({ channels: count.default(384) });

/** The keys of `network` that are about adapters. */
export const adapterKeys = {
  adapter: z.enum(['none', 'lora', 'st-adapter']).default('none'),
  lora: loraSchema.optional(),
  st_adapter: spatioTemporalSchema.optional(),
} as const;

/** The keys below each of them, by section. */
export const ADAPTER_SECTIONS: readonly (readonly [string, readonly string[]])[] = [
  ['network.lora', Object.keys(loraSchema.shape)],
  ['network.st_adapter', Object.keys(spatioTemporalSchema.shape)],
];

type AdapterValues = z.output<z.ZodObject<typeof adapterKeys>>;

/** The adapter that the values ask for. Alpha is twice the rank unless it is told. */
export function adapterOf({ adapter, lora, st_adapter }: AdapterValues): AdapterOptions | undefined {
  if (adapter === 'none') return undefined;
  if (adapter === 'st-adapter') return { kind: adapter, ...spatioTemporalSchema.parse(st_adapter ?? {}) };
  const { rank, alpha = 2 * rank, ...places } = lora ?? loraSchema.parse({});
  return { kind: adapter, rank, alpha, ...places };
}

/** Sections about an adapter that is not the one chosen. */
export const unusedSections = ({ adapter, lora, st_adapter }: AdapterValues): string[] =>
  [
    { section: 'lora', given: lora, kind: 'lora' },
    { section: 'st_adapter', given: st_adapter, kind: 'st-adapter' },
  ].flatMap(({ section, given, kind }) =>
    given === undefined || adapter === kind
      ? []
      : [`network.${section} is ignored: network.adapter is ${adapter}; set it to ${kind}`],
  );

const freezingKeys = { image: 'fix_img', text: 'fix_text' } as const;

/** What does not go with a configuration's adapter. */
export function adapterProblems({
  adapter,
  freezeImage,
  freezeText,
  joint,
  shift,
}: Pick<NetworkConfig, 'adapter' | 'freezeImage' | 'freezeText' | 'joint' | 'shift'>): ConfigProblem[] {
  if (adapter === undefined) return [];
  const frozen = { image: freezeImage, text: freezeText };
  const untrained = adaptedTowers(adapter).filter((tower) => frozen[tower]);
  const temporal = adapter.kind === 'st-adapter' ? [...(joint ? ['joint'] : []), ...(shift ? ['tsm'] : [])] : [];
  return [
    ...untrained.map((tower) => ({
      path: ['network', 'adapter'],
      message:
        `the adapters of the ${tower} tower would not be trained, as ${freezingKeys[tower]} or train_only freezes it; ` +
        `leave the key out${adapter.kind === 'lora' ? ', or the tower out of lora.towers' : ''}`,
    })),
    ...temporal.map((key) => ({
      path: ['network', 'adapter'],
      message: `st-adapter does not go with ${key}: both change the input of blocks over time; choose one`,
    })),
  ];
}
