/** The small ActionCLIP that trains on a laptop's processor: its sizes and its own vocabulary. */
import { loadCharacterReferences, trainBytePairs } from '@actionclip/tokenizer';
import { formatPrompts } from '../prompts/templates.ts';
import type { DatasetOptions } from '../train/datasets.ts';
import type { ModelChoices } from '../train/model-description.ts';

/** Tokens at most; the prompts of a few dozen labels need fewer. */
const vocabularySize = 1024;

/** Side of the small model's input in pixels. */
export const smallInput = 32;

/** Small data sets keep their frames almost whole: a crop that cuts off an arm takes the action with it. */
export const smallData = (inputSize: number): DatasetOptions => ({
  cacheBytes: 2 ** 30,
  augmentation: { cropScales: [1, 0.92, 0.84], colourJitter: 0.3, grayscale: 0.1 },
  shortSide: inputSize,
});

// Labels are anyone's words, with ampersands where they like.
await loadCharacterReferences();

/**
 * Two image layers on patches of 8 pixels, two text layers, two temporal layers. The byte-pair vocabulary is learnt
 * from the prompts of a label set, and spells any other text too.
 */
export function smallModel(labels: readonly string[]): ModelChoices {
  const tokenizer = trainBytePairs(formatPrompts(labels), { vocabularySize });
  return {
    vocabulary: tokenizer.toJSON(),
    temporalLayers: 2,
    positionDeviation: 0.5,
    sizes: {
      embedding: 64,
      vision: { resolution: smallInput, patch: 8, width: 64, layers: 2, heads: 2 },
      text: { context: 40, vocabulary: tokenizer.vocabularySize, width: 64, layers: 2, heads: 2 },
    },
  };
}
