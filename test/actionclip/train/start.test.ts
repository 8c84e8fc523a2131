// What a run takes over from a model of single pictures, and what goes with pre-training on pairs.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { train } from '../../../packages/actionclip/src/cli/commands/train.ts';
import { parseOptions } from '../../../packages/actionclip/src/cli/options.ts';
import { processTerminal } from '../../../packages/actionclip/src/cli/terminal.ts';
import { openFrom, startOf } from '../../../packages/actionclip/src/runs/start.ts';
import { train as trainModel } from '../../../packages/actionclip/src/train/trainer.ts';
import { bytesOf, tinyClips, tinyRun } from '../../end-to-end/tiny-run.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'start-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('opens a model of single pictures for clips: its towers and its vocabulary, and a temporal head of its own', async () => {
  const clips = await tinyClips(join(folder, 'clips'));
  const pictures = await tinyRun(clips, join(folder, 'pictures'), {
    data: { num_segments: 1, val_list: undefined, templates: 'bare' },
    network: { sim_header: 'meanP' },
    solver: { epochs: 1 },
  });
  const { lastCheckpoint } = await trainModel(pictures);
  const init = await startOf(lastCheckpoint);
  expect(init).toMatchObject({ kind: 'small', description: { frames: 1, temporal: 'meanP', templates: 'bare' } });

  const { config } = await tinyRun(clips, join(folder, 'actions'), { network: { sim_header: 'Transf' } });
  const opened = await openFrom(init, config, {});
  expect(opened.description).toMatchObject({ frames: 4, temporal: 'Transf', temporalLayers: 1 });
  expect(opened.description.templates, 'the templates are those of the new run: the default').toBeUndefined();
  expect(opened.tokenizer.toJSON()).toEqual(pictures.opened.tokenizer.toJSON());
  const trained = bytesOf(await pictures.opened.model.stateDict());
  const own = bytesOf(await opened.model.stateDict());
  expect(own).toMatchObject(trained);
  expect(Object.keys(own).length).toBeGreaterThan(Object.keys(trained).length);
});

it('is nothing where nothing is asked for', async () => {
  expect(await startOf(undefined)).toBeUndefined();
});

describe('the command', () => {
  const terminal = processTerminal(new AbortController().signal);
  it.each([
    [['--built-in', 'pairs', '--head', 'LSTM'], 'Pre-training on pairs has one frame and starts from scratch'],
    [['--built-in', 'pairs', '--init', 'a.safetensors'], 'leave out --init, --frames and --head'],
    [['--root', 'clips'], '--root needs clips of your own'],
  ])('train refuses %j in one sentence', async (args, message) => {
    await expect(
      (async () => {
        const given = parseOptions(args, train.options, train.positionals);
        if (given !== 'help') await train.run(given, terminal);
      })(),
    ).rejects.toThrow(message);
  });
});
