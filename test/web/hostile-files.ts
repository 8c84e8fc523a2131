/** Files made to harm whoever opens them: small ones that ask for much, and some that are nothing. */
import { crc32, deflateRawSync, deflateSync } from 'node:zlib';
import { archive, call, global, pickle, string } from '../actionclip/checkpoints/torch-archive.ts';

const text = (value: string): Buffer => Buffer.from(value, 'latin1');
const big32 = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [at, value] of values.entries()) bytes.writeUInt32BE(value, 4 * at);
  return bytes;
};

/** A safetensors file with this header. @param length What it says of the header's length. */
export function safetensors(
  header: string,
  data = Buffer.alloc(0),
  length = BigInt(Buffer.byteLength(header)),
): Buffer {
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(length);
  return Buffer.concat([size, text(header), data]);
}

const entry = (shape: readonly number[], from: number, to: number): object => ({
  dtype: 'F32',
  shape,
  data_offsets: [from, to],
});
const withEntries = (entries: Record<string, object>, data: number): Buffer =>
  safetensors(JSON.stringify(entries), Buffer.alloc(data));

/** A header of very many tensors without values. */
const manyTensors = (): Buffer => {
  const entries = Array.from({ length: 2e5 }, (_, at) => `"t${at}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`);
  return safetensors(`{${entries.join(',')}}`);
};

const ofPickle = async (root: Buffer): Promise<Buffer> =>
  Buffer.from(await archive({ 'data.pkl': pickle(root), version: '3\n' }));

/** A dict of two, both of them the dict before: as many paths as 2 to the power of the levels. */
function doubling(levels: number): Buffer {
  const level = (at: number): Buffer =>
    Buffer.concat([
      text('}'),
      string('a'),
      text(`h${chr(at)}`),
      text('s'),
      string('b'),
      text(`h${chr(at)}s`),
      text(`q${chr(at + 1)}`),
    ]);
  return Buffer.concat([
    text(`}q${chr(0)}0`),
    ...Array.from({ length: levels }, (_, at) => [level(at), text('0')]).flat(),
    text(`h${chr(levels)}`),
  ]);
}
const chr = (code: number): string => String.fromCharCode(code);

export interface HostileCheckpoint {
  readonly make: () => Buffer | Promise<Buffer>;
  /** Of the page, in part. */
  readonly sentence: RegExp;
}

/** Checkpoints by name; none of them is one. */
export const hostileCheckpoints: Readonly<Record<string, HostileCheckpoint>> = {
  'empty.safetensors': { make: () => Buffer.alloc(0), sentence: /0 bytes are too few/ },
  'giant-header.safetensors': {
    make: () => safetensors('{}', Buffer.alloc(0), 2n ** 40n),
    sentence: /announce a header of 1099511627776 bytes/,
  },
  'negative-header.safetensors': {
    make: () => safetensors('{}', Buffer.alloc(0), 2n ** 64n - 1n),
    sentence: /announce a header of 18446744073709551615 bytes/,
  },
  'overflowing-shape.safetensors': {
    make: () => withEntries({ weight: entry([2 ** 32, 2 ** 32], 0, 8) }, 8),
    sentence: /takes 73786976294838210000 bytes, but 8 are given/,
  },
  'overlapping.safetensors': {
    make: () => withEntries({ a: entry([2], 0, 8), b: entry([2], 4, 12) }, 12),
    sentence: /"b" and "a" share bytes/,
  },
  'many-tensors.safetensors': { make: manyTensors, sentence: /parameter names of no known layout/ },
  'bomb.pt': {
    make: async () => Buffer.from(await archive({ 'data.pkl': Buffer.alloc(2 ** 26), version: '3\n' }, 9)),
    sentence: /is compressed or encrypted/,
  },
  'deep.pt': {
    make: () => ofPickle(Buffer.concat([Buffer.alloc(3e5, ']'), Buffer.alloc(3e5 - 1, 'a')])),
    sentence: /nest deeper than 200/,
  },
  'huge-memo.pt': {
    make: () => ofPickle(Buffer.concat([text('}'), text('r\xff\xff\xff\xff')])),
    sentence: /no tensors inside/,
  },
  'many-memos.pt': {
    make: () => ofPickle(Buffer.concat([text('}'), Buffer.alloc(1e6, '2\x94', 'latin1')])),
    sentence: /no tensors inside/,
  },
  'system.pt': {
    make: () => ofPickle(Buffer.from(call(global('os', 'system'), string('touch hostile-was-here')))),
    sentence: /no tensors inside \(it holds os\.system\)/,
  },
  'itself.pt': { make: () => ofPickle(text('}q\0X\x01\0\0\0ah\0s')), sentence: /no tensors inside/ },
  'doubling.pt': { make: () => ofPickle(doubling(60)), sentence: /more than \d+ parts/ },
};

const chunk = (type: string, data: Buffer): Buffer => {
  const body = Buffer.concat([text(type), data]);
  return Buffer.concat([big32(data.length), body, big32(crc32(body))]);
};

/** A picture of one colour in few bytes. @param depth Bits of a grey pixel. */
export function png(width: number, height: number, depth = 1): Buffer {
  const rows = Buffer.alloc(height * (1 + Math.ceil((width * depth) / 8)));
  return Buffer.concat([
    text('\x89PNG\r\n\x1a\n'),
    chunk('IHDR', Buffer.concat([big32(width, height), Buffer.from([depth, 0, 0, 0, 0])])),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** A moving picture whose screen is as large as can be said, with frames of one pixel. */
const gif = (): Buffer => {
  const frame = Buffer.concat([
    Buffer.from([0x21, 0xf9, 4, 0, 10, 0, 0, 0]),
    Buffer.from([0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0]),
  ]);
  const screen = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0, 0, 0, 255, 255, 255]);
  return Buffer.concat([text('GIF89a'), screen, frame, frame, text(';')]);
};

/** Sound alone: a tenth of a second of silence. */
const wav = (): Buffer => {
  const samples = Buffer.alloc(1600);
  const format = Buffer.from([16, 0, 0, 0, 1, 0, 1, 0, 0x40, 0x1f, 0, 0, 0x80, 0x3e, 0, 0, 2, 0, 16, 0]);
  const little = (value: number): Buffer => big32(value).swap32();
  return Buffer.concat([
    text('RIFF'),
    little(36 + samples.length),
    text('WAVEfmt '),
    format,
    text('data'),
    little(samples.length),
    samples,
  ]);
};

/** An MP4 file with the bytes of some boxes written over, from `at` on behind the box's name. */
function patched(mp4: Buffer, patches: readonly [box: string, at: number, bytes: Buffer][]): Buffer {
  const copy = Buffer.from(mp4);
  for (const [box, at, bytes] of patches) {
    const found = copy.indexOf(box, 0, 'latin1');
    if (found < 0) throw new Error(`no box ${box}`);
    bytes.copy(copy, found + 4 + at);
  }
  return copy;
}

const many = 2 ** 31 - 1;

export interface HostileVideo {
  /** @param mp4 A good one. */
  readonly make: (mp4: Buffer) => Buffer;
  /** Of the page, in part. */
  readonly sentence: RegExp;
}

/** Videos by name; none of them can be shown. */
export const hostileVideos: Readonly<Record<string, HostileVideo>> = {
  'empty.mp4': { make: () => Buffer.alloc(0), sentence: /cannot be opened as a video/ },
  'cut.mp4': { make: (mp4) => mp4.subarray(0, 2000), sentence: /0 frames could be decoded/ },
  'no-parameters.mp4': {
    make: (mp4) => patched(mp4, [['avcC', 0, Buffer.alloc(20, 255)]]),
    sentence: /no decoder for avc/,
  },
  'endless-table.mp4': {
    make: (mp4) =>
      patched(mp4, [
        ['stsz', 4, big32(1, many)],
        ['stts', 4, big32(1, many, 1)],
      ]),
    sentence: /its tables speak of 2147483667 frames/,
  },
  'endless-sizes.mp4': {
    make: (mp4) => patched(mp4, [['stsz', 4, big32(0, many)]]),
    sentence: /0 frames could be decoded/,
  },
  'endless-shifts.mp4': {
    make: (mp4) => patched(mp4, [['ctts', 4, big32(2, many, 0, many, 0)]]),
    sentence: /its tables speak of 4294967314 frames/,
  },
  'endless-times.mp4': {
    make: (mp4) => patched(mp4, [['stts', 4, big32(many)]]),
    sentence: /0 frames could be decoded/,
  },
  'noise.mp4': {
    make: (mp4) => Buffer.concat([mp4.subarray(0, 5000), deflateRawSync(mp4), mp4.subarray(5000)]),
    sentence: /0 frames could be decoded/,
  },
  'huge.gif': { make: gif, sentence: /the picture cannot be decoded/ },
  'bomb.png': { make: () => png(30_000, 30_000), sentence: /the picture cannot be decoded/ },
  'sound.wav': { make: wav, sentence: /there is no video track in it/ },
};

/** Videos that are odd, and good all the same; what the page says of them. */
export const oddVideos: Readonly<Record<string, { readonly make: (mp4: Buffer) => Buffer; readonly extent: string }>> =
  {
    // The stream itself tells its size.
    'absurd-size.mp4': {
      make: (mp4) =>
        patched(mp4, [
          ['avc1', 24, Buffer.from([255, 255, 255, 255])],
          ['tkhd', 76, big32(0xffff0000, 0xffff0000)],
        ]),
      extent: '20 frames, 2.0 s',
    },
    'one-frame.png': { make: () => png(64, 48, 8), extent: '1 frame, 0.0 s' },
  };

/** Fragments of an MP4 file, each with a table that speaks of so many samples and has none. */
export function fragments(count: number, samples: number): Buffer {
  const box = (type: string, content: Buffer): Buffer =>
    Buffer.concat([big32(8 + content.length), text(type), content]);
  const fragment = box('moof', box('traf', box('trun', big32(0, samples))));
  return Buffer.concat([box('ftyp', text('isom')), ...Array.from({ length: count }, () => fragment)]);
}
