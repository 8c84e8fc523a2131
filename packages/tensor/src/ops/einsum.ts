/**
 * Einstein sums: any equation is diagonals and sums within each operand, then products of two operands at a time, each
 * one batched matrix product between permutes and reshapes.
 */
import { printShape, ShapeError } from '../errors.ts';
import type { Node } from '../graph.ts';
import { sizeOf } from '../shape.ts';
import { matmul } from './contract.ts';
import { apply } from './elementwise.ts';
import { diagonal } from './rearrange.ts';
import { reduce } from './reduce.ts';
import { permute, reshape } from './view.ts';

/** An operand whose axes have names. */
interface Labelled {
  readonly node: Node;
  readonly labels: readonly string[];
}

interface Equation {
  readonly operands: readonly (readonly string[])[];
  readonly output: readonly string[];
}

const fail = (equation: string, why: string, hint = ''): never => {
  throw new ShapeError(`einsum '${equation}': ${why}`, hint);
};

/** The letters of one term; `...` becomes `count` labels that no letter can clash with, aligned at the last. */
function labelsOf(equation: string, term: string, count: number): string[] {
  const [before = '', after, ...more] = term.split('...');
  const letters = before + (after ?? '');
  if (more.length > 0 || /[^a-zA-Z]/.test(letters)) {
    fail(equation, `'${term}' is not a term`, "terms are letters and at most one '...'");
  }
  const middle = after === undefined ? [] : Array.from({ length: count }, (_, i) => `.${count - 1 - i}`);
  return [...before, ...middle, ...(after ?? '')];
}

/** Labels for the axes of every operand and of the output. */
function parse(equation: string, shapes: readonly (readonly number[])[]): Equation {
  const [left = '', right, ...more] = equation.replaceAll(/\s/g, '').split('->');
  if (more.length > 0) fail(equation, "there is more than one '->'");
  const terms = left.split(',');
  if (terms.length !== shapes.length) fail(equation, `${terms.length} terms for ${shapes.length} operands`);
  let widest = 0;
  const operands = terms.map((term, k) => {
    const shape = shapes[k] as readonly number[];
    const named = term.replace('...', '').length;
    const free = term.includes('...') ? shape.length - named : 0;
    const labels = labelsOf(equation, term, Math.max(0, free));
    if (free < 0 || labels.length !== shape.length)
      fail(equation, `'${term}' names ${named} axes, operand ${k} ${printShape(shape)} has ${shape.length}`);
    widest = Math.max(widest, free);
    return labels;
  });
  if (right !== undefined) {
    const output = labelsOf(equation, right, widest);
    const known = new Set(operands.flat());
    for (const label of output) {
      if (!known.has(label)) fail(equation, `the output's '${label}' is in no operand`);
    }
    if (new Set(output).size !== output.length) fail(equation, 'the output names one axis twice');
    return { operands, output };
  }
  const ellipsis = Array.from({ length: widest }, (_, i) => `.${widest - 1 - i}`);
  const counts = new Map<string, number>();
  for (const label of operands.flat()) counts.set(label, (counts.get(label) ?? 0) + 1);
  const once = [...counts].filter(([label, count]) => count === 1 && !label.startsWith('.')).map(([label]) => label);
  return { operands, output: [...ellipsis, ...once.sort()] };
}

/** The size of every label, with axes of size 1 giving way to longer ones. */
function sizesOf(equation: string, operands: readonly Labelled[]): Map<string, number> {
  const sizes = new Map<string, { size: number; operand: number; axis: number }>();
  operands.forEach(({ node, labels }, k) => {
    labels.forEach((label, i) => {
      const size = node.shape[i] as number;
      const known = sizes.get(label);
      if (known === undefined || known.size === 1) sizes.set(label, { size, operand: k, axis: i });
      else if (size !== 1 && size !== known.size) {
        const other = (operands[known.operand] as Labelled).node.shape;
        fail(
          equation,
          `'${label}' has size ${known.size} in operand ${known.operand} ${printShape(other)} (axis ${known.axis}) and ${size} in operand ${k} ${printShape(node.shape)} (axis ${i})`,
        );
      }
    });
  });
  return new Map([...sizes].map(([label, { size }]) => [label, size]));
}

const arrange = ({ node, labels }: Labelled, order: readonly string[]): Node =>
  permute(
    node,
    order.map((label) => labels.indexOf(label)),
  );

/** The sum over the labels that are not `kept`. */
function sumOut({ node, labels }: Labelled, kept: ReadonlySet<string>): Labelled {
  const axes = labels.flatMap((label, i) => (kept.has(label) ? [] : [i]));
  if (axes.length === 0) return { node, labels };
  const sum = reduce('sum', node, axes);
  return {
    node: reshape(
      sum,
      sum.shape.filter((_, i) => !axes.includes(i)),
    ),
    labels: labels.filter((label) => kept.has(label)),
  };
}

/** Axes that share a label within one operand become their diagonal. */
function takeDiagonals({ node, labels }: Labelled): Labelled {
  const first = labels.findIndex((label, i) => labels.indexOf(label) !== i);
  if (first < 0) return { node, labels };
  const twin = labels.indexOf(labels[first] as string);
  const rest = labels.flatMap((_, i) => (i === first || i === twin ? [] : [i]));
  const own = diagonal(permute(node, [...rest, twin, first]));
  return takeDiagonals({ node: own, labels: [...rest, twin].map((i) => labels[i] as string) });
}

/** Axes of size 1 whose label is longer elsewhere are dropped: the other operand's axis stands for both. */
function dropBroadcast({ node, labels }: Labelled, sizes: ReadonlyMap<string, number>): Labelled {
  const kept = labels.flatMap((label, i) => (node.shape[i] === sizes.get(label) ? [i] : []));
  return {
    node: reshape(
      node,
      kept.map((i) => node.shape[i] as number),
    ),
    labels: kept.map((i) => labels[i] as string),
  };
}

/** The product of two operands, summed over the labels that both have and nobody else wants. */
function multiply(a: Labelled, b: Labelled, kept: ReadonlySet<string>): Labelled {
  const left = sumOut(a, new Set([...kept, ...b.labels]));
  const right = sumOut(b, new Set([...kept, ...a.labels]));
  const shared = left.labels.filter((label) => right.labels.includes(label));
  const batch = shared.filter((label) => kept.has(label));
  const inner = shared.filter((label) => !kept.has(label));
  const rows = left.labels.filter((label) => !shared.includes(label));
  const columns = right.labels.filter((label) => !shared.includes(label));
  const x = arrange(left, [...batch, ...rows, ...inner]);
  const y = arrange(right, [...batch, ...inner, ...columns]);
  const batchShape = x.shape.slice(0, batch.length);
  const rowShape = x.shape.slice(batch.length, batch.length + rows.length);
  const columnShape = y.shape.slice(batch.length + inner.length);
  const labels = [...batch, ...rows, ...columns];
  const shape = [...batchShape, ...rowShape, ...columnShape];
  if (inner.length === 0) {
    const ones = (count: number): number[] => new Array<number>(count).fill(1);
    const spread = apply(
      'mul',
      reshape(x, [...batchShape, ...rowShape, ...ones(columns.length)]),
      reshape(y, [...batchShape, ...ones(rows.length), ...columnShape]),
    );
    return { node: spread, labels };
  }
  const [count, m, n] = [sizeOf(batchShape), sizeOf(rowShape), sizeOf(columnShape)];
  const k = sizeOf(y.shape.slice(batch.length, batch.length + inner.length));
  const lead = batch.length === 0 ? [] : [count];
  const product = matmul(reshape(x, [...lead, m, k]), reshape(y, [...lead, k, n]));
  return { node: reshape(product, shape), labels };
}

/**
 * The Einstein sum of `operands`. Terms are letters and at most one `...`; a letter repeated in a term takes the
 * diagonal; an omitted output holds the letters that occur once, in alphabetical order, after the ellipsis.
 */
export function einsum(equation: string, operands: readonly Node[]): Node {
  if (operands.length === 0) fail(equation, 'there are no operands');
  const parsed = parse(
    equation,
    operands.map(({ shape }) => shape),
  );
  const named = operands.map((node, k): Labelled => ({ node, labels: parsed.operands[k] as readonly string[] }));
  named.forEach(({ node, labels }, k) => {
    labels.forEach((label, i) => {
      const twin = labels.indexOf(label);
      if (node.shape[i] !== node.shape[twin])
        fail(equation, `axes ${twin} and ${i} of operand ${k} ${printShape(node.shape)} have no diagonal`);
    });
  });
  const sizes = sizesOf(equation, named);
  const ready = named.map((operand) => dropBroadcast(takeDiagonals(operand), sizes));
  let result = ready[0] as Labelled;
  for (let k = 1; k < ready.length; k++) {
    const later = ready.slice(k + 1).flatMap(({ labels }) => labels);
    result = multiply(result, ready[k] as Labelled, new Set([...parsed.output, ...later]));
  }
  return arrange(sumOut(result, new Set(parsed.output)), parsed.output);
}
