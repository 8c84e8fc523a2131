import { spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type HostTensor, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { trainBytePairs } from '@actionclip/tokenizer';
import { type ModelDescription, openModel, writeSafetensorsFile } from 'actionclip';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { outcomeJson } from '../../../packages/actionclip/src/cli/classify-json.ts';
import { sharedData, writeFrames } from '../data/shared-clips.ts';
import { anyClassification, anyLabel } from './classifications.ts';

const packageFolder = fileURLToPath(new URL('../../../packages/actionclip', import.meta.url));
const long = path.join(sharedData, 'robust', '26_mp4_portrait_36s_drums_aac.mp4');
const broken = path.join(sharedData, 'robust', '31_bad_textfile.mp4');
const clip = path.join(sharedData, 'weizmann4', 'bend', 'subj1_orig.mp4');

let folder = '';
let weights = '';

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'actionclip-classify-'));
  weights = path.join(folder, 'weights', 'tiny.safetensors');
  await writeTinyModel(weights);
  await writeFrames(path.join(folder, 'frames'), 3, 9);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function writeTinyModel(file: string): Promise<void> {
  setDefaultDevice(await openDevice('wasm', { threads: 1 }));
  const tokenizer = trainBytePairs(['bending down', 'a video of'], { vocabularySize: 540 });
  const description: ModelDescription = {
    frames: 4,
    temporal: 'meanP',
    vocabulary: tokenizer.toJSON(),
    sizes: {
      embedding: 8,
      vision: { resolution: 16, patch: 8, width: 8, layers: 1, heads: 1 },
      text: { context: 77, vocabulary: tokenizer.vocabularySize, width: 8, layers: 1, heads: 1 },
    },
  };
  const { model } = await openModel(description, 1);
  const tensors = new Map<string, HostTensor>();
  for (const [name, tensor] of await model.stateDict()) tensors.set(`model_state_dict.${name}`, tensor);
  await mkdir(path.dirname(file));
  await writeSafetensorsFile(file, tensors, new Map([['description', JSON.stringify(description)]]));
}

interface Outcome {
  readonly out: string;
  readonly err: string;
  readonly code: number | null;
}

/** Runs the program from its sources in a pipe; `look` sees each piece of output and may end the program. */
function actionclip(
  line: readonly string[],
  look: (stream: 'out' | 'err', child: ReturnType<typeof spawn>) => void = () => {},
): Promise<Outcome> {
  const program = path.join(packageFolder, 'src', 'cli', 'program.ts');
  const fixed = ['--import', 'tsx', '--conditions=@actionclip/source', program];
  const env = { ...process.env, FORCE_COLOR: '1' };
  const child = spawn(process.execPath, [...fixed, ...line], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { out: '', err: '' };
  for (const [name, stream] of [['out', child.stdout] as const, ['err', child.stderr] as const]) {
    stream.on('data', (data: Buffer) => {
      texts[name] += data.toString();
      look(name, child);
    });
  }
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ ...texts, code }));
  });
}

const classify = (...line: string[]): string[] => [
  ...['classify', '--weights', weights, '--device', 'wasm', '--threads', '1'],
  ...['--labels', '"bending, down",yoga,riding', ...line],
];

const probability = z.number().min(0).max(1);
const line = z.union([
  z.strictObject({ version: z.literal(1), video: z.string(), error: z.string().min(1) }),
  z.strictObject({
    version: z.literal(1),
    video: z.string(),
    frames: z.number().int().positive(),
    duration: z.number().nonnegative(),
    top: z.array(z.strictObject({ label: z.string(), probability })),
    labels: z.array(z.string()),
    probabilities: z.array(probability),
    sampled: z.array(
      z.strictObject({ frame: z.number().int().nonnegative(), time: z.number(), similarities: z.array(z.number()) }),
    ),
    windows: z
      .array(z.strictObject({ start: z.number(), end: z.number(), probabilities: z.array(probability) }))
      .min(1),
  }),
]);

describe('the JSON of a video', () => {
  it('is one line with the documented fields, whatever the labels', async () => {
    const documented = await readFile(path.join(packageFolder, '..', '..', 'docs', 'classify-json.md'), 'utf8');
    for (const option of line.options) {
      for (const field of Object.keys(option.shape)) expect(documented).toContain(`\`${field}\``);
    }
    fc.assert(
      fc.property(anyLabel, anyClassification, fc.integer({ min: 1, max: 50 }), (video, classification, top) => {
        const text = outcomeJson({ path: video, classification }, top);
        expect(text).not.toMatch(/[\n\r]/);
        const parsed = line.parse(JSON.parse(text));
        if ('error' in parsed) throw new Error('an error where there is a classification');
        expect(parsed.labels).toEqual(JSON.parse(JSON.stringify(classification.labels)));
        expect(parsed.top).toHaveLength(Math.min(top, classification.labels.length));
        expect(parsed.top[0]?.probability).toBe(Math.max(...parsed.probabilities));
        expect(parsed.sampled).toHaveLength(classification.sampled.length);
        expect(parsed.windows).toHaveLength(classification.windows.length);
      }),
      { numRuns: 100 },
    );
    expect(outcomeJson({ path: 'a', error: new Error('b') }, 5)).toBe('{"version":1,"video":"a","error":"b"}');
  });
});

describe('actionclip classify', () => {
  it('prints a line of JSON for each video, goes on after a broken one, and names it at the end', async () => {
    const frames = path.join(folder, 'frames');
    const { out, err, code } = await actionclip(classify('--json', '--top', '2', clip, broken, frames));
    const lines = out
      .trimEnd()
      .split('\n')
      .map((text) => line.parse(JSON.parse(text)));
    expect(lines.map(({ video }) => video)).toEqual([clip, broken, frames]);
    const [first, second, third] = lines;
    expect(first).toMatchObject({ labels: ['bending, down', 'yoga', 'riding'], windows: [{ start: 0 }] });
    expect(first && 'top' in first && first.top).toHaveLength(2);
    expect(first && 'sampled' in first && first.sampled).toHaveLength(4);
    expect(second).toMatchObject({ error: expect.stringContaining(broken) });
    expect(third).toMatchObject({ frames: 9 });
    const said = err.trimEnd().split('\n');
    expect(said.slice(0, 2)).toEqual([
      expect.stringMatching(/^Device: WebAssembly/),
      expect.stringMatching(/^Model: .*tiny/),
    ]);
    expect(said[2]).toContain(broken);
    expect(said.slice(3)).toEqual([`1 of 3 videos could not be classified: ${broken}; see above why`]);
    expect(code).toBe(1);
  });

  it('draws in ASCII without escapes in a pipe, and writes a page that stands alone', async () => {
    const page = path.join(folder, 'pages', 'page.html');
    const { out, err, code } = await actionclip(classify('--window', '1', '--html', page, clip));
    expect(err).toMatch(/\nWrote .*page\.html\n$/);
    expect(code).toBe(0);
    expect(out).toMatch(/^[ -~\n]*$/);
    expect(out).toContain(' windows\n');
    for (const part of ['bending, down', 'yoga', 'riding', 'time', 'similarity', 'timeline']) {
      expect(out).toMatch(new RegExp(`^  ${part} `, 'm'));
    }
    const html = await readFile(page, 'utf8');
    for (const part of ['bending, down', 'data:image/jpeg;base64,', '<h3>Timeline</h3>', '<svg']) {
      expect(html).toContain(part);
    }
    expect(html).not.toMatch(/<script|(?:src|href)="(?!data:)/);
    expect(await readdir(path.dirname(page))).toEqual(['page.html']);
  });

  it('ends with 130 at SIGINT and leaves nothing behind', async () => {
    const page = path.join(folder, 'interrupted', 'page.html');
    await mkdir(path.dirname(page));
    const { out, err, code } = await actionclip(
      classify('--html', page, '--window', '0.2', '--stride', '0.05', long),
      (stream, child) => {
        if (stream === 'err') child.kill('SIGINT');
      },
    );
    expect({ out, code }).toEqual({ out: '', code: 130 });
    expect(err).toMatch(/^Device: .*\n(?:Model: .*\n)?$/);
    expect(await readdir(path.dirname(page))).toEqual([]);
  });

  it('ends quietly where nobody reads on', async () => {
    const frames = path.join(folder, 'frames');
    const { err, code } = await actionclip(classify('--json', clip, frames, clip, frames), (stream, child) => {
      if (stream === 'out') child.stdout?.destroy();
    });
    expect(code).toBe(0);
    expect(err.split('\n').slice(2)).toEqual(['']);
  });

  it('says what to do where the program is not compiled', async () => {
    const bin = path.join(folder, 'bin');
    await mkdir(bin);
    await copyFile(path.join(packageFolder, 'bin', 'actionclip.js'), path.join(bin, 'actionclip.mjs'));
    await writeFile(path.join(bin, 'package.json'), '{"type":"module"}');
    const child = spawn(process.execPath, [path.join(bin, 'actionclip.mjs'), '--help']);
    let said = '';
    child.stderr.on('data', (data: Buffer) => {
      said += data.toString();
    });
    const code = await new Promise((resolve) => {
      child.on('close', resolve);
    });
    expect([code, said]).toEqual([
      1,
      'actionclip is not compiled yet; run `npm run build` in the root of the repository\n',
    ]);
  });
});
