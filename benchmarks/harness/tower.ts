/** Parameters of CLIP's image tower by CLIP's names, with values that every contender draws alike. */
import { uniform } from './data.ts';
import { tokensOf, type towerOf } from './work.ts';

export interface NamedParameter {
  readonly name: string;
  readonly shape: readonly number[];
  /** Draws the values: with unit gain, so that activations neither vanish nor explode. */
  elements(): Float32Array;
}

type Sizes = ReturnType<typeof towerOf>;

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** A parameter around `mean`. */
const drawn = (name: string, shape: readonly number[], deviation: number, mean = 0): NamedParameter => ({
  name,
  shape,
  elements: () => uniform(name, size(shape), deviation, mean),
});

const norm = (name: string, width: number): NamedParameter[] => [
  drawn(`${name}.weight`, [width], 0.1, 1),
  drawn(`${name}.bias`, [width], 0.1),
];

/** [out, in] and [out]. */
const linear = (weight: string, bias: string, out: number, width: number): NamedParameter[] => [
  drawn(weight, [out, width], width ** -0.5),
  drawn(bias, [out], 0.1),
];

const block = (prefix: string, width: number): NamedParameter[] => [
  ...linear(`${prefix}.attn.in_proj_weight`, `${prefix}.attn.in_proj_bias`, 3 * width, width),
  ...linear(`${prefix}.attn.out_proj.weight`, `${prefix}.attn.out_proj.bias`, width, width),
  ...norm(`${prefix}.ln_1`, width),
  ...linear(`${prefix}.mlp.c_fc.weight`, `${prefix}.mlp.c_fc.bias`, 4 * width, width),
  ...linear(`${prefix}.mlp.c_proj.weight`, `${prefix}.mlp.c_proj.bias`, width, 4 * width),
  ...norm(`${prefix}.ln_2`, width),
];

/** All parameters of a tower. */
export function towerParameters(sizes: Sizes): NamedParameter[] {
  const { width, patch, layers, embedding } = sizes;
  return [
    drawn('class_embedding', [width], 1),
    drawn('positional_embedding', [tokensOf(sizes), width], 0.3),
    drawn('proj', [width, embedding], width ** -0.5),
    drawn('conv1.weight', [width, 3, patch, patch], (3 * patch ** 2) ** -0.5),
    ...norm('ln_pre', width),
    ...Array.from({ length: layers }, (_, i) => block(`transformer.resblocks.${i}`, width)).flat(),
    ...norm('ln_post', width),
  ];
}

/** Values of all parameters by name. */
export const towerValues = (sizes: Sizes): Map<string, Float32Array> =>
  new Map(towerParameters(sizes).map(({ name, elements }) => [name, elements()]));
