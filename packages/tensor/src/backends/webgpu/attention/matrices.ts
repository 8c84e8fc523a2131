/** How the shaders of attention reach their matrices: bindings, addresses and which scores count. */
import type { AttentionKernel, MatrixUse } from '../../../compile/attention-kernel.ts';
import type { BufferUse } from '../../../compile/kernel.ts';
import { type Binding, bindingOf, bindingsOf, loadText } from '../storage.ts';
import type { Target } from '../target.ts';
import { product, ShaderText } from '../wgsl.ts';

/** The matrices of one batch point, as a shader reads or writes them. */
export interface Matrix {
  readonly use: BufferUse;
  readonly binding: Binding;
  /** Where the matrix begins, and the elements from one row to the next: i32 names or texts. */
  readonly start: string;
  readonly row: string;
}

/** A scratch buffer of f32 that one shader reads or writes. */
export interface ScratchUse {
  readonly scratch: number;
  readonly writable: boolean;
  /** Declares it as vectors of four. */
  readonly vectors?: boolean;
}

export interface Reached {
  readonly inputs: readonly MatrixUse[];
  readonly results?: readonly MatrixUse[];
  readonly scratch?: readonly ScratchUse[];
}

/** The most negative number, which no score is below: where no key was seen yet. */
export const lowest = '-3.4028234663852886e38';
export const minusInfinity = 'float_bits(0xff800000u)';
const notANumber = 'float_bits(0x7fc00000u)';

/** e^x of x <= 0, which is a weight before its division by the sum. */
const weightFunction = `fn weight_of(x: f32) -> f32 {
  return select(select(exp(x), 0.0, x < -104.0), x, is_nan(x));
}`;

/** The text that reads a number from the parameter block, whose words are integers. */
export const floatParameter = (shader: ShaderText, value: number): string =>
  `bitcast<f32>(${shader.parameter(new Int32Array(new Float32Array([value]).buffer)[0] as number)})`;

/** 1 / sum. A query that may look nowhere has no sum: softmax is NaN there. */
export const inverseOf = (sum: string): string => `select(1.0 / ${sum}, ${notANumber}, ${sum} == 0.0)`;

const vectorType = 'vec4<f32>';

/** Whether every row of a matrix starts at a multiple of four elements in its buffer. */
const aligned = ({ offset, batch, row }: MatrixUse): boolean => [offset, row, ...batch].every((x) => x % 4 === 0);

/** The text of one shader of attention, and the matrices that it reaches. */
export class AttentionText {
  readonly kernel: AttentionKernel;
  readonly shader: ShaderText;
  readonly queries: string;
  readonly keys: string;
  readonly #coordinates: string[];

  /** @param byVectors whether all matrices but the mask are read and written by four neighbours. */
  constructor(kernel: AttentionKernel, target: Target, reached: Reached, byVectors = false) {
    const { inputs, results = [], scratch = [] } = reached;
    const read = inputs.map(({ buffer }) => kernel.inputs[buffer] as BufferUse);
    const written = results.map(({ buffer }) => kernel.outputs[buffer] as BufferUse);
    const single = new Set<number>();
    [...inputs, ...results].forEach((use, i) => {
      if (byVectors && use !== kernel.mask && aligned(use)) return;
      single.add(([...read, ...written][i] as BufferUse).buffer);
    });
    const bindings = bindingsOf(read, written, target).map((binding) =>
      single.has(binding.buffer) ? binding : { ...binding, strip: vectorType },
    );
    const own = scratch.map(({ scratch: buffer, writable, vectors }): Binding => {
      const strip = vectors ? { strip: vectorType } : {};
      return { buffer, scratch: true, writable, stored: 'f32', name: `scratch${buffer}`, ...strip };
    });
    this.kernel = kernel;
    this.shader = new ShaderText(kernel.inputs, [...bindings, ...own]);
    this.shader.declare(weightFunction);
    this.queries = this.shader.parameter(kernel.queries);
    this.keys = this.shader.parameter(kernel.keys);
    this.#coordinates = [];
  }

  /** The lines that find the coordinates of batch point `point`, an i32 name. */
  locate(point: string): string[] {
    const { batch } = this.kernel;
    const outermost = batch.findIndex((extent) => extent > 1);
    return batch.flatMap((extent, axis) => {
      this.#coordinates[axis] = '0';
      if (extent === 1) return [];
      const stride = product(batch.slice(axis + 1));
      const quotient = stride === 1 ? point : `(${point} / ${this.shader.parameter(stride)})`;
      const name = `point${axis}`;
      this.#coordinates[axis] = name;
      return [`let ${name} = ${axis === outermost ? quotient : `${quotient} % ${this.shader.parameter(extent)}`};`];
    });
  }

  /** The matrix that an input holds at the located point. */
  input(use: MatrixUse): Matrix {
    return this.#matrix(use, this.kernel.inputs[use.buffer] as BufferUse);
  }

  /** The matrix that a result holds at the located point. */
  result(use: MatrixUse): Matrix {
    return this.#matrix(use, this.kernel.outputs[use.buffer] as BufferUse);
  }

  #matrix({ offset, batch, row }: MatrixUse, use: BufferUse): Matrix {
    const terms = batch.flatMap((stride, axis) => {
      const coordinate = this.#coordinates[axis];
      return stride === 0 || coordinate === '0' ? [] : [`${coordinate} * ${this.shader.parameter(stride)}`];
    });
    const start = [...(offset === 0 && terms.length > 0 ? [] : [this.shader.parameter(offset)]), ...terms].join(' + ');
    return {
      use,
      binding: bindingOf(use, this.shader.bindings),
      start: `(${start})`,
      row: row === 0 ? '0' : this.shader.parameter(row),
    };
  }

  /**
   * What the mask makes of the score of query `query` with key `key`: what is added to it, and whether it is hidden;
   * undefined where there is nothing to be added, or nothing hidden.
   */
  masked(query: string, key: string): { readonly added?: string; readonly hidden?: string } {
    const { mask, causal } = this.kernel;
    const later = causal ? `${key} > ${query}` : undefined;
    if (!mask) return later === undefined ? {} : { hidden: later };
    const { use, binding, start, row } = this.input(mask);
    const element = loadText(use, binding, `${start} + ${query} * ${row} + ${key}`);
    if (use.dtype !== 'bool') return { added: element, ...(later === undefined ? {} : { hidden: later }) };
    return { hidden: later === undefined ? `!(${element})` : `(${later} || !(${element}))` };
  }
}

/** WGSL for the four elements from `index` on, an i32 name. */
export function loadVector({ binding: { name, strip } }: Matrix, index: string): string {
  if (strip !== undefined) return `${name}[u32(${index}) >> 2u]`;
  return `vec4f(${[0, 1, 2, 3].map((i) => `${name}[${index} + ${i}]`).join(', ')})`;
}

/** The statements that store the name `vector` as the four elements from `index` on, an i32 name. */
export function storeVector({ binding: { name, strip } }: Matrix, index: string, vector: string): string[] {
  if (strip !== undefined) return [`${name}[u32(${index}) >> 2u] = ${vector};`];
  return ['x', 'y', 'z', 'w'].map((component, i) => `${name}[${index} + ${i}] = ${vector}.${component};`);
}

/** Points of the batch. */
export const pointsOf = ({ batch }: AttentionKernel): number => product(batch);
