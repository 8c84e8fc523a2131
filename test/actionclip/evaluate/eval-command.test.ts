// actionclip eval as a person runs it: what it prints, says and writes.

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openDevice, setDefaultDevice } from '@actionclip/tensor';
import { parseHTML } from 'linkedom';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { writeSafetensorsFile } from '../../../packages/actionclip/src/checkpoints/files.ts';
import { evaluation } from '../../../packages/actionclip/src/cli/commands/eval.ts';
import { parseOptions } from '../../../packages/actionclip/src/cli/options.ts';
import type { Terminal } from '../../../packages/actionclip/src/cli/terminal.ts';
import { rejection } from '../data/shared-clips.ts';
import { labels, smallModel, tokenizer, writePictures } from '../recognize/sources.ts';

let folder = '';
let weights = '';
let list = '';
let labelsFile = '';
const environment = process.env.ACTIONCLIP_CACHE;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'eval-command-'));
  process.env.ACTIONCLIP_CACHE = path.join(folder, 'cache');
  const device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
  for (const seed of [3, 4]) {
    const model = await smallModel({ temporal: 'meanP' });
    const { generator: _, ...options } = model.options;
    const state = await model.stateDict();
    if (seed === 4) for (const tensor of state.values()) (tensor.data as Float32Array).reverse();
    const description = { ...options, vocabulary: tokenizer.toJSON() };
    const metadata = new Map([
      ['format', 'actionclip-training'],
      ['description', JSON.stringify(description)],
      ['labels', JSON.stringify(labels)],
    ]);
    const tensors = new Map([...state].map(([name, tensor]) => [`model_state_dict.${name}`, tensor]));
    await writeSafetensorsFile(path.join(folder, `${seed}.safetensors`), tensors, metadata);
  }
  await device.close();
  weights = path.join(folder, '3.safetensors');
  labelsFile = path.join(folder, 'labels.csv');
  await writeFile(labelsFile, `id,name\n${labels.map((label, id) => `${id},${label}\n`).join('')}`);
  const lines: string[] = [];
  for (const [at, label] of labels.entries()) {
    const clip = path.join(folder, 'clips', label.replaceAll(' ', '_'), 'clip');
    await mkdir(clip, { recursive: true });
    await writePictures(clip, 4 + at, 24, 24);
    // Classes 1 and 2 are counted the other way round.
    lines.push(`${label.replaceAll(' ', '_')}/clip ${[0, 2, 1, 3, 4][at]}\n`);
  }
  list = path.join(folder, 'list.txt');
  await writeFile(list, `${lines.join('')}absent/clip 0\n${lines[0]}`);
});
afterEach(() => {
  process.exitCode = undefined;
});
afterAll(async () => {
  if (environment === undefined) delete process.env.ACTIONCLIP_CACHE;
  else process.env.ACTIONCLIP_CACHE = environment;
  await rm(folder, { recursive: true });
});

/** Runs the command; gives what it printed and what it said. */
async function run(...args: string[]): Promise<{ out: string[]; said: string[] }> {
  const out: string[] = [];
  const said: string[] = [];
  const terminal: Terminal = {
    out: (line) => out.push(line),
    say: (line) => said.push(line),
    progress: () => {},
    columns: 80,
    color: false,
    blocks: false,
    interactive: false,
    signal: new AbortController().signal,
  };
  const parsed = parseOptions(args, evaluation.options, evaluation.positionals);
  if (parsed === 'help') throw new Error('help');
  await evaluation.run(parsed, terminal);
  return { out, said };
}

const device = ['--device', 'wasm', '--threads', '1', '--engine-flags', 'off'];
const given = (): string[] => [
  ...['--weights', weights, '--list', list, '--labels-file', labelsFile, '--root', path.join(folder, 'clips')],
  ...['--image-template', 'img_{:05d}.png', '--workers', '0', '--templates', 'bare', ...device],
];

describe('actionclip eval', () => {
  it('prints figures of the clips that can be read, and says what is odd about the list', async () => {
    const html = path.join(folder, 'page.html');
    const { out, said } = await run(...given(), '--html', html);
    expect(out[0]).toBe('5 clips, 1 more cannot be read, 5 classes, 1 template (bare), 4 frames, one view');
    expect(out[1]).toMatch(/^top-1 +\d+\.\d %$/);
    expect(out).toContain('Classes, the worst first');
    expect(out).toContain('Calibration');
    expect(out).toContain('Reliability');
    expect(said).toContain('6 clips of 5 classes');
    expect(said).toContain('A line repeats a clip; every clip counts once');
    expect(said.find((line) => line.startsWith('The list counts'))).toMatch(
      /2 is "yoga" \(row 1\), 1 is "jumping" \(row 2\); --label-order paths maps them$/,
    );
    expect(said.at(-2)).toBe('1 of 6 clips cannot be read and are in no figure:');
    expect(said.at(-1)).toContain(path.join('absent', 'clip'));
    expect(process.exitCode).toBe(1);
    const { document } = parseHTML(await readFile(html, 'utf8'));
    expect(document.querySelector('title')?.textContent).toBe('Evaluation');
    const strips = [...document.querySelectorAll('.strip')];
    const right = strips.filter((strip) => strip.querySelector('.verdict.right') !== null);
    expect(strips).toHaveLength(5);
    expect(Number.parseFloat(out[1]?.slice('top-1'.length) ?? '')).toBe((100 * right.length) / 5);
    for (const strip of strips) {
      expect(strip.querySelectorAll('img[alt^="frame"]')).toHaveLength(4);
      expect(strip.querySelectorAll('img[alt^="attention"]')).toHaveLength(4);
      expect(strip.querySelectorAll('.similarities')).toHaveLength(1);
    }
  });

  it('prints one JSON object, and maps the classes where that is asked for', async () => {
    const scores = path.join(folder, 'scores.csv');
    const { out } = await run(
      ...given(),
      '--json',
      '--label-order',
      'paths',
      '--protocol',
      'half-classes',
      '--scores',
      scores,
    );
    expect(out).toHaveLength(1);
    const result = JSON.parse(out[0] ?? '');
    expect(result).toMatchObject({
      weights,
      mixture: null,
      labels,
      labelOrder: { kind: 'moved', clipsThatTell: 5 },
      labelsMapped: true,
      clips: { listed: 6, counted: 5, repeatedLines: 1 },
      broken: [{ path: path.join(folder, 'clips', 'absent', 'clip') }],
    });
    expect(result.halfClasses.parts).toHaveLength(10);
    const rows = (await readFile(scores, 'utf8')).trim().split('\n').slice(1);
    for (const [at, row] of rows.entries()) expect(row.split(',')[1]).toBe(labels[at]);
  });

  it('mixes with other weights: at 0 and 1 it is the one and the other', async () => {
    const other = path.join(folder, '4.safetensors');
    const mixed = await run(...given(), '--json', '--interpolate', other, '--alpha', '0,0.5,1');
    const [none, half, all] = JSON.parse(mixed.out[0] ?? '');
    const accuracyOf = async (file: string) => {
      const [, , ...rest] = given();
      return JSON.parse((await run('--weights', file, ...rest, '--json')).out[0] ?? '').classes;
    };
    expect(half.mixture).toEqual({ pretrained: other, alpha: 0.5 });
    expect(none.classes).toEqual(await accuracyOf(weights));
    expect(all.classes).toEqual(await accuracyOf(other));
    const table = await run(...given(), '--interpolate', other, '--alpha', '0,1');
    expect(table.out.slice(2, 4).map((line) => line.trim())).toEqual([
      'Mixtures',
      'alpha   top-1    top-5  mean class',
    ]);
  });

  it('takes the class names of a checkpoint that has them', async () => {
    const [w, f, l, file] = given();
    const rest = given().slice(6);
    const { said } = await run(...[w, f, l, file].flatMap((arg) => arg ?? []), ...rest);
    expect(said).toContain('6 clips of 5 classes');
  });

  it.each([
    [['--list', 'a'], '--weights is missing'],
    [['--weights', 'w'], 'There are no clips'],
    [['--weights', 'w', '--list', 'a', '--clips-table', 'b'], '--list and --clips-table are both given'],
    [['--weights', 'w', '--list', 'a,b'], '2 lists are given; add --protocol splits'],
    [['--weights', 'w', '--list', 'a', '--protocol', 'splits'], '--protocol splits needs several lists'],
    [['--weights', 'w', '--list', 'a', '--alpha', '0.5'], '--alpha needs --interpolate'],
    [['--weights', 'w', '--list', 'a', '--split', 'test'], '--split is of a table'],
    [['--weights', 'w', '--list', 'a', '--scores', 's.txt'], '--scores: s.txt is of no known kind'],
    [['--weights', 'w', '--list', 'a', '--train-list', 't'], '--train-list is of base-to-novel'],
    [['--weights', 'w', '--list', 'a,,b'], '--list: expected file names separated by commas'],
    [['--weights', 'w', '--list', 'a', '--interpolate', 'o', '--alpha', '0,2'], 'expected numbers from 0 to 1'],
  ])('refuses %j in one sentence', async (args, message) => {
    expect(await rejection(run(...args))).toMatch(/^OptionError: /);
    expect(await rejection(run(...args))).toContain(message);
  });
});
