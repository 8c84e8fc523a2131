import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostTensor, parseSafetensors, SafetensorsError, serializeSafetensors } from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memorySource } from '../../../packages/actionclip/src/checkpoints/byte-source.ts';
import { readCheckpointFile } from '../../../packages/actionclip/src/checkpoints/files.ts';
import { readShardIndex } from '../../../packages/actionclip/src/checkpoints/shards.ts';
import { anyEdits, edited, joined, keepsTheLaw, refusedOr } from './fuzz.ts';

const CASES = { numRuns: 10_000 };
const encoder = new TextEncoder();
const f32 = (shape: number[]): HostTensor => ({
  dtype: 'f32',
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
});
const good = new Map<string, HostTensor>([
  ['visual.conv1.weight', f32([2, 3])],
  ['logit_scale', f32([])],
  ['half', { dtype: 'f16', shape: [3], data: Uint16Array.of(1, 2, 3) }],
]);

/** The whole-file reader of the engine refuses in its own way, and never otherwise. */
function parsesOrRefuses(bytes: Uint8Array): void {
  try {
    for (const { data } of parseSafetensors(bytes).tensors.values()) {
      expect(data.byteLength).toBeLessThanOrEqual(bytes.byteLength);
    }
  } catch (error) {
    if (!(error instanceof SafetensorsError) || error.hint === '') throw error;
  }
}

async function bothKeepTheLaw(bytes: Uint8Array): Promise<boolean> {
  parsesOrRefuses(bytes);
  return keepsTheLaw(bytes);
}

function fileOf(json: string, dataBytes: number, length?: bigint): Uint8Array {
  const header = encoder.encode(json);
  const start = new Uint8Array(8);
  new DataView(start.buffer).setBigUint64(0, BigInt.asUintN(64, length ?? BigInt(header.byteLength)), true);
  return joined(start, header, new Uint8Array(dataBytes));
}

const oddNumber = fc.constantFrom<unknown>(0, 1, 4, 8, 12, -1, -4, 0.5, 1e300, 2 ** 53, 2 ** 32, null, '4', [], true);
const names = fc.constantFrom(
  'visual.conv1.weight',
  'x',
  '',
  '__proto__',
  'constructor',
  '__metadata__',
  '../../x',
  '\u0000',
);
const entry = fc.record(
  {
    dtype: fc.constantFrom<unknown>('F32', 'F16', 'BF16', 'I64', 'BOOL', 'U4', 'f32', 7, null),
    shape: fc.oneof(fc.array(fc.nat({ max: 3 }), { maxLength: 3 }), fc.array(oddNumber, { maxLength: 4 }), oddNumber),
    data_offsets: fc.oneof(
      fc.tuple(fc.nat({ max: 16 }), fc.nat({ max: 24 })),
      fc.constantFrom([0, 4], [4, 8], [0, 24], [24, 28]),
      fc.array(oddNumber, { maxLength: 3 }),
    ),
  },
  { requiredKeys: [] },
);
/** Written by hand, since an object can hold neither a name twice nor one that is `__proto__`. */
const header = fc
  .array(fc.tuple(names, fc.oneof({ weight: 4, arbitrary: entry }, fc.jsonValue())), { maxLength: 4 })
  .map((pairs) => `{${pairs.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`);

describe('a safetensors file, whatever it is,', () => {
  it('is read where nothing was done to it', async () => {
    expect(await bothKeepTheLaw(serializeSafetensors(good))).toBe(true);
  });

  it('is read or refused where bytes were changed', async () => {
    const file = serializeSafetensors(good, new Map([['format', 'pt']]));
    await fc.assert(
      fc.asyncProperty(anyEdits, async (edits) => {
        await bothKeepTheLaw(edited(file, edits));
      }),
      CASES,
    );
  });

  it('is read or refused with any header: other sizes, overlaps, gaps, names twice, odd numbers, any JSON', async () => {
    const anyHeader = fc.oneof({ weight: 6, arbitrary: header }, fc.json(), fc.string());
    await fc.assert(
      fc.asyncProperty(anyHeader, fc.constantFrom(0, 4, 8, 24, 28), async (json, dataBytes) => {
        await bothKeepTheLaw(fileOf(json, dataBytes));
      }),
      CASES,
    );
  });

  it('is refused with a length of the header that cannot be', async () => {
    const json = '{"visual.conv1.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
    await fc.assert(
      fc.asyncProperty(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.boolean(), async (length, small) => {
        const announced = small ? length % 200n : length;
        const read = await bothKeepTheLaw(fileOf(json, 4, announced));
        expect(read).toBe(announced === BigInt(json.length));
      }),
      CASES,
    );
  });

  it('holds a tensor of any name, that of a prototype too', async () => {
    const file = fileOf('{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4);
    expect([...parseSafetensors(file).tensors.keys()]).toEqual(['__proto__']);
    expect(({} as { dtype?: string }).dtype).toBeUndefined();
  });
});

describe('an index of several files, whatever it is,', () => {
  const fileName = fc.oneof(
    fc.constantFrom(
      'a.safetensors',
      'b.safetensors',
      '../outside.safetensors',
      '..',
      '.',
      '',
      '/etc/passwd',
      'c\\d',
      'x/y',
    ),
    fc.string(),
  );
  const map = fc.oneof({ weight: 5, arbitrary: fc.dictionary(names, fileName, { maxKeys: 4 }) }, fc.jsonValue());
  const index = fc.oneof(
    { weight: 6, arbitrary: map.map((weight_map) => JSON.stringify({ metadata: {}, weight_map })) },
    fc.json(),
    fc.string(),
  );

  it('names files beside it and nothing else, or is refused', async () => {
    await fc.assert(
      fc.asyncProperty(index, async (text) => {
        const found = await refusedOr(() => readShardIndex(memorySource(encoder.encode(text), 'index.json')));
        for (const file of found?.fileOf.values() ?? []) {
          expect(file).not.toMatch(/[/\\]/);
          expect(['', '.', '..']).not.toContain(file);
        }
      }),
      CASES,
    );
  });

  let folder: string;
  beforeAll(() => {
    const outer = mkdtempSync(join(tmpdir(), 'actionclip-fuzz-'));
    folder = join(outer, 'inner');
    mkdirSync(folder);
    const secret = new Map([['visual.conv1.weight', f32([7])]]);
    writeFileSync(join(outer, 'outside.safetensors'), serializeSafetensors(secret));
    writeFileSync(join(folder, 'a.safetensors'), serializeSafetensors(new Map([['visual.conv1.weight', f32([2])]])));
    writeFileSync(join(folder, 'b.safetensors'), serializeSafetensors(new Map([['x', f32([3])]])));
  });
  afterAll(() => rmSync(join(folder, '..'), { recursive: true }));

  it('gives tensors of the files beside it, or is refused', async () => {
    const path = join(folder, 'model.safetensors.index.json');
    await fc.assert(
      fc.asyncProperty(index, async (text) => {
        writeFileSync(path, text);
        const checkpoint = await refusedOr(() => readCheckpointFile(path));
        for (const [name, { shape }] of checkpoint?.tensors ?? [])
          expect([name, ...shape]).toEqual(name === 'x' ? ['x', 3] : ['visual.conv1.weight', 2]);
      }),
      { numRuns: 1000 },
    );
    writeFileSync(path, JSON.stringify({ weight_map: { 'visual.conv1.weight': 'a.safetensors', x: 'b.safetensors' } }));
    expect((await readCheckpointFile(path)).tensors.size).toBe(2);
  });
});
