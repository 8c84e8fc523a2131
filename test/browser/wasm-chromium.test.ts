/** The WebAssembly backend in an isolated page: workers run programs while the page's own thread never sleeps. */
import { describe, expect, it } from 'vitest';
import { createWasmBackend } from '../../packages/tensor/src/backends/wasm/backend.ts';
import type { LoopKernel } from '../../packages/tensor/src/compile/kernel.ts';
import { add, axis, constant, load, mul } from '../../packages/tensor/src/expr/expr.ts';

const n = 200_003;

/** to = from · 2 + 1. */
function step(from: number, to: number): LoopKernel {
  const value = add(mul(load(0, axis(0, n), 'f32'), constant(2)), constant(1));
  return {
    kind: 'loop',
    name: 'step',
    shape: [n],
    inputs: [{ buffer: from, dtype: 'f32' }],
    outputs: [{ buffer: to, dtype: 'f32', value }],
  };
}

describe('the WebAssembly backend in a page', () => {
  for (const threads of [1, 3]) {
    it(`keeps the order of writes, runs and reads with ${threads} threads`, async () => {
      const backend = await createWasmBackend({ threads });
      const executable = await backend.compile({
        buffers: [{ bytes: n * 4 }, { bytes: n * 4 }],
        bindings: 2,
        kernels: [step(0, 1), step(1, 0), step(0, 1), step(1, 0)],
      });
      const slots = [backend.alloc(n * 4), backend.alloc(n * 4)];
      const [first] = slots as [(typeof slots)[0]];
      const host = new Float32Array(n).fill(1);
      backend.write(first, host, 'f32');
      void backend.run(executable, slots); // 1 becomes 31
      const before = backend.read(first, n, 'f32');
      void backend.run(executable, slots); // 31 becomes 511
      const after = backend.read(first, n, 'f32');
      backend.write(first, host.fill(2), 'f32');
      host.fill(7);
      const last = backend.read(first, n, 'f32');
      expect(new Set(await before)).toEqual(new Set([31]));
      expect(new Set(await after)).toEqual(new Set([511]));
      expect(new Set(await last)).toEqual(new Set([2]));
      await backend.close();
    });
  }
});
