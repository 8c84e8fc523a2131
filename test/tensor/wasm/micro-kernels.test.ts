/** Every micro-kernel against sums in 64 bits, and against the others bit by bit: the choice must not change a result. */
import { describe, expect, it } from 'vitest';
import { call, get } from '../../../packages/tensor/src/backends/wasm/assembler.ts';
import { enableEngineFlags } from '../../../packages/tensor/src/backends/wasm/engine.ts';
import { Library } from '../../../packages/tensor/src/backends/wasm/library.ts';
import {
  defineMicroKernel,
  type MicroKernel,
  microKernels,
  nameOf,
} from '../../../packages/tensor/src/backends/wasm/micro-kernel.ts';
import { ModuleBuilder } from '../../../packages/tensor/src/backends/wasm/module.ts';

const steps = 67;
const noise = (i: number): number => Math.fround(Math.sin(i * 12.9898) * 3);

/** The tile of two passes over the panels, the second added to the first. */
async function tile(kernel: MicroKernel): Promise<Float32Array> {
  const module = new ModuleBuilder({ shared: false });
  const index = defineMicroKernel(new Library(module, false), kernel);
  const parameters = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const;
  module.define(parameters, [], (f) => call(index, ...parameters.map((_, i) => get(i)))(f), 'multiply');
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
  const { instance } = await WebAssembly.instantiate(module.encode(), { engine: { memory } });
  const multiply = instance.exports.multiply as (...args: number[]) => void;
  const floats = new Float32Array(memory.buffer);
  const { rows, columns } = kernel;
  for (let s = 0; s < steps; s++) {
    for (let i = 0; i < rows; i++) floats[s * rows + i] = noise(s * 100 + i);
    for (let j = 0; j < columns; j++) floats[4096 + s * columns + j] = noise(s * 100 + 50 + j);
  }
  const stride = 20 * 4;
  multiply(0, 4096 * 4, 8192 * 4, 40, stride, 1);
  multiply(40 * rows * 4, (4096 + 40 * columns) * 4, 8192 * 4, steps - 40, stride, 0);
  return Float32Array.from({ length: 32 }, (_, e) => floats[8192 + (e >> 3) * 20 + (e & 7)] as number);
}

describe('micro-kernels', async () => {
  await enableEngineFlags();
  const exact = Array.from({ length: 32 }, (_, e) => {
    let sum = 0;
    for (let s = 0; s < steps; s++) sum += noise(s * 100 + (e >> 3)) * noise(s * 100 + 50 + (e & 7));
    return sum;
  });

  it.each([...microKernels.relaxed, ...microKernels.plain].map((kernel) => [nameOf(kernel), kernel] as const))(
    '%s',
    async (_, kernel) => {
      const result = await tile(kernel);
      for (const [e, value] of exact.entries()) expect(Math.abs((result[e] as number) - value)).toBeLessThan(1e-4);
    },
  );

  it.each(['relaxed', 'plain'] as const)('all that are %s give the same bits', async (kind) => {
    const [first, ...others] = await Promise.all(microKernels[kind].map(tile));
    for (const other of others) expect(other).toEqual(first);
  });
});
