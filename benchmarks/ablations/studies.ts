/** What is varied, one question at a time: the tables of the paper asked of the built-in data set and the small model. */
import type { RunData } from 'actionclip';

export interface Variant {
  readonly name: string;
  /** Values of the configuration that differ, by its sections. */
  readonly data?: Readonly<Record<string, unknown>>;
  readonly network?: Readonly<Record<string, unknown>>;
  /** What becomes of the texts of the classes. */
  readonly texts?: (labels: readonly string[]) => readonly string[];
}

export interface Study {
  readonly question: string;
  readonly variants: readonly Variant[];
}

/** A class as its number, which says nothing of what it looks like. */
const numbers = (labels: RunData['labels']): readonly string[] => labels.map((_, index) => String(index));

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
};
