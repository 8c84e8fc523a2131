import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editDistance, nearest } from '../../../packages/actionclip/src/nearest.ts';
import { BEHAVIOURS } from '../../../packages/actionclip/src/train/config.ts';
import { ConfigError, configFrom, parseConfig } from '../../../packages/actionclip/src/train/config-file.ts';

const FOLDER = new URL('../../../../shared/fixtures/configs/', import.meta.url);
const official = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8');
const MINIMAL = 'data:\n  label_list: labels.csv\n';

function problemsOf(yaml: string): readonly string[] {
  try {
    parseConfig(yaml, 'run.yaml');
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('the official YAML files', () => {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'));

  it('are nine', () => expect(names).toHaveLength(9));

  it.each(names)('%s loads unchanged and warns once for each key that nothing reads', (name) => {
    const { config, warnings } = parseConfig(official(name), name);
    expect(config.data.frames).toBe(8);
    expect(config.network.architecture).toMatch(/^ViT-B\/(32|16)$/);
    expect(config.network.temporalHead).toBe('Transf');
    expect(new Set(warnings).size).toBe(warnings.length);
    for (const key of ['data.modality', 'data.seg_length', 'data.num_classes', 'logging.print_freq']) {
      expect(warnings.filter((warning) => warning.startsWith(`${key} is ignored:`))).toHaveLength(1);
    }
  });

  it('k400_train.yaml means the recipe of the paper', () => {
    const { config, warnings } = parseConfig(official('k400_train.yaml'), 'k400_train.yaml');
    expect(config.seed).toBe(1024);
    expect(config.pretrain).toBeUndefined();
    expect(config.data).toMatchObject({
      dataset: 'kinetics400',
      batchSize: 128,
      imageTemplate: 'img_{:05d}.jpg',
      randAugment: { operations: 2, magnitude: 9 },
      randomShift: true,
      trainList: 'lists/k4001/train_frames_new.txt',
    });
    expect(config.solver).toMatchObject({
      optimizer: 'adamw',
      learningRate: 5e-6,
      visualRatio: 1,
      temporalRatio: 10,
      weightDecay: 0.2,
      schedule: 'cosine',
      epochs: 50,
      warmupEpochs: 5,
      milestones: [15, 30, 45],
    });
    expect(config.solver.maximumGradientNorm).toBeUndefined();
    expect([config.solver.precision, config.network.checkpoint]).toEqual(['f32', false]);
    expect(warnings.some((warning) => warning.startsWith('solver.clip_gradient is ignored'))).toBe(true);
  });

  it('of zero-shot tests warn that an untrained head spoils the features, and those with a model do not', () => {
    const spoils = (name: string) => parseConfig(official(name), name).warnings.some((text) => text.includes('meanP'));
    expect(spoils('k400_zero_shot.yaml')).toBe(true);
    expect(spoils('ucf_test.yaml')).toBe(false);
    expect(spoils('k400_train.yaml')).toBe(false);
  });
});

describe('released or corrected behaviour', () => {
  it('is corrected unless asked, and every switch has a name of its own', () => {
    expect(parseConfig(MINIMAL, 'x').config.behaviour).toEqual(BEHAVIOURS.corrected);
    expect(parseConfig(`compatibility: released\n${MINIMAL}`, 'x').config.behaviour).toEqual(BEHAVIOURS.released);
    const mixed = parseConfig(`compatibility: released\nbehaviour: { conv1d: transposed }\n${MINIMAL}`, 'x').config;
    expect(mixed.behaviour).toEqual({ ...BEHAVIOURS.released, conv1d: 'transposed' });
  });

  it('differs in every switch', () => {
    for (const [name, value] of Object.entries(BEHAVIOURS.released)) {
      expect(Object.entries(BEHAVIOURS.corrected)).not.toContainEqual([name, value]);
    }
  });

  it('decides whether an absent random_shift means random frames', () => {
    const shift = (compatibility: string) =>
      parseConfig(official('hmdb_train.yaml'), 'h', { compatibility }).config.data.randomShift;
    expect(shift('corrected')).toBe(true);
    expect(shift('released')).toBe(false);
  });
});

describe('a mistake in a configuration', () => {
  it('in a key is told with its line and its nearest neighbours', () => {
    expect(problemsOf('seed: 1\ndata:\n  label_list: l.csv\n  batchsize: 8\n')).toEqual([
      'run.yaml:4:3: data.batchsize: unknown key; did you mean batch_size?',
    ]);
    expect(problemsOf(`solvr:\n  lr: 1\n${MINIMAL}`)).toEqual([
      'run.yaml:1:1: solvr: unknown key; did you mean solver?',
    ]);
  });

  it('of section is told with the right one', () => {
    expect(problemsOf(`random_shift: true\n${MINIMAL}`)).toEqual([
      'run.yaml:1:1: random_shift: unknown key; it belongs under data',
    ]);
  });

  it('in a key without neighbours is told with all that are known', () => {
    expect(problemsOf(`${MINIMAL}output:\n  qqqqqqqqqqqqqqqqqqq: 1\n`)[0]).toMatch(
      /output\.q+: unknown key; known are folder/,
    );
  });

  it.each([
    ['of type', 'data:\n  label_list: l\n  batch_size: many\n', /run\.yaml:3:3: data\.batch_size: .*expected number/],
    ['of range', 'data:\n  label_list: l\n  batch_size: 0\n', /data\.batch_size: too small/],
    ['of choice', `${MINIMAL}network:\n  sim_header: Transformer\n`, /network\.sim_header: invalid option.*"Transf"/],
    ['of absence', 'data:\n  batch_size: 4\n', /run\.yaml:1:1: data\.label_list: this key is required/],
    ['of a whole section', 'seed: 1\n', /run\.yaml: data: this key is required/],
    ['of the image template', 'data:\n  label_list: l\n  image_tmpl: img.jpg\n', /one integer place/],
    [
      'of warm-up',
      `${MINIMAL}solver:\n  epochs: 3\n  lr_warmup_step: 5\n`,
      /:5:3: solver\.lr_warmup_step: 5 epochs of warm-up are more/,
    ],
    ['of milestones', `${MINIMAL}solver: { type: multistep, lr_decay_step: [4, 8] }\n`, /first milestone 4 must come/],
    ['of frames', 'data:\n  label_list: l\n  num_segments: 78\n', /78 frames are more than the 77 positions of Transf/],
    ['of joint', `${MINIMAL}network: { joint: true }\n`, /set sim_header to meanP/],
    ['of YAML', 'data:\n  a: [1\n', /run\.yaml:3:1: not YAML/],
    ['of a repeated key', 'seed: 1\nseed: 2\n', /run\.yaml:2:1: not YAML: Map keys must be unique/],
    ['of kind', '- a\n- b\n', /found a list/],
    ['of emptiness', '', /found nothing/],
  ])('%s is told in words', (_, yaml, message) => {
    expect(problemsOf(yaml).join('\n')).toMatch(message);
  });

  it('does not hide another', () => {
    expect(problemsOf('data:\n  label_list: l\n  workers: -1\n  sed: 1\nseeds: 3\n')).toHaveLength(3);
  });

  it('never ends in anything but a ConfigError', () => {
    const words = fc.constantFrom(
      'data',
      'solver',
      'lr',
      'label_list',
      ': ',
      '\n',
      '  ',
      '- ',
      '[',
      '{',
      '&a',
      '*a',
      '1e9',
      '!!',
      '"',
      '__proto__',
    );
    const yaml = fc.oneof(
      fc.string(),
      fc.array(words, { maxLength: 30 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(yaml, (text) => {
        try {
          parseConfig(text, 'fuzz.yaml');
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('overrides', () => {
  it('replace single keys of the file and are checked like them', () => {
    const { config } = parseConfig(official('k400_train.yaml'), 'k', {
      data: { batch_size: 4 },
      solver: { epochs: 9 },
    });
    expect(config.data.batchSize).toBe(4);
    expect(config.data.frames).toBe(8);
    expect(config.solver.epochs).toBe(9);
    expect(() => parseConfig(MINIMAL, 'run.yaml', { data: { batch_size: -4 } })).toThrow(/data\.batch_size: too small/);
  });

  it('are enough without a file', () => {
    expect(configFrom({ data: { label_list: 'l.csv' } }).config.data.labelList).toBe('l.csv');
    expect(() => configFrom({ data: { label_lst: 'l.csv' } })).toThrow(/did you mean label_list/);
  });
});

describe('nearest names', () => {
  it('are found by few edits', () => {
    expect(editDistance('kitten', 'sitting')).toBe(3);
    expect(editDistance('', 'abc')).toBe(3);
    expect(nearest('epoch', ['epochs', 'start_epoch', 'momentum'])).toEqual(['epochs']);
  });
});
