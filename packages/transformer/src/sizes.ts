/** CLIP's sizes: the published presets, and how to read them off a state dict. */
import { ShapeError } from '@actionclip/tensor';

export interface ClipSizes {
  /** Size of the joint embedding. */
  readonly embedding: number;
  readonly vision: {
    readonly resolution: number;
    readonly patch: number;
    readonly width: number;
    readonly layers: number;
    readonly heads: number;
  };
  readonly text: {
    readonly context: number;
    readonly vocabulary: number;
    readonly width: number;
    readonly layers: number;
    readonly heads: number;
  };
}

const base = (patch: number): ClipSizes => ({
  embedding: 512,
  vision: { resolution: 224, patch, width: 768, layers: 12, heads: 12 },
  text: { context: 77, vocabulary: 49408, width: 512, layers: 12, heads: 8 },
});

const large = (resolution: number): ClipSizes => ({
  embedding: 768,
  vision: { resolution, patch: 14, width: 1024, layers: 24, heads: 16 },
  text: { context: 77, vocabulary: 49408, width: 768, layers: 12, heads: 12 },
});

/** The models of the CLIP paper that ActionCLIP uses, and a tiny one that trains on a laptop's processor. */
export const presets = {
  'ViT-B/32': base(32),
  'ViT-B/16': base(16),
  'ViT-L/14': large(224),
  'ViT-L/14@336px': large(336),
  tiny: {
    embedding: 128,
    vision: { resolution: 64, patch: 8, width: 128, layers: 4, heads: 4 },
    text: { context: 24, vocabulary: 1024, width: 128, layers: 2, heads: 4 },
  },
} as const satisfies Readonly<Record<string, ClipSizes>>;

export type PresetName = keyof typeof presets;

/** Shapes of parameters by CLIP's names. */
export type Shapes = ReadonlyMap<string, readonly number[]>;

/**
 * The sizes that a state dict was made for, by the rules of openai/CLIP's `build_model`; heads have 64 columns each
 * unless `headWidth` says otherwise. Throws ShapeError when a parameter that they are read from is missing.
 */
export function inferSizes(shapes: Shapes, headWidth = 64): ClipSizes {
  const shape = (name: string): readonly number[] => {
    const found = shapes.get(name);
    if (!found)
      throw new ShapeError(`CLIP: the weights have no ${name}`, 'choose a CLIP checkpoint with a vision transformer');
    return found;
  };
  const size = (name: string, axis: number): number => shape(name)[axis] as number;
  const width = size('visual.conv1.weight', 0);
  const patch = size('visual.conv1.weight', 3);
  const grid = Math.round(Math.sqrt(size('visual.positional_embedding', 0) - 1));
  const textWidth = size('ln_final.weight', 0);
  const heads = (columns: number): number => Math.max(1, Math.floor(columns / headWidth));
  return {
    embedding: size('text_projection', 1),
    vision: {
      resolution: patch * grid,
      patch,
      width,
      layers: countLayers(shapes, 'visual.transformer.resblocks.'),
      heads: heads(width),
    },
    text: {
      context: size('positional_embedding', 0),
      vocabulary: size('token_embedding.weight', 0),
      width: textWidth,
      layers: countLayers(shapes, 'transformer.resblocks.'),
      heads: heads(textWidth),
    },
  };
}

function countLayers(shapes: Shapes, prefix: string): number {
  const layers = new Set<string>();
  for (const name of shapes.keys())
    if (name.startsWith(prefix)) layers.add(name.slice(prefix.length).split('.')[0] as string);
  return layers.size;
}
