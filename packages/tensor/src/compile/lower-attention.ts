/** Lowering of attention and its gradients to their template: where every matrix of every batch lies in its buffer. */
import type { Node } from '../graph.ts';
import type { AttentionAttributes } from '../ops/attention.ts';
import { sizeOf, stridesOf } from '../shape.ts';
import type { AttentionKernel, MatrixUse } from './attention-kernel.ts';
import type { BufferUse } from './kernel.ts';
import type { Surroundings } from './lower.ts';
import { type BufferView, viewOf } from './view.ts';

interface Strided {
  readonly offset: number;
  readonly strides: readonly number[];
}

/** The axes of the matrices that an operand holds: its batch axes, and its rows. Columns are its last axis. */
interface Axes {
  readonly batch: readonly number[];
  readonly row: number;
}

const matrix = ({ offset, strides }: Strided, { batch, row }: Axes): Omit<MatrixUse, 'buffer'> => ({
  offset,
  batch: batch.map((axis) => strides[axis] as number),
  row: strides[row] as number,
});

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

export function attentionKernel(root: Node, { stored, bufferOf, seen }: Surroundings): AttentionKernel {
  const { causal, scale, packed, backward } = root.attributes as AttentionAttributes;
  const operands = seen.operandsOf(root);
  const [gradient, ...sources] = backward ? operands : [undefined, ...operands];
  const inputs: BufferUse[] = [];
  const used = (node: Node): BufferView & { readonly buffer: number } => {
    const view = viewOf(node, stored, seen);
    if (view === undefined) throw new Error(`lower: ${root.op.name} reads ${node.op.name}, which has no buffer`);
    const number = bufferOf(view.source);
    let buffer = inputs.findIndex((input) => input.buffer === number);
    if (buffer < 0) buffer = inputs.push({ buffer: number, dtype: view.source.dtype }) - 1;
    return { ...view, buffer };
  };
  const read = (node: Node, axes: Axes): MatrixUse => {
    const view = used(node);
    return { buffer: view.buffer, ...matrix(view, axes) };
  };
  const [q, k, v] = sources as [Node, Node, Node];
  const rank = q.shape.length;
  const whole = { buffer: 0, offset: 0, strides: stridesOf(root.shape) };
  const output = { buffer: bufferOf(root), dtype: root.dtype };
  const common = { kind: 'attention', name: root.op.name, causal, scale } as const;
  // Axes of a tensor with heads behind positions, and of one matrix after the other.
  const packedAxes = (heads: number): Axes => ({ batch: [...range(rank - 4), heads], row: rank - 4 });
  const plainAxes = (axes: number): Axes => ({ batch: range(axes - 2), row: axes - 2 });
  const masked = (mask: Node | undefined): Pick<AttentionKernel, 'mask'> =>
    mask ? { mask: read(mask, plainAxes(mask.shape.length)) } : {};

  if (packed) {
    const view = used(q);
    const third = (from: Strided & { readonly buffer: number }, i: number): MatrixUse => ({
      buffer: from.buffer,
      ...matrix({ ...from, offset: from.offset + i * (from.strides[rank - 3] as number) }, packedAxes(rank - 2)),
    });
    const [length, heads, width] = [q.shape[rank - 4], q.shape[rank - 2], q.shape[rank - 1]] as [
      number,
      number,
      number,
    ];
    return {
      ...common,
      batch: [...q.shape.slice(0, -4), heads],
      queries: length,
      keys: length,
      width,
      valueWidth: width,
      q: third(view, 0),
      k: third(view, 1),
      v: third(view, 2),
      ...masked(sources[1]),
      ...(gradient ? { gradient: read(gradient, packedAxes(rank - 3)) } : {}),
      results: backward
        ? [0, 1, 2].map((i) => third(whole, i))
        : [{ buffer: 0, ...matrix(whole, packedAxes(rank - 3)) }],
      inputs,
      outputs: [output],
    };
  }
  let offset = 0;
  const section = ({ shape }: Node): MatrixUse => {
    const own = { offset, strides: stridesOf(shape) };
    offset += sizeOf(shape);
    return { buffer: 0, ...matrix(own, plainAxes(rank)) };
  };
  const [queries, width] = q.shape.slice(-2) as [number, number];
  const [keys, valueWidth] = v.shape.slice(-2) as [number, number];
  return {
    ...common,
    batch: q.shape.slice(0, -2),
    queries,
    keys,
    width,
    valueWidth,
    q: read(q, plainAxes(rank)),
    k: read(k, plainAxes(rank)),
    v: read(v, plainAxes(rank)),
    ...masked(sources[3]),
    ...(gradient ? { gradient: read(gradient, plainAxes(rank)) } : {}),
    results: backward ? [q, k, v].map(section) : [section(root)],
    inputs,
    outputs: [output],
  };
}
