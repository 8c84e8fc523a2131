/** A recognizer of a checkpoint's model, with the frames and the texts that it was trained with. Runs in browsers. */
import type { OpenedCheckpoint } from '../checkpoints/build-model.ts';
import { TEMPLATE_SETS } from '../prompts/template-sets.ts';
import { Recognizer, type RecognizerOptions } from './recognizer.ts';

/** @throws CheckpointError where the checkpoint has no vocabulary that is known. */
export function recognizerOf(
  { model, tokenizer, description }: OpenedCheckpoint,
  options: Pick<RecognizerOptions, 'precision' | 'texts'> = {},
): Recognizer {
  const { shortSide, templates = 'actionclip' } = description;
  return new Recognizer(model, tokenizer, {
    ...options,
    templates: TEMPLATE_SETS[templates].templates,
    ...(shortSide === undefined ? {} : { shortSide }),
  });
}
