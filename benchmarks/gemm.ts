/**
 * Speed of the WebAssembly backend's matrix products, in GFLOP/s, as a table.
 *
 *     npx tsx --conditions=@actionclip/source benchmarks/gemm.ts [threads ...]
 */

import { createWasmBackend } from '../packages/tensor/src/backends/wasm/backend.ts';
import type { LoopKernel, Program } from '../packages/tensor/src/compile/kernel.ts';
import { accumulator, add, axis, constant, type Expr, load, mul } from '../packages/tensor/src/expr/expr.ts';

interface Case {
  readonly name: string;
  readonly batch: number;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  /** Whether the second factor is stored [n, k], as a linear layer's weight is. */
  readonly weight: boolean;
}

const cases: readonly Case[] = [
  { name: 'square', batch: 1, m: 1024, k: 1024, n: 1024, weight: false },
  { name: 'square, transposed', batch: 1, m: 1024, k: 1024, n: 1024, weight: true },
  { name: 'MLP up', batch: 1, m: 800, k: 768, n: 3072, weight: true },
  { name: 'MLP down', batch: 1, m: 800, k: 3072, n: 768, weight: true },
  { name: 'attention scores', batch: 96, m: 50, k: 64, n: 50, weight: true },
  { name: 'attention values', batch: 96, m: 50, k: 50, n: 64, weight: false },
  { name: 'small model', batch: 1, m: 256, k: 64, n: 256, weight: true },
  { name: 'small model', batch: 1, m: 256, k: 64, n: 64, weight: true },
];

const int = (value: number): Expr => constant(value, 'i32');

function program({ batch, m, k, n, weight }: Case): Program {
  const [b, i, j, s] = [axis(0, batch), axis(1, m), axis(2, n), axis(3, k)];
  const matrix = (row: Expr, width: number, column: Expr): Expr => add(mul(row, int(width)), column);
  const factors = [
    load(0, add(mul(b, int(m * k)), matrix(i, k, s)), 'f32'),
    load(1, add(mul(b, int(n * k)), weight ? matrix(j, k, s) : matrix(s, n, j)), 'f32'),
  ] as const;
  const kernel: LoopKernel = {
    kind: 'loop',
    name: 'matmul',
    shape: [batch, m, n],
    inputs: [0, 1].map((buffer) => ({ buffer, dtype: 'f32' as const })),
    reduce: { op: 'sum', extent: [k], body: mul(factors[0], factors[1]), factors },
    outputs: [{ buffer: 2, dtype: 'f32', value: accumulator('f32') }],
  };
  const bytes = [batch * m * k, batch * n * k, batch * m * n].map((elements) => ({ bytes: elements * 4 }));
  return { buffers: bytes, bindings: 3, kernels: [kernel] };
}

/** The median GFLOP/s of the case, after a warm-up that lets the engine optimise. */
async function measure(threads: number, c: Case): Promise<number> {
  const backend = await createWasmBackend({ threads });
  const p = program(c);
  const slots = p.buffers.map(({ bytes }) => backend.alloc(bytes));
  for (const [i, slot] of slots.entries()) {
    backend.write(
      slot,
      Float32Array.from({ length: slot.bytes / 4 }, (_, e) => ((e * 7 + i) % 13) / 13 - 0.5),
      'f32',
    );
  }
  const executable = await backend.compile(p);
  const flops = 2 * c.batch * c.m * c.n * c.k;
  const times: number[] = [];
  const start = performance.now();
  while (times.length < 12 || performance.now() - start < 700) {
    const before = performance.now();
    await backend.run(executable, slots);
    times.push(performance.now() - before);
    if (times.length % 16 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await backend.close();
  const settled = times.slice(times.length >> 1).sort((a, b) => a - b);
  return flops / (settled[settled.length >> 1] as number) / 1e6;
}

const threadCounts = process.argv.slice(2).map(Number);
for (const threads of threadCounts.length > 0 ? threadCounts : [1, 2]) {
  for (const c of cases) {
    const speed = await measure(threads, c);
    const shape = `${c.batch} x [${c.m}, ${c.k}] x ${c.weight ? `[${c.n}, ${c.k}]ᵀ` : `[${c.k}, ${c.n}]`}`;
    console.log(
      `${threads} thread(s)  ${c.name.padEnd(20)} ${shape.padEnd(34)} ${speed.toFixed(1).padStart(7)} GFLOP/s`,
    );
  }
}
