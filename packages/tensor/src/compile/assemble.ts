/**
 * Concatenations without a copy: where operands lie end to end in memory and have kernels of their own, these kernels
 * write into the buffer of the result. In the graph such a concatenation is an `assemble` node, between the passes over
 * kernels an `Assembly`; placing makes parts of its buffer out of the buffers of its operands.
 */
import { dtypes } from '../dtype.ts';
import { add, axis, constant, type Expr, load, substitute } from '../expr/expr.ts';
import { Node, type Op } from '../graph.ts';
import { concat, concatOp, reshape } from '../ops/view.ts';
import { sizeOf } from '../shape.ts';
import { collapse } from './collapse.ts';
import { type BufferUse, type Kernel, type LoopKernel, partBytes } from './kernel.ts';

type Part = NonNullable<BufferUse['part']>;

/** Stands for all kernels that write the parts of its output, which it reads as buffers of their own until placed. */
export interface Assembly {
  readonly kind: 'assemble';
  readonly name: string;
  readonly inputs: readonly BufferUse[];
  readonly outputs: readonly [BufferUse];
  /** Where each input begins in the output, and how many elements it has. */
  readonly parts: readonly Part[];
}

/** Its attributes are the offsets of its operands, in elements. */
export const assembleOp: Op = { name: 'assemble', kind: 'assemble' };

/** So many stored operands are copied one by one rather than chosen among for every element. */
const manyOperands = 4;

/** Decides which concatenations are assembled, for one graph. */
export class Assembler {
  readonly #computed = new Map<Node, boolean>();

  /**
   * `concatenation` assembled from `operands`, which are laid end to end; undefined where it is not outermost, where it
   * is computed element by element as cheaply, or where no operand but the first begins at a place that can be bound.
   */
  assembled(concatenation: Node, operands: readonly Node[]): Node | undefined {
    const { shape, dtype, device } = concatenation;
    const along = concatenation.attributes as number;
    if (sizeOf(shape) === 0 || shape.slice(0, along).some((extent) => extent !== 1)) return undefined;
    const alike = operands.length > manyOperands && operands.every(isStored);
    if (!alike && !operands.some((operand) => this.#hasKernel(operand))) return undefined;
    const parts: { offset: number; members: Node[] }[] = [];
    let offset = 0;
    for (const operand of operands) {
      if (sizeOf(operand.shape) === 0) continue;
      const last = parts[parts.length - 1];
      if (last === undefined || (offset * dtypes[dtype].bytes) % partBytes === 0)
        parts.push({ offset, members: [operand] });
      else last.members.push(operand);
      offset += sizeOf(operand.shape);
    }
    if (parts.length < 2) return undefined;
    const nodes = parts.map(({ members }) => reshape(concat(members, along), [-1]));
    return new Node(
      assembleOp,
      nodes,
      parts.map((part) => part.offset),
      shape,
      dtype,
      device,
    );
  }

  /** Whether a kernel computes the elements of `node` in any case. */
  #hasKernel(node: Node): boolean {
    const known = this.#computed.get(node);
    if (known !== undefined) return known;
    const { kind } = node.op;
    const result =
      node.storage === undefined &&
      kind !== 'leaf' &&
      (kind !== 'pointwise' || node.inputs.some((input) => this.#hasKernel(input)));
    this.#computed.set(node, result);
    return result;
  }
}

/** The operands of a concatenation, with those of concatenations along the same axis in their place. */
export function joinedOperands(node: Node, operandsOf: (node: Node) => readonly Node[]): readonly Node[] {
  return operandsOf(node).flatMap((operand) =>
    operand.op === concatOp && operand.storage === undefined && operand.attributes === node.attributes
      ? joinedOperands(operand, operandsOf)
      : [operand],
  );
}

/** Whether `node` shows stored elements in their order. */
function isStored(node: Node): boolean {
  let current = node;
  while (current.storage === undefined && current.op.rowMajor) current = current.inputs[0] as Node;
  return current.storage !== undefined;
}

/** Buffers of other kernels that became parts of one buffer. */
type Placement = ReadonlyMap<number, { readonly buffer: number; readonly part: Part }>;

/**
 * Replaces assemblies: operands are computed in their places, or copied there where something else needs them as a
 * buffer of their own: they are stored or `kept`, have two places, are read by a template, or are read by a kernel that
 * writes another part.
 */
export function placeParts(
  kernels: readonly (Kernel | Assembly)[],
  nodes: readonly Node[],
  kept: ReadonlySet<Node>,
): Kernel[] {
  if (!kernels.some(isAssembly)) return kernels as Kernel[];
  const computed = new Set(
    kernels.flatMap((kernel) => (isAssembly(kernel) ? [] : kernel.outputs.map((o) => o.buffer))),
  );
  const readers = new Map<number, Kernel[]>();
  for (const kernel of kernels) {
    if (isAssembly(kernel)) continue;
    for (const { buffer } of kernel.inputs) readers.set(buffer, [...(readers.get(buffer) ?? []), kernel]);
  }
  const placement = new Map<number, { buffer: number; part: Part }>();
  const result: (Kernel | readonly Kernel[])[] = kernels.map((kernel) => {
    if (!isAssembly(kernel)) return kernel;
    const { inputs, outputs, parts } = kernel;
    const [{ buffer: whole }] = outputs;
    const siblings = new Set(inputs.map(({ buffer }) => buffer));
    return inputs.flatMap(({ buffer }, i) => {
      const part = parts[i] as Part;
      const free =
        computed.has(buffer) &&
        inputs.every((other, k) => k === i || other.buffer !== buffer) &&
        !placement.has(buffer) &&
        !kept.has(nodes[buffer] as Node) &&
        (readers.get(buffer) ?? []).every(
          (reader) =>
            (reader.kind === 'loop' || reader.kind === 'rows') &&
            reader.outputs.every((output) => !siblings.has(output.buffer)),
        );
      if (!free) return copyOf(kernel, i);
      placement.set(buffer, { buffer: whole, part });
      return [];
    });
  });
  return result.flat().map((kernel) => moved(kernel, placement));
}

const isAssembly = (kernel: Kernel | Assembly): kernel is Assembly => kernel.kind === 'assemble';

/** The kernel that copies input `i` to its place. */
function copyOf({ inputs, outputs: [whole], parts }: Assembly, i: number): LoopKernel {
  const { buffer, dtype } = inputs[i] as BufferUse;
  const part = parts[i] as Part;
  const value = load(0, axis(0, part.length), dtypes[dtype].scalar);
  return collapse({
    kind: 'loop',
    name: 'copy',
    shape: [part.length],
    inputs: [{ buffer, dtype }],
    outputs: [{ ...whole, part, value }],
  });
}

/** The kernel with placed buffers read and written where they are. */
function moved(kernel: Kernel, placement: Placement): Kernel {
  const written = <T extends BufferUse>(use: T): T => ({ ...use, ...placement.get(use.buffer) });
  if (kernel.kind === 'attention' || kernel.kind === 'scatter')
    return { ...kernel, outputs: [written(kernel.outputs[0])] };
  const offsets = kernel.inputs.map(({ buffer }) => placement.get(buffer)?.part.offset ?? 0);
  const shifted = (e: Expr): Expr =>
    substitute(e, (part) => {
      const offset = part.op === 'load' ? (offsets[part.value] as number) : 0;
      if (offset === 0) return undefined;
      return load(part.value, add(shifted(part.args[0] as Expr), constant(offset, 'i32')), part.type);
    });
  const inputs = kernel.inputs.map(({ buffer, dtype }) => ({
    buffer: placement.get(buffer)?.buffer ?? buffer,
    dtype,
  }));
  if (kernel.kind === 'rows') {
    return {
      ...kernel,
      inputs,
      stages: kernel.stages.map(({ op, body }) => ({ op, body: shifted(body) })),
      columns: kernel.columns.map(({ op, body }) => ({ op, body: shifted(body) })),
      outputs: kernel.outputs.map((output) => ({ ...written(output), value: shifted(output.value) })),
    };
  }
  const { reduce } = kernel;
  const factors = reduce?.factors;
  return {
    ...kernel,
    inputs,
    ...(reduce && {
      reduce: {
        ...reduce,
        body: shifted(reduce.body),
        ...(factors && { factors: [shifted(factors[0]), shifted(factors[1])] as const }),
      },
    }),
    outputs: kernel.outputs.map((output) => ({ ...written(output), value: shifted(output.value) })),
  };
}
