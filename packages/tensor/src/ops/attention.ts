/** Scaled dot-product attention and its gradients: their meaning in primitives, which a fused kernel may stand for. */
import { type DType, dtypes, promote } from '../dtype.ts';
import { printShape, ShapeError } from '../errors.ts';
import type { Node } from '../graph.ts';
import { broadcastShapes, type Shape, sizeOf } from '../shape.ts';
import { composite, softmax } from './composite.ts';
import { contract, transpose } from './contract.ts';
import { apply, cast, constantLike, where } from './elementwise.ts';
import { broadcastTo, iota } from './generate.ts';
import { reduce } from './reduce.ts';
import { concat, permute, reshape, slice } from './view.ts';

export interface AttentionAttributes {
  readonly causal: boolean;
  readonly scale: number;
  /**
   * The operands are one tensor [..., length, 3, heads, width] and perhaps a mask, and the result is
   * [..., length, heads, width]; otherwise they are q [..., L, E], k [..., S, E], v [..., S, V] and perhaps a mask, with
   * equal batch axes, and the result is [..., L, V]. A mask is [..., (heads,) L, S].
   */
  readonly packed: boolean;
  /** The first operand is the gradient of the result, and the result the gradients of q, k and v. */
  readonly backward: boolean;
}

interface Operands {
  readonly q: Node;
  readonly k: Node;
  readonly v: Node;
  readonly mask: Node | undefined;
}

const last = (node: Node, back: number): number => node.shape[node.shape.length - back] as number;

/** Heads moved before or behind positions: [..., a, b, width] to [..., b, a, width]. */
function exchange(x: Node): Node {
  const rank = x.shape.length;
  return permute(x, [...Array.from({ length: rank - 3 }, (_, i) => i), rank - 2, rank - 3, rank - 1]);
}

/** Part `i` of the packed [..., L, 3, H, E] as [..., H, L, E]. */
function part(packed: Node, i: number): Node {
  const axis = packed.shape.length - 3;
  const own = slice(
    packed,
    packed.shape.map((_, a) => (a === axis ? i : 0)),
    packed.shape.map((extent, a) => (a === axis ? 1 : extent)),
  );
  return exchange(
    reshape(
      own,
      packed.shape.filter((_, a) => a !== axis),
    ),
  );
}

function operandsOf(inputs: readonly Node[], { packed }: AttentionAttributes): Operands {
  if (!packed) {
    const [q, k, v, mask] = inputs as [Node, Node, Node, Node?];
    return { q, k, v, mask };
  }
  const [all, mask] = inputs as [Node, Node?];
  return { q: part(all, 0), k: part(all, 1), v: part(all, 2), mask };
}

// ---- The meaning ----------------------------------------------------------------------------------------------------

/** `scores` where a query may look, and `otherwise` elsewhere. */
function visible(scores: Node, mask: Node | undefined, causal: boolean, otherwise: number): Node {
  const hidden = constantLike(scores, otherwise);
  const seen = mask?.dtype === 'bool' ? where(mask, scores, hidden) : scores;
  if (!causal) return seen;
  const matrix = scores.shape.slice(-2);
  return where(apply('le', iota(matrix, 1, 'i32'), iota(matrix, 0, 'i32')), seen, hidden);
}

/** The queries times the scale (fewer than the scores), and softmax(scale · q kᵀ + mask) [..., L, S]. */
function weigh({ q, k, mask }: Operands, { causal, scale }: AttentionAttributes): { scaled: Node; weights: Node } {
  const scaled = apply('mul', q, constantLike(q, scale));
  const scores = contract(scaled, transpose(k));
  const biased = mask && mask.dtype !== 'bool' ? apply('add', scores, mask) : scores;
  const seen = visible(biased, mask, causal, Number.NEGATIVE_INFINITY);
  return { scaled, weights: softmax([seen], { axis: scores.shape.length - 1 }) };
}

function define(inputs: readonly Node[], attributes: AttentionAttributes): Node {
  const operands = operandsOf(inputs, attributes);
  const mixed = contract(weigh(operands, attributes).weights, operands.v);
  return attributes.packed ? exchange(mixed) : mixed;
}

/** The gradient of the scores with the mask added, from the output's [..., L, V]. */
function scoreGradient(
  operands: Operands,
  output: Node,
  attributes: AttentionAttributes,
): { scores: Node; scaled: Node; weights: Node } {
  const { scaled, weights } = weigh(operands, attributes);
  const product = apply('mul', weights, contract(output, transpose(operands.v)));
  const total = reduce('sum', product, [product.shape.length - 1]);
  const own = apply('sub', product, apply('mul', weights, total));
  // Where a query may not look there is no score to change: this also holds for a query that may look nowhere.
  return { scores: visible(own, operands.mask, attributes.causal, 0), scaled, weights };
}

/**
 * The gradients of q, k and v from that of the output: for packed operands as one tensor like them, otherwise one after
 * the other in one flat tensor.
 */
function defineBackward([gradient, ...inputs]: readonly Node[], attributes: AttentionAttributes): Node {
  const operands = operandsOf(inputs, attributes);
  const output = attributes.packed ? exchange(gradient as Node) : (gradient as Node);
  const { scores, scaled, weights } = scoreGradient(operands, output, attributes);
  const { q, k } = operands;
  const results = [
    apply('mul', contract(scores, k), constantLike(q, attributes.scale)),
    contract(transpose(scores), scaled),
    contract(transpose(weights), output),
  ];
  if (!attributes.packed) {
    return concat(
      results.map((result) => reshape(result, [sizeOf(result.shape)])),
      0,
    );
  }
  const parts = results.map((result) => {
    const positions = exchange(result);
    return reshape(positions, [...positions.shape.slice(0, -2), 1, ...positions.shape.slice(-2)]);
  });
  return concat(parts, (inputs[0] as Node).shape.length - 3);
}

// ---- The composites -------------------------------------------------------------------------------------------------

/**
 * Most elements in the keys and values of one head, with the columns that fill their registers up: beyond, they leave
 * the caches, and every thread keeps several copies.
 */
const mostElements = 2 ** 20;
/** A kernel takes several queries at a time; with fewer than this most of its work would be for nobody. */
const fewestQueries = { forward: 6, backward: 2 } as const;

/** Whether a kernel that never stores the scores is the faster way. */
function fits(inputs: readonly Node[], { packed, backward }: AttentionAttributes): boolean {
  const factors = inputs.slice(0, packed ? 1 : 3);
  const mask = inputs[factors.length];
  if (factors.some(({ dtype, shape }) => dtype !== 'f32' || sizeOf(shape) === 0)) return false;
  if (mask !== undefined && mask.dtype !== 'f32' && mask.dtype !== 'bool') return false;
  const [q, k, v] = (packed ? [factors[0], factors[0], factors[0]] : factors) as [Node, Node, Node];
  const length = packed ? 4 : 2;
  if (last(q, length) < fewestQueries[backward ? 'backward' : 'forward'] || last(k, length) < 2) return false;
  return last(k, length) * (last(k, 1) + last(v, 1) + 32) <= mostElements;
}

const attentionBackward = composite<AttentionAttributes>({
  name: 'attentionBackward',
  shape: ([, ...inputs], { packed }) => {
    const [first] = inputs as [Node];
    return packed ? first.shape : [inputs.slice(0, 3).reduce((sum, { shape }) => sum + sizeOf(shape), 0)];
  },
  define: defineBackward,
  template: {
    kind: 'attention',
    takes: ({ inputs, attributes }) => fits(inputs.slice(1), attributes as AttentionAttributes),
  },
});

const attention = composite<AttentionAttributes>({
  name: 'attention',
  shape: (inputs, { packed }) => {
    const [first] = inputs as [Node];
    if (packed) return [...first.shape.slice(0, -3), ...first.shape.slice(-2)];
    return [...first.shape.slice(0, -1), last(inputs[2] as Node, 1)];
  },
  define,
  template: { kind: 'attention', takes: ({ inputs, attributes }) => fits(inputs, attributes as AttentionAttributes) },
  // The scores are computed again instead of being kept: they are many and quickly made, and a kernel for the whole
  // gradient never writes them to memory. A mask's gradient has their size anyway.
  vjp: (node, gradient, attributes) => {
    const { inputs } = node;
    const flat = attentionBackward([gradient, ...inputs], { ...attributes, backward: true });
    const mask = inputs[attributes.packed ? 1 : 3];
    const output = attributes.packed ? exchange(gradient) : gradient;
    const ofMask =
      mask === undefined || mask.dtype === 'bool'
        ? undefined
        : scoreGradient(operandsOf(inputs, attributes), output, attributes).scores;
    if (attributes.packed) return [flat, ofMask];
    let start = 0;
    const results = inputs.slice(0, 3).map(({ shape }) => {
      const own = reshape(slice(flat, [start], [sizeOf(shape)]), shape);
      start += sizeOf(shape);
      return own;
    });
    return [...results, ofMask];
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

/** The mask of scores of shape `scores`, in f32 terms where it is added. Throws ShapeError where it does not broadcast. */
function fullMask(op: string, mask: Node | undefined, scores: Shape, dtype: DType): Node[] {
  if (!mask) return [];
  const together = broadcastShapes(op, scores, mask.shape);
  if (together.length !== scores.length || together.some((extent, i) => extent !== scores[i]))
    throw new ShapeError(
      `${op}: the mask ${printShape(mask.shape)} does not broadcast to the scores ${printShape(scores)}`,
    );
  return [broadcastTo(mask.dtype === 'bool' ? mask : cast(mask, dtype), scores)];
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
  const dtype = floatingType(q, k, v);
  const masks = fullMask(op, mask, [...batch, last(q, 2), last(k, 2)], dtype);
  const operands = [q, k, v].map((x) => broadcastTo(cast(x, dtype), [...batch, ...x.shape.slice(-2)]));
  return attention([...operands, ...masks], { causal, scale, packed: false, backward: false });
}

/** Attention of sequences to themselves, from [..., length, 3, heads, width] to [..., length, heads, width]. */
export function packedAttention(packed: Node, options: AttentionOptions): Node {
  const op = 'packedAttention';
  const rank = packed.shape.length;
  if (rank < 4 || last(packed, 3) !== 3)
    throw new ShapeError(
      `${op}: ${printShape(packed.shape)}: axis -3 must hold queries, keys and values`,
      'the tensor is [..., length, 3, heads, width]',
    );
  const { mask, causal, scale = 1 / Math.sqrt(last(packed, 1)) } = options;
  const dtype = floatingType(packed);
  const length = last(packed, 4);
  const masks = fullMask(op, mask, [...packed.shape.slice(0, -4), last(packed, 2), length, length], dtype);
  return attention([cast(packed, dtype), ...masks], { causal, scale, packed: true, backward: false });
}

/** The dtype that holds all operands; f32 where they are whole numbers. */
function floatingType(...operands: readonly Node[]): DType {
  const dtype = operands.map((x) => x.dtype).reduce(promote);
  return dtypes[dtype].floating ? dtype : 'f32';
}
