/** Work as ONNX models, in the operators that an exporter writes: onnxruntime fuses them itself. */
import { transposed, uniform } from '../../harness/data.ts';
import { towerValues } from '../../harness/tower.ts';
import {
  type AttentionWork,
  type MatmulWork,
  type RowWork,
  type TowerWork,
  tokensOf,
  towerOf,
} from '../../harness/work.ts';
import { GraphBuilder } from './graph.ts';

export interface OnnxModel {
  readonly file: Uint8Array;
  readonly inputs: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

export function matmulModel(work: MatmulWork): OnnxModel {
  const { batch, m, k, n, transposeLeft, transposeRight, weight } = work;
  const graph = new GraphBuilder();
  const stored = (rows: number, columns: number, turned = false): number[] => {
    const matrix = turned ? [columns, rows] : [rows, columns];
    return batch === 1 ? matrix : [batch, ...matrix];
  };
  const shapes = { left: stored(m, k, transposeLeft), right: stored(k, n, transposeRight) };
  const left = graph.input('left', shapes.left);
  const right = weight
    ? graph.parameter(uniform('right', size(shapes.right)), shapes.right)
    : graph.input('right', shapes.right);
  const inputs = [{ name: 'left', shape: shapes.left }, ...(weight ? [] : [{ name: 'right', shape: shapes.right }])];
  const output = (): string => {
    // Gemm alone takes transposed factors, and takes no batches.
    if (batch === 1 && (transposeLeft || transposeRight))
      return graph.node('Gemm', [left, right], { transA: Number(!!transposeLeft), transB: Number(!!transposeRight) });
    const second = transposeRight ? graph.node('Transpose', [right], { perm: [0, 2, 1] }) : right;
    return graph.node('MatMul', [left, second]);
  };
  return { file: graph.model(output(), batch === 1 ? [m, n] : [batch, m, n]), inputs };
}

export function rowModel({ kind, rows, width }: RowWork): OnnxModel {
  const graph = new GraphBuilder();
  const shape = [rows, width];
  const x = graph.input('x', shape);
  const output =
    kind === 'softmax'
      ? graph.node('Softmax', [x], { axis: 1 })
      : graph.node('LayerNormalization', [
          x,
          graph.parameter(uniform('weight', width), [width]),
          graph.parameter(uniform('bias', width), [width]),
        ]);
  return { file: graph.model(output, shape), inputs: [{ name: 'x', shape }] };
}

/** softmax(q kᵀ · scale) v of [..., length, width] with two leading axes. */
function attend(graph: GraphBuilder, q: string, k: string, v: string, width: number, perm: readonly number[]): string {
  const scale = graph.parameter(Float32Array.of(width ** -0.5), []);
  const scores = graph.node('MatMul', [graph.node('Mul', [q, scale]), graph.node('Transpose', [k], { perm })]);
  return graph.node('MatMul', [graph.node('Softmax', [scores], { axis: perm.length - 1 }), v]);
}

export function attentionModel({ heads, length, width }: AttentionWork): OnnxModel {
  const graph = new GraphBuilder();
  const shape = [heads, length, width];
  const [q, k, v] = ['q', 'k', 'v'].map((name) => graph.input(name, shape)) as [string, string, string];
  const output = attend(graph, q, k, v, width, [0, 2, 1]);
  return { file: graph.model(output, shape), inputs: ['q', 'k', 'v'].map((name) => ({ name, shape })) };
}

/** CLIP's image tower of one image, as PyTorch's exporter lays it out: weights transposed, [in, out]. */
export function towerModel({ model }: TowerWork): OnnxModel {
  const sizes = towerOf(model);
  const { resolution, patch, width, layers, heads, embedding } = sizes;
  const length = tokensOf(sizes);
  const headWidth = width / heads;
  const values = towerValues(sizes);
  const graph = new GraphBuilder();
  const parameter = (name: string, ...shape: number[]): string =>
    graph.parameter(values.get(name) as Float32Array, shape);
  const linear = (x: string, weight: string, bias: string, from: number, to: number): string => {
    const matrix = graph.parameter(transposed(values.get(weight) as Float32Array, to, from), [from, to]);
    return graph.node('Add', [graph.node('MatMul', [x, matrix]), parameter(bias, to)]);
  };
  const norm = (x: string, name: string): string =>
    graph.node('LayerNormalization', [x, parameter(`${name}.weight`, width), parameter(`${name}.bias`, width)]);
  const shape = (x: string, ...extents: number[]): string => graph.node('Reshape', [x, graph.integers(...extents)]);

  const image = graph.input('image', [1, 3, resolution, resolution]);
  const convolution = graph.node('Conv', [image, parameter('conv1.weight', width, 3, patch, patch)], {
    kernel_shape: [patch, patch],
    strides: [patch, patch],
  });
  const patches = graph.node('Transpose', [shape(convolution, 1, width, length - 1)], { perm: [0, 2, 1] });
  const tokens = graph.node('Concat', [parameter('class_embedding', 1, 1, width), patches], { axis: 1 });
  let x = norm(graph.node('Add', [tokens, parameter('positional_embedding', length, width)]), 'ln_pre');
  for (let i = 0; i < layers; i++) {
    const name = `transformer.resblocks.${i}`;
    const packed = linear(
      norm(x, `${name}.ln_1`),
      `${name}.attn.in_proj_weight`,
      `${name}.attn.in_proj_bias`,
      width,
      3 * width,
    );
    const split = graph.nodes('Split', [packed, graph.integers(width, width, width)], 3, { axis: 2 });
    const [q, k, v] = split.map((part) =>
      graph.node('Transpose', [shape(part, 1, length, heads, headWidth)], { perm: [0, 2, 1, 3] }),
    ) as [string, string, string];
    const mixed = graph.node('Transpose', [attend(graph, q, k, v, headWidth, [0, 1, 3, 2])], { perm: [0, 2, 1, 3] });
    const attended = linear(
      shape(mixed, 1, length, width),
      `${name}.attn.out_proj.weight`,
      `${name}.attn.out_proj.bias`,
      width,
      width,
    );
    x = graph.node('Add', [x, attended]);
    const up = linear(norm(x, `${name}.ln_2`), `${name}.mlp.c_fc.weight`, `${name}.mlp.c_fc.bias`, width, 4 * width);
    const slope = graph.parameter(Float32Array.of(1.702), []);
    const active = graph.node('Mul', [up, graph.node('Sigmoid', [graph.node('Mul', [up, slope])])]);
    const down = linear(active, `${name}.mlp.c_proj.weight`, `${name}.mlp.c_proj.bias`, 4 * width, width);
    x = graph.node('Add', [x, down]);
  }
  const first = shape(graph.node('Gather', [x, graph.integers(0)], { axis: 1 }), 1, width);
  const features = graph.node('MatMul', [norm(first, 'ln_post'), parameter('proj', width, embedding)]);
  return {
    file: graph.model(features, [1, embedding]),
    inputs: [{ name: 'image', shape: [1, 3, resolution, resolution] }],
  };
}
