import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Device, openDevice, type StateDict, setDefaultDevice } from '@actionclip/tensor';
import {
  type ActionCLIP,
  CheckpointError,
  type OpenedCheckpoint,
  type OpenModelOptions,
  openCheckpointModel,
  readCheckpointFile,
  writeSafetensorsFile,
} from 'actionclip';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CaseName, caseNames, floats, integers, largestError, readCase } from '../../golden/fixtures.ts';
import { toHuggingFace, toMmaction2 } from './hugging-face.ts';
import { isSame } from './same.ts';

const fixture = (path: string): string =>
  fileURLToPath(new URL(`../../../../shared/fixtures/model/${path}`, import.meta.url));

let device: Device;
let folder = '';
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1 });
  setDefaultDevice(device);
  folder = mkdtempSync(join(tmpdir(), 'open-model-'));
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await device.close();
});

const fileNamed = (name: string): string => join(folder, name);
const weightsOf = async (name: CaseName): Promise<StateDict> =>
  (await readCheckpointFile(fixture(`${name}/checkpoint.pt`))).tensors;

async function saved(name: string, tensors: StateDict, metadata: Record<string, unknown> = {}): Promise<string> {
  const texts = Object.entries(metadata).map(([key, value]) => [key, JSON.stringify(value)] as const);
  await writeSafetensorsFile(fileNamed(name), tensors, new Map(texts));
  return fileNamed(name);
}

const under = (prefix: string, tensors: StateDict): StateDict =>
  new Map([...tensors].map(([name, tensor]) => [prefix + name, tensor]));

async function parametersOf(model: ActionCLIP): Promise<StateDict> {
  return model.stateDict();
}

/** Opens a file and expects its model to have exactly these parameters, to the bit. */
async function expectModel(path: string, weights: StateDict, options?: OpenModelOptions): Promise<OpenedCheckpoint> {
  const opened = await openCheckpointModel(path, options);
  const parameters = await parametersOf(opened.model);
  expect(new Set(parameters.keys())).toEqual(new Set(weights.keys()));
  expect([...weights].filter(([name, tensor]) => !isSame(parameters.get(name), tensor)).map(([name]) => name)).toEqual(
    [],
  );
  expect(opened.untrained).toEqual([]);
  return opened;
}

describe('the model of a checkpoint', () => {
  it.each(caseNames)("gives PyTorch's logits in the case %s, everything read off the file", async (name) => {
    const golden = await readCase(name);
    const { frames, temporal, tsm, joint } = golden.description;
    const told = temporal === 'Transf_cls' || joint;
    const opened = await openCheckpointModel(fixture(`${name}/checkpoint.pt`), told ? {} : { frames });
    expect(opened.description).toMatchObject({ frames, temporal, shift: tsm, joint, sizes: golden.sizes });
    expect(opened.untrained).toEqual([]);
    const logits = await opened.model.forward(floats(golden.frames), integers(golden.tokens)).data();
    const expected = golden.expected.get('logits_per_video');
    expect(expected && largestError(logits, expected)).toBeLessThan(1e-4);
  });

  it('is that of the file to the bit, in evaluation mode, with 8 frames where nothing tells', async () => {
    const opened = await expectModel(fixture('transf/checkpoint.pt'), await weightsOf('transf'));
    expect(opened.model.training).toBe(false);
    expect(opened.model.frames).toBe(8);
    expect(opened.description.temporalLayers).toBe(6);
  });

  it("of OpenAI's TorchScript archive has its halves as floats, and averages the frames", async () => {
    const { tensors } = await readCheckpointFile(fixture('mean/clip-jit-fp16.pt'));
    const { model, description } = await openCheckpointModel(fixture('mean/clip-jit-fp16.pt'));
    expect(description.temporal).toBe('meanP');
    const parameters = await parametersOf(model);
    expect(tensors.size).toBeGreaterThan(50);
    for (const [name, { shape, data }] of tensors) {
      const values = Float32Array.from(data as Uint16Array, (bits) => halfValue(bits));
      expect(isSame(parameters.get(name), { dtype: 'f32', shape, data: values }), name).toBe(true);
    }
  });

  it.each(['f64', 'bf16', 'f16'] as const)('takes values of %s', async (dtype) => {
    const clip = (await readCheckpointFile(fixture('mean/clip.pt'))).tensors;
    const rounded: StateDict = new Map();
    const given: StateDict = new Map();
    for (const [name, { shape, data }] of clip) {
      // The upper 16 bits of a float are a bfloat16; small whole numbers are the same in every dtype.
      const bits = new Uint16Array((data as Float32Array).buffer, data.byteOffset, data.length * 2).filter(
        (_, i) => i % 2,
      );
      const whole = Float32Array.from(bits, (value) => (value % 64) - 32);
      const values = dtype === 'bf16' ? Float32Array.from(bits, upperHalf) : whole;
      const stored =
        dtype === 'f64' ? Float64Array.from(whole) : dtype === 'bf16' ? bits : Uint16Array.from(whole, smallHalf);
      rounded.set(name, { dtype: 'f32', shape, data: values });
      given.set(name, { dtype, shape, data: stored });
    }
    await expectModel(await saved(`${dtype}.safetensors`, given), rounded);
  });
});

const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);
const upperHalf = (bits: number): number => {
  word[0] = bits * 2 ** 16;
  return single[0] as number;
};
/** IEEE 754's definition of a half's value. */
function halfValue(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}
/** The half bits of a whole number below 2048 in size. */
function smallHalf(value: number): number {
  if (value === 0) return 0;
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  return (value < 0 ? 0x8000 : 0) + (exponent + 15) * 1024 + (Math.abs(value) / 2 ** exponent - 1) * 1024;
}

describe('a model is found', () => {
  it.each([
    ['state_dict.', 'openai'],
    ['model_state_dict.module.', 'openai'],
    ['model.', 'openai'],
    ['ema.', 'openai'],
    ['trainer.0.network.', 'openai'],
  ])('under %s', async (prefix, layout) => {
    const clip = (await readCheckpointFile(fixture('mean/clip.pt'))).tensors;
    const opened = await expectModel(await saved('nested.safetensors', under(prefix, clip)), clip);
    expect(opened.layout).toBe(layout);
  });

  it('in the model where the averaged one stands beside it', async () => {
    const clip = (await readCheckpointFile(fixture('mean/clip.pt'))).tensors;
    const other = new Map(
      [...clip].map(([name, tensor]) => [name, { ...tensor, data: new Float32Array(tensor.data.length) }]),
    );
    await expectModel(
      await saved('both.safetensors', new Map([...under('ema.', other), ...under('model.', clip)])),
      clip,
    );
  });

  it('nowhere where two stand beside each other and neither is preferred', async () => {
    const clip = (await readCheckpointFile(fixture('mean/clip.pt'))).tensors;
    const path = await saved('two.safetensors', new Map([...under('teacher.', clip), ...under('student.', clip)]));
    await expect(openCheckpointModel(path)).rejects.toThrow(/several models inside, under (student|teacher)\., /);
  });

  it("in mmaction2's file, whose cut table of positions tells the frames", async () => {
    const weights = await weightsOf('transf');
    const name = 'fusion.frame_position_embeddings.weight';
    const table = weights.get(name);
    if (table === undefined) throw new Error('the fixture has no table of frame positions');
    const width = table.shape[1] ?? 0;
    const cut = { ...table, shape: [4, width], data: table.data.slice(0, 4 * width) };
    const padded = { ...table, data: Float32Array.from(table.data as Float32Array, (x, i) => (i < 4 * width ? x : 0)) };
    const path = await saved(
      'mmaction2.safetensors',
      under('state_dict.', toMmaction2(new Map([...weights, [name, cut]]))),
    );
    const opened = await expectModel(path, new Map([...weights, [name, padded]]));
    expect(opened.layout).toBe('mmaction2');
    expect(opened.model.frames).toBe(4);
  });

  it("in Hugging Face's file, in several files by their index or folder, and in a folder", async () => {
    const clip = (await readCheckpointFile(fixture('mean/clip.pt'))).tensors;
    const renamed = toHuggingFace(clip);
    mkdirSync(fileNamed('single'));
    expect((await expectModel(await saved('single/model.safetensors', renamed), clip)).layout).toBe('huggingface');
    await expectModel(fileNamed('single'), clip);

    const map: Record<string, string> = {};
    const parts = ['one.safetensors', 'two.safetensors'].map((file, part) => {
      const own = new Map([...renamed].filter((_, i) => i % 2 === part));
      for (const name of own.keys()) map[name] = file;
      return saved(`sharded/${file}`, own);
    });
    await Promise.all(parts);
    const index = fileNamed('sharded/model.safetensors.index.json');
    writeFileSync(index, JSON.stringify({ metadata: {}, weight_map: map }));
    await expectModel(index, clip);
    const opened = await expectModel(fileNamed('sharded'), clip);
    expect(opened.source).toBe(index);
  });

  it('in the checkpoint of a run, with heads, frames and texts as described', async () => {
    const weights = await weightsOf('lstm');
    const { sizes } = await readCase('lstm');
    const described = { ...sizes, vision: { ...sizes.vision, heads: 4 } };
    const description = { sizes: described, frames: 5, temporal: 'LSTM', vocabulary: 'clip', shortSide: 40 };
    const labels = ['wave', 'clap'];
    const path = await saved('run.safetensors', under('model_state_dict.', weights), { description, labels });
    const opened = await expectModel(path, weights);
    expect(opened.labels).toEqual(labels);
    expect(opened.description).toMatchObject({ frames: 5, shortSide: 40, sizes: described });
    expect(opened.model.clip.sizes.vision.heads).toBe(4);
    const unknown = { description: { ...description, templates: 'of tomorrow' }, labels };
    const later = await saved('later.safetensors', under('model_state_dict.', weights), unknown);
    await expect(openCheckpointModel(later)).rejects.toThrow(
      /trained with the templates "of tomorrow".*actionclip, bare/,
    );
  });
});

describe('what is asked for', () => {
  it('as meanP leaves the head of the file unused', async () => {
    const weights = await weightsOf('transf');
    const clip = new Map([...weights].filter(([name]) => !name.startsWith('fusion.')));
    const opened = await expectModel(fixture('transf/checkpoint.pt'), clip, { temporal: 'meanP' });
    expect(opened.unused).toHaveLength(weights.size - clip.size);
    expect(opened.description.temporal).toBe('meanP');
  });

  it('as another head than that of the file starts from random weights only where that is said', async () => {
    const path = fixture('mean/checkpoint.pt');
    await expect(openCheckpointModel(path, { temporal: 'LSTM' })).rejects.toThrow(
      /its temporal head is meanP, and LSTM would start from random weights; choose meanP, or ask for an untrained head/,
    );
    const opened = await openCheckpointModel(path, { temporal: 'LSTM', untrainedHead: true });
    expect(opened.untrained).toContain('fusion.lstm_visual.weight_ih_l0');
    expect(opened.untrained).toHaveLength(5);
  });

  it('as another resolution takes the positions of patches there, and refuses what does not divide into patches', async () => {
    const path = fixture('mean/checkpoint.pt');
    const { model, description } = await openCheckpointModel(path, { resolution: 48 });
    expect(description.sizes.vision.resolution).toBe(48);
    expect((await parametersOf(model)).get('visual.positional_embedding')?.shape).toEqual([37, 128]);
    await expect(openCheckpointModel(path, { resolution: 50 })).rejects.toThrow(/50 does not divide into patches of 8/);
  });

  it.each([
    ['transf-cls', 'fusion.transformer.pos_embed', 1],
    ['joint', 'visual.time_embedding', 0],
  ] as const)(
    'as twice the frames lays those of the case %s between the learned ones',
    async (name, parameter, kept) => {
      const table = (await weightsOf(name)).get(parameter);
      const { model } = await openCheckpointModel(fixture(`${name}/checkpoint.pt`), { frames: 8 });
      const doubled = (await parametersOf(model)).get(parameter);
      const width = table?.shape.at(-1) ?? 0;
      const row = (from: typeof table, index: number): number[] =>
        [...((from?.data ?? []) as Float32Array)].slice(index * width, (index + 1) * width);
      expect(doubled?.data.length).toBe((8 + kept) * width);
      if (kept > 0) expect(row(doubled, 0)).toEqual(row(table, 0));
      expect(row(doubled, kept)).toEqual(row(table, kept));
      const between = row(table, kept).map((value, i) =>
        Math.fround(0.75 * value + 0.25 * (row(table, kept + 1)[i] ?? 0)),
      );
      expect(row(doubled, kept + 1)).toEqual(between);
    },
  );

  it('as more frames than a table of frame positions has rows stretches the table', async () => {
    const path = fixture('transf/checkpoint.pt');
    const table = (await weightsOf('transf')).get('fusion.frame_position_embeddings.weight');
    const [rows = 0, width = 0] = table?.shape ?? [];
    const { model } = await openCheckpointModel(path, { frames: 2 * rows });
    const stretched = (await parametersOf(model)).get('fusion.frame_position_embeddings.weight');
    expect(stretched?.shape).toEqual([2 * rows, width]);
    expect(stretched?.data.slice(-width)).toEqual(table?.data.slice(-width));
    const { model: same } = await openCheckpointModel(path, { frames: 3 });
    expect((await parametersOf(same)).get('fusion.frame_position_embeddings.weight')?.data).toEqual(table?.data);
  });

  it('as the tokenizer of a file without a vocabulary is refused when it is used', async () => {
    const opened = await openCheckpointModel(fixture('mean/clip.pt'));
    expect(() => opened.tokenizer).toThrow(/its text tower knows 300 tokens, CLIP's vocabulary has 49408/);
    expect(() => opened.tokenizer).toThrow(CheckpointError);
  });
});

describe('a checkpoint is refused in one sentence', () => {
  const changed = async (change: (tensors: StateDict) => void): Promise<string> => {
    const tensors: StateDict = new Map(await weightsOf('transf'));
    change(tensors);
    return saved('changed.safetensors', tensors);
  };
  const scalar = { dtype: 'f32', shape: [1], data: Float32Array.of(0) } as const;

  it.each<[string, (tensors: StateDict) => void, RegExp]>([
    ['where a parameter is missing', (all) => all.delete('ln_final.bias'), /1 missing: ln_final\.bias \[64\]/],
    ['where one is too much', (all) => all.set('visual.extra', scalar), /1 unexpected: visual\.extra \[1\]/],
    ['where one has another shape', (all) => all.set('visual.ln_post.bias', scalar), /is \[1\], expected \[128\]/],
    [
      'where no sizes can be read',
      (all) => all.delete('text_projection'),
      /CLIP: the weights have no text_projection; choose a CLIP checkpoint with a vision transformer$/,
    ],
    [
      'where a block is not there',
      (all) => all.delete('visual.transformer.resblocks.1.attn.in_proj_weight'),
      /resblocks\.1\.attn\.in_proj_weight is missing, expected \[384,128\]/,
    ],
    [
      'where the head is of no known kind',
      (all) => renameHead(all),
      /a temporal head of no known kind, with fusion\.x/,
    ],
  ])('%s', async (_, change, message) => {
    const path = await changed(change);
    await expect(openCheckpointModel(path)).rejects.toThrow(CheckpointError);
    await expect(openCheckpointModel(path)).rejects.toThrow(message);
  });

  it('where its description is not that of its parameters', async () => {
    const { sizes } = await readCase('mean');
    const description = { sizes, frames: 4, temporal: 'LSTM', vocabulary: 'clip' };
    const path = await saved('other.safetensors', await weightsOf('mean'), { description });
    await expect(openCheckpointModel(path)).rejects.toThrow(/its description says temporal head LSTM/);
    const broken = await saved('broken.safetensors', await weightsOf('mean'), { description: { sizes: {} } });
    await expect(openCheckpointModel(broken)).rejects.toThrow(/the metadata has no readable description/);
    const endless = await saved('endless.safetensors', await weightsOf('transf'), {
      description: { sizes, frames: 1e12, temporal: 'Transf', vocabulary: 'clip' },
    });
    await expect(openCheckpointModel(endless)).rejects.toThrow(/the metadata has no readable description/);
    await expect(openCheckpointModel(fixture('mean/clip.pt'), { frames: 1e9 })).rejects.toThrow(
      /1000000000 frames were asked for; choose a whole number from 1 to 4096/,
    );
  });

  it.each([
    [{ vision_config: { hidden_act: 'gelu' } }, /config\.json: the image tower's hidden_act is "gelu", this program/],
    [{ text_config: { layer_norm_eps: 1e-6 } }, /config\.json: the text tower's layer_norm_eps is 0\.000001/],
  ])("where Hugging Face's config says that it computes otherwise: %o", async (config, message) => {
    const path = await saved(
      'laion/model.safetensors',
      toHuggingFace((await readCheckpointFile(fixture('mean/clip.pt'))).tensors),
    );
    writeFileSync(fileNamed('laion/config.json'), JSON.stringify(config));
    await expect(openCheckpointModel(path)).rejects.toThrow(message);
    const usual = {
      vision_config: { num_attention_heads: 4, hidden_act: 'quick_gelu' },
      text_config: { num_attention_heads: 1 },
    };
    writeFileSync(fileNamed('laion/config.json'), JSON.stringify(usual));
    expect((await openCheckpointModel(path)).model.clip.sizes.vision.heads).toBe(4);
  });

  it.each([
    [{}, /not an index of a checkpoint in several files \(it has no weight_map/],
    [
      { weight_map: { a: '../secret.safetensors' } },
      /a is in "\.\.\/secret\.safetensors", which is not the name of a file/,
    ],
    [{ weight_map: { a: 'absent.safetensors' } }, /absent\.safetensors: there is no such file/],
    [
      { weight_map: { a: 'there.safetensors' } },
      /1 tensors are not in the files that it names: a \(there\.safetensors\)/,
    ],
  ])('where its index is %o', async (index, message) => {
    await saved('there.safetensors', new Map([['b', scalar]]));
    writeFileSync(fileNamed('bad.safetensors.index.json'), JSON.stringify(index));
    await expect(openCheckpointModel(fileNamed('bad.safetensors.index.json'))).rejects.toThrow(message);
  });
});

function renameHead(tensors: StateDict): void {
  for (const name of [...tensors.keys()].filter((key) => key.startsWith('fusion.'))) {
    const tensor = tensors.get(name);
    tensors.delete(name);
    if (tensor) tensors.set(name.replace('fusion.', 'fusion.x.'), tensor);
  }
}
