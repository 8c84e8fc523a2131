/**
 * What single parameters of a group are trained with: smaller rates for deeper layers, no decay of vectors, and half
 * precision where the released code has it.
 */
import type { GroupOptions, Tensor } from '@actionclip/tensor';
import type { ClipSizes } from '@actionclip/transformer';
import type { SolverConfig } from './config.ts';

export type NamedParameters = [string, Tensor][];

/** A group of named parameters with a rate of its own. */
export interface NamedGroup extends GroupOptions {
  readonly parameters: NamedParameters;
  readonly learningRate: number;
}

/** What lies under the blocks of a tower, by the names of CLIP. */
const embeddings = [
  'token_embedding.',
  'positional_embedding',
  'visual.conv1.',
  'visual.class_embedding',
  'visual.positional_embedding',
  'visual.time_embedding',
  'visual.ln_pre.',
];

/**
 * How far a parameter is from the top of its tower: 0 for the final norm, the projection, the logit scale and the temporal
 * head, 1 for the last block, and one more than the number of blocks for the embeddings.
 */
export function depthOf(name: string, { vision, text }: ClipSizes): number {
  const { layers } = name.startsWith('visual.') ? vision : text;
  if (embeddings.some((start) => name.startsWith(start))) return layers + 1;
  const [, block] = /^(?:visual\.)?transformer\.resblocks\.(\d+)\./.exec(name) ?? [];
  return block === undefined ? 0 : layers - Number(block);
}

/** What CLIP's convert_weights makes halves of: matrices and biases of layers, and projections, but no norm and no embedding. */
const halves =
  /^(?!fusion\.)(?:.*\.)?(?:conv1\.weight|in_proj_(?:weight|bias)|(?:out_proj|c_fc|c_proj)\.(?:weight|bias)|proj|text_projection)$/;

/** Whether the released code keeps a parameter in half precision, and so rounds it after every step. */
export const isHalf = (name: string): boolean => halves.test(name);

/** The plain kind first. */
const kinds = [false, true].flatMap((free) => [false, true].map((rounded) => ({ free, rounded })));

/**
 * Groups split by what their parameters are trained with, those of the full rate first; a group as it is where nothing
 * splits it. Layer-wise rates as in BEiT (Bao et al., arXiv 2106.08254): the group's times decay^depth. What has fewer than two
 * axes (biases, gains of norms, the class token, the logit scale) is not decayed where the configuration says so.
 */
export function splitGroups(
  groups: readonly NamedGroup[],
  sizes: ClipSizes,
  { layerDecay, noDecay, halfWeights }: Pick<SolverConfig, 'layerDecay' | 'noDecay' | 'halfWeights'>,
): NamedGroup[] {
  const depth = (name: string): number => (layerDecay === 1 ? 0 : depthOf(name, sizes));
  const isFree = ({ rank }: Tensor): boolean => noDecay && rank < 2;
  const isRounded = (name: string): boolean => halfWeights && isHalf(name);
  return groups.flatMap((group) => {
    if (group.parameters.length === 0) return [group];
    const depths = [...new Set(group.parameters.map(([name]) => depth(name)))].sort((a, b) => a - b);
    return depths.flatMap((own) =>
      kinds.flatMap(({ free, rounded }) => {
        const parameters = group.parameters.filter(
          ([name, tensor]) => depth(name) === own && isFree(tensor) === free && isRounded(name) === rounded,
        );
        if (parameters.length === 0) return [];
        const learningRate = group.learningRate * layerDecay ** own;
        const settings = { ...(free ? { weightDecay: 0 } : {}), ...(rounded ? { rounding: 'f16' as const } : {}) };
        return [{ ...group, parameters, learningRate, ...settings }];
      }),
    );
  });
}
