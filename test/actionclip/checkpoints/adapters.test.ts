// Adapters in files: what opens them, what merges them, and what cannot hold them.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Device, Generator, openDevice, type StateDict, setDefaultDevice, tensor } from '@actionclip/tensor';
import { loraLayers } from '@actionclip/transformer';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../../../packages/actionclip/src/checkpoints/convert.ts';
import { CheckpointError } from '../../../packages/actionclip/src/checkpoints/errors.ts';
import { readCheckpointFile, writeSafetensorsFile } from '../../../packages/actionclip/src/checkpoints/files.ts';
import { inspectCheckpoint } from '../../../packages/actionclip/src/checkpoints/inspect.ts';
import { openMixture } from '../../../packages/actionclip/src/checkpoints/open-mixture.ts';
import { openCheckpointModel } from '../../../packages/actionclip/src/checkpoints/open-model.ts';
import { drawInspection } from '../../../packages/actionclip/src/cli/drawing/inspection.ts';
import { ActionCLIP } from '../../../packages/actionclip/src/model/action-clip.ts';
import type { AdapterOptions, LoraOptions } from '../../../packages/actionclip/src/model/adapters.ts';
import { loadClipWeights, loadPretrained } from '../../../packages/actionclip/src/train/weights.ts';
import { bytesOf } from '../../end-to-end/tiny-run.ts';

const sizes = {
  embedding: 8,
  vision: { resolution: 8, patch: 4, width: 8, layers: 1, heads: 1 },
  text: { context: 6, vocabulary: 20, width: 8, layers: 1, heads: 1 },
};
const frames = 3;
const lora: LoraOptions = { kind: 'lora', rank: 2, alpha: 3, layers: [...loraLayers], towers: ['image', 'text'] };
const spatioTemporal: AdapterOptions = { kind: 'st-adapter', channels: 4 };

const modelOf = (adapter?: AdapterOptions, temporal: 'meanP' | 'LSTM' = 'LSTM'): ActionCLIP =>
  new ActionCLIP({ sizes, frames, temporal, generator: new Generator(5), ...(adapter ? { adapter } : {}) });

let folder: string;
let device: Device;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'actionclip-adapters-'));
  device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
});
afterAll(async () => {
  await device.close();
  rmSync(folder, { recursive: true });
});

let written = 0;
/** A file of a model whose adapters are as if they had been trained. */
async function fileOf(adapter?: AdapterOptions, temporal?: 'meanP'): Promise<{ path: string; state: StateDict }> {
  const model = modelOf(adapter, temporal);
  const state = await model.stateDict();
  for (const [name, { data }] of state) {
    if (!/lora\.B$|adapter_pre_attn\.conv/.test(name)) continue;
    for (let i = 0; i < data.length; i++) data[i] = Math.sin(i + name.length) / 4;
  }
  const path = join(folder, `model-${written++}.safetensors`);
  const { generator: _, ...options } = model.options;
  const description = JSON.stringify({ ...options, vocabulary: 'clip' });
  await writeSafetensorsFile(path, state, new Map([['description', description]]));
  return { path, state };
}

/** Features of some clips and texts. */
async function featuresOf(model: ActionCLIP): Promise<number[]> {
  const clips = tensor(
    Float32Array.from({ length: 2 * frames * 192 }, (_, i) => Math.sin(i * 0.37)),
    {
      shape: [2, frames, 3, 8, 8],
    },
  );
  const texts = tensor(Int32Array.from([3, 7, 1, 19, 0, 0, 5, 2, 2, 8, 4, 19]), { shape: [2, 6] });
  return [...(await model.encodeVideo(clips).data()), ...(await model.encodeText(texts).data())];
}

const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? Number.NaN))));

/** Features are of the size of 1, and a weight is rounded once in 2^24 of it; a dozen layers follow each other. */
const rounding = 5e-6;

const subset = <Name>(names: readonly Name[]) => fc.subarray([...names], { minLength: 1 });

describe('LoRA', () => {
  it('gives merged into the weights the features that it gives beside them, whatever it is in', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          kind: fc.constant('lora' as const),
          rank: fc.integer({ min: 1, max: 9 }),
          alpha: fc.constantFrom(0.5, 1, 8),
          layers: subset(loraLayers),
          towers: subset(['image', 'text'] as const),
        }),
        async (adapter) => {
          const { path } = await fileOf(adapter);
          const merged = path.replace('model', 'merged');
          await convertCheckpoint(path, merged, { to: 'actionclip' });
          const [beside, within] = [await openCheckpointModel(path), await openCheckpointModel(merged)];
          const start = await featuresOf(await modelOf().eval().initialize());
          const features = await featuresOf(beside.model);
          expect(distance(features, start)).toBeGreaterThan(1e-3);
          expect(distance(await featuresOf(within.model), features)).toBeLessThan(rounding);
        },
      ),
      { numRuns: 4 },
    );
  });

  it('is opened as it was written, and described', async () => {
    const { path, state } = await fileOf(lora);
    const { model, description } = await openCheckpointModel(path);
    expect(description.adapter).toEqual(lora);
    expect(bytesOf(await model.stateDict())).toEqual(bytesOf(state));
    const inspection = await inspectCheckpoint(path);
    expect(inspection.problems).toEqual([]);
    expect(inspection.model?.adapter).toEqual(lora);
    // Each layer adds rank · (in + out): the packed projection, the output, and the two of the feed-forward part.
    expect(inspection.model?.parameters.adapters).toBe(2 * 2 * (8 + 24 + 8 + 8 + 8 + 32 + 32 + 8));
    const plain = await inspectCheckpoint((await fileOf()).path);
    expect(plain.model).toMatchObject({ adapter: null, parameters: { adapters: 0 } });
    const { adapters: _, total: __, ...others } = inspection.model?.parameters ?? {};
    expect(plain.model?.parameters).toMatchObject(others);
    const lines = drawInspection({ columns: 80, color: false, blocks: false }, inspection).join('\n');
    expect(lines).toMatch(
      /adapter +LoRA of rank 2 and alpha 3 in in_proj, out_proj, c_fc, c_proj of the image and text/,
    );
    expect(lines).toMatch(/512 +adapters/);
  });

  it.each(['actionclip', 'openai', 'huggingface'] as const)('leaves a plain model in the %s layout', async (to) => {
    const { path } = await fileOf(lora, 'meanP');
    const target = join(folder, `plain-${to}`, 'model.safetensors');
    const { description } = await convertCheckpoint(path, target, { to });
    expect(description.adapter).toBeUndefined();
    const { model, description: opened } = await openCheckpointModel(target, { frames });
    expect(opened.adapter).toBeUndefined();
    const features = await featuresOf((await openCheckpointModel(path)).model);
    expect(distance(await featuresOf(model), features)).toBeLessThan(rounding);
    expect([...(await readCheckpointFile(target)).tensors.keys()].filter((name) => name.includes('lora'))).toEqual([]);
  });

  it('is mixed with what it started from as the merged weights are', async () => {
    const [before, after] = [await fileOf(), await fileOf(lora)];
    const all = await openMixture(after.path, before.path, 0);
    const features = await featuresOf((await openCheckpointModel(after.path)).model);
    expect(distance(await featuresOf(all.model), features)).toBeLessThan(rounding);
    const none = await openMixture(after.path, before.path, 1);
    expect(await featuresOf(none.model)).toEqual(await featuresOf(await modelOf().eval().initialize()));
  });

  it('goes on in a model of the same kind, and is merged into any other', async () => {
    const { path, state } = await fileOf(lora);
    const same = modelOf(lora).eval();
    await loadPretrained(same, path);
    expect(bytesOf(await same.stateDict())).toEqual(bytesOf(state));
    const features = await featuresOf(same);
    for (const other of [modelOf(), modelOf({ ...lora, alpha: 4 }), modelOf(spatioTemporal)]) {
      await loadPretrained(other.eval(), path);
      expect(distance(await featuresOf(other), features)).toBeLessThan(rounding);
    }
  });

  it('keeps its start where the file has none', async () => {
    const { path, state } = await fileOf();
    for (const adapter of [lora, spatioTemporal]) {
      const model = modelOf(adapter).eval();
      await loadClipWeights(model, path, { text: true });
      const loaded = bytesOf(await model.stateDict());
      for (const [name, bytes] of Object.entries(bytesOf(state))) expect(loaded[name], name).toBe(bytes);
      expect(await featuresOf(model)).toEqual(await featuresOf(await modelOf().eval().initialize()));
    }
  });

  it.each([
    [{ ...lora, rank: 3 }, 'description says LoRA of rank 3'],
    [{ ...lora, rank: 1e12 }, 'description says LoRA of rank 1000000000000'],
    [{ ...lora, alpha: 'two' }, 'has no readable adapter'],
    [spatioTemporal, 'its parameters are those of none'],
    [undefined, 'unexpected: '],
  ])('is refused by name where the description says otherwise: %j', async (adapter, message) => {
    const { state } = await fileOf(lora);
    const path = join(folder, 'damaged.safetensors');
    const { generator: _, ...options } = modelOf().options;
    const description = JSON.stringify({ ...options, vocabulary: 'clip', adapter });
    await writeSafetensorsFile(path, state, new Map([['description', description]]));
    for (const opening of [
      openCheckpointModel(path),
      convertCheckpoint(path, `${path}.safetensors`, { to: 'actionclip' }),
    ]) {
      const error = await opening.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(CheckpointError);
      expect(String(error)).toContain(message);
    }
    expect((await inspectCheckpoint(path)).problems.join()).toContain(message);
  });
});

describe('ST-Adapters', () => {
  it('are opened as they were written, for any number of frames', async () => {
    const { path, state } = await fileOf(spatioTemporal);
    const { model, description } = await openCheckpointModel(path);
    expect(description.adapter).toEqual(spatioTemporal);
    expect(model.perFrame).toBe(false);
    expect(bytesOf(await model.stateDict())).toEqual(bytesOf(state));
    expect((await inspectCheckpoint(path)).model).toMatchObject({
      adapter: spatioTemporal,
      parameters: { adapters: 8 * 4 + 4 + 4 * 3 + 4 + 4 * 8 + 8 },
    });
    const more = await openCheckpointModel(path, { frames: 5 });
    expect(
      (await more.model.encodeFrames(tensor(new Float32Array(5 * 192), { shape: [1, 5, 3, 8, 8] }))).shape,
    ).toEqual([1, 5, 8]);
    const copy = join(folder, 'copy.safetensors');
    await convertCheckpoint(path, copy, { to: 'actionclip' });
    expect(bytesOf((await readCheckpointFile(copy)).tensors)).toEqual(bytesOf(state));
    expect((await openCheckpointModel(copy)).description.adapter).toEqual(spatioTemporal);
  });

  it('have no place in a layout of CLIP, and leave it as it was where they are dropped', async () => {
    const { path } = await fileOf(spatioTemporal, 'meanP');
    const target = join(folder, 'dropped.safetensors');
    for (const to of ['openai', 'huggingface'] as const) {
      await expect(convertCheckpoint(path, target, { to })).rejects.toThrow(
        `the ${to} layout has no place for its temporal prompts (ST-Adapters)`,
      );
    }
    const { description, dropped } = await convertCheckpoint(path, target, { to: 'actionclip', dropTemporal: true });
    expect(description.adapter).toBeUndefined();
    expect(dropped).toHaveLength(6);
    const { model } = await openCheckpointModel(target);
    expect(await featuresOf(model)).toEqual(await featuresOf(await modelOf(undefined, 'meanP').eval().initialize()));
  });

  it('are refused by a model that has no place for them', async () => {
    const { path } = await fileOf(spatioTemporal);
    await expect(loadPretrained(modelOf(), path)).rejects.toThrow(
      'it has ST-Adapters of 4 channels, the model has no adapter',
    );
  });
});
