// Scoring of features against open label sets, on features that are made by hand.

import { trainBytePairs } from '@actionclip/tokenizer';
import { describe, expect, it } from 'vitest';
import {
  evaluateAmong,
  evaluateFeatures,
  pairAccuracy,
  scoreClips,
} from '../../../packages/actionclip/src/evaluate/evaluate.ts';
import type { ClipFeatures, PromptFeatures } from '../../../packages/actionclip/src/evaluate/features.ts';
import { promptTokens } from '../../../packages/actionclip/src/evaluate/prompt-tokens.ts';

/** Unit vectors of the plane at these angles, in turns. */
const at = (...turns: readonly number[]): Float32Array =>
  Float32Array.from(turns.flatMap((turn) => [Math.cos(2 * Math.PI * turn), Math.sin(2 * Math.PI * turn)]));

const clips = (turns: readonly number[], labels: readonly number[]): ClipFeatures => ({
  rows: at(...turns),
  width: 2,
  labels: Int32Array.from(labels),
  indices: Int32Array.from(labels.keys()),
});

/** Two templates, the second a little further round. */
const prompts = (turns: readonly number[]): PromptFeatures => ({
  rows: at(...turns, ...turns.map((turn) => turn + 0.01)),
  width: 2,
  templates: 2,
  classes: turns.length,
});

describe('scores', () => {
  it('are the mean over templates of softmax(100 cosine) over the classes', () => {
    const { scores } = scoreClips(clips([0.02], [0]), prompts([0, 0.1]));
    const cosine = (turn: number): number => Math.cos(2 * Math.PI * (turn - 0.02));
    const probability = (template: number): number =>
      1 / (1 + Math.exp(100 * (cosine(0.1 + template) - cosine(template))));
    const first = (probability(0) + probability(0.01)) / 2;
    expect(scores[0]).toBeCloseTo(first, 5);
    expect(scores[1]).toBeCloseTo(1 - first, 5);
  });

  it('among a few classes are those of a model that knows no others', () => {
    const features = clips([0.13, 0.4], [0, 1]);
    const few = scoreClips(features, prompts([0, 0.1, 0.5]), [2, 0]);
    expect([...Array.from(few.scores)]).toEqual([...Array.from(scoreClips(features, prompts([0.5, 0])).scores)]);
  });

  it('refuse classes that have no prompts, and features of two models', () => {
    expect(() => scoreClips(clips([0], [0]), prompts([0]), [1])).toThrow('Class 1 is not among the prompts');
    expect(() => scoreClips({ ...clips([0], [0]), width: 1 }, prompts([0]))).toThrow('take both from one model');
  });
});

describe('evaluation', () => {
  const features = clips([0.01, 0.24, 0.26, 0.5, 0.02], [0, 1, 1, 2, 1]);
  const classes = prompts([0, 0.25, 0.5]);

  it('counts every clip, by class and in the confusion matrix', () => {
    const result = evaluateFeatures(features, classes);
    expect(result.top1).toBeCloseTo(4 / 5);
    expect(result.top5).toBe(1);
    expect(result.classes.map(({ correct, clips: count }) => [correct, count])).toEqual([
      [1, 1],
      [2, 3],
      [1, 1],
    ]);
    expect([...result.confusion.counts]).toEqual([1, 0, 0, 1, 2, 0, 0, 0, 1]);
  });

  it('among a few classes leaves out clips of the others and counts labels in the order given', () => {
    const result = evaluateAmong(features, classes, [2, 1]);
    expect([...result.labels]).toEqual([1, 1, 0, 1]);
    expect([...result.indices]).toEqual([1, 2, 3, 4]);
    expect(result.top1).toBe(1);
  });

  it('of pairs lets only the two labels of a clip compete', () => {
    expect(pairAccuracy(features, classes, [[0, 1]])).toBeCloseTo(3 / 4);
    expect(pairAccuracy(features, classes, [[1, 2]])).toBe(1);
  });
});

describe('prompt tokens', () => {
  const tokenizer = trainBytePairs(['raising one arm'], { vocabularySize: 600 });

  it('hold every label in every template, template-major, in as few columns as the longest needs', () => {
    const { tokens, length, templates, classes } = promptTokens(['raising one arm', 'yoga'], tokenizer, 77, [
      '{}',
      'a {}',
    ]);
    expect([templates, classes, tokens.length]).toEqual([2, 2, 4 * length]);
    const row = (at: number): number[] => [...tokens.subarray(at * length, (at + 1) * length)].filter((id) => id > 0);
    const plain = (text: string): number[] => [tokenizer.start, ...tokenizer.encode(text), tokenizer.end];
    expect([0, 1, 2, 3].map(row)).toEqual(['raising one arm', 'yoga', 'a raising one arm', 'a yoga'].map(plain));
    expect(length).toBe(Math.max(...[0, 1, 2, 3].map((at) => row(at).length)));
  });

  it('refuse an empty label, and a prompt that the context cannot hold', () => {
    expect(() => promptTokens(['yoga', ' '], tokenizer, 77)).toThrow('Label 1 is empty');
    expect(() => promptTokens(['a label of very many letters'], tokenizer, 8)).toThrow('the context holds 8');
  });
});
