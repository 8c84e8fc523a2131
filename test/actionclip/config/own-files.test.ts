// The files of configs/: they load without a warning, say what they are for, and name weights that are known.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { namedWeights } from '../../../packages/actionclip/src/hub/names.ts';
import { parseConfig } from '../../../packages/actionclip/src/train/config-file.ts';
import { describeModel } from '../../../packages/actionclip/src/train/model-description.ts';

const FOLDER = new URL('../../../configs/', import.meta.url);
const names = readdirSync(FOLDER);
const textOf = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8');
const configOf = (name: string) => parseConfig(textOf(name), name).config;

it('configs/ has a file for each use', () => {
  expect(names).toEqual([
    'charades.yaml',
    'few-shot.yaml',
    'hmdb51.yaml',
    'k400-vit-b-16-16f.yaml',
    'k400-vit-b-16-32f.yaml',
    'k400-vit-b-16-8f.yaml',
    'k400-vit-b-32-8f.yaml',
    'lora.yaml',
    'small-data.yaml',
    'st-adapter.yaml',
    'text-classifier.yaml',
    'ucf101.yaml',
    'vificlip.yaml',
    'zero-shot.yaml',
  ]);
});

describe.each(names)('%s', (name) => {
  it('loads without a warning, for a model that there is', () => {
    const { config, warnings } = parseConfig(textOf(name), name);
    expect(warnings).toEqual([]);
    expect(describeModel(config).frames).toBe(config.data.frames);
  });

  it('starts from weights that are known by name', () => {
    const { pretrain, network } = configOf(name);
    const start = pretrain ?? network.weights;
    expect(namedWeights.map((row) => row.name)).toContain(start);
    const model = /^hub:actionclip\/vit-b-(\d+)-(\d+)f$/.exec(pretrain ?? '');
    if (model === null) expect(start).toBe(`hub:${network.architecture}`);
    else {
      expect(network.architecture).toBe(`ViT-B/${model[1]}`);
      expect(configOf(name).data.frames).toBe(Number(model[2]));
    }
  });

  it('begins with what it is for, how lists are made, how it is run and what to compare with', () => {
    const comment = textOf(name).split(/^(?!#)/m)[0] ?? '';
    expect(comment).toMatch(/^# \S.*\n(# .*\n)*#\n# Lists: {3}(actionclip prepare|one line for each) /);
    expect(comment).toContain(`# Run:     actionclip train --config configs/${name}`);
    expect(comment).toMatch(/^# Compare: .*\d/m);
  });
});

describe('what the files differ in', () => {
  it('is told by the keys', () => {
    expect(configOf('few-shot.yaml').data.shots).toBe(2);
    expect(configOf('zero-shot.yaml').evaluateOnly).toBe(true);
    expect(configOf('small-data.yaml').network.freezeText).toBe(true);
    expect(configOf('text-classifier.yaml')).toMatchObject({
      data: { templates: 'text4vis' },
      network: { freezeText: true },
      solver: { loss: 'classifier', epochs: 30 },
    });
    expect(configOf('lora.yaml').network.adapter).toMatchObject({ kind: 'lora', rank: 8 });
    expect(configOf('st-adapter.yaml')).toMatchObject({
      network: { adapter: { kind: 'st-adapter', channels: 384 }, temporalHead: 'meanP', freezeText: true },
      solver: { loss: 'classifier' },
    });
    expect(configOf('vificlip.yaml')).toMatchObject({
      data: { templates: 'bare' },
      network: { temporalHead: 'meanP' },
    });
    expect(configOf('k400-vit-b-16-32f.yaml').data.frames).toBe(32);
  });

  it('of Kinetics-400 is the recipe of the paper', () => {
    for (const name of names.filter((each) => each.startsWith('k400'))) {
      expect(configOf(name).solver).toMatchObject({
        optimizer: 'adamw',
        learningRate: 5e-6,
        temporalRatio: 10,
        weightDecay: 0.2,
        epochs: 50,
        warmupEpochs: 5,
      });
    }
  });
});
