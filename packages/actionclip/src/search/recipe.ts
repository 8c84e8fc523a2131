/** What the features of an index depend on, as text: equal recipes give equal features for equal videos. */
import type { Recognizer } from '../recognize/recognizer.ts';
import type { ViewOptions } from '../recognize/types.ts';
import { weightsIdentity } from './identity.ts';

/** @param weights The file or folder that the recognizer's model came from. */
export async function recipeOf(weights: string, { model }: Recognizer, views: ViewOptions): Promise<string> {
  const { frames, options, clip } = model;
  const { clips = 1, crops = 1, window = null, stride = null } = views;
  return JSON.stringify({
    weights: await weightsIdentity(weights),
    temporal: options.temporal ?? 'Transf',
    frames,
    resolution: clip.sizes.vision.resolution,
    views: { clips, crops, window, stride },
  });
}
