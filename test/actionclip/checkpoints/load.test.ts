import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostTensor, type StateDict, serializeSafetensors } from '@actionclip/tensor';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeFileAtomically } from '../../../packages/actionclip/src/checkpoints/atomic-file.ts';
import { blobSource, memorySource } from '../../../packages/actionclip/src/checkpoints/byte-source.ts';
import { CheckpointError } from '../../../packages/actionclip/src/checkpoints/errors.ts';
import {
  readCheckpointFile,
  readSafetensorsFile,
  writeSafetensorsFile,
} from '../../../packages/actionclip/src/checkpoints/files.ts';
import { convertStateDict, readCheckpoint } from '../../../packages/actionclip/src/checkpoints/load.ts';
import { matchStateDict } from '../../../packages/actionclip/src/checkpoints/match.ts';
import { toHuggingFace, toMmaction2 } from './hugging-face.ts';
import { isSame } from './same.ts';

const fixturePath = (path: string) => new URL(`../../../../shared/fixtures/model/${path}`, import.meta.url).pathname;
const shapesOf = (tensors: StateDict) => new Map([...tensors].map(([name, { shape }]) => [name, shape]));

function f32(shape: number[], first = 0): HostTensor {
  const count = shape.reduce((a, b) => a * b, 1);
  return { dtype: 'f32', shape, data: Float32Array.from({ length: count }, (_, i) => first + i) };
}

describe('parameter names of other programs', () => {
  it('of Hugging Face become those of CLIP, with q, k and v joined and both projections transposed', async () => {
    const clip = await readCheckpointFile(fixturePath('mean/clip.pt'));
    const converted = convertStateDict(toHuggingFace(clip.tensors), 'model.safetensors');
    expect(converted.layout).toBe('huggingface');
    expect(converted.dropped).toEqual(['text_model.embeddings.position_ids']);
    expect(new Set(converted.tensors.keys())).toEqual(new Set(clip.tensors.keys()));
    const different = [...clip.tensors].filter(([name, tensor]) => !isSame(converted.tensors.get(name), tensor));
    expect(different.map(([name]) => name)).toEqual([]);
  });

  it('of mmaction2 lose clip. and the adapter becomes the temporal head', async () => {
    const official = await readCheckpointFile(fixturePath('transf/checkpoint.pt'));
    const ported = toMmaction2(official.tensors);
    const file = serializeSafetensors(new Map([...ported].map(([name, tensor]) => [`state_dict.${name}`, tensor])));
    const read = await readCheckpoint(blobSource(new Blob([file as BlobPart]), 'vit-b-32-8f.safetensors'));
    expect(read.layout).toBe('mmaction2');
    expect(shapesOf(read.tensors)).toEqual(shapesOf(official.tensors));
  });

  it('of a model wrapped in DataParallel lose module.', async () => {
    const clip = await readCheckpointFile(fixturePath('mean/clip.pt'));
    const wrapped = new Map([...clip.tensors].map(([name, tensor]) => [`module.${name}`, tensor]));
    const read = await readCheckpoint(memorySource(serializeSafetensors(wrapped), 'wrapped.safetensors'));
    expect(new Set(read.tensors.keys())).toEqual(new Set(clip.tensors.keys()));
  });

  it('of the Shift variant lose net., since it adds no parameters', async () => {
    const shift = await readCheckpointFile(fixturePath('shift/checkpoint.pt'));
    const mean = await readCheckpointFile(fixturePath('mean/checkpoint.pt'));
    expect(shapesOf(shift.tensors)).toEqual(shapesOf(mean.tensors));
  });

  it('of nobody are refused with the first few of them', () => {
    const tensors = new Map([['encoder.weight', f32([1])]]);
    expect(() => convertStateDict(tensors, 'x.pt')).toThrow(
      /x\.pt: parameter names of no known layout: encoder\.weight/,
    );
  });

  it('without a place in their layout are refused', () => {
    const tensors = new Map([
      ['vision_model.embeddings.patch_embedding.weight', f32([1])],
      ['vision_model.embeddings.extra', f32([1])],
    ]);
    expect(() => convertStateDict(tensors, 'x')).toThrow(/1 parameters have no place in the huggingface layout/);
  });

  it('are refused where one of q, k and v is absent', () => {
    const tensors = new Map([
      ['vision_model.embeddings.patch_embedding.weight', f32([1])],
      ['vision_model.encoder.layers.0.self_attn.q_proj.bias', f32([4])],
      ['vision_model.encoder.layers.0.self_attn.v_proj.bias', f32([4])],
    ]);
    expect(() => convertStateDict(tensors, 'x')).toThrow(/attn\.in_proj_bias: 2 of its 3 parts/);
  });
});

describe('fitting a checkpoint to a model', () => {
  const checkpoint = {
    source: 'clip.pt',
    tensors: new Map([
      ['a', f32([2, 3])],
      ['b', f32([4])],
    ]),
  };

  it('returns every parameter in f32 where all shapes agree', () => {
    const half: StateDict = new Map([['a', { dtype: 'f16', shape: [1], data: Uint16Array.of(0x3c00) }]]);
    const { tensors } = matchStateDict(new Map([['a', [1]]]), { source: 'x', tensors: half });
    expect(tensors.get('a')).toEqual({ dtype: 'f32', shape: [1], data: Float32Array.of(1) });
  });

  it('names in one error all that is missing, unexpected and of another shape', () => {
    const expected = new Map([
      ['a', [3, 2]],
      ['c', [5]],
    ]);
    expect(() => matchStateDict(expected, checkpoint)).toThrow(
      'clip.pt does not fit the model: 1 missing: c [5]; 1 unexpected: b [4]; 1 of another shape: a is [2,3], expected [3,2]',
    );
    expect(() => matchStateDict(expected, checkpoint)).toThrow(CheckpointError);
  });

  it('shows the first five of many', () => {
    const expected = new Map(Array.from({ length: 9 }, (_, i) => [`p${i}`, [1]] as [string, number[]]));
    expect(() => matchStateDict(expected, { source: 'x', tensors: new Map() })).toThrow(
      /9 missing: p0.*p4 \[1\] and 4 more/,
    );
  });

  it('tells what was excused by name', () => {
    const expected = new Map([
      ['a', [2, 3]],
      ['fusion.w', [1]],
    ]);
    const match = matchStateDict(expected, checkpoint, {
      mayBeMissing: (name) => name.startsWith('fusion.'),
      mayBeUnused: (name) => name === 'b',
    });
    expect(match.missing).toEqual(['fusion.w']);
    expect(match.unused).toEqual(['b']);
    expect([...match.tensors.keys()]).toEqual(['a']);
  });

  it('takes a table of frame positions that has a row for each frame, and no shorter one', () => {
    const name = 'fusion.frame_position_embeddings.weight';
    const tensors = new Map([[name, f32([2, 2], 1)]]);
    const expected = new Map([[name, [4, 2]]]);
    const { tensors: fitted } = matchStateDict(expected, { source: 'x', tensors }, { frames: 2 });
    expect(fitted.get(name)?.data).toEqual(Float32Array.of(1, 2, 3, 4, 0, 0, 0, 0));
    expect(() => matchStateDict(expected, { source: 'x', tensors }, { frames: 3 })).toThrow(
      /is \[2,2\], expected \[4,2\]/,
    );
    expect(() => matchStateDict(expected, { source: 'x', tensors })).toThrow(/of another shape/);
  });
});

describe('checkpoint files', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'checkpoint-test-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('come back as they were written, folders made on the way', async () => {
    const path = join(folder, 'runs/first/model.safetensors');
    await writeSafetensorsFile(path, new Map([['visual.conv1.weight', f32([2, 2])]]), new Map([['epoch', '3']]));
    const read = await readCheckpointFile(path);
    expect(read.tensors.get('visual.conv1.weight')).toEqual(f32([2, 2]));
    expect(read.scalars.get('epoch')).toBe('3');
    expect(readdirSync(join(folder, 'runs/first'))).toEqual(['model.safetensors']);
    expect([...(await readSafetensorsFile(path)).tensors.keys()]).toEqual(['visual.conv1.weight']);
  });

  it('of a run give the model and leave the state of the optimizer unread', async () => {
    const path = join(folder, 'run.safetensors');
    const names = ['model_state_dict.visual.conv1.weight', 'model_state_dict.fusion.w', 'optimizer_state_dict.m'];
    await writeSafetensorsFile(path, new Map(names.map((name) => [name, f32([1])])));
    expect([...(await readCheckpointFile(path)).tensors.keys()]).toEqual(['fusion.w', 'visual.conv1.weight']);
    expect((await readSafetensorsFile(path)).tensors.size).toBe(3);
  });

  it('keep their content, and leave no other file, where writing the next one fails', async () => {
    const path = join(folder, 'model');
    await writeFileAtomically(path, 'before');
    const broken = { [Symbol.toPrimitive]: () => 'no bytes' } as unknown as Uint8Array;
    await expect(writeFileAtomically(path, broken)).rejects.toThrow();
    expect(readFileSync(path, 'utf8')).toBe('before');
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it.each([
    ['that is not there', 'nothing.pt', undefined, /nothing\.pt: there is no such file/],
    ['that is a folder of other things', '.', undefined, /a folder with none of model\.safetensors\.index\.json, /],
    ['that is empty', 'empty.pt', '', /not readable as a checkpoint/],
    ['that is a web page', 'page.pt', '<!doctype html><title>404</title>', /not readable as a checkpoint/],
    ['of PyTorch before 1.6', 'ancient.pt', Uint8Array.of(0x80, 2, 0x8a, 10), /from before version 1\.6/],
  ])('%s are refused in words', async (_, name, content, message) => {
    const path = join(folder, name);
    if (content !== undefined) writeFileSync(path, content);
    await expect(readCheckpointFile(path)).rejects.toThrow(CheckpointError);
    await expect(readCheckpointFile(path)).rejects.toThrow(message);
  });
});
