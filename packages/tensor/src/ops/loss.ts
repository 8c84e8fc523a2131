/** Losses, one value for each sample or element, and how they are reduced to a scalar. */
import { dtypes } from '../dtype.ts';
import { DTypeError, printShape, ShapeError } from '../errors.ts';
import type { Node } from '../graph.ts';
import { type Shape, sameShape } from '../shape.ts';
import { composite, floating, logSoftmax } from './composite.ts';
import { apply, cast, constantLike, where } from './elementwise.ts';
import { fill } from './generate.ts';
import { checkIndex, gather } from './index.ts';
import { reduce } from './reduce.ts';
import { fold, mean } from './reduction.ts';
import { reshape } from './view.ts';

/** `batchmean` is the sum divided by the first axis. */
export type Reduction = 'none' | 'mean' | 'sum' | 'batchmean';

const sub = (a: Node, b: Node): Node => apply('sub', a, b);
const mul = (a: Node, b: Node): Node => apply('mul', a, b);
const without = (shape: Shape, axis: number): number[] => shape.filter((_, i) => i !== axis);

const reductions: Readonly<Record<Reduction, (losses: Node) => Node>> = {
  none: (losses) => losses,
  mean: (losses) => mean(losses, undefined, false),
  sum: (losses) => fold('sum', losses, undefined, false),
  batchmean: (losses) => {
    const sum = fold('sum', losses, undefined, false);
    return apply('div', sum, constantLike(sum, losses.shape[0] ?? 1));
  },
};

/** Losses as one number, or as they are. */
export function reduceLosses(losses: Node, reduction: Reduction): Node {
  return reductions[reduction](losses);
}

/** Both operands floating and of one shape: losses do not broadcast, since that is nearly always a mistake. */
export function matching(op: string, input: Node, target: Node): [Node, Node] {
  if (!sameShape(input.shape, target.shape)) {
    const axis = input.shape.findIndex((extent, i) => extent !== target.shape[i]);
    throw new ShapeError(
      `${op}: the input ${printShape(input.shape)} and the target ${printShape(target.shape)} differ${axis < 0 ? ' in rank' : ` (axis ${axis})`}`,
      'losses do not broadcast; expand one first',
    );
  }
  return [floating(input), floating(target)];
}

/** The axis that holds classes: the second, or the only one. */
const classAxis = (x: Node): number => (x.shape.length === 1 ? 0 : 1);

/** The element of `x` along `axis` that `target` names. */
function pick(x: Node, target: Node, axis: number): Node {
  const column = reshape(target, [...target.shape.slice(0, axis), 1, ...target.shape.slice(axis)]);
  return reshape(gather(x, column, axis), without(x.shape, axis));
}

/** -Σ target · logSoftmax(logits) along an axis, for classes by index or by probability. */
const crossEntropyOp = composite<{ axis: number; labelSmoothing: number }>({
  name: 'crossEntropy',
  shape: ([logits], { axis }) => without((logits as Node).shape, axis),
  define: (inputs, { axis, labelSmoothing }) => {
    const [logits, target] = inputs as [Node, Node];
    const logProbabilities = logSoftmax([logits], { axis });
    const sum = (x: Node): Node => reshape(reduce('sum', x, [axis]), without(x.shape, axis));
    const own = dtypes[target.dtype].floating
      ? sum(mul(target, logProbabilities))
      : pick(logProbabilities, target, axis);
    if (labelSmoothing === 0) return apply('neg', own);
    const classes = logits.shape[axis] as number;
    const even = sum(logProbabilities);
    return apply(
      'neg',
      apply(
        'add',
        mul(own, constantLike(own, 1 - labelSmoothing)),
        mul(even, constantLike(even, labelSmoothing / classes)),
      ),
    );
  },
});

function checkClasses(op: string, input: Node, target: Node, axis: number): void {
  if (input.shape.length === 0)
    throw new ShapeError(`${op}: the input [] has no axis of classes`, 'it is [batch, classes, ...]');
  if (target.dtype === 'bool')
    throw new DTypeError(`${op}: the target has dtype bool`, 'use i32 class indices or f32 probabilities');
  const wanted = without(input.shape, axis);
  if (sameShape(target.shape, wanted)) return;
  throw new ShapeError(
    `${op}: the input ${printShape(input.shape)} has classes along axis ${axis}, and the target is ${printShape(target.shape)}`,
    `class indices have shape ${printShape(wanted)}`,
  );
}

/** Losses where the target is not `ignored`, and 0 elsewhere; the mean is over those that count. */
function ignoring(
  op: string,
  input: Node,
  target: Node,
  axis: number,
  ignored: number | undefined,
  reduction: Reduction,
  losses: (target: Node) => Node,
): Node {
  if (ignored === undefined) {
    checkIndex(op, target, input.shape[axis] as number, axis);
    return reduceLosses(losses(target), reduction);
  }
  const counts = apply('ne', target, fill([], ignored, 'i32'));
  const all = losses(where(counts, target, constantLike(target, 0)));
  const kept = where(counts, all, constantLike(all, 0));
  if (reduction !== 'mean') return reduceLosses(kept, reduction);
  return apply('div', reduceLosses(kept, 'sum'), cast(fold('sum', counts, undefined, false), kept.dtype));
}

export interface ClassLossOptions {
  /** `mean` if absent. */
  readonly reduction?: Reduction;
  /** Targets of this value count for nothing; none if absent. */
  readonly ignoreIndex?: number;
}

export interface CrossEntropyOptions extends ClassLossOptions {
  /** The share of the target that is spread evenly over all classes; 0 if absent. */
  readonly labelSmoothing?: number;
}

export function crossEntropy(logits: Node, target: Node, options: CrossEntropyOptions): Node {
  const { reduction = 'mean', labelSmoothing = 0, ignoreIndex } = options;
  const real = floating(logits);
  const axis = classAxis(real);
  const loss = (wanted: Node): Node => crossEntropyOp([real, wanted], { axis, labelSmoothing });
  if (!dtypes[target.dtype].floating) {
    checkClasses('crossEntropy', real, target, axis);
    return ignoring('crossEntropy', real, target, axis, ignoreIndex, reduction, loss);
  }
  matching('crossEntropy', real, target);
  const losses = loss(target);
  return reduceLosses(losses, reduction);
}

/** -input at the target's class, for log-probabilities. */
export function nllLoss(input: Node, target: Node, { reduction = 'mean', ignoreIndex }: ClassLossOptions): Node {
  const axis = classAxis(input);
  checkClasses('nllLoss', input, target, axis);
  return ignoring('nllLoss', input, target, axis, ignoreIndex, reduction, (wanted) =>
    apply('neg', pick(floating(input), wanted, axis)),
  );
}

/** target · (log target - input), which is 0 where the target is 0. */
const klDivergenceOp = composite<{ logTarget: boolean }>({
  name: 'klDivergence',
  define: (inputs, { logTarget }) => {
    const [input, target] = inputs as [Node, Node];
    if (logTarget) return mul(apply('exp', target), sub(target, input));
    const zero = constantLike(target, 0);
    const empty = apply('eq', target, zero);
    // The logarithm is never taken of 0, so that the gradient stays finite there too.
    const safe = where(empty, constantLike(target, 1), target);
    return sub(mul(target, apply('log', safe)), mul(target, input));
  },
});

export interface KlDivergenceOptions {
  /** `mean` (over elements) if absent, as in PyTorch; `batchmean` is the divergence of the mathematics. */
  readonly reduction?: Reduction;
  /** Whether the target holds log-probabilities too; no if absent. */
  readonly logTarget?: boolean;
}

export function klDivergence(input: Node, target: Node, options: KlDivergenceOptions): Node {
  const { reduction = 'mean', logTarget = false } = options;
  return reduceLosses(klDivergenceOp(matching('klDivergence', input, target), { logTarget }), reduction);
}

export function mseLoss(input: Node, target: Node, reduction: Reduction): Node {
  const [x, y] = matching('mseLoss', input, target);
  return reduceLosses(apply('square', sub(x, y)), reduction);
}

export function l1Loss(input: Node, target: Node, reduction: Reduction): Node {
  const [x, y] = matching('l1Loss', input, target);
  return reduceLosses(apply('abs', sub(x, y)), reduction);
}

/** d²/2 up to |d| = delta, and delta · (|d| - delta/2) beyond. */
export function huberLoss(input: Node, target: Node, delta: number, reduction: Reduction): Node {
  const [x, y] = matching('huberLoss', input, target);
  const difference = sub(x, y);
  const distance = apply('abs', difference);
  // Not of the distance, whose slope at 0 would make the curvature there 0.
  const near = mul(apply('square', difference), constantLike(x, 0.5));
  const far = mul(constantLike(x, delta), sub(distance, constantLike(x, delta / 2)));
  return reduceLosses(where(apply('le', distance, constantLike(x, delta)), near, far), reduction);
}

/** (1 - t) · x + (1 + (w - 1) · t) · log(1 + e^-x), with w the weight of positive targets. */
export function binaryCrossEntropyWithLogits(
  logits: Node,
  target: Node,
  positiveWeight: Node | undefined,
  reduction: Reduction,
): Node {
  const [x, t] = matching('binaryCrossEntropyWithLogits', logits, target);
  const one = constantLike(x, 1);
  const rest = apply('softplus', apply('neg', x));
  const weighted = positiveWeight ? mul(apply('add', one, mul(sub(positiveWeight, one), t)), rest) : rest;
  return reduceLosses(apply('add', mul(sub(one, t), x), weighted), reduction);
}
