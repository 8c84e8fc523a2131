/** Byte-level BPE: encode, decode, train; the CLIP preset. */

export { loadCharacterReferences } from './character-references.ts';
export { type CleaningOptions, cleanText } from './clean.ts';
export { createClipTokenizer } from './clip.ts';
export { loadClipMerges } from './clip-merges.ts';
export { TextTooLongError, TokenizerError } from './errors.ts';
export { BytePairTokenizer, type Merge, type SavedTokenizer, type TokenizeOptions } from './tokenizer.ts';
export { type TrainOptions, trainBytePairs } from './train.ts';
