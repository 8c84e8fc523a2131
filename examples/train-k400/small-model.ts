/** The small ActionCLIP that trains on a laptop's processor: its sizes and its own vocabulary. */
import { trainBytePairs } from '@actionclip/tokenizer';
import { formatPrompts, type ModelChoices } from 'actionclip';

/** Tokens at most; the prompts of a few dozen labels need fewer. */
const vocabularySize = 1024;

/**
 * Three image layers on patches of 16 pixels, two text layers, two temporal layers. The byte-pair vocabulary is learnt
 * from the prompts of a label set, and spells any other text too.
 */
export function smallModel(labels: readonly string[]): ModelChoices {
  const tokenizer = trainBytePairs(formatPrompts(labels), { vocabularySize });
  return {
    vocabulary: tokenizer.toJSON(),
    temporalLayers: 2,
    sizes: {
      embedding: 96,
      vision: { resolution: 64, patch: 16, width: 96, layers: 3, heads: 4 },
      text: { context: 40, vocabulary: tokenizer.vocabularySize, width: 96, layers: 2, heads: 4 },
    },
  };
}
