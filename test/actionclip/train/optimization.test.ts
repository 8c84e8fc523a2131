// The released recipe: which parameter is in which group, and when the rate changes.

import { Generator, type Optimizer } from '@actionclip/tensor';
import { presets } from '@actionclip/transformer';
import { describe, expect, it } from 'vitest';
import { ActionCLIP } from '../../../packages/actionclip/src/model/action-clip.ts';
import type { SolverConfig } from '../../../packages/actionclip/src/train/config.ts';
import { configFrom } from '../../../packages/actionclip/src/train/config-file.ts';
import {
  applySchedule,
  isRefreshed,
  optimizerOf,
  scheduleOf,
} from '../../../packages/actionclip/src/train/optimization.ts';

const solver = (values: Record<string, unknown> = {}): SolverConfig =>
  configFrom({ data: { label_list: 'labels.csv' }, solver: values }).config.solver;

const small = { ...presets.tiny, text: { ...presets.tiny.text, vocabulary: 16 } };
const model = new ActionCLIP({ sizes: small, frames: 4, temporalLayers: 1, joint: false, generator: new Generator(1) });
const names = (optimizer: Optimizer): string[][] => optimizer.groups.map(({ parameters }) => [...parameters.keys()]);
const parts = (groups: readonly (readonly string[])[]): string[][] =>
  groups.map((group) => [...new Set(group.map((name) => name.split('.')[0] ?? ''))].sort());

const textParts = [
  'ln_final',
  'logit_scale',
  'positional_embedding',
  'text_projection',
  'token_embedding',
  'transformer',
];

describe('parameter groups', () => {
  it('of AdamW are the text side with the logit scale, the image tower and the temporal head, each at its rate', () => {
    const optimizer = optimizerOf(model, solver({ lr: 5e-6, ratio: 2, f_ratio: 10 }));
    expect(parts(names(optimizer))).toEqual([textParts, ['visual'], ['fusion']]);
    expect(optimizer.groups.map(({ learningRate }) => learningRate)).toEqual([5e-6, 1e-5, 5e-5]);
    expect(optimizer.groups.map(({ weightDecay }) => weightDecay)).toEqual([0.2, 0.2, 0.2]);
  });

  it.each([
    ['adam', 0.2],
    ['sgd', 0.01],
  ])('of %s are CLIP and the temporal head', (optim, weightDecay) => {
    const optimizer = optimizerOf(model, solver({ optim, lr: 1e-3, ratio: 2, f_ratio: 10, weight_decay: 0.01 }));
    expect(parts(names(optimizer))).toEqual([[...textParts, 'visual'], ['fusion']]);
    expect(optimizer.groups.map(({ learningRate }) => learningRate)).toEqual([1e-3, 1e-2]);
    expect(optimizer.groups.map((group) => group.weightDecay)).toEqual([weightDecay, weightDecay]);
  });

  it('hold every parameter once', () => {
    const all = [...model.namedParameters()].map(([name]) => name).sort();
    for (const optim of ['adamw', 'adam', 'sgd'])
      expect(
        names(optimizerOf(model, solver({ optim })))
          .flat()
          .sort(),
      ).toEqual(all);
  });
});

describe('groups split by what their parameters are trained with', () => {
  const [textLayers, visualLayers] = [small.text.layers, small.vision.layers];
  const groupOf = (optimizer: Optimizer, name: string) => {
    const found = optimizer.groups.filter(({ parameters }) => parameters.has(name));
    expect(found).toHaveLength(1);
    return found[0] as Optimizer['groups'][number];
  };

  it('leave vectors and the logit scale undecayed, at the rates of their towers', () => {
    const optimizer = optimizerOf(model, solver({ lr: 1e-3, ratio: 2, f_ratio: 10, no_decay: true }));
    expect(optimizer.groups).toHaveLength(6);
    for (const { parameters, weightDecay } of optimizer.groups) {
      for (const { rank } of parameters.values()) expect(weightDecay).toBe(rank < 2 ? 0 : 0.2);
    }
    expect(groupOf(optimizer, 'logit_scale').weightDecay).toBe(0);
    expect(groupOf(optimizer, 'visual.ln_post.weight').learningRate).toBe(2e-3);
    expect(groupOf(optimizer, 'visual.proj')).toMatchObject({ learningRate: 2e-3, weightDecay: 0.2 });
  });

  it.each(['adamw', 'adam', 'sgd'])('of %s have smaller rates from the top of each tower down', (optim) => {
    const optimizer = optimizerOf(model, solver({ optim, lr: 1, f_ratio: 10, layer_decay: 0.5 }));
    const rate = (name: string): number => groupOf(optimizer, name).learningRate;
    expect(rate('text_projection')).toBe(1);
    expect(rate('visual.ln_post.bias')).toBe(1);
    expect([...names(optimizer).flat()].filter((name) => name.startsWith('fusion.')).map(rate)).toContain(10);
    expect(rate(`transformer.resblocks.${textLayers - 1}.ln_1.weight`)).toBe(0.5);
    expect(rate('transformer.resblocks.0.ln_1.weight')).toBe(0.5 ** textLayers);
    expect(rate('visual.transformer.resblocks.0.mlp.c_fc.weight')).toBe(0.5 ** visualLayers);
    expect(rate('token_embedding.weight')).toBe(0.5 ** (textLayers + 1));
    expect(rate('visual.conv1.weight')).toBe(0.5 ** (visualLayers + 1));
    expect(rate('visual.ln_pre.weight')).toBe(0.5 ** (visualLayers + 1));
    // What a run reports is the rate of the first group.
    expect(optimizer.groups[0]?.learningRate).toBe(1);
    expect(optimizer.groups.map(({ baseLearningRate }) => baseLearningRate)).toEqual(
      optimizer.groups.map(({ learningRate }) => learningRate),
    );
  });

  it('round what the released code keeps in halves: matrices and biases of the towers, no norm, no embedding, no head', () => {
    const halves = { ...solver(), halfWeights: true };
    const optimizer = optimizerOf(model, halves);
    const rounded = optimizer.groups.flatMap(({ rounding, parameters }) =>
      rounding === 'f16' ? [...parameters.keys()] : [],
    );
    const layers = ['attn.in_proj_weight', 'attn.in_proj_bias', 'attn.out_proj.weight', 'attn.out_proj.bias'];
    const both = [...layers, 'mlp.c_fc.weight', 'mlp.c_fc.bias', 'mlp.c_proj.weight', 'mlp.c_proj.bias'];
    const blocks = (prefix: string, count: number): string[] =>
      Array.from({ length: count }, (_, i) => both.map((name) => `${prefix}transformer.resblocks.${i}.${name}`)).flat();
    expect(rounded.sort()).toEqual(
      [
        ...blocks('', textLayers),
        ...blocks('visual.', visualLayers),
        'text_projection',
        'visual.proj',
        'visual.conv1.weight',
      ].sort(),
    );
    expect(optimizerOf(model, solver()).groups.every(({ rounding }) => rounding === 'f32')).toBe(true);
  });

  it('hold every parameter once', () => {
    const all = [...model.namedParameters()].map(([name]) => name).sort();
    const optimizer = optimizerOf(model, solver({ no_decay: true, layer_decay: 0.75 }));
    expect(names(optimizer).flat().sort()).toEqual(all);
  });

  it('are the plain ones, the empty one included, where nothing splits them', () => {
    const pooled = new ActionCLIP({ sizes: small, frames: 4, temporal: 'meanP', generator: new Generator(1) });
    expect(optimizerOf(pooled, solver()).groups.map(({ parameters }) => parameters.size > 0)).toEqual([
      true,
      true,
      false,
    ]);
  });
});

describe('the schedule', () => {
  // Values of the released scheduler at the released settings: base 5e-6, 50 epochs, 5 of warm-up.
  it.each([
    [0, 0],
    [0.1, 1e-7],
    [2.5, 2.5e-6],
    [5, 5e-6],
    [10, 4.84923e-6],
    [27.5, 2.5e-6],
    [49, 6.08987e-9],
    [50, 0],
  ])('cosine at epoch %d gives %d', (epoch, rate) => {
    const optimizer = optimizerOf(model, solver({ lr: 5e-6, f_ratio: 10, lr_warmup_step: 5, epochs: 50 }));
    applySchedule(optimizer, scheduleOf(solver({ epochs: 50, lr_warmup_step: 5 }))(epoch));
    const [text, , temporal] = optimizer.groups;
    expect(text?.learningRate).toBeCloseTo(rate, 11);
    expect(temporal?.learningRate).toBeCloseTo(10 * rate, 10);
  });

  it('multistep falls at each milestone, and not at all where there is none', () => {
    const schedule = scheduleOf(
      solver({ type: 'multistep', epochs: 40, lr_decay_step: 15, lr_decay_factor: 0.5, lr_warmup_step: 5 }),
    );
    expect([2.5, 5, 14.9, 15, 29.9, 30].map(schedule)).toEqual([0.5, 1, 1, 0.5, 0.5, 0.25]);
    expect(scheduleOf(solver({ type: 'multistep', epochs: 10, lr_decay_step: 15, lr_warmup_step: 0 }))(9.9)).toBe(1);
  });

  it('is refreshed at the first step and then at every n-th, the tenth in the released code', () => {
    const refreshed = (everyNth: number): number[] => [...Array(32).keys()].filter((k) => isRefreshed(k, everyNth));
    expect(refreshed(10)).toEqual([0, 9, 19, 29]);
    expect(refreshed(1)).toHaveLength(32);
  });
});
