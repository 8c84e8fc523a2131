// Parts that a run leaves as they are: their parameters, the optimizer's state, and the work of a step.
import { type Device, Generator, openDevice, setDefaultDevice, tensor } from '@actionclip/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ActionCLIP } from '../../../packages/actionclip/src/model/action-clip.ts';
import { ConfigError, configFrom } from '../../../packages/actionclip/src/train/config-file.ts';
import { frozenParts, isTrained, type Part, partOf } from '../../../packages/actionclip/src/train/freezing.ts';
import { optimizerOf } from '../../../packages/actionclip/src/train/optimization.ts';
import { readMeasures, trainingStep } from '../../../packages/actionclip/src/train/step.ts';
import { bytesOf } from '../../end-to-end/tiny-run.ts';

const sizes = {
  embedding: 8,
  vision: { resolution: 8, patch: 4, width: 8, layers: 1, heads: 2 },
  text: { context: 6, vocabulary: 20, width: 8, layers: 1, heads: 2 },
};
const [batch, frames] = [4, 3];
const parts: readonly Part[] = ['text', 'image', 'temporal'];

const configOf = (network: Record<string, unknown>) =>
  configFrom({ data: { label_list: 'l' }, network, solver: { lr: 1e-2 } }).config;

async function twoSteps(network: Record<string, unknown>) {
  const config = configOf(network);
  const model = new ActionCLIP({ sizes, frames, temporalLayers: 1, generator: new Generator(3) });
  await model.train().initialize();
  const before = bytesOf(await model.stateDict());
  const optimizer = optimizerOf(model, config.solver, {}, frozenParts(config.network));
  const step = trainingStep(model, optimizer, config.network);
  const waves = Float32Array.from({ length: batch * frames * 3 * 64 }, (_, i) => Math.sin(i * 0.37));
  const pixels = tensor(waves, { shape: [batch, frames, 3, 8, 8] });
  const tokens = tensor(
    Int32Array.from({ length: batch * 6 }, (_, i) => (i % 6 === 5 ? 19 : (i * 7) % 17)),
    { shape: [batch, 6] },
  );
  const labels = tensor(Int32Array.from([0, 1, 2, 1]));
  for (let i = 0; i < 2; i++) await readMeasures(await step(pixels, tokens, labels));
  const after = bytesOf(await model.stateDict());
  const moments = [...(await optimizer.stateDict()).keys()].filter((name) => name.endsWith('.exp_avg'));
  const moved = Object.keys(before).filter((name) => before[name] !== after[name]);
  return { moved: partsOf(moved), state: partsOf(moments), dispatches: step.stats().dispatches };
}

const partsOf = (names: readonly string[]): string[] =>
  [...new Set(names.map((name) => partOf(name.replace(/\.exp_avg$/, '')) ?? 'scale'))].sort();

let device: Device;
let everything: ReturnType<typeof twoSteps> | undefined;
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
});
afterAll(() => device.close());

describe('network.train_only', () => {
  it.each(parts)('%s moves this part and the logit scale, keeps no state for others, and does less', async (part) => {
    everything ??= twoSteps({});
    const all = await everything;
    expect(all.moved).toEqual(['image', 'scale', 'temporal', 'text']);
    const one = await twoSteps({ train_only: part });
    expect(one.moved).toEqual([part, 'scale'].sort());
    expect(one.state).toEqual(one.moved);
    expect(one.dispatches).toBeLessThan(0.8 * all.dispatches);
  });

  it('is what freezing the other parts is', () => {
    expect(frozenParts(configOf({ train_only: 'temporal' }).network)).toEqual(new Set(['text', 'image']));
    expect(configOf({ train_only: 'temporal' }).network).toEqual(configOf({ fix_text: true, fix_img: true }).network);
    expect(frozenParts(configOf({}).network)).toEqual(new Set());
    expect(isTrained('logit_scale', new Set(parts))).toBe(true);
  });

  it.each([
    [{ train_only: 'temporal', sim_header: 'meanP' }, 'meanP has no parameters'],
    [{ train_only: 'text', fix_text: true }, 'freezes the same part'],
  ])('%o leaves nothing to train, which is said', (network, reason) => {
    expect(() => configOf(network)).toThrow(ConfigError);
    expect(() => configOf(network)).toThrow(reason);
  });
});
