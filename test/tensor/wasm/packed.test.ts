/** Panels that are kept from run to run: they follow every change of the buffer, and cost nothing that is not counted. */
import { describe, expect, it } from 'vitest';
import type { Backend, Slot } from '../../../packages/tensor/src/backends/backend.ts';
import { createWasmBackend } from '../../../packages/tensor/src/backends/wasm/backend.ts';
import type { LoopKernel, Program } from '../../../packages/tensor/src/compile/kernel.ts';
import { accumulator, add, axis, constant, load, mul } from '../../../packages/tensor/src/expr/expr.ts';

const [m, k, n] = [64, 96, 48];

/** buffer 2 = buffer 0 · buffer 1. */
function product(): Program {
  const [i, j, s] = [axis(0, m), axis(1, n), axis(2, k)];
  const a = load(0, add(mul(i, constant(k, 'i32')), s), 'f32');
  const b = load(1, add(mul(s, constant(n, 'i32')), j), 'f32');
  const kernel: LoopKernel = {
    kind: 'loop',
    name: 'matmul',
    shape: [m, n],
    inputs: [0, 1].map((buffer) => ({ buffer, dtype: 'f32' as const })),
    reduce: { op: 'sum', extent: [k], body: mul(a, b), factors: [a, b] },
    outputs: [{ buffer: 2, dtype: 'f32', value: accumulator('f32') }],
  };
  return { buffers: [m * k, k * n, m * n].map((size) => ({ bytes: size * 4 })), bindings: 3, kernels: [kernel] };
}

/** buffer 0 = buffer 0 + 1. */
function increment(size: number): Program {
  const kernel: LoopKernel = {
    kind: 'loop',
    name: 'increment',
    shape: [size],
    inputs: [{ buffer: 0, dtype: 'f32' }],
    outputs: [{ buffer: 0, dtype: 'f32', value: add(load(0, axis(0, size), 'f32'), constant(1)) }],
  };
  return { buffers: [{ bytes: size * 4 }], bindings: 1, kernels: [kernel] };
}

const values = (size: number, seed: number): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => ((i * 31 + seed * 17) % 23) - 11);

function expected(a: Float32Array, b: Float32Array): Float32Array {
  const c = new Float32Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let s = 0; s < k; s++) sum += (a[i * k + s] as number) * (b[s * n + j] as number);
      c[i * n + j] = sum;
    }
  }
  return c;
}

async function start(memoryLimit?: number): Promise<{ backend: Backend; slots: [Slot, Slot, Slot]; base: number }> {
  const backend = await createWasmBackend({ threads: 2, ...(memoryLimit === undefined ? {} : { memoryLimit }) });
  const slots = product().buffers.map(({ bytes }) => backend.alloc(bytes)) as [Slot, Slot, Slot];
  return { backend, slots, base: backend.memory().live };
}

describe('panels of an unchanged buffer', () => {
  it('are as good as fresh ones, whoever writes the buffer in between', async () => {
    const { backend, slots } = await start();
    const [a, b, c] = slots;
    const executable = await backend.compile(product());
    const addOne = await backend.compile(increment(k * n));
    const left = values(m * k, 1);
    let right = values(k * n, 2);
    backend.write(a, left, 'f32');
    backend.write(b, right, 'f32');
    const check = async (): Promise<void> => {
      for (let run = 0; run < 4; run++) {
        await backend.run(executable, slots);
        expect(await backend.read(c, m * n, 'f32')).toEqual(expected(left, right));
      }
    };
    await check();
    right = values(k * n, 3);
    backend.write(b, right, 'f32');
    await check();
    await backend.run(addOne, [b]);
    right = right.map((x) => x + 1);
    await check();
    await backend.close();
  });

  it('are counted as memory, and given back with the buffer', async () => {
    const { backend, slots, base } = await start();
    const [a, b, c] = slots;
    backend.write(a, values(m * k, 1), 'f32');
    backend.write(b, values(k * n, 2), 'f32');
    const executable = await backend.compile(product());
    await backend.run(executable, slots);
    const first = backend.memory().live;
    for (let run = 0; run < 5; run++) await backend.run(executable, slots);
    const kept = backend.memory().live;
    expect(kept - first).toBeGreaterThanOrEqual((m * k + k * n) * 4);
    for (let run = 0; run < 5; run++) await backend.run(executable, slots);
    expect(backend.memory().live).toBe(kept);
    for (const slot of [a, b, c]) backend.free(slot);
    expect(backend.memory().live).toBeLessThan(first);
    expect(backend.memory().live).toBeGreaterThan(base - (m * k + k * n + m * n) * 4 - 256);
    await backend.close();
  });

  it('make room for tensors', async () => {
    const { backend, slots } = await start(2_000_000);
    const [a, b, c] = slots;
    const [left, right] = [values(m * k, 1), values(k * n, 2)];
    backend.write(a, left, 'f32');
    backend.write(b, right, 'f32');
    const executable = await backend.compile(product());
    await backend.run(executable, slots);
    const without = backend.memory().live;
    for (let run = 0; run < 3; run++) await backend.run(executable, slots);
    const kept = backend.memory().live - without;
    expect(kept).toBeGreaterThan(0);
    let pieces = 0;
    expect(() => {
      for (;;) pieces += backend.alloc(1024) ? 1 : 0;
    }).toThrow(/1024 bytes were asked for/);
    expect(backend.memory().live).toBe(without + pieces * 1024);
    expect(backend.memory().live + kept).toBeGreaterThan(2_000_000);
    await backend.run(executable, slots);
    expect(await backend.read(c, m * n, 'f32')).toEqual(expected(left, right));
    await backend.close();
  });
});
