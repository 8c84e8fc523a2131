import { readFileSync } from 'node:fs';
import { parseSafetensors, type StateDict, toFloat32 } from '@actionclip/tensor';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memorySource } from '../../../packages/actionclip/src/checkpoints/byte-source.ts';
import { CheckpointError } from '../../../packages/actionclip/src/checkpoints/errors.ts';
import { readCheckpoint } from '../../../packages/actionclip/src/checkpoints/load.ts';
import { openTorchArchive } from '../../../packages/actionclip/src/checkpoints/torch.ts';
import { isSame } from './same.ts';
import { archive, call, dict, floats, global, number, pickle, string, tensor } from './torch-archive.ts';

const MODEL = new URL('../../../../shared/fixtures/model/', import.meta.url);
const CASES = ['mean', 'transf', 'transf-cls', 'lstm', 'conv1d', 'shift', 'joint'];
const fixture = (path: string): Uint8Array => readFileSync(new URL(path, MODEL));
const load = (path: string) => readCheckpoint(memorySource(fixture(path), path));
const expectedOf = (name: string): StateDict => parseSafetensors(fixture(`${name}/expected.safetensors`)).tensors;
const open = (bytes: Uint8Array) => openTorchArchive(memorySource(bytes, 'test.pt'));

describe('a checkpoint that PyTorch wrote', () => {
  it.each(CASES)('of the %s case has every parameter that the gradients and the trained values name', async (name) => {
    const { tensors, layout, scalars } = await load(`${name}/checkpoint.pt`);
    expect(layout).toBe('openai');
    expect(scalars.get('epoch')).toBeTypeOf('number');
    for (const [key, trained] of expectedOf(name)) {
      if (!key.startsWith('after5.')) continue;
      const parameter = tensors.get(key.slice('after5.'.length).replace('.net.', '.'));
      expect(parameter?.shape, key).toEqual(trained.shape);
    }
  });

  it('holds the same numbers as the plain state dict of the same model', async () => {
    const checkpoint = await load('mean/checkpoint.pt');
    const plain = await load('mean/clip.pt');
    expect([...plain.tensors.keys()]).toEqual([...checkpoint.tensors.keys()]);
    expect(plain.tensors.size).toBeGreaterThan(50);
    const different = [...plain.tensors].filter(([name, tensor]) => !isSame(checkpoint.tensors.get(name), tensor));
    expect(different.map(([name]) => name)).toEqual([]);
  });

  it('is rounded to half precision in the TorchScript archive, without the three sizes', async () => {
    const plain = await load('mean/clip.pt');
    const script = await load('mean/clip-jit-fp16.pt');
    expect(new Set(script.tensors.keys())).toEqual(new Set(plain.tensors.keys()));
    expect([...script.dropped].sort()).toEqual(['context_length', 'input_resolution', 'vocab_size']);
    for (const [name, half] of script.tensors) {
      const exact = toFloat32(plain.tensors.get(name) ?? half).data;
      expect(half.dtype).toBe('f16');
      expect(half.shape).toEqual(plain.tensors.get(name)?.shape);
      // Half precision keeps 11 bits, and below 2^-14 steps of 2^-24: rounding moves a value by half a step at most.
      const excess = toFloat32(half).data.reduce((worst, value, i) => {
        const original = exact[i] ?? Number.NaN;
        return Math.max(worst, Math.abs(value - original) - Math.max(Math.abs(original) * 2 ** -11, 2 ** -25));
      }, Number.NEGATIVE_INFINITY);
      expect(excess, name).toBeLessThanOrEqual(0);
    }
  });

  it('moves by five AdamW steps no further than their rates allow, which a wrong name or order would break', async () => {
    const { tensors } = await load('transf/checkpoint.pt');
    for (const [key, trained] of expectedOf('transf')) {
      if (!key.startsWith('after5.')) continue;
      const name = key.slice('after5.'.length);
      const start = toFloat32(tensors.get(name) ?? trained).data;
      const largest = toFloat32(trained).data.reduce(
        (m, value, i) => Math.max(m, Math.abs(value - (start[i] ?? 0))),
        0,
      );
      expect(largest, name).toBeLessThan(name.startsWith('fusion.') ? 0.08 : 0.008);
    }
  });
});

/** Where a central directory's entry has its sizes and the place of its file. */
const SIZES = 20;
const OFFSET = 42;
const ENTRY = 0x02014b50;

const directoryEntries = (view: DataView): number[] =>
  Array.from({ length: view.byteLength - 3 }, (_, at) => at).filter((at) => view.getUint32(at, true) === ENTRY);

describe('an archive of torch.save', () => {
  const data = floats(0, 1, 2, 3, 4, 5);
  const save = (root: Uint8Array, more: Record<string, Uint8Array | string> = {}, level = 0) =>
    archive({ 'data.pkl': pickle(root), version: '3\n', 'data/0': data, ...more }, level);
  const weight = (window: { offset?: number; shape: number[]; strides: number[] }) =>
    save(dict({ weight: tensor('FloatStorage', '0', window) }));

  it.each([
    ['a whole matrix', { shape: [2, 3], strides: [3, 1] }, [0, 1, 2, 3, 4, 5]],
    ['a transposed view', { shape: [3, 2], strides: [1, 3] }, [0, 3, 1, 4, 2, 5]],
    ['a view with an offset', { offset: 4, shape: [2], strides: [1] }, [4, 5]],
    ['every second element', { offset: 1, shape: [3], strides: [2] }, [1, 3, 5]],
    ['an expanded row', { offset: 2, shape: [2, 2], strides: [0, 1] }, [2, 3, 2, 3]],
    ['a scalar', { offset: 3, shape: [], strides: [] }, [3]],
    ['nothing', { offset: 9, shape: [0, 2], strides: [2, 1] }, []],
  ])('gives %s in row-major order', async (_, window, values) => {
    const dictOfValues = await (await open(await weight(window))).read(['weight']);
    expect(dictOfValues.get('weight')).toEqual({ dtype: 'f32', shape: window.shape, data: Float32Array.from(values) });
  });

  it.each([
    ['a window past the storage', { offset: 4, shape: [3], strides: [1] }, /reaches past its storage of 24 bytes/],
    ['a repeated window beyond the storage', { shape: [2 ** 20, 2 ** 20], strides: [0, 0] }, /more elements than/],
  ])('refuses %s', async (_, window, message) => {
    const torch = await open(await weight(window));
    await expect(torch.read(['weight'])).rejects.toThrow(message);
  });

  it('runs nothing: an unknown callable becomes a record, and its name is told', async () => {
    const evil = call(global('os', 'system'), string('touch /tmp/owned'));
    const torch = await open(await save(dict({ evil, epoch: number(7) })));
    expect(torch.unknownNames).toEqual(['os.system']);
    expect(torch.scalars.get('epoch')).toBe(7);
    expect(torch.tensors.size).toBe(0);
    await expect(readCheckpoint(memorySource(await save(dict({ evil })), 'evil.pt'))).rejects.toThrow(
      /evil\.pt: no tensors inside \(it holds os\.system\)/,
    );
  });

  it('cannot change what the reader knows: attributes set on its names are refused', async () => {
    const build = (target: Uint8Array) =>
      Uint8Array.from([...target, ...dict({ shape: number(7), dtype: string('x') }), 0x62]);
    const targets = [
      global('torch._utils', '_rebuild_tensor_v2'),
      global('torch', 'FloatStorage'),
      tensor('FloatStorage', '0', { shape: [1], strides: [1] }),
    ];
    for (const target of targets)
      await expect(open(await save(dict({ x: build(target) })))).rejects.toThrow(CheckpointError);
    const torch = await open(await weight({ shape: [6], strides: [1] }));
    expect(torch.tensors.get('weight')?.shape).toEqual([6]);
  });

  it('finds the tensors of a whole pickled module under their parameter names', async () => {
    const parts = (parameters: Record<string, Uint8Array>, modules: Record<string, Uint8Array>) =>
      dict({ training: number(1), _parameters: dict(parameters), _buffers: dict({}), _modules: dict(modules) });
    const module = (state: Uint8Array) => Uint8Array.from([...call(global('torch.nn', 'Linear')), ...state, 0x62]);
    const leaf = module(parts({ weight: tensor('FloatStorage', '0', { shape: [6], strides: [1] }) }, {}));
    const torch = await open(await save(module(parts({}, { proj: leaf }))));
    expect([...torch.tensors.keys()]).toEqual(['proj.weight']);
  });

  it.each([
    ['without a data.pkl', () => archive({ version: '3' }), /with no data\.pkl inside/],
    ['with big-endian numbers', () => save(dict({}), { byteorder: 'big' }), /stored big-endian/],
    ['with compressed entries', () => save(dict({}), { padding: 'x'.repeat(999) }, 9), /compressed or encrypted/],
    [
      'with a broken pickle',
      () => archive({ 'data.pkl': Uint8Array.of(0x80, 2, 0x52, 0x2e) }),
      /pickle cannot be read/,
    ],
    ['cut at its start', async () => (await save(dict({}))).subarray(4), /begins before it/],
    ['cut short', async () => (await save(dict({}))).subarray(0, 120), /not a complete zip archive/],
    [
      'with a complex tensor',
      () => save(dict({ z: tensor('ComplexFloatStorage', '0', { shape: [1], strides: [1] }) })),
      /a tensor of torch\.ComplexFloatStorage/,
    ],
  ])('%s is refused in words', async (_, make, message) => {
    const bytes = await make();
    await expect(open(bytes)).rejects.toThrow(CheckpointError);
    await expect(open(bytes)).rejects.toThrow(message);
  });

  it.each<[string, (directory: DataView, at: number) => void, RegExp]>([
    ['share bytes', (view, at) => view.setUint32(at + OFFSET, 0, true), /reaches into the next one or past the end/],
    [
      'are longer than the file',
      (view, at) => {
        view.setUint32(at + SIZES, 2 ** 30, true);
        view.setUint32(at + SIZES + 4, 2 ** 30, true);
      },
      /reaches into the next one or past the end/,
    ],
    ['are not at their place', (view, at) => view.setUint32(at + OFFSET, 40, true), /zip archive|place|reaches/],
  ])('whose entries %s is refused before they are read', async (_, change, message) => {
    const whole = await weight({ shape: [6], strides: [1] });
    const view = new DataView(whole.buffer, whole.byteOffset, whole.byteLength);
    const second = directoryEntries(view)[1];
    if (second === undefined) throw new Error('the archive has no second entry');
    change(view, second);
    const read = open(whole).then((torch) => torch.read(['weight']));
    await expect(read).rejects.toThrow(message);
    await expect(read).rejects.toThrow(CheckpointError);
  });

  it('that repeats one storage under many names is refused before memory is taken', async () => {
    const one = tensor('FloatStorage', '0', { shape: [6], strides: [1] });
    const names = Array.from({ length: 500 }, (_, i) => `visual.${i}`);
    const bytes = await save(dict(Object.fromEntries(['visual.conv1.weight', ...names].map((name) => [name, one]))));
    const many = tensor('FloatStorage', '0', { shape: [600], strides: [1] });
    const bomb = await save(dict(Object.fromEntries(['visual.conv1.weight', ...names].map((name) => [name, many]))), {
      'data/0': new Uint8Array(2400),
    });
    expect((await readCheckpoint(memorySource(bytes, 'tied.pt'))).tensors.size).toBe(501);
    await expect(readCheckpoint(memorySource(bomb, 'bomb.pt'))).rejects.toThrow(
      /bomb\.pt: its tensors take 1202400 bytes, the file has \d+/,
    );
  });

  it('whose storage is missing is refused when the tensor is read', async () => {
    const torch = await open(await save(dict({ w: tensor('FloatStorage', '9', { shape: [1], strides: [1] }) })));
    await expect(torch.read(['w'])).rejects.toThrow(/archive\/data\/9 is missing/);
  });

  it('never fails with anything but its own error, whatever the pickle', async () => {
    const good = pickle(dict({ weight: tensor('FloatStorage', '0', { shape: [2, 3], strides: [3, 1] }) }));
    const edits = fc.array(fc.tuple(fc.nat({ max: good.byteLength - 1 }), fc.nat({ max: 255 })), {
      minLength: 1,
      maxLength: 5,
    });
    await fc.assert(
      fc.asyncProperty(edits, async (changes) => {
        const bad = good.slice();
        for (const [at, byte] of changes) bad[at] = byte;
        try {
          const torch = await open(await archive({ 'data.pkl': bad, 'data/0': data }));
          await torch.read(torch.tensors.keys());
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
      }),
      { numRuns: 200 },
    );
  });
});
