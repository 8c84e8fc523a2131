/** A process of its own that leaves the engine's flags alone, multiplies matrices of ones and does not close its backend. */
import { createWasmBackend } from '../../../packages/tensor/src/backends/wasm/backend.ts';
import { accumulator, add, axis, constant, load, mul } from '../../../packages/tensor/src/expr/expr.ts';

const n = 64;
const threads = 2;
const backend = await createWasmBackend({ threads, engineFlags: false });
const [i, j, k] = [axis(0, n), axis(1, n), axis(2, n)];
const width = constant(n, 'i32');
const factors = [load(0, add(mul(i, width), k), 'f32'), load(1, add(mul(k, width), j), 'f32')] as const;
const executable = await backend.compile({
  buffers: [0, 1, 2].map(() => ({ bytes: n * n * 4 })),
  bindings: 3,
  kernels: [
    {
      kind: 'loop',
      name: 'matmul',
      shape: [n, n],
      inputs: [0, 1].map((buffer) => ({ buffer, dtype: 'f32' as const })),
      reduce: { op: 'sum', extent: [n], body: mul(factors[0], factors[1]), factors },
      outputs: [{ buffer: 2, dtype: 'f32', value: accumulator('f32') }],
    },
  ],
});
const slots = [0, 1, 2].map(() => backend.alloc(n * n * 4));
for (const slot of slots) backend.write(slot, new Float32Array(n * n).fill(1), 'f32');
await backend.run(executable, slots);
const result = await backend.read(slots[2] as (typeof slots)[0], n * n, 'f32');
console.log(`product ${result.every((x) => x === n) ? n : 'wrong'}, threads ${threads}`);
