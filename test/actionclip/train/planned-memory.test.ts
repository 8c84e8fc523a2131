// A step that does not fit into memory: what it is planned to take, by how much that is too much, and what fits.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Device,
  type DeviceName,
  Generator,
  OutOfMemoryError,
  openDevice,
  type PlannedMemory,
  printBytes,
  setDefaultDevice,
} from '@actionclip/tensor';
import { readRunLog, TrainingError, train } from 'actionclip';
import { afterAll, expect, it } from 'vitest';
import { ActionCLIP } from '../../../packages/actionclip/src/model/action-clip.ts';
import { type BatchStepOptions, batchStep, type HostBatch } from '../../../packages/actionclip/src/train/batch-step.ts';
import { configFrom } from '../../../packages/actionclip/src/train/config-file.ts';
import { optimizerOf } from '../../../packages/actionclip/src/train/optimization.ts';
import { memoryBudget, planWithin } from '../../../packages/actionclip/src/train/planned-memory.ts';
import { createWasmBackend } from '../../../packages/tensor/src/backends/wasm/backend.ts';
import { tinyClips, tinyDatasetFolder, tinyRun } from '../../end-to-end/tiny-run.ts';

const sizes = {
  embedding: 8,
  vision: { resolution: 24, patch: 4, width: 16, layers: 2, heads: 2 },
  text: { context: 6, vocabulary: 20, width: 8, layers: 1, heads: 2 },
};
const [clips, frames] = [4, 2];
const devices: Device[] = [];
afterAll(async () => {
  for (const device of devices) await device.close();
});

const batch: HostBatch = [
  { data: new Uint8Array(clips * frames * 3 * 24 * 24), shape: [clips, frames, 3, 24, 24] },
  { data: new Int32Array(clips * 6).fill(3), shape: [clips, 6] },
  { data: new Int32Array(clips), shape: [clips] },
];

async function stepOn(name: DeviceName) {
  const device = await openDevice(name, name === 'wasm' ? { threads: 1, engineFlags: false } : {});
  devices.push(device);
  setDefaultDevice(device);
  const model = new ActionCLIP({ sizes, frames, temporal: 'meanP', generator: new Generator(3) });
  model.clip.checkpointing = false;
  await model.train().initialize();
  const { solver } = configFrom({ data: { label_list: 'l' } }).config;
  const optimizer = optimizerOf(model, solver);
  const options: BatchStepOptions = { freezeText: false, freezeImage: false, batchSize: clips, accumulation: 1 };
  const step = batchStep(model, optimizer, options);
  const given = { model, optimizer, options, batch };
  const plan = (bytes: number, held = 0) => planWithin(given, step, { budget: { bytes, of: 'this test' }, held });
  const bytesOf = async (options: BatchStepOptions, checkpointing = false): Promise<number> => {
    model.clip.checkpointing = checkpointing;
    const { memory } = await batchStep(model, optimizer, options).prepare(batch);
    model.clip.checkpointing = false;
    return total(memory);
  };
  return { model, options, plan, bytesOf, needed: total((await step.prepare(batch)).memory) };
}

const total = (memory: PlannedMemory): number =>
  Object.values(memory).reduce((sum: number, bytes: number) => sum + bytes, 0);

/** What a promise is rejected with. */
const failureOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => undefined).catch((error) => error);

it('a step is planned where it fits, and refused by what is missing where it does not, with the options that fit', async () => {
  const { options, plan, bytesOf, needed, model } = await stepOn('wasm');
  expect(total((await plan(needed)).memory)).toBe(needed);
  const { message } = (await failureOf(plan(needed - 1024))) as TrainingError;
  expect(message).toContain(`A training step is planned to take ${printBytes(needed)} (tensors `);
  expect(message).toContain(`this test has ${printBytes(needed - 1024)}: 1.00 KiB too much`);
  expect(message).toContain(`what fits: --checkpoint on takes ${printBytes(await bytesOf(options, true))}, `);
  expect(message).toContain(`, --accumulate 2 takes ${printBytes(await bytesOf({ ...options, accumulation: 2 }))}, `);
  expect(message).toMatch(/, --batch-size 2 takes .*; fewer or smaller frames \(--frames, --size\) save memory/);
  expect(model.clip.checkpointing).toBe(false);
});

it('a step on little memory is cut down until it fits, where anything does', async () => {
  const { options, plan, bytesOf, needed } = await stepOn('reference');
  const held = (await failureOf(plan(needed, needed))) as TrainingError;
  expect(held.message).toMatch(/ beside .* held, and this test has/);
  const room = await bytesOf({ ...options, accumulation: 2 });
  expect(room).toBeLessThan(0.8 * needed);
  const { message } = (await failureOf(plan(room))) as TrainingError;
  expect(message).toContain(`what fits: --accumulate 2 takes ${printBytes(room)}, --batch-size 2 takes `);
  const nothing = (await failureOf(plan(1000))) as TrainingError;
  expect(nothing).toBeInstanceOf(TrainingError);
  expect(nothing.message).toContain('no batch of this model fits with --checkpoint or --accumulate');
});

it('a run stops before its first step where the device has too little memory', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'actionclip-memory-'));
  try {
    const device = new Device('wasm', () =>
      createWasmBackend({ threads: 1, engineFlags: false, memoryLimit: 600 * 1024 }),
    );
    devices.push(device);
    setDefaultDevice(device);
    expect(await memoryBudget(device)).toEqual({ bytes: 600 * 1024, of: 'the wasm device' });
    expect(await memoryBudget(device, 1000)).toEqual({ bytes: 1000, of: 'this machine' });
    const output = join(folder, 'run');
    const clips = await tinyClips(tinyDatasetFolder(folder));
    const run = await tinyRun(clips, output);
    const failure = await failureOf(train(run));
    expect(failure).toBeInstanceOf(TrainingError);
    expect((failure as TrainingError).message).toMatch(
      /^A training step is planned to take .* and the wasm device has 600\.00 KiB: .* too much; what fits: /,
    );
    expect(await readRunLog(join(output, 'log.jsonl'))).toEqual([]);
    expect((await readdir(output)).filter((file) => file.endsWith('.safetensors'))).toEqual([]);
    // A device that does not say how much it has finds out in the step.
    const silent = new Device('wasm', async () => {
      const backend = await createWasmBackend({ threads: 1, engineFlags: false, memoryLimit: 600 * 1024 });
      Object.assign(backend.limits, { memoryBytes: undefined });
      return backend;
    });
    devices.push(silent);
    setDefaultDevice(silent);
    const late = (await failureOf(train(await tinyRun(clips, output)))) as TrainingError;
    expect(late).toBeInstanceOf(TrainingError);
    expect(late.cause).toBeInstanceOf(OutOfMemoryError);
    expect(late.message).toMatch(/^Training stopped: wasm: \d+ bytes were asked for, .* a step is planned to take /);
    expect(late.message).toMatch(/: --checkpoint on takes .*, --batch-size 2 takes .*; no checkpoint was written yet/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
