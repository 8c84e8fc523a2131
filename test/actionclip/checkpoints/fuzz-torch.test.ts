import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unpickle } from '../../../packages/actionclip/src/checkpoints/pickle.ts';
import { anyEdits, bytesOf, edited, joined, keepsTheLaw, refusedOr, type ZipPart, zipOf } from './fuzz.ts';
import { dict, floats, pickle, string, tensor } from './torch-archive.ts';

const CASES = { numRuns: 10_000 };
const encoder = new TextEncoder();

const weight = (window: { offset?: number; shape: number[]; strides: number[] }, key = '0') =>
  tensor('FloatStorage', key, window);
/** The marker of OpenAI's layout makes the reader read the values too. */
const goodPickle = pickle(
  dict({
    'visual.conv1.weight': weight({ shape: [2, 3], strides: [1, 2] }),
    'a.b': weight({ shape: [6], strides: [1] }),
  }),
);
const good: readonly ZipPart[] = [
  { name: 'a/data.pkl', data: goodPickle },
  { name: 'a/byteorder', data: encoder.encode('little') },
  { name: 'a/data/0', data: floats(0, 1, 2, 3, 4, 5) },
  { name: 'a/version', data: encoder.encode('3\n') },
];

describe('an archive of torch.save, whatever was done to it,', () => {
  it('is read where nothing was done to it', async () => {
    expect(await keepsTheLaw(zipOf(good))).toBe(true);
    expect(await keepsTheLaw(zipOf(good.map((part) => ({ ...part, zip64: true }))))).toBe(true);
  });

  it('is read or refused where bytes were changed', async () => {
    const archive = zipOf(good);
    await fc.assert(
      fc.asyncProperty(anyEdits, async (edits) => {
        await keepsTheLaw(edited(archive, edits));
      }),
      CASES,
    );
  });

  it('is read or refused where its entries are other than they should be', async () => {
    const names = [
      'a/data.pkl',
      'data.pkl',
      'a/data/0',
      'a/data/1',
      'a/byteorder',
      '../x',
      '/etc/passwd',
      'a\\b',
      '',
      'a/',
    ];
    const size = fc.constantFrom(0, 1, 24, 25, 1000, 0x7fffffff, 0xffffffff);
    const part: fc.Arbitrary<ZipPart> = fc
      .record(
        {
          name: fc.constantFrom(...names),
          data: fc.oneof(fc.constantFrom(...good.map(({ data }) => data)), fc.uint8Array({ maxLength: 40 })),
          method: fc.constantFrom(0, 0, 8, 9, 99),
          flags: fc.constantFrom(0, 0, 1, 8, 0x800, 0xffff),
          sizes: fc.tuple(size, size),
          offset: fc.constantFrom(0, 0, 1, 60, 500, 0xffffffff),
          zip64: fc.boolean(),
        },
        { requiredKeys: ['name', 'data'] },
      )
      .map((given) => given as ZipPart);
    const changed = fc.constantFrom(...good).chain((one) => part.map((other) => ({ ...other, ...one })));
    const parts = fc.array(fc.oneof(fc.constantFrom(...good), part, changed), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(parts, fc.boolean(), async (given, complete) => {
        await keepsTheLaw(
          zipOf(complete ? [...good.filter(({ name }) => !given.some((p) => p.name === name)), ...given] : given),
        );
      }),
      CASES,
    );
  });
});

/** Opcodes with fit and unfit arguments, so that many programs come far. */
const index = fc.nat({ max: 3 });
const code = (...codes: number[]) => fc.constant(bytesOf(...codes));
const operation: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.constantFrom(...'(012N)]}tleuasdbRQo.'.split('')).map((letter) => encoder.encode(letter)),
  fc.constantFrom(0x81, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94).map((byte) => bytesOf(byte)),
  index.map((i) => bytesOf(0x71, i)),
  index.map((i) => bytesOf(0x68, i)),
  fc
    .integer({ min: -2, max: 9 })
    .map((value) => bytesOf(0x4a, value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255)),
  fc
    .constantFrom('', 'x', 'storage', 'cpu', '0', '../0', 'visual.conv1.weight', '__proto__', 'length', 'constructor')
    .map(string),
  fc
    .constantFrom(
      ['torch._utils', '_rebuild_tensor_v2'],
      ['torch', 'FloatStorage'],
      ['torch', 'Size'],
      ['collections', 'OrderedDict'],
      ['os', 'system'],
      ['builtins', 'eval'],
      ['__torch__', 'x'],
    )
    .map(([module, name]) => encoder.encode(`c${module}\n${name}\n`)),
  fc.constantFrom(
    weight({ shape: [2, 3], strides: [3, 1] }),
    weight({ offset: 5, shape: [2 ** 30, 4], strides: [0, 1] }),
  ),
  fc
    .tuple(fc.constantFrom(0x58, 0x42, 0x54, 0x8b), fc.constantFrom(0, 1, 255))
    .map(([op, high]) => bytesOf(op, 2, 0, 0, high, 7, 7)),
  fc.constantFrom(0x8d, 0x8e, 0x96).chain((op) => code(op, 255, 255, 255, 255, 255, 255, 255, 127)),
  fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => joined(bytesOf(0x47), bytes)),
  fc.uint8Array({ minLength: 1, maxLength: 3 }),
);

describe('a pickle of any opcodes', () => {
  it('is read or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 40 }), fc.boolean(), async (operations, wrapped) => {
        const program = joined(...operations);
        const inner = wrapped
          ? joined(encoder.encode('}'), string('visual.conv1.weight'), program, encoder.encode('s'))
          : program;
        await keepsTheLaw(zipOf([{ name: 'a/data.pkl', data: pickle(inner) }, ...good.slice(1)]));
      }),
      CASES,
    );
  });

  const save = (root: Uint8Array) => zipOf([{ name: 'a/data.pkl', data: pickle(root) }, ...good.slice(1)]);
  const repeated = (count: number, part: Uint8Array) => joined(...Array.from({ length: count }, () => part));

  it.each([
    [
      'nests a hundred thousand lists',
      joined(repeated(100_000, encoder.encode(']')), repeated(99_999, encoder.encode('a'))),
    ],
    ['doubles a list sixty times', joined(encoder.encode(']'), repeated(60, joined(bytesOf(0x71, 0, 0x68, 0, 0x86))))],
    [
      'is a dictionary that holds itself',
      joined(encoder.encode('}q'), bytesOf(0), string('x'), encoder.encode('h'), bytesOf(0), encoder.encode('s')),
    ],
    [
      'has a list that was doubled sixty times as a key',
      joined(encoder.encode('})'), repeated(60, joined(bytesOf(0x71, 0, 0x68, 0, 0x86))), encoder.encode('Ns')),
    ],
    [
      'nests ten thousand objects of an unknown class',
      joined(repeated(10_000, encoder.encode('cx\ny\n)R')), encoder.encode('N'), repeated(10_000, encoder.encode('b'))),
    ],
    [
      'names one key of a megabyte over and over',
      (() => {
        const key = joined(bytesOf(0x58, 0, 0, 16, 0), new Uint8Array(2 ** 20).fill(97), bytesOf(0x71, 0));
        const nested = repeated(50, joined(encoder.encode('}h'), bytesOf(0)));
        return joined(key, encoder.encode('0'), nested, encoder.encode('N'), repeated(50, encoder.encode('s')));
      })(),
    ],
    [
      'shows one storage under many names',
      (() => {
        const names = Array.from({ length: 2000 }, (_, i) =>
          joined(string(`n${i}`), bytesOf(0x68, 0), encoder.encode('s')),
        );
        const first = joined(weight({ shape: [6], strides: [1] }), bytesOf(0x71, 0));
        return joined(encoder.encode('}'), string('visual.conv1.weight'), first, encoder.encode('s'), ...names);
      })(),
    ],
  ])('that %s is read or refused, within the size of the file', async (_, root) => {
    await keepsTheLaw(save(root));
  });

  it('cannot reach a prototype: keys of that name are keys', async () => {
    const polluted = joined(
      encoder.encode('}'),
      string('__proto__'),
      dict({ polluted: string('yes') }),
      encoder.encode('s'),
    );
    const found = await refusedOr(() => unpickle(pickle(polluted), 'x'));
    expect(found?.root).toEqual(new Map([['__proto__', new Map([['polluted', 'yes']])]]));
    expect(({} as { polluted?: string }).polluted).toBeUndefined();
  });
});
