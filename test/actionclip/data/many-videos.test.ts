import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ClipLoader } from '../../../packages/actionclip/src/data/loader.ts';
import { openFrameSource } from '../../../packages/actionclip/src/data/open-source.ts';
import { findFfmpeg } from '../../../packages/actionclip/src/data/video-ffmpeg.ts';
import { rejection, sharedData } from './shared-clips.ts';

const robust = path.join(sharedData, 'robust');

/** Open files of this process where the system lists them (Linux); elsewhere memory alone is looked at. */
async function openFiles(): Promise<number> {
  return (await readdir('/proc/self/fd').catch(() => [])).length;
}

describe('many videos', () => {
  it('of which some are broken are gone through to the end, and the broken ones reported by name', async () => {
    const names = (await readdir(robust)).filter((name) => /^(19|2[0-2]|25|3\d)_/.test(name)).sort();
    const broken = names.filter((name) => name.includes('_bad_'));
    expect(broken).toHaveLength(7);
    const reported: string[] = [];
    const loader = new ClipLoader(
      {
        entries: names.map((name, label) => ({ path: path.join(robust, name), label })),
        sampling: { segments: 2, randomShift: false },
        pipeline: { kind: 'evaluation', inputSize: 16 },
        source: { decoder: 'node-av' },
      },
      {
        batchSize: 5,
        corruptClips: 'skip',
        onCorruptClip: ({ path: file, error }) => {
          expect(error.message).toContain(path.basename(file));
          reported.push(path.basename(file));
        },
      },
    );
    const loaded: number[] = [];
    for await (const batch of loader.batches({ epoch: 0, batchIndex: 0 })) loaded.push(...batch.labels);
    await loader.close();
    expect(reported.sort()).toEqual(broken);
    expect(loaded.map((label) => names[label])).toEqual(names.filter((name) => !broken.includes(name)));
  });

  it('opened one after another, whole or broken or left half-way, hold no files and no memory', async () => {
    const small = (await readdir(robust)).filter((name) => /^(2[0-2]|24|3[1-46])_/.test(name));
    const openAll = async (): Promise<void> => {
      for (const name of small) {
        const source = await openFrameSource(path.join(robust, name), { decoder: 'node-av' }).catch(() => undefined);
        await source?.readChosen(() => [0]).catch(() => undefined);
        const left = source?.readEach(
          () => [0],
          () => {
            throw new Error('enough');
          },
        );
        await left?.catch(() => undefined);
        await source?.close();
      }
    };
    for (let round = 0; round < 8; round++) await openAll();
    const [files, memory] = [await openFiles(), process.memoryUsage.rss()];
    for (let round = 0; round < 30; round++) await openAll();
    expect((await openFiles()) - files).toBeLessThan(5);
    // a decoder kept from each of the some 500 passes would take more than 100 MiB
    expect(process.memoryUsage.rss() - memory).toBeLessThan(64 * 2 ** 20);
  });

  it('left half-way by the ffmpeg program leave no process, or, where it is missing, are errors', async () => {
    const file = path.join(robust, '26_mp4_portrait_36s_drums_aac.mp4');
    const processes = (): number => process.getActiveResourcesInfo().filter((name) => name === 'ProcessWrap').length;
    const before = processes();
    const left = openFrameSource(file, { decoder: 'ffmpeg' }).then((source) =>
      source.readEach(
        () => [0, 1],
        () => {
          throw new Error('enough');
        },
      ),
    );
    const present = 'version' in (await findFfmpeg());
    expect(await rejection(left)).toContain(present ? 'Error: enough' : 'no video decoder can be used');
    await expect.poll(processes).toBe(before);
  });
});
