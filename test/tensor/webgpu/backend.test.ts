// The backend around its kernels: memory, replays, shared pipelines, and errors that say what was wrong.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { create } from 'webgpu';
import type { Slot } from '../../../packages/tensor/src/backends/backend.ts';
import { createWebGPUBackend, type WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import { grid } from '../../../packages/tensor/src/backends/webgpu/kernels.ts';
import { sizeClass } from '../../../packages/tensor/src/backends/webgpu/memory.ts';
import type { LoopKernel, Program } from '../../../packages/tensor/src/compile/kernel.ts';
import { toHalfBits } from '../../../packages/tensor/src/dtype.ts';
import { DeviceError, DisposedError, DTypeError, ShapeError } from '../../../packages/tensor/src/errors.ts';
import { add, axis, constant, load, mul } from '../../../packages/tensor/src/expr/expr.ts';
import { contraction, examples, loopCase, reductionCase } from './examples.ts';
import { programOf } from './interpret.ts';

let backend: WebGPUBackend;
beforeAll(async () => {
  backend = await createWebGPUBackend({ allowSoftware: true });
});
afterAll(() => backend.close());

/** Two kernels over n elements: workspace = 2 x, result = workspace + 1. */
function twoSteps(n: number): Program {
  const x = load(0, axis(0, n), 'f32');
  const kernel = (name: string, from: number, to: number, value: LoopKernel['outputs'][0]['value']): LoopKernel => ({
    kind: 'loop',
    name,
    shape: [n],
    inputs: [{ buffer: from, dtype: 'f32' }],
    outputs: [{ buffer: to, dtype: 'f32', value }],
  });
  return {
    buffers: [{ bytes: 4 * n }, { bytes: 4 * n }, { bytes: 4 * n }],
    bindings: 2,
    kernels: [kernel('double', 0, 2, mul(x, constant(2))), kernel('increment', 2, 1, add(x, constant(1)))],
  };
}

const slotsFor = (program: Program): Slot[] => program.buffers.map(({ bytes }) => backend.alloc(bytes));

describe('replay', () => {
  it('makes no buffer and no bind group on slots that it has seen, and submits once', async () => {
    const program = twoSteps(5);
    const executable = await backend.compile(program);
    const slots = slotsFor(program);
    const others = slotsFor(program);
    const [input, output] = slots as [Slot, Slot];
    backend.run(executable, slots);
    backend.run(executable, others);
    const made = ['createBuffer', 'createBindGroup', 'createComputePipelineAsync', 'createShaderModule'] as const;
    const spies = made.map((name) => vi.spyOn(backend.device, name));
    const submit = vi.spyOn(backend.device.queue, 'submit');
    for (let i = 0; i < 3; i++) {
      backend.write(input, new Float32Array([i, 1, 2, 3, 4]), 'f32');
      backend.run(executable, slots);
      backend.run(executable, others);
    }
    expect(spies.map((spy) => spy.mock.calls.length)).toEqual([0, 0, 0, 0]);
    expect(submit.mock.calls.map(([commands]) => [...commands].length)).toEqual([1, 1, 1, 1, 1, 1]);
    vi.restoreAllMocks();
    expect([...(await backend.read(output, 5, 'f32'))]).toEqual([5, 3, 5, 7, 9]);
    for (const slot of [...slots, ...others]) backend.free(slot);
  });

  it('reports what a run does', async () => {
    const { stats } = await backend.compile(twoSteps(6));
    expect(stats).toMatchObject({ dispatches: 2, passes: 1, submits: 1 });
  });

  it('runs take effect in the order of the calls, writes between them included', async () => {
    const program = twoSteps(1);
    const executable = await backend.compile(program);
    const slots = slotsFor(program);
    const [input, output] = slots as [Slot, Slot];
    const reads: Promise<ArrayLike<number>>[] = [];
    for (let i = 0; i < 4; i++) {
      backend.write(input, new Float32Array([i]), 'f32');
      backend.run(executable, slots);
      reads.push(backend.read(output, 1, 'f32'));
    }
    expect((await Promise.all(reads)).map((values) => values[0])).toEqual([1, 3, 5, 7]);
    for (const slot of slots) backend.free(slot);
  });
});

describe('shaders serve all shapes of one structure', () => {
  it('a second shape compiles nothing', async () => {
    const permuted = (a: number, b: number, c: number) =>
      programOf(
        loopCase('permute', {
          shape: [a, b, c],
          inputs: [['f32', a * b * c]],
          outputs: [
            [
              'f32',
              load(
                0,
                add(mul(axis(2, c), constant(a * b, 'i32')), add(mul(axis(1, b), constant(a, 'i32')), axis(0, a))),
                'f32',
              ),
            ],
          ],
        }),
      );
    const pairs = [
      [twoSteps(1000), twoSteps(123)],
      [permuted(3, 5, 7), permuted(11, 4, 9)],
      [programOf(contraction({ m: 20, n: 24, k: 30 })), programOf(contraction({ m: 31, n: 16, k: 6 }))],
      [programOf(reductionCase('sum', 'f32', [6], [9])), programOf(reductionCase('sum', 'f32', [17], [5]))],
      [programOf(reductionCase('sum', 'f32', [6], [2000])), programOf(reductionCase('sum', 'f32', [17], [1500]))],
    ] as const;
    for (const [first, second] of pairs) {
      await backend.compile(first);
      expect((await backend.compile(second)).stats.pipelines).toBe(0);
    }
  });
});

describe('memory', () => {
  it('reuses freed buffers and counts live and peak bytes', async () => {
    const own = await createWebGPUBackend({ allowSoftware: true });
    const spy = vi.spyOn(own.device, 'createBuffer');
    const first = own.alloc(1000);
    const second = own.alloc(500);
    // In size classes: what the device gives.
    expect(own.memory()).toEqual({ live: 1024 + 512, peak: 1024 + 512 });
    own.free(first);
    own.alloc(1000);
    own.free(second);
    expect(spy).toHaveBeenCalledTimes(2);
    expect(own.memory()).toEqual({ live: 1024, peak: 1024 + 512 });
    spy.mockRestore();
    await own.close();
  });

  it('size classes waste at most a quarter and never pass the largest buffer', () => {
    for (const bytes of [1, 256, 257, 1000, 1025, 4097, 100_000, 123_456_789, 1_073_741_824 - 4]) {
      const size = sizeClass(bytes, 1_073_741_824);
      expect(size).toBeGreaterThanOrEqual(bytes);
      expect(size % 4).toBe(0);
      expect(size).toBeLessThanOrEqual(Math.max(256, 1.25 * bytes + 4));
    }
    expect(sizeClass(1001, 1004)).toBe(1004);
  });

  it('writes and reads every element type, of lengths that fill no word', async () => {
    const cases = [
      ['f32', new Float64Array([1.5, -0.1, 3]), [1.5, Math.fround(-0.1), 3]],
      ['f16', new Uint16Array([1, 2, 65_535]), [1, 2, 65_535]],
      ['f16', new Float32Array([0.5, -2, 1e9]), [0.5, -2, Number.POSITIVE_INFINITY].map(toHalfBits)],
      ['i32', new Int32Array([-1, 7]), [-1, 7]],
      ['u32', new Uint32Array([4_294_967_295]), [4_294_967_295]],
      ['bool', new Uint8Array([1, 0, 1]), [1, 0, 1]],
      ['u8', new Uint8Array([9, 8, 7, 6, 255]), [9, 8, 7, 6, 255]],
      ['u8', Buffer.from([3, 2, 1]), [3, 2, 1]],
      ['f32', new Float32Array(new SharedArrayBuffer(8)).fill(2), [2, 2]],
    ] as const;
    for (const [dtype, data, expected] of cases) {
      const slot = backend.alloc(data.length * 4);
      backend.write(slot, data, dtype);
      expect([...(await backend.read(slot, data.length, dtype))], dtype).toEqual(expected);
      backend.free(slot);
    }
    const empty = backend.alloc(0);
    expect(await backend.read(empty, 0, 'f32')).toHaveLength(0);
    backend.free(empty);
  });

  it('a view into a larger array is written alone', async () => {
    const slot = backend.alloc(8);
    backend.write(slot, new Uint8Array([1, 2, 3, 4, 5, 6, 7]).subarray(1, 6), 'u8');
    expect([...(await backend.read(slot, 5, 'u8'))]).toEqual([2, 3, 4, 5, 6]);
    backend.free(slot);
  });
});

describe('errors', () => {
  it('a software adapter is refused by name unless it is allowed', async () => {
    await expect(createWebGPUBackend()).rejects.toThrow(DeviceError);
    await expect(createWebGPUBackend()).rejects.toThrow(/software adapter '.*swiftshader.*'.*allowSoftware: true/i);
  });

  it('a buffer that is too large names both sizes', async () => {
    const { bufferBytes } = backend.limits;
    const asked = bufferBytes + 4;
    const sizes = new RegExp(`${asked}.*${bufferBytes}`);
    expect(() => backend.alloc(asked)).toThrow(sizes);
    await expect(backend.compile({ buffers: [{ bytes: asked }], bindings: 1, kernels: [] })).rejects.toThrow(sizes);
  });

  it('a kernel that touches too many buffers is refused by its name', async () => {
    const n = backend.limits.buffersPerKernel;
    const sum = Array.from({ length: n }, (_, i) => load(i, axis(0, 2), 'f32')).reduce(add);
    const example = loopCase('wide sum', {
      shape: [2],
      inputs: Array.from({ length: n }, () => ['f32', 2] as const),
      outputs: [['f32', sum]],
    });
    await expect(backend.compile(programOf(example))).rejects.toThrow(
      new RegExp(`'wide sum' touches ${n + 1} buffers.*allows ${n}`),
    );
  });

  it('a kernel over more elements than i32 counts is refused by its name', async () => {
    const kernel: LoopKernel = {
      kind: 'loop',
      name: 'vast',
      shape: [2 ** 16, 2 ** 16],
      inputs: [],
      outputs: [{ buffer: 0, dtype: 'u8', value: constant(1, 'u32') }],
    };
    await expect(backend.compile({ buffers: [{ bytes: 4 }], bindings: 1, kernels: [kernel] })).rejects.toThrow(
      /'vast'/,
    );
  });

  it('slots that are freed, too small, aliased or too few', async () => {
    const program = twoSteps(100);
    const executable = await backend.compile(program);
    const slots = slotsFor(program);
    const [a, b, c] = slots as [Slot, Slot, Slot];
    const tiny = backend.alloc(4);
    expect(() => backend.run(executable, [a, b])).toThrow(ShapeError);
    expect(() => backend.run(executable, [a, b, tiny])).toThrow(/Slot 2 has 4 bytes/);
    expect(() => backend.run(executable, [a, b, a])).toThrow(/'double' writes a slot/);
    expect(() => backend.write(tiny, new Float32Array(2), 'f32')).toThrow(ShapeError);
    expect(() => backend.write(tiny, new Float32Array(1), 'i32')).toThrow(DTypeError);
    await expect(backend.read(tiny, 2, 'f32')).rejects.toThrow(ShapeError);
    backend.free(c);
    expect(() => backend.run(executable, slots)).toThrow(DisposedError);
    expect(() => backend.free(c)).toThrow(DisposedError);
    for (const slot of [a, b, tiny]) backend.free(slot);
  });

  it('what fails on the device is thrown by the next call', async () => {
    const own = await createWebGPUBackend({ allowSoftware: true });
    own.device.createBuffer({ size: 4, usage: 0xffff });
    await own.device.queue.onSubmittedWorkDone();
    expect(() => own.alloc(4)).toThrow(DeviceError);
    own.free(own.alloc(4));
    own.device.destroy();
    await own.device.lost;
    expect(() => own.alloc(4)).toThrow(/was lost/);
    await own.close();
    expect(() => own.alloc(4)).toThrow(/is closed/);
  });

  it('another backend can use neither the programs nor the slots of this one', async () => {
    const own = await createWebGPUBackend({ allowSoftware: true });
    const program = twoSteps(2);
    const executable = await own.compile(program);
    const slots = slotsFor(program);
    expect(() => backend.run(executable, slots)).toThrow(/compiled by another backend/);
    expect(() => own.free({ bytes: 4 })).toThrow(/another backend/);
    for (const slot of slots) backend.free(slot);
    await own.close();
  });
});

it('a grid starts at least the workgroups asked for, within the limit', () => {
  for (const count of [1, 65_535, 65_536, 100_000, 65_535 * 65_535]) {
    const [x, y] = grid(count, 65_535);
    expect(x * y).toBeGreaterThanOrEqual(count);
    expect(Math.max(x, y)).toBeLessThanOrEqual(65_535);
    expect(x * y - count).toBeLessThan(y);
  }
  expect(() => grid(65_535 * 65_535 + 1, 65_535)).toThrow(DeviceError);
});

// Dawn's null backend checks shaders, layouts and limits as every backend does, has 16-bit floats, and runs nothing.
it('every shader of the spread is valid with 16-bit storage', async () => {
  const gpu = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
  Object.assign(globalThis, { keptNullGPU: gpu });
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error("Dawn's null backend gave no adapter");
  const own = await createWebGPUBackend({ adapter });
  expect(own.device.features.has('shader-f16')).toBe(true);
  const spy = vi.spyOn(own.device, 'createShaderModule');
  for (const example of examples) await own.compile(programOf(example));
  const codes = spy.mock.calls.map(([{ code }]) => code);
  expect(codes.filter((code) => code.includes('array<f16>')).length).toBeGreaterThan(10);
  spy.mockRestore();
  await own.close();
});

it('a process that closes its backend ends by itself, without an error', () => {
  const script = fileURLToPath(new URL('run-and-close.ts', import.meta.url));
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', script], {
    cwd: root,
    encoding: 'utf8',
    timeout: 50_000,
  });
  expect({ status, signal, stderr, stdout }).toMatchObject({ status: 0, signal: null, stdout: '3 5 7\n' });
});
