/** Scaled dot-product attention: its meaning in primitives, which a fused kernel may stand for. */
import { dtypes } from '../dtype.ts';
import { printShape, ShapeError } from '../errors.ts';
import type { Node } from '../graph.ts';
import { broadcastShapes } from '../shape.ts';
import { composite, floating, softmax } from './composite.ts';
import { matmul, transpose } from './contract.ts';
import { apply, constantLike, where } from './elementwise.ts';
import { iota } from './generate.ts';

interface Attributes {
  readonly causal: boolean;
  readonly scale: number;
}

const last = (node: Node, back: number): number => node.shape[node.shape.length - back] as number;

/** softmax(scale · q kᵀ + mask) v over q [..., L, E], k [..., S, E], v [..., S, V] and an optional mask [..., L, S]. */
const attention = composite<Attributes>({
  name: 'attention',
  shape: (inputs) => {
    const [q, k, v] = inputs as [Node, Node, Node];
    const batches = [q, k, v].map(({ shape }) => shape.slice(0, -2));
    return [...broadcastShapes('attention', ...batches), last(q, 2), last(v, 1)];
  },
  define: (inputs, { causal, scale }) => {
    const [q, k, v, mask] = inputs as [Node, Node, Node, Node?];
    // The queries are scaled, not the scores: they are fewer.
    let scores = matmul(apply('mul', q, constantLike(q, scale)), transpose(k)); // [..., L, S]
    const masked = constantLike(scores, Number.NEGATIVE_INFINITY);
    if (mask) scores = mask.dtype === 'bool' ? where(mask, scores, masked) : apply('add', scores, mask);
    if (causal) {
      const matrix = scores.shape.slice(-2);
      scores = where(apply('le', iota(matrix, 1, 'i32'), iota(matrix, 0, 'i32')), scores, masked);
    }
    return matmul(softmax([scores], { axis: scores.shape.length - 1 }), v);
  },
});

export interface AttentionOptions {
  /** Boolean: true where a query may look; floating: added to the scores. Broadcasts to [..., L, S]. */
  readonly mask?: Node | undefined;
  /** Query i sees keys 0 to i. */
  readonly causal: boolean;
  /** 1 / √E if absent. */
  readonly scale: number | undefined;
}

export function scaledDotProductAttention(q: Node, k: Node, v: Node, options: AttentionOptions): Node {
  const op = 'scaledDotProductAttention';
  const shapes = `query ${printShape(q.shape)}, key ${printShape(k.shape)}, value ${printShape(v.shape)}`;
  if (q.shape.length < 2 || k.shape.length < 2 || v.shape.length < 2)
    throw new ShapeError(`${op}: ${shapes}: each needs at least 2 axes`, 'they are [..., length, width]');
  if (last(q, 1) !== last(k, 1))
    throw new ShapeError(
      `${op}: ${shapes}: the widths of query and key, ${last(q, 1)} and ${last(k, 1)}, differ (axis -1)`,
    );
  if (last(k, 2) !== last(v, 2))
    throw new ShapeError(
      `${op}: ${shapes}: the lengths of key and value, ${last(k, 2)} and ${last(v, 2)}, differ (axis -2)`,
    );
  const batch = broadcastShapes(op, q.shape.slice(0, -2), k.shape.slice(0, -2), v.shape.slice(0, -2));
  const { mask, causal, scale = 1 / Math.sqrt(last(q, 1)) } = options;
  if (mask) {
    const scores = [...batch, last(q, 2), last(k, 2)];
    const together = broadcastShapes(op, scores, mask.shape);
    if (together.length !== scores.length || together.some((extent, i) => extent !== scores[i]))
      throw new ShapeError(
        `${op}: the mask ${printShape(mask.shape)} does not broadcast to the scores ${printShape(scores)}`,
      );
  }
  const real = [q, k, v].map(floating);
  const bias = mask && mask.dtype !== 'bool' && !dtypes[mask.dtype].floating ? floating(mask) : mask;
  return attention(bias ? [...real, bias] : real, { causal, scale });
}
