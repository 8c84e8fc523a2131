// Recognizers from checkpoints on disk, on real video files, good ones and broken ones.
import path from 'node:path';
import { type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import {
  type ActionCLIP,
  CheckpointError,
  configFrom,
  describeModel,
  openRecognizer,
  optimizerOf,
  Recognizer,
  TEMPLATE_SETS,
  type VideoOutcome,
  videoFiles,
  writeCheckpoint,
} from 'actionclip';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rejection, sharedData, withFolder } from '../data/shared-clips.ts';
import { labels, smallModel, tokenizer } from './sources.ts';

let device: Device;
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 2, engineFlags: false });
  setDefaultDevice(device);
});
afterAll(() => device.close());

const configOf = (templates: string) =>
  configFrom({ data: { label_list: 'l', num_segments: 4, input_size: 16, templates } }).config;

/** Writes a checkpoint as training does, of a model whose frames were cut to a shorter side of 16 pixels. */
async function writeRun(file: string, model: ActionCLIP, templates = 'actionclip'): Promise<void> {
  const config = configOf(templates);
  const { sizes } = model.options;
  const description = {
    ...describeModel(config, { sizes, vocabulary: tokenizer.toJSON(), temporalLayers: 1 }),
    shortSide: 16,
  };
  const state = {
    position: { epoch: 1, batchIndex: 0 },
    step: 1,
    generator: { seed: 0, counter: 0 },
    data: { clips: 1, batchSize: 1 },
  };
  await writeCheckpoint(file, {
    model,
    optimizer: optimizerOf(model, config.solver),
    averages: new Map(),
    description,
    labels,
    config,
    state,
  });
}

const robust = (name: string): string => path.join(sharedData, 'robust', name);

async function outcomesOf(recognizer: Recognizer, paths: readonly string[]): Promise<VideoOutcome[]> {
  const outcomes: VideoOutcome[] = [];
  for await (const outcome of recognizer.classifyAll(videoFiles(paths), labels)) outcomes.push(outcome);
  return outcomes;
}

describe('a recognizer from the checkpoint of a run', () => {
  it('puts labels into the texts of its training unless told otherwise', async () => {
    const model = await smallModel();
    await withFolder(async (folder) => {
      const file = path.join(folder, 'best.safetensors');
      await writeRun(file, model, 'bare');
      const opened = await openRecognizer(file);
      expect(opened.templates).toEqual(['{}']);
      const own = await opened.embedLabels(labels);
      expect(own.templates).toBe(1);
      expect(own.rows).toEqual((await opened.embedLabels(labels, { templates: ['{}'] })).rows);
      expect((await opened.embedLabels(labels, { templates: ['a {}', 'the {}'] })).templates).toBe(2);
    });
  });

  it('is that of the model in memory, cutting frames as in training, and goes on after broken videos', async () => {
    const model = await smallModel();
    const paths = ['25_mp4_five_frames.mp4', '31_bad_textfile.mp4', '32_bad_zero_bytes.mp4', '24_mp4_single_frame.mp4'];
    await withFolder(async (folder) => {
      const file = path.join(folder, 'best.safetensors');
      await writeRun(file, model);
      const opened = await openRecognizer(file);
      const found = await outcomesOf(opened, paths.map(robust));
      const expected = await outcomesOf(new Recognizer(model, tokenizer, { shortSide: 16 }), paths.map(robust));
      expect(opened.templates).toEqual(TEMPLATE_SETS.actionclip.templates);
      expect(found).toEqual(expected);
      expect(found.map((outcome) => ('error' in outcome ? 'error' : outcome.classification.frames))).toEqual([
        5,
        'error',
        'error',
        1,
      ]);
      expect(
        found.flatMap((outcome) => ('error' in outcome ? [outcome.error.message.includes(outcome.path)] : [])),
      ).toEqual([true, true]);
      const whole = new Recognizer(model, tokenizer);
      const [first] = await outcomesOf(whole, paths.slice(0, 1).map(robust));
      expect(first).not.toEqual(found[0]);
      await opened.close();
    });
  });

  it('says what is wrong with a file that is none', async () => {
    await expect(openRecognizer(robust('31_bad_textfile.mp4'))).rejects.toBeInstanceOf(CheckpointError);
    expect(await rejection(openRecognizer(robust('no such file.safetensors')))).toContain('no such file.safetensors');
  });
});
