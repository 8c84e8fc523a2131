import { type Device, Generator, openDevice, type StateDict, setDefaultDevice, tensor } from '@actionclip/tensor';
import { CLIP, type ClipSizes, type PresetName, presets, trimTokens } from '@actionclip/transformer';
import { contrastiveLoss, contrastiveTargets, shift, type TemporalHeadName, temporalHeads } from 'actionclip';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildModel, integers, readCase } from './fixtures.ts';

let device: Device;
beforeAll(async () => {
  device = await openDevice('wasm');
  setDefaultDevice(device);
});
afterAll(() => device.close());

describe('parameters', () => {
  // The values of a new model are computed when they are first asked for, which is never here.
  test.each<[PresetName, number, number, number]>([
    ['ViT-B/32', 302, 151_277_313, 87_849_216],
    ['ViT-B/16', 302, 149_620_737, 86_192_640],
    ['ViT-L/14', 446, 427_616_513, 303_966_208],
    ['ViT-L/14@336px', 446, 427_944_193, 304_293_888],
  ])('%s has %i tensors with %i parameters, %i of them in the image tower', (name, tensors, total, visual) => {
    const model = new CLIP(presets[name]);
    expect([...model.namedParameters()]).toHaveLength(tensors);
    expect(model.parameterCount()).toBe(total);
    expect(model.visual.parameterCount()).toBe(visual);
  });

  test.each<[TemporalHeadName, number, number, number]>([
    ['meanP', 0, 0, 0],
    ['LSTM', 5, 2_140_672, 4_783_872],
    ['Transf', 73, 18_953_728, 42_586_368],
    ['Conv_1D', 2, 40_960, 61_440],
    ['Transf_cls', 77, 18_959_872, 33_152_256],
  ])('the head %s has %i tensors: %i parameters beside ViT-B, %i beside ViT-L', (name, tensors, base, large) => {
    const head = (sizes: ClipSizes) =>
      temporalHeads[name]({
        width: sizes.embedding,
        frames: 8,
        positions: sizes.text.context,
        heads: sizes.text.heads,
      });
    expect(head(presets['ViT-B/32']).parameters()).toHaveLength(tensors);
    expect(head(presets['ViT-B/32']).parameterCount()).toBe(base);
    expect(head(presets['ViT-L/14']).parameterCount()).toBe(large);
  });
});

describe('the loss', () => {
  const labels = [3, 1, 3, 2];
  const logits = [
    [5, 1, 2, 0],
    [0, 4, 1, 1],
    [3, 0, 6, -1],
    [1, 1, 1, 3],
  ];

  test('has the values of the released code in both directions', async () => {
    const { total, videoToText, textToVideo } = contrastiveLoss(tensor(logits), tensor(labels));
    expect(await videoToText.item()).toBeCloseTo(0.5467452, 6);
    expect(await textToVideo.item()).toBeCloseTo(0.5218865, 6);
    expect(await total.item()).toBeCloseTo(0.5343158, 6);
  });

  test('shares the target among the clips of a class', async () => {
    const row = (await contrastiveTargets(tensor(labels)).data()).slice(0, 4);
    // Two clips of the class and two of others: 1 to e⁻¹⁰ parts, which is 0.49997730 and 2.26989e-5.
    const whole = 2 + 2 * Math.exp(-10);
    [1 / whole, Math.exp(-10) / whole, 1 / whole, Math.exp(-10) / whole].forEach((value, i) => {
      expect(row[i]).toBeCloseTo(value, 7);
    });
  });

  test.each([32, 128, 256])(
    'of %i classes in a batch aims at e^10 parts to one part for each other class',
    async (batch) => {
      const targets = await contrastiveTargets(tensor(Array.from({ length: batch }, (_, i) => i))).data();
      expect(targets[0]).toBeCloseTo(Math.exp(10) / (Math.exp(10) + batch - 1), 5);
    },
  );

  test('is 0 where the logits say what the target says', async () => {
    const same = labels.map((a) => labels.map((b) => (a === b ? 10 : 0)));
    expect(await contrastiveLoss(tensor(same), tensor(labels)).total.item()).toBeCloseTo(0, 6);
  });
});

test('text cut off behind its last end token has the same features', async () => {
  const golden = await readCase('mean');
  const { clip } = buildModel(golden);
  const { context } = golden.sizes.text;
  const ids = Int32Array.from(golden.tokens.data, Number);
  const { tokens, length } = trimTokens(ids, context);
  expect(length).toBeLessThan(context);
  const full = await clip.encodeText(integers(golden.tokens)).data();
  const cut = await clip.encodeText(tensor(tokens, { shape: [ids.length / context, length] })).data();
  const largest = Math.max(...Array.from(full, Math.abs));
  expect(Math.max(...Array.from(full, (value, i) => Math.abs(value - (cut[i] as number))))).toBeLessThan(
    1e-5 * largest,
  );
});

test('shift moves an eighth of the channels of every patch each way in time, and leaves class tokens alone', async () => {
  const [batch, frames, length, width] = [2, 3, 4, 16] as const;
  const at = (clip: number, frame: number, token: number, channel: number): number =>
    ((clip * frames + frame) * length + token) * width + channel;
  const size = batch * frames * length * width;
  const values = Float32Array.from({ length: size }, (_, i) => i + 1);
  const moved = await shift(tensor(values, { shape: [batch * frames, length, width] }), frames).data();
  const expected = new Float32Array(size);
  for (let clip = 0; clip < batch; clip++)
    for (let frame = 0; frame < frames; frame++)
      for (let token = 0; token < length; token++)
        for (let channel = 0; channel < width; channel++) {
          const from = token === 0 ? frame : channel < 2 ? frame + 1 : channel < 4 ? frame - 1 : frame;
          const outside = from < 0 || from >= frames;
          expected[at(clip, frame, token, channel)] = outside ? 0 : (values[at(clip, from, token, channel)] as number);
        }
  expect(moved).toEqual(expected);
});

test('a new convolution head shifts a quarter of the channels each way and keeps the others', async () => {
  const [frames, width] = [5, 8];
  const head = temporalHeads.Conv_1D({ width, frames, positions: 16, heads: 1 });
  const x = Array.from({ length: frames }, (_, t) => Array.from({ length: width }, (_, c) => (t + 1) * 10 + c));
  const result = await head.forward(tensor([x])).data();
  const column = (c: number): number[] => x.map((row) => row[c] as number);
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / frames;
  const expected = Array.from({ length: width }, (_, c) => {
    const own = column(c);
    const neighbours = c < 2 ? [0, ...own.slice(0, -1)] : c < 6 ? own : [...own.slice(1), 0];
    return mean(neighbours) + mean(own);
  });
  expected.forEach((value, c) => {
    expect(result[c]).toBeCloseTo(value, 4);
  });
});

describe('a new CLIP', () => {
  const sizes: ClipSizes = {
    embedding: 96,
    vision: { resolution: 32, patch: 4, width: 128, layers: 2, heads: 2 },
    text: { context: 32, vocabulary: 600, width: 64, layers: 3, heads: 1 },
  };
  let weights: StateDict;
  beforeAll(async () => {
    weights = await new CLIP(sizes, { generator: new Generator(7) }).stateDict();
  });

  const statistics = (name: string) => {
    const values = Array.from(weights.get(name)?.data ?? [], Number);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    return { count: values.length, mean, deviation, largest: Math.max(...values.map(Math.abs)) };
  };

  const [visualWidth, textWidth] = [128, 64];
  const output = textWidth ** -0.5 * (2 * 3) ** -0.5;
  test.each([
    ['visual.class_embedding', visualWidth ** -0.5],
    ['visual.positional_embedding', visualWidth ** -0.5],
    ['visual.proj', visualWidth ** -0.5],
    ['token_embedding.weight', 0.02],
    ['positional_embedding', 0.01],
    ['transformer.resblocks.1.attn.in_proj_weight', textWidth ** -0.5],
    ['transformer.resblocks.1.attn.out_proj.weight', output],
    ['transformer.resblocks.1.mlp.c_proj.weight', output],
    ['transformer.resblocks.1.mlp.c_fc.weight', (2 * textWidth) ** -0.5],
    ['text_projection', textWidth ** -0.5],
  ])('draws %s from a normal distribution of deviation %f', (name, expected) => {
    const { count, mean, deviation, largest } = statistics(name);
    // Five standard errors of the mean and of the deviation.
    expect(Math.abs(mean)).toBeLessThan((5 * expected) / Math.sqrt(count));
    expect(Math.abs(deviation / expected - 1)).toBeLessThan(5 / Math.sqrt(2 * count));
    expect(largest).toBeGreaterThan(2 * expected);
  });

  test.each([
    ['visual.transformer.resblocks.0.attn.in_proj_weight', Math.sqrt(6 / (4 * visualWidth))],
    ['visual.transformer.resblocks.0.attn.out_proj.weight', visualWidth ** -0.5],
    ['visual.transformer.resblocks.0.mlp.c_fc.weight', visualWidth ** -0.5],
    ['visual.transformer.resblocks.0.mlp.c_fc.bias', visualWidth ** -0.5],
    ['visual.transformer.resblocks.0.mlp.c_proj.weight', (4 * visualWidth) ** -0.5],
    ['visual.conv1.weight', (3 * 4 * 4) ** -0.5],
    ['transformer.resblocks.0.mlp.c_fc.bias', textWidth ** -0.5],
  ])('draws %s evenly from within %f', (name, bound) => {
    const { count, mean, deviation, largest } = statistics(name);
    expect(largest).toBeLessThanOrEqual(bound * (1 + 1e-6));
    expect(largest).toBeGreaterThan(bound * (1 - 10 / count));
    expect(Math.abs(mean)).toBeLessThan((5 * bound) / Math.sqrt(3 * count));
    expect(Math.abs((deviation * Math.sqrt(3)) / bound - 1)).toBeLessThan(5 / Math.sqrt(2 * count));
  });

  test('starts normalisations at 1 and 0, attention biases at 0, and the logit scale at ln(1 / 0.07)', () => {
    for (const [name, { data }] of weights) {
      const values = Array.from(data, Number);
      if (/ln_\w+\.weight$/.test(name)) expect(new Set(values)).toEqual(new Set([1]));
      if (/ln_\w+\.bias$|attn\.in_proj_bias$|attn\.out_proj\.bias$/.test(name)) {
        expect(new Set(values)).toEqual(new Set([0]));
      }
    }
    expect(Number(weights.get('logit_scale')?.data[0])).toBeCloseTo(Math.log(1 / 0.07), 6);
  });
});

test('a new temporal transformer has weights and positions of deviation 0.02 and no biases', async () => {
  const head = temporalHeads.Transf({ width: 64, frames: 8, positions: 77, heads: 1, generator: new Generator(3) });
  const weights = await head.stateDict();
  const deviation = (name: string): number => {
    const values = Array.from(weights.get(name)?.data ?? [], Number);
    return Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length);
  };
  for (const name of ['mlp.c_fc', 'mlp.c_proj', 'attn.out_proj']) {
    expect(Math.abs(deviation(`transformer.resblocks.4.${name}.weight`) / 0.02 - 1)).toBeLessThan(0.06);
    expect(deviation(`transformer.resblocks.4.${name}.bias`)).toBe(0);
  }
  expect(Math.abs(deviation('frame_position_embeddings.weight') / 0.02 - 1)).toBeLessThan(0.06);
  const bound = Math.sqrt(6 / (4 * 64));
  expect(Math.abs((deviation('transformer.resblocks.4.attn.in_proj_weight') * Math.sqrt(3)) / bound - 1)).toBeLessThan(
    0.03,
  );
});

test('a new Transf_cls has weights within 0.04, of deviation 0.0173, and no biases', async () => {
  const head = temporalHeads.Transf_cls({ width: 64, frames: 8, positions: 77, heads: 1, generator: new Generator(3) });
  const weights = await head.stateDict();
  const names = [...weights.keys()].filter((name) =>
    /cls_token|pos_embed$|out_proj\.weight|linear\d\.weight/.test(name),
  );
  const drawn = names.flatMap((name) => Array.from(weights.get(name)?.data ?? [], Number));
  expect(drawn.every((value) => Math.abs(value) < 0.04)).toBe(true);
  // N(0, 1) modulo 2 has a deviation of 0.8656.
  const deviation = Math.sqrt(drawn.reduce((sum, value) => sum + value ** 2, 0) / drawn.length);
  expect(Math.abs(deviation / (0.02 * 0.8656) - 1)).toBeLessThan(0.01);
  for (const [name, { data }] of weights)
    if (/(out_proj|linear\d)\.bias$/.test(name)) expect(new Set(Array.from(data, Number))).toEqual(new Set([0]));
});
