/** The backend as a device: memory, errors, and kernels without relaxed SIMD. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createWasmBackend } from '../../../packages/tensor/src/backends/wasm/backend.ts';
import { DeviceMemory } from '../../../packages/tensor/src/backends/wasm/memory.ts';
import type { LoopKernel, Program } from '../../../packages/tensor/src/compile/kernel.ts';
import { DeviceError, DisposedError } from '../../../packages/tensor/src/errors.ts';
import { add, axis, constant, load } from '../../../packages/tensor/src/expr/expr.ts';

function increment(n: number): Program {
  const kernel: LoopKernel = {
    kind: 'loop',
    name: 'increment',
    shape: [n],
    inputs: [{ buffer: 0, dtype: 'f32' }],
    outputs: [{ buffer: 0, dtype: 'f32', value: add(load(0, axis(0, n), 'f32'), constant(1)) }],
  };
  return { buffers: [{ bytes: n * 4 }], bindings: 1, kernels: [kernel] };
}

describe('memory', () => {
  it('grows while slots keep their contents, and gives freed memory out again', async () => {
    const backend = await createWasmBackend({ threads: 2 });
    const own = backend.memory().live;
    expect(own).toBeGreaterThan(0);
    const n = 300_032;
    const first = backend.alloc(n * 4);
    backend.write(first, new Float32Array(n).fill(3), 'f32');
    const executable = await backend.compile(increment(n));
    const record = backend.memory().live - own - n * 4;
    const others = Array.from({ length: 40 }, () => backend.alloc(1_000_000));
    await backend.run(executable, [first]);
    expect(await backend.read(first, n, 'f32')).toEqual(new Float32Array(n).fill(4));
    const least = own + record + n * 4;
    expect(backend.memory().live).toBe(least + 40_000_000);
    for (const slot of others) backend.free(slot);
    expect(backend.memory()).toEqual({ live: least, peak: least + 40_000_000 });
    await backend.run(executable, [first]);
    expect((await backend.read(first, 1, 'f32'))[0]).toBe(5);
    await backend.close();
  });

  it('reaches 4 GiB, where addresses have their highest bit set, and says so past it', async () => {
    const backend = await createWasmBackend({ threads: 2 });
    const low = backend.alloc(2 ** 31);
    const n = 100_003;
    const high = backend.alloc(n * 4);
    const executable = await backend.compile(increment(n));
    backend.write(high, new Float32Array(n).fill(1.5), 'f32');
    await backend.run(executable, [high]);
    expect(await backend.read(high, n, 'f32')).toEqual(new Float32Array(n).fill(2.5));
    expect(() => backend.alloc(2 ** 31)).toThrow(/2147483648 bytes were asked for, but \d+ bytes at most are left/);
    expect((await backend.read(high, 1, 'f32'))[0]).toBe(2.5);
    backend.free(low);
    await backend.close();
  });

  it('past its limit says both sizes', async () => {
    const backend = await createWasmBackend({ threads: 1, memoryLimit: 8_000_000 });
    backend.free(backend.alloc(5_000_000));
    expect(() => backend.alloc(9_000_000)).toThrow(DeviceError);
    expect(() => backend.alloc(9_000_000)).toThrow(/9000000 bytes .* of 8000000/);
    await backend.close();
  });

  it('hands out aligned ranges that never overlap, and joins what is freed', () => {
    const memory = new DeviceMemory(false, 1 << 26);
    let state = 1;
    const random = (n: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * n);
    };
    const live: { address: number; bytes: number }[] = [];
    for (let i = 0; i < 3000; i++) {
      if (live.length > 50 || (live.length > 0 && random(2) === 0)) {
        memory.free(live.splice(random(live.length), 1)[0] as (typeof live)[0]);
      } else live.push(memory.alloc(1 + random(200_000)));
      const sorted = [...live].sort((a, b) => a.address - b.address);
      for (const [j, piece] of sorted.entries()) {
        expect(piece.address % 64).toBe(0);
        const next = sorted[j + 1];
        if (next) expect(piece.address + piece.bytes).toBeLessThanOrEqual(next.address);
      }
    }
    for (const piece of live) memory.free(piece);
    expect(memory.live).toBe(0);
    const size = memory.memory.buffer.byteLength;
    memory.alloc(size - 65536);
    expect(memory.memory.buffer.byteLength).toBe(size);
  });
});

describe('a kernel that fails', () => {
  it.each([1, 2])('ends the run of %i threads with an error', async (threads) => {
    const backend = await createWasmBackend({ threads });
    const n = 1 << 20;
    const slot = backend.alloc(n * 4);
    const [program] = [increment(n)];
    const outside = load(0, add(axis(0, n), constant(2 ** 29, 'i32')), 'f32');
    const kernel = {
      ...(program.kernels[0] as LoopKernel),
      outputs: [{ buffer: 0, dtype: 'f32' as const, value: outside }],
    };
    const good = await backend.compile(program);
    for (let i = 0; i < 20; i++) await backend.run(good, [slot]);
    const bad = await backend.compile({ ...program, kernels: [kernel] });
    await expect(async () => backend.run(bad, [slot])).rejects.toThrow();
    await backend.close();
  });
});

describe('misuse is said in a sentence', () => {
  it('freed slots, slots that are too small, and a closed backend', async () => {
    const backend = await createWasmBackend({ threads: 1 });
    const executable = await backend.compile(increment(100));
    const small = backend.alloc(64);
    expect(() => backend.run(executable, [small])).toThrow(/needs 400 bytes, its slot has 64/);
    expect(() => backend.write(small, new Float32Array(17), 'f32')).toThrow(/68 bytes in a slot of 64/);
    backend.free(small);
    expect(() => backend.free(small)).toThrow(DisposedError);
    await backend.close();
    expect(() => backend.alloc(4)).toThrow(DisposedError);
    await expect(createWasmBackend({ threads: 0 })).rejects.toThrow(DeviceError);
  });

  it('a term that has no meaning on its type names both', async () => {
    const backend = await createWasmBackend({ threads: 1 });
    const { term } = await import('../../../packages/tensor/src/expr/expr.ts');
    const value = term('exp', [load(0, axis(0, 8), 'i32')]);
    const kernel: LoopKernel = {
      kind: 'loop',
      name: 'exp',
      shape: [8],
      inputs: [{ buffer: 0, dtype: 'i32' }],
      outputs: [{ buffer: 0, dtype: 'i32', value }],
    };
    const program = { buffers: [{ bytes: 32 }], bindings: 1, kernels: [kernel] };
    await expect(backend.compile(program)).rejects.toThrow("'exp' has no meaning on i32");
    // The failed compilation leaves nothing behind that a later one would trip over.
    await expect(backend.compile(program)).rejects.toThrow("'exp' has no meaning on i32");
    await backend.close();
  });
});

describe('kernels', () => {
  it('of equal structure are compiled once', async () => {
    const backend = await createWasmBackend({ threads: 1 });
    const { kernels, ...rest } = increment(12_347);
    const twice = { ...rest, kernels: [...kernels, ...kernels] };
    const first = await backend.compile(twice);
    const second = await backend.compile(increment(12_347));
    expect([first.stats.pipelines, second.stats.pipelines]).toEqual([1, 0]);
    const slot = backend.alloc(12_347 * 4);
    backend.write(slot, new Float32Array(12_347), 'f32');
    await backend.run(first, [slot]);
    await backend.run(second, [slot]);
    expect((await backend.read(slot, 12_347, 'f32'))[12_346]).toBe(3);
    await backend.close();
  });

  it('do without relaxed SIMD, and idle threads do not keep a process alive', () => {
    const script = fileURLToPath(new URL('./without-flags.ts', import.meta.url));
    const output = execFileSync(process.execPath, ['--import', 'tsx', script], { encoding: 'utf8', timeout: 50_000 });
    expect(output.trim()).toBe('product 64, threads 2');
  });
});
