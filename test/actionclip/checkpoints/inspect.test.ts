import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { planSafetensors, type TensorDescription } from '@actionclip/tensor';
import { type PresetName, presets } from '@actionclip/transformer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ByteSource } from '../../../packages/actionclip/src/checkpoints/byte-source.ts';
import { openTensorFile } from '../../../packages/actionclip/src/checkpoints/contents.ts';
import { convertCheckpoint } from '../../../packages/actionclip/src/checkpoints/convert.ts';
import { readCheckpointFile, writeSafetensorsFile } from '../../../packages/actionclip/src/checkpoints/files.ts';
import { inspectCheckpoint } from '../../../packages/actionclip/src/checkpoints/inspect.ts';
import { inspectTensors } from '../../../packages/actionclip/src/checkpoints/inspection.ts';
import { modelShapes } from '../../../packages/actionclip/src/checkpoints/model-shapes.ts';
import { inspect } from '../../../packages/actionclip/src/cli/commands/inspect.ts';
import { drawInspection } from '../../../packages/actionclip/src/cli/drawing/inspection.ts';
import type { Terminal } from '../../../packages/actionclip/src/cli/terminal.ts';
import type { ModelDescription } from '../../../packages/actionclip/src/train/model-description.ts';
import { archive, call, dict, floats, global, pickle, string, tensor } from './torch-archive.ts';

const fixture = (path: string) => fileURLToPath(new URL(`../../../../shared/fixtures/model/${path}`, import.meta.url));
const plain = { columns: 80, color: false, blocks: false };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'actionclip-inspect-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A safetensors file of any size of which only the header is there: reading a value fails. */
function headerOnly(
  tensors: ReadonlyMap<string, TensorDescription>,
  metadata?: ReadonlyMap<string, string>,
): ByteSource {
  const { header, fileBytes } = planSafetensors(tensors, metadata);
  return {
    name: 'header.safetensors',
    size: fileBytes,
    read: async (offset, length) => {
      expect(offset + length).toBeLessThanOrEqual(header.byteLength);
      return header.subarray(offset, offset + length);
    },
  };
}

function model(preset: PresetName, more: Partial<ModelDescription> = {}): Map<string, TensorDescription> {
  const shapes = modelShapes({ sizes: presets[preset], frames: 8, temporal: 'meanP', vocabulary: 'clip', ...more });
  return new Map([...shapes].map(([name, shape]) => [name, { dtype: 'f32', shape }]));
}

const inspectHeader = async (...given: Parameters<typeof headerOnly>) =>
  inspectTensors(await openTensorFile(headerOnly(...given)));

describe('the counts of a checkpoint, by its shapes alone', () => {
  it.each([
    ['ViT-B/32', 151_277_313, 87_849_216],
    ['ViT-B/16', 149_620_737, 86_192_640],
    ['ViT-L/14', 427_616_513, 303_966_208],
    ['ViT-L/14@336px', 427_944_193, 304_293_888],
  ] as const)('are those of the published %s', async (preset, total, imageTower) => {
    const inspection = await inspectHeader(model(preset));
    expect(inspection.problems).toEqual([]);
    expect(inspection.model).toMatchObject({ preset, temporalHead: 'meanP', frames: null, vocabulary: 'clip' });
    expect(inspection.model?.parameters).toEqual({
      imageTower,
      textTower: total - imageTower - 1,
      logitScale: 1,
      temporalPrompts: 0,
      adapters: 0,
      total,
    });
  });

  it.each([
    ['Transf', 18_953_728, null, 6],
    ['LSTM', 2_140_672, null, null],
    ['Conv_1D', 40_960, null, null],
    ['Transf_cls', 18_959_872, 8, 6],
  ] as const)('are those of the released head %s', async (temporal, temporalPrompts, frames, temporalLayers) => {
    const inspection = await inspectHeader(model('ViT-B/32', { temporal }));
    expect(inspection.model?.parameters).toMatchObject({ temporalPrompts, total: 151_277_313 + temporalPrompts });
    expect(inspection.model).toMatchObject({ temporalHead: temporal, frames, temporalLayers });
  });
});

describe('an inspection of what PyTorch wrote', () => {
  it.each([
    ['transf/checkpoint.pt', 'torch.save', { temporalHead: 'Transf', temporalLayers: 6, joint: false, shift: false }],
    ['shift/checkpoint.pt', 'torch.save', { temporalHead: 'meanP', joint: false, shift: true }],
    ['joint/checkpoint.pt', 'torch.save', { temporalHead: 'meanP', joint: true, shift: false, frames: 4 }],
    ['mean/clip-jit-fp16.pt', 'TorchScript', { preset: null, temporalHead: 'meanP', vocabulary: 'unknown' }],
  ] as const)('of %s tells its container and its temporal prompts', async (path, container, expected) => {
    const inspection = await inspectCheckpoint(fixture(path));
    expect(inspection).toMatchObject({ container, files: 1, layout: 'openai', problems: [] });
    expect(inspection.model).toMatchObject(expected);
  });

  it('of a checkpoint in several files counts them all', async () => {
    const { tensors } = await readCheckpointFile(fixture('transf/checkpoint.pt'));
    const shards = new Map([
      ['one.safetensors', new Map([...tensors].filter((_, i) => i % 2 === 0))],
      ['two.safetensors', new Map([...tensors].filter((_, i) => i % 2 === 1))],
    ]);
    for (const [name, part] of shards) await writeSafetensorsFile(join(folder, name), part);
    const pairs = [...shards].flatMap(([name, part]) => [...part.keys()].map((key) => [key, name] as const));
    const index = join(folder, 'model.safetensors.index.json');
    writeFileSync(index, JSON.stringify({ weight_map: Object.fromEntries(pairs) }));
    const [whole, split] = [await inspectCheckpoint(fixture('transf/checkpoint.pt')), await inspectCheckpoint(index)];
    expect(split).toMatchObject({ container: 'safetensors', files: 2, problems: [], model: whole.model });
    const bytes = [...shards.keys()].reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    expect(split.bytes).toBe(bytes);
  });

  it('of a folder of Hugging Face takes the heads from its configuration, or says that it does not fit', async () => {
    const target = join(folder, 'hf');
    await convertCheckpoint(fixture('mean/clip.pt'), join(target, 'model.safetensors'), { to: 'huggingface' });
    const config = join(target, 'config.json');
    const usual = readFileSync(config, 'utf8');
    expect((await inspectCheckpoint(target)).model?.sizes.vision.heads).toBe(2);
    writeFileSync(config, usual.replace('"num_attention_heads": 2', '"num_attention_heads": 8'));
    expect(await inspectCheckpoint(target)).toMatchObject({ layout: 'huggingface', problems: [] });
    expect((await inspectCheckpoint(target)).model?.sizes.vision.heads).toBe(8);
    writeFileSync(config, usual.replaceAll('quick_gelu', 'relu'));
    expect((await inspectCheckpoint(target)).problems).toEqual([expect.stringMatching(/relu/)]);
  });

  it('tells dtypes, values beside the tensors, and what is ignored', async () => {
    const script = await inspectCheckpoint(fixture('mean/clip-jit-fp16.pt'));
    expect(script.dtypes).toEqual({ f16: { tensors: 62, elements: script.model?.parameters.total } });
    expect([...script.ignored].sort()).toEqual(['context_length', 'input_resolution', 'vocab_size']);
    const saved = await inspectCheckpoint(fixture('lstm/checkpoint.pt'));
    expect(saved.values).toEqual({ epoch: 3 });
    expect(saved.optimizer).toBeNull();
    expect(saved.tensors).toHaveLength(Object.values(saved.dtypes).reduce((sum, { tensors }) => sum + tensors, 0));
  });

  it('names the classes that it does not know, and runs none of their code', async () => {
    const evil = call(global('os', 'system'), string('touch /tmp/owned'));
    const weight = tensor('FloatStorage', '0', { shape: [2], strides: [1] });
    const path = join(folder, 'evil.pt');
    const root = pickle(dict({ evil, 'optimizer_state_dict.state.0.exp_avg': weight, weight }));
    writeFileSync(path, await archive({ 'data.pkl': root, 'data/0': floats(1, 2) }));
    const inspection = await inspectCheckpoint(path);
    expect(inspection).toMatchObject({ unknownClasses: ['os.system'], layout: null, model: null });
    expect(inspection.optimizer).toEqual({ tensors: 1, elements: 2, bytes: 8 });
    expect(inspection.dtypes).toEqual({ f32: { tensors: 1, elements: 2 } });
    expect(inspection.problems).toEqual([expect.stringMatching(/parameter names of no known layout/)]);
  });
});

describe('an inspection says what does not fit', () => {
  it('where parameters are missing, too many or of another shape', async () => {
    const tensors = model('tiny', { temporal: 'Transf' });
    tensors.delete('ln_final.bias');
    tensors.set('extra', { dtype: 'f32', shape: [3] });
    tensors.set('logit_scale', { dtype: 'f32', shape: [1] });
    const { problems, model: found } = await inspectHeader(tensors);
    expect(found?.temporalHead).toBe('Transf');
    expect(problems).toEqual([
      expect.stringMatching(/1 missing: ln_final\.bias.*1 unexpected: extra.*1 of another shape/),
    ]);
  });

  it('where a tensor reaches past its storage', async () => {
    const path = join(folder, 'short.pt');
    const root = pickle(dict({ weight: tensor('FloatStorage', '0', { shape: [9], strides: [1] }) }));
    writeFileSync(path, await archive({ 'data.pkl': root, 'data/0': floats(1, 2) }));
    const { problems, tensors } = await inspectCheckpoint(path);
    expect(tensors).toEqual([]);
    expect(problems).toEqual([expect.stringMatching(/weight: .*reaches past its storage/)]);
  });

  it('of the own description of a file against its parameters', async () => {
    const description = { sizes: presets.tiny, frames: 8, temporal: 'LSTM', vocabulary: 'clip' };
    const metadata = new Map([['description', JSON.stringify(description)]]);
    const { problems } = await inspectHeader(model('tiny'), metadata);
    expect(problems).toEqual([expect.stringMatching(/description says temporal head LSTM/)]);
  });
});

describe('the checkpoint of a training run', () => {
  const description = {
    sizes: presets.tiny,
    frames: 5,
    temporal: 'Transf',
    temporalLayers: 2,
    vocabulary: { merges: [] },
  };
  const metadata = new Map(
    Object.entries({
      format: 'actionclip-training',
      description: JSON.stringify(description),
      labels: JSON.stringify(['jump', 'run\u001b[2J']),
      config: '{}',
      state: JSON.stringify({ position: { epoch: 3, batchIndex: 2 }, step: 1234 }),
    }),
  );
  const tensors = new Map(
    [...model('tiny', { temporal: 'Transf', temporalLayers: 2 })].flatMap(([name, tensor]) => [
      [`model_state_dict.${name}`, tensor] as const,
      [`optimizer_state_dict.first.${name}`, tensor] as const,
    ]),
  );

  it('is told by its labels, its epoch, its frames and its optimizer', async () => {
    const inspection = await inspectHeader(tensors, metadata);
    expect(inspection).toMatchObject({
      problems: [],
      labels: ['jump', 'run\u001b[2J'],
      run: { epoch: 3, step: 1234 },
      values: { format: 'actionclip-training' },
    });
    expect(inspection.model).toMatchObject({ preset: 'tiny', frames: 5, temporalLayers: 2, vocabulary: 'own' });
    expect(inspection.optimizer).toMatchObject({
      tensors: tensors.size / 2,
      elements: inspection.model?.parameters.total,
    });
  });

  it('is drawn in lines that say it all and cannot command the terminal', async () => {
    const lines = drawInspection(plain, await inspectHeader(tensors, metadata)).join('\n');
    for (const said of [
      'safetensors, 14.3 MB',
      'tiny',
      'Transf of 2 layers; 5 frames',
      'epoch 3, step 1,234',
      '2: jump, run',
    ]) {
      expect(lines).toContain(said);
    }
    expect(lines).not.toContain('\u001b');
    expect(lines).not.toContain('does not fit');
  });
});

describe('actionclip inspect', () => {
  async function run(values: { json?: true; tensors?: true }, path: string): Promise<string[]> {
    const lines: string[] = [];
    const terminal: Terminal = {
      ...plain,
      out: (line) => lines.push(line),
      say: () => {},
      progress: () => {},
      interactive: false,
      signal: new AbortController().signal,
    };
    await inspect.run({ values, positionals: [path] }, terminal);
    return lines;
  }

  it('prints the same as JSON, with the list of tensors where it is asked for', async () => {
    const path = fixture('transf/checkpoint.pt');
    const expected = await inspectCheckpoint(path);
    expect(JSON.parse((await run({ json: true }, path)).join('\n'))).toEqual({ ...expected, tensors: null });
    expect(JSON.parse((await run({ json: true, tensors: true }, path)).join('\n'))).toEqual(expected);
    const lines = await run({ tensors: true }, path);
    expect(lines).toContain('f32   [16, 64]            model_state_dict.positional_embedding');
    expect(lines.filter((line) => /^[a-z]\d+ /.test(line))).toHaveLength(expected.tensors.length);
  });

  it('is one sentence and an exit code of 1 for what is no checkpoint', async () => {
    const program = fileURLToPath(new URL('../../../packages/actionclip/src/cli/program.ts', import.meta.url));
    const path = join(folder, 'page.safetensors');
    writeFileSync(path, '<!doctype html><title>404</title>');
    const args = ['--import', 'tsx', '--conditions=@actionclip/source', program, 'inspect', path];
    await expect(promisify(execFile)(process.execPath, args)).rejects.toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^\S*page\.safetensors: not readable as a checkpoint [^\n]*\n$/),
    });
  });
});
