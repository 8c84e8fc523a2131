/** From the description of a model to the options of its class. Runs in browsers. */
import type { ActionClipOptions } from '../model/action-clip.ts';
import type { ModelDescription } from './model-description.ts';

/** What of a description the model itself is made of. */
export function modelOptions(description: ModelDescription): Omit<ActionClipOptions, 'generator'> {
  const { vocabulary: _, shortSide: __, templates: ___, ...options } = description;
  return options;
}
