// Runs with adapters: stopped and resumed as if nothing had happened, and their checkpoints in other hands.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import {
  type ActionDataset,
  CheckpointError,
  InterruptedError,
  LAST_CHECKPOINT,
  openCheckpointModel,
  readTrainingCheckpoint,
  startRun,
  type TrainingCheckpoint,
  train,
} from 'actionclip';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesOf, type TinyRun, tinyClips, tinyRun } from './tiny-run.ts';

let folder = '';
let clips: ActionDataset;
let device: Device;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'actionclip-adapters-'));
  device = await openDevice('wasm', { threads: 1 });
  setDefaultDevice(device);
  clips = await tinyClips(join(folder, 'clips'));
});
afterAll(async () => {
  await device.close();
  await rm(folder, { recursive: true, force: true });
});

const networks = {
  lora: { adapter: 'lora', lora: { rank: 2 }, drop_out: 0.1 },
  'st-adapter': { adapter: 'st-adapter', st_adapter: { channels: 4 }, drop_out: 0.1 },
} as const;

const runOf = (kind: keyof typeof networks, output: string): Promise<TinyRun> =>
  tinyRun(clips, output, { network: networks[kind], solver: { epochs: 2 } });

describe.each(['lora', 'st-adapter'] as const)('a run with network.adapter: %s', (kind) => {
  it('that is stopped and resumed ends with the parameters and moments of an unbroken one, bit for bit', async () => {
    const [whole, broken] = [join(folder, `${kind}-whole`), join(folder, `${kind}-broken`)];
    await train(await runOf(kind, whole));
    const stop = new AbortController();
    const first = await runOf(kind, broken);
    const reason = train({ ...first, signal: stop.signal, onValidation: () => stop.abort() });
    await expect(reason).rejects.toBeInstanceOf(InterruptedError);
    const last = join(broken, LAST_CHECKPOINT);
    expect((await readTrainingCheckpoint(last)).state.step).toBe(2);
    const second = await runOf(kind, broken);
    await train({ ...second, config: { ...second.config, resume: last } });
    const [one, other] = [
      await readTrainingCheckpoint(join(whole, LAST_CHECKPOINT)),
      await readTrainingCheckpoint(last),
    ];
    expect(other.state).toEqual(one.state);
    expect(bytesOf(other.parameters)).toEqual(bytesOf(one.parameters));
    expect(bytesOf(other.moments)).toEqual(bytesOf(one.moments));
    const trained = [...one.moments.keys()].filter((name) => name.endsWith('.exp_avg'));
    expect(trained.every((name) => /lora\.|adapter_pre_attn\.|^fusion\.|^logit_scale\./.test(name))).toBe(true);

    const { model, description, labels } = await openCheckpointModel(last);
    expect(description.adapter).toEqual(second.config.network.adapter);
    expect(labels).toEqual(second.data.labels);
    expect(bytesOf(await model.stateDict())).toEqual(bytesOf(one.parameters));
  });
});

it('a run is not resumed with another adapter', async () => {
  const output = join(folder, 'other');
  const run = await tinyRun(clips, output, { network: { ...networks.lora, lora: { rank: 2, alpha: 1 } } });
  const resume = join(folder, 'lora-whole', LAST_CHECKPOINT);
  const reason = await train({ ...run, config: { ...run.config, resume } }).catch((error: unknown) => error);
  expect(reason).toBeInstanceOf(CheckpointError);
  expect(String(reason)).toContain('the run had LoRA of rank 2 and alpha 4 in in_proj, out_proj');
});

it.each([
  ['goes on with an adapter of the same kind', 'lora', networks.lora.lora.rank],
  ['has all parameters trained, the updates merged, where no adapter is asked for', undefined, undefined],
] as const)('a run from the weights of another %s', async (_, adapter, rank) => {
  const { trainList, valList, labelFile: labels, root } = clips;
  const [init, out] = [join(folder, 'lora-whole', LAST_CHECKPOINT), join(folder, `from-lora-${adapter}`)];
  const lists = { trainList, valList, labels, root };
  await startRun({ ...lists, init, out, epochs: 1, batchSize: 4, workers: 0, ...(adapter && { adapter }) });
  const [before, after] = [init, join(out, LAST_CHECKPOINT)].map(readTrainingCheckpoint);
  const { description, parameters } = (await after) as TrainingCheckpoint;
  expect(description.adapter).toEqual(adapter && { ...(await before)?.description.adapter, rank });
  const [old, now] = [bytesOf(((await before) as TrainingCheckpoint).parameters), bytesOf(parameters)];
  const isOfClip = (name: string): boolean => !/lora\.|^fusion\.|^logit_scale$/.test(name);
  const moved = Object.keys(now).filter((name) => isOfClip(name) && now[name] !== old[name]);
  expect(moved.length > 0).toBe(adapter === undefined);
});
