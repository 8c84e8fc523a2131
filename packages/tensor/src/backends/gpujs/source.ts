/**
 * Loop kernels as functions that gpu.js compiles: one for each output, since a gpu.js kernel returns one number for
 * each point. Scatters are written as the reductions that they equal.
 */
import type { Kernel, LoopKernel, Output, ScatterKernel } from '../../compile/kernel.ts';
import { type DType, dtypes } from '../../dtype.ts';
import {
  add,
  axis,
  cast,
  constant,
  type Expr,
  eq,
  intern,
  load,
  mul,
  select,
  substitute,
  term,
  walk,
} from '../../expr/expr.ts';
import { JavaScriptWriter } from '../javascript.ts';
import { type Arithmetic, dialectOf, type Refuse, reduction } from './dialect.ts';
import { specials } from './library.ts';
import { WholeNumbers } from './ranges.ts';

/** The source of one output of a kernel, with what its call needs. */
export interface OutputSource {
  readonly output: Output;
  /** A function of the arrays `in0`, `in1`, ..., and of the special values where it names them. */
  readonly source: string;
  /** The kernel's inputs that are passed, by position. */
  readonly inputs: readonly number[];
  readonly usesSpecials: boolean;
  /** Elements of the output. */
  readonly points: number;
  /** Whether each element is two results, the low and the high 16 bits: floats of 32 bits hold no more whole numbers. */
  readonly halved: boolean;
}

const product = (extents: readonly number[]): number => extents.reduce((a, b) => a * b, 1);
const whole = (value: number): Expr => constant(value, 'i32');

/** The scatter as a sum over all counts of the elements that are meant for a place, in rising order as it demands. */
export function scatterAsLoop(kernel: ScatterKernel): LoopKernel {
  const { outer, count, inner, size, indexStrides, inputs, outputs } = kernel;
  const [o, place, d, i] = [axis(0, outer), axis(1, size), axis(2, inner), axis(3, count)];
  const at = add(
    add(mul(o, whole(indexStrides.outer)), mul(i, whole(indexStrides.count))),
    mul(d, whole(indexStrides.inner)),
  );
  const index = cast(load(1, at, dtypes[inputs[1].dtype].scalar), 'i32');
  const source = load(0, add(mul(add(mul(o, whole(count)), i), whole(inner)), d), 'f32');
  const body = select(eq(index, place), source, constant(0));
  return {
    kind: 'loop',
    name: kernel.name,
    shape: [outer, size, inner],
    inputs,
    reduce: { op: 'sum', extent: [count], body },
    outputs: [{ ...outputs[0], value: intern('accumulator', 'f32', []) }],
  };
}

const exponentBits = 0x7f800000;
const largestFloat = 3.4028234663852886e38;

/** The float whose bits `e` takes, all but the sign if `mask` is 0x7fffffff. */
function maskedFloat(e: Expr | undefined, mask: number): Expr | undefined {
  if (e?.op !== 'and') return undefined;
  const [bits, other] = e.args[0]?.op === 'bitcast' ? e.args : [e.args[1], e.args[0]];
  const float = bits?.op === 'bitcast' ? bits.args[0] : undefined;
  return other?.op === 'constant' && other.value === mask && float?.type === 'f32' ? float : undefined;
}

const isConstant = (e: Expr | undefined, value: number): boolean => e?.op === 'constant' && e.value === value;

/** The tests for NaN and for finite numbers, which the engine writes on the bits of a float, on the float itself. */
function withoutBits(e: Expr): Expr | undefined {
  const [a, b] = e.args;
  if (e.op === 'lt' && isConstant(a, exponentBits)) {
    const x = maskedFloat(b, 0x7fffffff);
    return (
      x &&
      intern(
        'ne',
        'bool',
        [x, x].map((part) => substitute(part, withoutBits)),
      )
    );
  }
  if (e.op !== 'ne' && e.op !== 'eq') return undefined;
  const x = isConstant(b, exponentBits)
    ? maskedFloat(a, exponentBits)
    : isConstant(a, exponentBits)
      ? maskedFloat(b, exponentBits)
      : undefined;
  if (!x) return undefined;
  const finite = term('le', [term('abs', [substitute(x, withoutBits)]), constant(largestFloat)]);
  return e.op === 'ne' ? finite : term('not', [finite]);
}

/** Lines that name the coordinates of `point` on the axes that `terms` use. */
function coordinates(shape: readonly number[], terms: readonly Expr[]): string[] {
  const used = new Set<number>();
  const seen = new Set<Expr>();
  for (const e of terms) walk(e, (part) => part.op === 'axis' && used.add(part.value), seen);
  const lines: string[] = [];
  let stride = 1;
  for (let k = shape.length - 1; k >= 0; k--) {
    const extent = shape[k] as number;
    if (used.has(k)) {
      const quotient = stride === 1 ? 'point' : `quotient(point, ${stride})`;
      lines.push(`const q${k} = ${quotient};`, `const i${k} = remainder(q${k}, ${extent});`);
    }
    stride *= extent;
  }
  return lines;
}

/** Text that makes `value` an element of `dtype`, or one half of it. Half precision is rounded on the host. */
function stored(value: string, dtype: DType, halved: boolean): string {
  if (halved) return `(part === 0) ? (${value} & 65535) : (${value} >>> 16)`;
  if (dtype === 'u8') return `${value} & 255`;
  return dtype === 'bool' ? `(${value} === 0) ? 0 : 1` : value;
}

function outputSource(kernel: LoopKernel, output: Output, arithmetic: Arithmetic, refuse: Refuse): OutputSource {
  const dialect = dialectOf(arithmetic, refuse);
  const value = substitute(output.value, withoutBits);
  const reduce = kernel.reduce && { ...kernel.reduce, body: substitute(kernel.reduce.body, withoutBits) };
  if (arithmetic === 'single') {
    const wholeNumbers = new WholeNumbers({ ...kernel, ...(reduce ? { reduce } : {}) }, refuse);
    if (reduce) wholeNumbers.check(reduce.body);
    wholeNumbers.check(value);
  }
  const inputs = new Set<number>();
  const leaf = (e: Expr, name: (part: Expr) => string): string => {
    if (e.op === 'axis') return `i${e.value}`;
    if (e.op === 'accumulator') return 'acc';
    if (e.op !== 'load') return refuse(`a term '${e.op}'`);
    inputs.add(e.value);
    return `in${e.value}[${name(e.args[0] as Expr)}]`;
  };
  const halved = arithmetic === 'double' && (output.dtype === 'i32' || output.dtype === 'u32');
  const lines = halved
    ? ['const part = this.thread.x & 1;', 'const point = this.thread.x >> 1;']
    : ['const point = this.thread.x;'];
  lines.push(...coordinates(kernel.shape, reduce ? [value, reduce.body] : [value]));
  if (reduce) {
    const { op, extent, body } = reduce;
    const fold = reduction(op, body.type, arithmetic);
    const writer = new JavaScriptWriter('r', leaf, dialect);
    const folded = writer.write(body);
    lines.push(`let acc = ${fold.start};`);
    extent.forEach((steps, i) => {
      const name = kernel.shape.length + i;
      lines.push(`for (let n${name} = 0; n${name} < ${steps}; n${name}++) {`, `const i${name} = n${name};`);
    });
    lines.push(...writer.lines, `const value = ${folded};`, `acc = ${fold.step};`, ...extent.map(() => '}'));
  }
  const writer = new JavaScriptWriter('v', leaf, dialect);
  const result = writer.write(value);
  lines.push(...writer.lines, `const result = ${result};`, `return ${stored('result', output.dtype, halved)};`);
  const body = lines.join('\n');
  const passed = [...inputs].sort((a, b) => a - b);
  const usesSpecials = body.includes(`${specials.name}[`);
  const parameters = [...passed.map((k) => `in${k}`), ...(usesSpecials ? [specials.name] : [])];
  return {
    output,
    source: `function (${parameters.join(', ')}) {\n${body}\n}`,
    inputs: passed,
    usesSpecials,
    points: product(kernel.shape),
    halved,
  };
}

/** The sources of a kernel's outputs. `refuse` is called with what gpu.js cannot do, in words. */
export function kernelSources(kernel: Kernel, arithmetic: Arithmetic, refuse: Refuse): readonly OutputSource[] {
  if (kernel.kind !== 'loop' && kernel.kind !== 'scatter') return refuse(`kernels of kind '${kernel.kind}'`);
  const loop = kernel.kind === 'loop' ? kernel : scatterAsLoop(kernel);
  return loop.outputs.map((output) => outputSource(loop, output, arithmetic, refuse));
}
