/** What is varied, one question at a time: the tables of the paper asked of the built-in data set and the small model. */
import type { RunData } from 'actionclip';

export interface Variant {
  readonly name: string;
  /** Values of the configuration that differ, by its sections. */
  readonly data?: Readonly<Record<string, unknown>>;
  readonly network?: Readonly<Record<string, unknown>>;
  /** Which weights of the model that was pre-trained on the built-in pairs training starts from; the default is a model of its own. */
  readonly start?: Start;
  /** What becomes of the texts of the classes. */
  readonly texts?: (labels: readonly string[]) => readonly string[];
}

/** All weights, those of the image tower, or none: then the model is the same in size and vocabulary, and random. */
export type Start = 'all' | 'image' | 'none';

export interface Study {
  readonly question: string;
  /** Passes over the training clips where none are asked for; 10 unless told. */
  readonly epochs?: number;
  readonly variants: readonly Variant[];
}

/** A class as its number, which says nothing of what it looks like. */
const numbers = (labels: RunData['labels']): readonly string[] => labels.map((_, index) => String(index));

/** Small batches make many steps of few clips. */
const fewClips = { shots: 4, batch_size: 16 } as const;

export const studies: Readonly<Record<string, Study>> = {
  temporal: {
    question: 'How frames become a clip (the paper: pre-network, in-network and post-network prompts)',
    variants: [
      { name: 'meanP', network: { sim_header: 'meanP' } },
      { name: 'Conv_1D', network: { sim_header: 'Conv_1D' } },
      { name: 'LSTM', network: { sim_header: 'LSTM' } },
      { name: 'Transf', network: { sim_header: 'Transf' } },
      { name: 'Transf_cls', network: { sim_header: 'Transf_cls' } },
      { name: 'Joint, meanP', network: { sim_header: 'meanP', joint: true } },
      { name: 'Shift, meanP', network: { sim_header: 'meanP', tsm: true } },
    ],
  },
  modality: {
    question: 'Whether the texts of the classes mean something (the paper: multi-modal against uni-modal)',
    variants: [{ name: 'texts' }, { name: 'numbers', texts: numbers }],
  },
  frames: {
    question: 'How many frames of a clip are seen',
    variants: [1, 2, 4, 8, 16].map((count) => ({ name: String(count), data: { num_segments: count } })),
  },
  'pre-training': {
    question: 'What pre-training on pictures with captions is worth with 4 clips of each class',
    epochs: 40,
    variants: [
      { name: 'none', data: fewClips, start: 'none' },
      { name: 'image tower only', data: fewClips, start: 'image' },
      { name: 'both towers', data: fewClips, start: 'all' },
    ],
  },
  prompts: {
    question: "Whether labels stand alone or in the paper's 16 templates, with 4 clips of each class and pre-training",
    epochs: 40,
    variants: [
      { name: 'label alone', data: { ...fewClips, templates: 'bare' }, start: 'all' },
      { name: '16 templates', data: { ...fewClips, templates: 'actionclip' }, start: 'all' },
    ],
  },
};
