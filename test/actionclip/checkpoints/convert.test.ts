import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostTensor, parseSafetensors, type StateDict, toFloat32 } from '@actionclip/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../../../packages/actionclip/src/checkpoints/convert.ts';
import { describeCheckpoint } from '../../../packages/actionclip/src/checkpoints/describe.ts';
import { CheckpointError } from '../../../packages/actionclip/src/checkpoints/errors.ts';
import {
  readCheckpointFile,
  withCheckpointFile,
  writeSafetensorsFile,
} from '../../../packages/actionclip/src/checkpoints/files.ts';
import { inPrecision } from '../../../packages/actionclip/src/checkpoints/precision.ts';

const fixture = (path: string) => new URL(`../../../../shared/fixtures/model/${path}`, import.meta.url).pathname;
const CASES = ['mean', 'transf', 'transf-cls', 'lstm', 'conv1d', 'shift', 'joint'];
const described = (path: string) => withCheckpointFile(path, async (contents) => describeCheckpoint(contents));
const isClip = (name: string) => !name.startsWith('fusion.') && name !== 'visual.time_embedding';
const clipOf = (tensors: StateDict): StateDict => new Map([...tensors].filter(([name]) => isClip(name)));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'actionclip-convert-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function expectEqual(given: StateDict, expected: StateDict): void {
  expect(new Set(given.keys())).toEqual(new Set(expected.keys()));
  for (const [name, tensor] of expected) {
    expect(given.get(name)?.dtype, name).toBe(tensor.dtype);
    expect(given.get(name)?.shape, name).toEqual(tensor.shape);
    const bytes = ({ data }: HostTensor) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    expect(bytes(given.get(name) ?? tensor).equals(bytes(tensor)), name).toBe(true);
  }
}

describe.each(CASES)('the checkpoint of the %s case', (name) => {
  const from = fixture(`${name}/checkpoint.pt`);

  it('is in our own layout bit for bit what it was, with a description of the model', async () => {
    const path = join(folder, `${name}.safetensors`);
    const { files, tensors, dropped, description } = await convertCheckpoint(from, path, { to: 'actionclip' });
    const original = await readCheckpointFile(from);
    expectEqual((await readCheckpointFile(path)).tensors, original.tensors);
    expect({ files, dropped, tensors }).toEqual({ files: [path], dropped: [], tensors: original.tensors.size });
    const expected = await described(from);
    expect(description).toEqual(expected.description);
    expect((await described(path)).description).toEqual(expected.description);
  });

  it.each(['openai', 'huggingface'] as const)('has in the %s layout both towers bit for bit', async (to) => {
    const path = join(folder, `${name}-${to}`, 'model.safetensors');
    const { dropped } = await convertCheckpoint(from, path, { to, dropTemporal: true });
    const original = await readCheckpointFile(from);
    const read = await readCheckpointFile(path);
    expect(read.layout).toBe(to);
    expectEqual(read.tensors, clipOf(original.tensors));
    const gone = [...original.tensors.keys()].filter((key) => !isClip(key));
    expect(dropped).toEqual([...gone, ...(name === 'shift' ? ['shift'] : [])]);
  });
});

describe.each(CASES.filter((name) => name !== 'mean'))('the temporal prompts of the %s case', (name) => {
  it.each(['openai', 'huggingface'] as const)('are not lost in the %s layout without a word', async (to) => {
    const path = join(folder, `${name}-refused.safetensors`);
    await expect(convertCheckpoint(fixture(`${name}/checkpoint.pt`), path, { to })).rejects.toThrow(
      /has no place for its temporal prompts \((Transf|Transf_cls|LSTM|Conv_1D|shift|joint)\).*--drop-temporal/,
    );
    expect(readdirSync(folder)).not.toContain(`${name}-refused.safetensors`);
  });
});

describe('a converted checkpoint', () => {
  it('goes from layout to layout and back without a change', async () => {
    const [first, second, third] = ['a', 'b', 'c'].map((letter) =>
      join(folder, `chain-${letter}`, 'model.safetensors'),
    );
    await convertCheckpoint(fixture('mean/clip-jit-fp16.pt'), first ?? '', { to: 'huggingface' });
    await convertCheckpoint(first ?? '', second ?? '', { to: 'openai' });
    await convertCheckpoint(second ?? '', third ?? '', { to: 'actionclip' });
    const original = await readCheckpointFile(fixture('mean/clip-jit-fp16.pt'));
    expect([...original.tensors.values()].every(({ dtype }) => dtype === 'f16')).toBe(true);
    expectEqual((await readCheckpointFile(third ?? '')).tensors, original.tensors);
  });

  it.each(['f16', 'bf16', 'f32'] as const)('has every value rounded to %s where that is asked for', async (dtype) => {
    const path = join(folder, `${dtype}.safetensors`);
    await convertCheckpoint(fixture('lstm/checkpoint.pt'), path, { to: 'actionclip', dtype });
    const { tensors } = await readCheckpointFile(fixture('lstm/checkpoint.pt'));
    const rounded = new Map([...tensors].map(([name, tensor]) => [name, inPrecision(tensor, dtype, name)]));
    expectEqual((await readCheckpointFile(path)).tensors, rounded);
  });

  it('without its temporal head is plain CLIP with the mean over time', async () => {
    const path = join(folder, 'dropped.safetensors');
    await convertCheckpoint(fixture('transf/checkpoint.pt'), path, { to: 'actionclip', dropTemporal: true });
    const { description } = await described(path);
    expect(description).toMatchObject({ temporal: 'meanP', joint: false, shift: false });
    expect(description).not.toHaveProperty('temporalLayers');
    const original = await readCheckpointFile(fixture('transf/checkpoint.pt'));
    expectEqual((await readCheckpointFile(path)).tensors, clipOf(original.tensors));
  });

  it('for Hugging Face has beside it the configuration that transformers needs', async () => {
    const path = join(folder, 'hf', 'model.safetensors');
    const { files } = await convertCheckpoint(fixture('mean/clip.pt'), path, { to: 'huggingface', dtype: 'f16' });
    expect(files).toEqual([path, join(folder, 'hf', 'config.json')]);
    const { sizes } = (await described(fixture('mean/clip.pt'))).description;
    const config = JSON.parse(readFileSync(join(folder, 'hf', 'config.json'), 'utf8'));
    expect(config).toMatchObject({
      architectures: ['CLIPModel'],
      model_type: 'clip',
      torch_dtype: 'float16',
      projection_dim: sizes.embedding,
      text_config: {
        hidden_act: 'quick_gelu',
        hidden_size: sizes.text.width,
        intermediate_size: 4 * sizes.text.width,
        num_hidden_layers: sizes.text.layers,
        num_attention_heads: sizes.text.heads,
        max_position_embeddings: sizes.text.context,
        vocab_size: sizes.text.vocabulary,
        eos_token_id: 2,
      },
      vision_config: {
        hidden_act: 'quick_gelu',
        hidden_size: sizes.vision.width,
        intermediate_size: 4 * sizes.vision.width,
        num_hidden_layers: sizes.vision.layers,
        num_attention_heads: sizes.vision.heads,
        image_size: sizes.vision.resolution,
        patch_size: sizes.vision.patch,
      },
    });
    expect(parseSafetensors(readFileSync(path)).metadata.get('format')).toBe('pt');
  });

  it('for Hugging Face is not put beside the configuration of another model', async () => {
    const target = join(folder, 'taken', 'model.safetensors');
    await convertCheckpoint(fixture('mean/clip.pt'), target, { to: 'huggingface' });
    writeFileSync(join(folder, 'taken', 'config.json'), '{}');
    const other = join(folder, 'taken', 'other.safetensors');
    await expect(convertCheckpoint(fixture('mean/clip.pt'), other, { to: 'huggingface' })).rejects.toThrow(
      /config\.json is there already, for another model/,
    );
    expect(readdirSync(join(folder, 'taken')).sort()).toEqual(['config.json', 'model.safetensors']);
  });

  it('keeps the labels of a training checkpoint, and leaves the optimizer behind', async () => {
    const plain = join(folder, 'own.safetensors');
    await convertCheckpoint(fixture('transf/checkpoint.pt'), plain, { to: 'actionclip' });
    const { description } = await described(plain);
    const model = await readCheckpointFile(plain);
    const training = new Map([...model.tensors].map(([name, tensor]) => [`model_state_dict.${name}`, tensor]));
    training.set('optimizer_state_dict.0.exp_avg', { dtype: 'f32', shape: [1], data: Float32Array.of(3) });
    const run = join(folder, 'last.safetensors');
    const metadata = { format: 'actionclip-training', description: { ...description, frames: 5 }, labels: ['a', 'b'] };
    const texts = Object.entries(metadata).map(
      ([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)] as const,
    );
    await writeSafetensorsFile(run, training, new Map(texts));
    const path = join(folder, 'from-run.safetensors');
    await convertCheckpoint(run, path, { to: 'actionclip' });
    expectEqual((await readCheckpointFile(path)).tensors, model.tensors);
    const found = await described(path);
    expect(found.labels).toEqual(['a', 'b']);
    expect(found.description.frames).toBe(5);
  });
});

describe('a conversion is refused', () => {
  const out = () => join(folder, 'never.safetensors');
  const to = 'actionclip' as const;

  it('where the result would have another ending', async () => {
    await expect(convertCheckpoint(fixture('mean/clip.pt'), join(folder, 'x.pt'), { to })).rejects.toThrow(
      /x\.pt: what is written is a safetensors file; end its name in \.safetensors/,
    );
  });

  it('onto the file that is read', async () => {
    const path = join(folder, 'same.safetensors');
    await convertCheckpoint(fixture('mean/clip.pt'), path, { to });
    const before = readFileSync(path);
    await expect(convertCheckpoint(path, path, { to, dtype: 'f16' })).rejects.toThrow(/is the file that is read/);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it('of what is no whole model', async () => {
    const { tensors } = await readCheckpointFile(fixture('mean/clip.pt'));
    const lacking = new Map([...tensors].filter(([name]) => name !== 'ln_final.bias'));
    const path = join(folder, 'lacking.safetensors');
    await writeSafetensorsFile(path, lacking);
    await expect(convertCheckpoint(path, out(), { to })).rejects.toThrow(/1 missing: ln_final\.bias/);
    await writeSafetensorsFile(path, new Map([...tensors, ['extra.weight', lacking.get('logit_scale') as HostTensor]]));
    await expect(convertCheckpoint(path, out(), { to })).rejects.toThrow(/1 unexpected: extra\.weight/);
  });

  it('of a value that the dtype cannot hold, which is named', async () => {
    const { tensors } = await readCheckpointFile(fixture('mean/clip.pt'));
    const scale: HostTensor = { dtype: 'f32', shape: [], data: Float32Array.of(1e6) };
    const path = join(folder, 'large.safetensors');
    await writeSafetensorsFile(path, new Map([...tensors, ['logit_scale', scale]]));
    await expect(convertCheckpoint(path, out(), { to, dtype: 'f16' })).rejects.toThrow(
      /logit_scale: element 0 is 1000000, which f16 cannot hold/,
    );
  });

  it('in the openai layout of a model whose number of heads it cannot tell, which the others keep', async () => {
    const own = join(folder, 'heads.safetensors');
    const { description } = await convertCheckpoint(fixture('mean/clip.pt'), own, { to });
    const { sizes } = description;
    const heads = { ...sizes, vision: { ...sizes.vision, heads: 4 } };
    const metadata = new Map([['description', JSON.stringify({ ...description, sizes: heads })]]);
    const { tensors } = await readCheckpointFile(own);
    await writeSafetensorsFile(own, tensors, metadata);
    await expect(convertCheckpoint(own, out(), { to: 'openai' })).rejects.toThrow(
      /the openai layout cannot tell of 4 attention heads at a width of 128/,
    );
    const other = join(folder, 'heads', 'model.safetensors');
    await convertCheckpoint(own, other, { to: 'huggingface' });
    const back = await convertCheckpoint(join(folder, 'heads'), join(folder, 'back.safetensors'), { to });
    expect(back.description.sizes).toEqual(heads);
  });

  it('where the checkpoint is damaged or absent, and nothing is left behind', async () => {
    const path = join(folder, 'cut.pt');
    copyFileSync(fixture('mean/clip.pt'), path);
    writeFileSync(path, readFileSync(path).subarray(0, 500_000));
    await expect(convertCheckpoint(path, out(), { to })).rejects.toThrow(CheckpointError);
    await expect(convertCheckpoint(join(folder, 'nothing.pt'), out(), { to })).rejects.toThrow(/there is no such file/);
    expect(readdirSync(folder).filter((name) => name.includes('never'))).toEqual([]);
  });
});

it('mixes with the weights that a model was fine-tuned from, in another layout', async () => {
  const hf = join(folder, 'mix', 'model.safetensors');
  await convertCheckpoint(fixture('mean/clip-jit-fp16.pt'), hf, { to: 'huggingface' });
  const path = join(folder, 'mixed.safetensors');
  await convertCheckpoint(fixture('transf/checkpoint.pt'), path, {
    to: 'actionclip',
    interpolate: { pretrained: hf, alpha: 0.25 },
  });
  const mixed = await readCheckpointFile(path);
  const before = await readCheckpointFile(hf);
  const after = await readCheckpointFile(fixture('transf/checkpoint.pt'));
  expect(new Set(mixed.tensors.keys())).toEqual(new Set(after.tensors.keys()));
  for (const [name, tensor] of mixed.tensors) {
    const tuned = toFloat32(after.tensors.get(name) ?? tensor).data;
    const original = before.tensors.get(name);
    const floats = original && toFloat32(original).data;
    const expected = floats ? tuned.map((value, i) => 0.25 * (floats[i] ?? 0) + 0.75 * value) : tuned;
    expect([...toFloat32(tensor).data], name).toEqual([...expected]);
  }
  expect((await described(path)).description.temporal).toBe('Transf');
});
