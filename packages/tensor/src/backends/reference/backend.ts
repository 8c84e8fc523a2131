/**
 * The oracle: kernels as plain loops in JavaScript, floating elements kept and accumulated in 64 bits. It exists to
 * be right and to be compared with, not to be fast.
 */
import { separated } from '../../compile/factor-sums.ts';
import type {
  Kernel,
  LoopKernel,
  Output,
  Program,
  ReduceOp,
  RowKernel,
  RowOutput,
  ScatterKernel,
} from '../../compile/kernel.ts';
import { type DType, dtypes, fromHalfBits, roundToHalf, type TypedArray, toHalfBits } from '../../dtype.ts';
import { DeviceError } from '../../errors.ts';
import { evaluateScalar } from '../../expr/evaluate.ts';
import type { Expr } from '../../expr/expr.ts';
import type { Backend, Executable, Limits, Slot, Template } from '../backend.ts';
import { JavaScriptWriter } from '../javascript.ts';

/** Every element is a double, whatever its dtype. */
class ReferenceSlot implements Slot {
  readonly bytes: number;
  /** Grown to the number of elements that the slot holds at the moment. */
  elements: Float64Array = new Float64Array(0);

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  sized(length: number): Float64Array {
    if (this.elements.length < length) {
      const grown = new Float64Array(length);
      grown.set(this.elements);
      this.elements = grown;
    }
    return this.elements;
  }
}

type Run = (buffers: readonly Float64Array[]) => void;

interface ReferenceExecutable extends Executable {
  readonly program: Program;
  readonly runs: readonly Run[];
}

const folds: Readonly<Record<ReduceOp, { start: string; step: string }>> = {
  sum: { start: '0', step: 'acc + value' },
  prod: { start: '1', step: 'acc * value' },
  max: { start: '-Infinity', step: 'value > acc || value !== value ? value : acc' },
  min: { start: 'Infinity', step: 'value < acc || value !== value ? value : acc' },
};

/** The conversion that a store makes: f16 rounds, whole numbers wrap. */
const stores: Readonly<Record<DType, (value: string) => string>> = {
  f32: (value) => value,
  f16: (value) => `half(${value})`,
  i32: (value) => `(${value}) | 0`,
  u32: (value) => `(${value}) >>> 0`,
  u8: (value) => `(${value}) & 255`,
  bool: (value) => `(${value}) ? 1 : 0`,
};

const spellLeaf = (e: Expr, name: (part: Expr) => string): string => {
  if (e.op === 'axis') return `i${e.value}`;
  if (e.op === 'accumulator') return `acc${e.value}`;
  return `in${e.value}[${name(e.args[0] as Expr)}]`;
};

/** Lines that name the buffers of a kernel. */
const bufferNames = ({ inputs, outputs }: LoopKernel | RowKernel): string[] => [
  ...inputs.map(({ buffer }, k) => `const in${k} = buffers[${buffer}];`),
  ...outputs.map(({ buffer, part }, k) => `const out${k} = buffers[${buffer}].subarray(${part?.offset ?? 0});`),
];

/** Lines that fold one more value of `body` into the accumulator `acc`. */
function foldLines(op: ReduceOp, body: Expr, acc: string): string[] {
  const writer = new JavaScriptWriter('r', spellLeaf);
  const value = writer.write(body);
  const wrap = body.type === 'i32' ? ' | 0' : body.type === 'u32' ? ' >>> 0' : '';
  const step = folds[op].step.replaceAll('acc', acc);
  const exact = op === 'prod' && wrap !== '' ? `Math.imul(${acc}, value)` : step;
  return [...writer.lines, `const value = ${value};`, `${acc} = (${exact})${wrap};`];
}

/** Lines that store the values of `outputs`, the k-th at the index `at(k)`. */
function storeLines(outputs: readonly (readonly [k: number, output: Output])[], at: string): string[] {
  const writer = new JavaScriptWriter('v', spellLeaf);
  const values = outputs.map(([, { value }]) => writer.write(value));
  const stored = outputs.map(([k, { dtype }], i) => `out${k}[${at}] = ${stores[dtype](values[i] as string)};`);
  return [...writer.lines, ...stored];
}

const compileSource = (source: readonly string[]): Run =>
  new Function('scalar', 'half', `return (buffers) => {\n${source.join('\n')}\n};`)(evaluateScalar, roundToHalf) as Run;

function compileLoop(kernel: LoopKernel): Run {
  const runs = separated(kernel).map(compilePoints);
  return (buffers) => {
    for (const run of runs) run(buffers);
  };
}

/** A loop kernel all of whose outputs have a value for every point. */
function compilePoints(kernel: LoopKernel): Run {
  const { shape, reduce, outputs } = kernel;
  const source = [...bufferNames(kernel), 'let point = 0;'];
  shape.forEach((extent, i) => {
    source.push(`for (let i${i} = 0; i${i} < ${extent}; i${i}++) {`);
  });
  if (reduce) {
    source.push(`let acc0 = ${folds[reduce.op].start};`);
    reduce.extent.forEach((extent, i) => {
      const name = `i${shape.length + i}`;
      source.push(`for (let ${name} = 0; ${name} < ${extent}; ${name}++) {`);
    });
    source.push(...foldLines(reduce.op, reduce.body, 'acc0'), ...reduce.extent.map(() => '}'));
  }
  source.push(...storeLines([...outputs.entries()], 'point'), 'point++;', ...shape.map(() => '}'));
  return compileSource(source);
}

function compileRows(kernel: RowKernel): Run {
  const { rows, extent, stages, columns, outputs } = kernel;
  const overRow = `for (let i1 = 0; i1 < ${extent}; i1++) {`;
  const folded = (f: number): string => `acc${stages.length + f}`;
  const source = bufferNames(kernel);
  columns.forEach(({ op }, f) => {
    source.push(`const columns${f} = new Float64Array(${extent}).fill(${folds[op].start});`);
  });
  source.push(`for (let i0 = 0; i0 < ${rows}; i0++) {`);
  stages.forEach(({ op, body }, stage) => {
    source.push(`let acc${stage} = ${folds[op].start};`, overRow, ...foldLines(op, body, `acc${stage}`), '}');
  });
  const each = (per: RowOutput['per']): [number, RowOutput][] =>
    [...outputs.entries()].filter(([, output]) => output.per === per);
  source.push('{', ...storeLines(each('row'), 'i0'), '}');
  source.push(overRow, ...storeLines(each('element'), `i0 * ${extent} + i1`), '}');
  columns.forEach(({ op, body }, f) => {
    source.push(overRow, ...foldLines(op, body, `columns${f}[i1]`), '}');
  });
  source.push('}', overRow, ...columns.map((_, f) => `const ${folded(f)} = columns${f}[i1];`));
  source.push(...storeLines(each('column'), 'i1'), '}');
  return compileSource(source);
}

function compileScatter(kernel: ScatterKernel): Run {
  const { outer, count, inner, size, indexStrides, inputs, outputs } = kernel;
  return (buffers) => {
    const [source, indices] = inputs.map(({ buffer }) => buffers[buffer] as Float64Array) as [
      Float64Array,
      Float64Array,
    ];
    const [{ buffer, part }] = outputs;
    const output = (buffers[buffer] as Float64Array).subarray(part?.offset ?? 0);
    output.fill(0, 0, outer * size * inner);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < count; i++) {
        for (let d = 0; d < inner; d++) {
          const index = indices[o * indexStrides.outer + i * indexStrides.count + d * indexStrides.inner]!;
          if (index < 0 || index >= size) continue;
          output[(o * size + index) * inner + d]! += source[(o * count + i) * inner + d]!;
        }
      }
    }
  };
}

function compileKernel(kernel: Kernel): Run {
  if (kernel.kind === 'loop') return compileLoop(kernel);
  if (kernel.kind === 'rows') return compileRows(kernel);
  if (kernel.kind === 'scatter') return compileScatter(kernel);
  throw new DeviceError(`reference: ${kernel.name}: there is no template for kernels of kind ${kernel.kind}`);
}

class ReferenceBackend implements Backend {
  readonly name = 'reference';
  readonly description = 'plain JavaScript in 64 bits';
  readonly limits: Limits = {
    buffersPerKernel: 64,
    bufferBytes: 2 ** 31,
    memoryBytes: Number.POSITIVE_INFINITY,
    dtypes: new Set(Object.keys(dtypes) as DType[]),
    slowHalves: 'the reference computes in 64 bits',
    templates: new Set<Template>(['rows', 'columns', 'factorSums']),
    epilogues: true,
  };
  private live = 0;
  private peak = 0;

  alloc(bytes: number): Slot {
    if (bytes > this.limits.bufferBytes) {
      throw new DeviceError(
        `reference: ${bytes} bytes were asked for, and one buffer holds at most ${this.limits.bufferBytes}`,
        'use smaller tensors',
      );
    }
    this.live += bytes;
    this.peak = Math.max(this.peak, this.live);
    return new ReferenceSlot(bytes);
  }

  free(slot: Slot): void {
    this.live -= slot.bytes;
    (slot as ReferenceSlot).elements = new Float64Array(0);
  }

  write(slot: Slot, data: TypedArray, dtype: DType, offset = 0): void {
    const elements = (slot as ReferenceSlot).sized(offset + data.length).subarray(offset);
    if (dtype === 'f16' && data instanceof Uint16Array)
      for (let i = 0; i < data.length; i++) elements[i] = fromHalfBits(data[i]!);
    else elements.set(data);
  }

  async read(slot: Slot, length: number, dtype: DType, offset = 0): Promise<TypedArray> {
    const elements = (slot as ReferenceSlot).sized(offset + length).subarray(offset, offset + length);
    if (dtype === 'f32') return elements.slice();
    const result = dtypes[dtype].array(length);
    if (dtype === 'f16') for (let i = 0; i < length; i++) result[i] = toHalfBits(elements[i]!);
    else result.set(elements);
    return result;
  }

  async compile(program: Program): Promise<Executable> {
    const executable: ReferenceExecutable = {
      program,
      runs: program.kernels.map(compileKernel),
      stats: { dispatches: program.kernels.length, passes: 1, submits: 1, pipelines: program.kernels.length },
    };
    return executable;
  }

  run(executable: Executable, slots: readonly Slot[]): void {
    const { program, runs } = executable as ReferenceExecutable;
    // Elements are counted as bytes at the least: every dtype then fits.
    const buffers = slots.map((slot, i) =>
      (slot as ReferenceSlot).sized((program.buffers[i] as { bytes: number }).bytes),
    );
    for (const run of runs) run(buffers);
  }

  memory(): { live: number; peak: number } {
    return { live: this.live, peak: this.peak };
  }

  async close(): Promise<void> {}
}

export function createReferenceBackend(): Backend {
  return new ReferenceBackend();
}
