import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bfloat16ToNumber,
  HOST_DTYPES,
  type HostDtype,
  type HostTensor,
  type StateDict,
  toFloat32,
  toInt32,
} from '../../packages/tensor/src/io/host-tensor.ts';
import {
  parseSafetensors,
  SafetensorsError,
  safetensorsHeaderLength,
  serializeSafetensors,
} from '../../packages/tensor/src/io/safetensors.ts';

const DTYPES = Object.keys(HOST_DTYPES) as HostDtype[];

function fileOf(header: unknown, dataBytes: number): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + json.byteLength + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.byteLength), true);
  file.set(json, 8);
  return file;
}

function f32(shape: number[], values: number[]): HostTensor {
  return { dtype: 'f32', shape, data: Float32Array.from(values) };
}

const hostTensor: fc.Arbitrary<HostTensor> = fc
  .tuple(
    fc.constantFrom(...DTYPES),
    fc.array(fc.nat({ max: 3 }), { maxLength: 4 }),
    fc.infiniteStream(fc.nat({ max: 255 })),
  )
  .map(([dtype, shape, stream]) => {
    const count = shape.reduce((a, b) => a * b, 1);
    const bytes = Uint8Array.from({ length: count * HOST_DTYPES[dtype].bytes }, () => Number(stream.next().value));
    return { dtype, shape, data: HOST_DTYPES[dtype].view(bytes.buffer, 0, count) };
  });
const stateDict = fc
  .uniqueArray(fc.tuple(fc.string({ unit: 'grapheme' }), hostTensor), { selector: ([name]) => name, maxLength: 6 })
  .map((pairs): StateDict => new Map(pairs.filter(([name]) => name !== '__metadata__')));

const bytesOf = ({ data }: HostTensor) => [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];

describe('writing and reading safetensors', () => {
  it('gives back every tensor bit for bit, whatever the names, dtypes and shapes', () => {
    fc.assert(
      fc.property(stateDict, fc.dictionary(fc.string(), fc.string()), (tensors, pairs) => {
        const metadata = new Map(Object.entries(pairs));
        const read = parseSafetensors(serializeSafetensors(tensors, metadata));
        expect(new Set(read.tensors.keys())).toEqual(new Set(tensors.keys()));
        for (const [name, tensor] of tensors) {
          const other = read.tensors.get(name);
          expect(other?.dtype).toBe(tensor.dtype);
          expect(other?.shape).toEqual(tensor.shape);
          expect(other && bytesOf(other)).toEqual(bytesOf(tensor));
        }
        expect(read.metadata).toEqual(metadata);
      }),
      { numRuns: 200 },
    );
  });

  it('writes equal bytes whatever the order of the map', () => {
    const a: [string, HostTensor] = ['a', f32([2], [1, 2])];
    const b: [string, HostTensor] = ['b', { dtype: 'bool', shape: [3], data: Uint8Array.of(1, 0, 1) }];
    const c: [string, HostTensor] = ['c', { dtype: 'i64', shape: [], data: BigInt64Array.of(-7n) }];
    expect(serializeSafetensors(new Map([a, b, c]))).toEqual(serializeSafetensors(new Map([c, b, a])));
  });

  it('starts the values at a multiple of eight bytes and aligns each tensor to its element', () => {
    const file = serializeSafetensors(
      new Map<string, HostTensor>([
        ['odd', { dtype: 'u8', shape: [3], data: Uint8Array.of(1, 2, 3) }],
        ['single', f32([1], [5])],
        ['double', { dtype: 'f64', shape: [1], data: Float64Array.of(6) }],
      ]),
    );
    expect((8 + safetensorsHeaderLength(file, file.byteLength)) % 8).toBe(0);
    for (const tensor of parseSafetensors(file).tensors.values()) expect(tensor.data.buffer).toBe(file.buffer);
  });

  it('reads a file at an unaligned place in memory', () => {
    const file = serializeSafetensors(new Map([['x', f32([2], [1.5, -2])]]));
    const shifted = new Uint8Array(file.byteLength + 1);
    shifted.set(file, 1);
    expect(parseSafetensors(shifted.subarray(1)).tensors.get('x')?.data).toEqual(Float32Array.of(1.5, -2));
  });

  it('reads a file that PyTorch wrote', () => {
    const path = new URL('../../../shared/fixtures/model/mean/expected.safetensors', import.meta.url);
    const { tensors } = parseSafetensors(readFileSync(path));
    expect(tensors.get('frames')?.shape).toEqual([16, 3, 32, 32]);
    expect(tensors.get('logits_per_video')?.shape).toEqual([4, 4]);
    expect(tensors.get('tokens')?.dtype).toBe('i64');
  });

  it('refuses to write a tensor whose data does not fill its shape', () => {
    expect(() => serializeSafetensors(new Map([['x', f32([3], [1, 2])]]))).toThrow(/"x" has shape \[3\] of f32/);
  });
});

describe('a damaged safetensors file', () => {
  const entry = (begin: number, end: number, shape: number[], dtype = 'F32') => ({
    dtype,
    shape,
    data_offsets: [begin, end],
  });
  const faults: [string, Uint8Array, RegExp][] = [
    ['is too short to hold a length', Uint8Array.of(1, 2, 3), /3 bytes are too few/],
    ['announces a header longer than itself', fileOf('{}', 0).subarray(0, 9), /header of 2 bytes does not fit/],
    ['announces an absurd header', new Uint8Array(16).fill(255), /announce a header of 18446744073709551615 bytes/],
    ['has a header that is not UTF-8', Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe), /not UTF-8/],
    ['has a header that is not JSON', fileOf('{"a":', 0), /not JSON/],
    ['has a header that is a list', fileOf('[]', 0), /not a JSON object/],
    ['ends before a tensor ends', fileOf({ a: entry(0, 8, [2]) }, 4), /"a" lies at \[0, 8\] of 4 bytes/],
    ['holds a shape that does not match the length', fileOf({ a: entry(0, 8, [3]) }, 8), /takes 12 bytes, but 8/],
    ['holds a shape beyond any memory', fileOf({ a: entry(0, 8, [2 ** 40, 2 ** 40]) }, 8), /"a" is F32/],
    ['holds a negative size', fileOf({ a: entry(0, 4, [-1]) }, 4), /not a list of sizes/],
    ['holds a dtype of another world', fileOf({ a: entry(0, 4, [1], 'F8_E5M2') }, 4), /dtype "F8_E5M2"/],
    ['lets two tensors share bytes', fileOf({ a: entry(0, 8, [2]), b: entry(4, 12, [2]) }, 12), /"b" and "a" share/],
    ['leaves a gap', fileOf({ a: entry(0, 4, [1]), b: entry(8, 12, [1]) }, 12), /before "b"/],
    ['has bytes that nothing describes', fileOf({ a: entry(0, 4, [1]) }, 9), /last 5 bytes/],
    ['has metadata that is not text', fileOf({ __metadata__: { n: 1 } }, 0), /"n", which is not a text/],
    [
      'names a tensor twice',
      fileOf(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
        2,
      ),
      /"a" appears twice/,
    ],
  ];
  it.each(faults)('%s and is refused in words', (_, bytes, message) => {
    expect(() => parseSafetensors(bytes)).toThrow(SafetensorsError);
    expect(() => parseSafetensors(bytes)).toThrow(message);
  });

  it('does not take equal keys inside a tensor for a repeated name', () => {
    const file = fileOf({ dtype: entry(0, 4, [1]), shape: entry(4, 8, [1]), __metadata__: { shape: 'x' } }, 8);
    expect([...parseSafetensors(file).tensors.keys()]).toEqual(['dtype', 'shape']);
  });

  it('never fails with anything but its own error', () => {
    const good = serializeSafetensors(new Map([['weight', f32([2, 2], [1, 2, 3, 4])]]), new Map([['k', 'v']]));
    const header = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json({ maxDepth: 4 }).map((text) => fileOf(text, 8)),
      fc
        .array(fc.tuple(fc.nat({ max: good.byteLength - 1 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 })
        .map((edits) => {
          const copy = good.slice();
          for (const [at, byte] of edits) copy[at] = byte;
          return copy;
        }),
    );
    fc.assert(
      fc.property(header, (bytes) => {
        try {
          parseSafetensors(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(SafetensorsError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('conversion between dtypes', () => {
  it('reads bfloat16 as the upper half of a float', () => {
    expect(bfloat16ToNumber(0x3f80)).toBe(1);
    expect(bfloat16ToNumber(0xc040)).toBe(-3);
    expect(bfloat16ToNumber(0x7f80)).toBe(Number.POSITIVE_INFINITY);
  });

  it('turns every dtype into f32 by value', () => {
    const tensors: HostTensor[] = [
      { dtype: 'f64', shape: [2], data: Float64Array.of(1, -2) },
      { dtype: 'f32', shape: [2], data: Float32Array.of(1, -2) },
      { dtype: 'f16', shape: [2], data: Uint16Array.of(0x3c00, 0xc000) },
      { dtype: 'bf16', shape: [2], data: Uint16Array.of(0x3f80, 0xc000) },
      { dtype: 'i64', shape: [2], data: BigInt64Array.of(1n, -2n) },
      { dtype: 'i32', shape: [2], data: Int32Array.of(1, -2) },
      { dtype: 'i16', shape: [2], data: Int16Array.of(1, -2) },
      { dtype: 'i8', shape: [2], data: Int8Array.of(1, -2) },
    ];
    for (const tensor of tensors) {
      expect(toFloat32(tensor).data).toEqual(Float32Array.of(1, -2));
      expect(toInt32(tensor).data).toEqual(Int32Array.of(1, -2));
    }
    expect(toFloat32({ dtype: 'bool', shape: [2], data: Uint8Array.of(1, 0) }).data).toEqual(Float32Array.of(1, 0));
  });

  it('gives every half and every bfloat16 its value, sign of zero and infinities included', () => {
    const all = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits);
    const halves = Float32Array.from(all, (bits) => {
      const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
      if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
      return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
    });
    const uppers = Float32Array.from(all, (bits) => bfloat16ToNumber(bits));
    const differences = (dtype: 'f16' | 'bf16', expected: Float32Array): number[] => {
      const { data } = toFloat32({ dtype, shape: [2 ** 16], data: all });
      return [...all].filter((bits) => !Object.is(data[bits], expected[bits]));
    };
    expect(differences('f16', halves)).toEqual([]);
    expect(differences('bf16', uppers)).toEqual([]);
  });

  it('refuses to make an integer of what is none', () => {
    expect(() => toInt32({ dtype: 'f32', shape: [1], data: Float32Array.of(0.5) })).toThrow(/element 0 is 0.5/);
    expect(() => toInt32({ dtype: 'i64', shape: [1], data: BigInt64Array.of(2n ** 40n) })).toThrow(RangeError);
  });
});
