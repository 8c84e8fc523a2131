/**
 * Matrix products without workgroup memory: every thread loads what it multiplies itself, and keeps a few rows of four
 * neighbouring columns in registers. For devices on which caches serve neighbouring threads as fast as workgroup memory
 * does, or on which that memory is as slow as any: processors, and some integrated graphics.
 */

import type { Contraction } from '../../../compile/kernel.ts';
import { add, axis, constant, type Expr, input, mul, substitute } from '../../../expr/expr.ts';
import type { KernelShaders } from '../kernels.ts';
import type { Target } from '../target.ts';
import { components, lanes, vectorBindingOf, vectorForm, vectorPosition } from '../vectors.ts';
import { axesOf, bindCoordinates, product, Scope, ShaderText } from '../wgsl.ts';
import { accessOf, type FactorAccess } from './access.ts';
import { sizesOf } from './contraction.ts';
import { declareFinish } from './epilogue.ts';
import { fitsWords } from './schedules.ts';
import type { GemmVariant } from './variant.ts';

export interface DirectSchedule {
  readonly kind: 'direct';
  /** Rows of a thread: a multiple of 4. */
  readonly rows: number;
  /** Threads of a workgroup along the columns and along the rows. */
  readonly across: number;
  readonly down: number;
}

const schedules: readonly DirectSchedule[] = [
  { kind: 'direct', rows: 4, across: 8, down: 8 },
  { kind: 'direct', rows: 8, across: 8, down: 8 },
];

/** Loop variables of this file: those of kernels and of vectors stay below. */
const [ownPositions, stepPosition] = [256, 512];

/** One factor as a thread sees it: `count` neighbours along its own axis, at a few steps of the sum. */
interface Side {
  readonly factor: Expr;
  readonly access: FactorAccess;
  /** Its own axis, and the axis of the sum. */
  readonly free: number;
  readonly sum: number;
  readonly extent: number;
  readonly size: string;
  /** The first neighbour, a text, and how many there are. */
  readonly first: string;
  readonly count: number;
  /** Position of the first loop variable that stands for a neighbour. */
  readonly position: number;
}

/** The one shader of a product. */
function shaders(kernel: Contraction, target: Target, { rows, across, down }: DirectSchedule): KernelShaders {
  const { batch, m, n, k } = sizesOf(kernel);
  const access = accessOf(kernel, target, kernel.outputs, []);
  const shader = new ShaderText(kernel.inputs, access.bindings);
  const rank = kernel.shape.length;
  const [tilesM, tilesN] = [Math.ceil(m / (rows * down)), Math.ceil(n / (lanes * across))];
  const workgroups = product(batch) * tilesM * tilesN;
  const size = { m: shader.parameter(m), n: shader.parameter(n), k: shader.parameter(k) };
  const [wide, tall] = [shader.parameter(tilesN), shader.parameter(tilesM)];
  const root = new Scope(shader);
  root.lines.push(
    `if (group >= ${shader.parameter(workgroups)}) { return; }`,
    `let batch = group / (${wide} * ${tall});`,
    `let row = (((group / ${wide}) % ${tall}) * ${down} + lane / ${across}) * ${rows};`,
    `let column = ((group % ${wide}) * ${across} + lane % ${across}) * ${lanes};`,
  );
  bindCoordinates(shader, root, 'batch', batch, axesOf([...kernel.reduce.factors]));
  const [left, right] = kernel.reduce.factors;
  const common = { sum: rank };
  const sides: readonly [Side, Side] = [
    {
      ...common,
      factor: left,
      access: access.factors[0],
      free: rank - 2,
      extent: m,
      size: size.m,
      first: 'row',
      count: rows,
      position: ownPositions,
    },
    {
      ...common,
      factor: right,
      access: access.factors[1],
      free: rank - 1,
      extent: n,
      size: size.n,
      first: 'column',
      count: lanes,
      position: ownPositions + rows,
    },
  ];
  for (const side of sides) bindNeighbours(root, side);
  for (let i = 0; i < rows; i++) root.lines.push(`var sum${i} = vec4f();`);

  // Steps are taken four at a time where they are whole vectors.
  const steps = k % lanes === 0 ? lanes : 1;
  const loop = new Scope(shader, root);
  loop.bindAxis(steps === lanes ? vectorPosition(rank) : rank, 'step');
  const stepTerms = Array.from({ length: steps }, (_, s): Expr => {
    if (steps === 1) return axis(rank, k);
    return add(mul(axis(vectorPosition(rank), k / lanes), constant(lanes, 'i32')), constant(s, 'i32'));
  });
  const [a, b] = sides.map((side, i) =>
    elements(side, stepTerms, shader, target, loop, kernel, stepPosition + 128 * i),
  );
  for (let s = 0; s < steps; s++) {
    const columns = Array.from({ length: lanes }, (_, j) => b?.[j]?.[s]).join(', ');
    loop.lines.push(`let b${s} = vec4f(${columns});`);
    for (let i = 0; i < rows; i++) loop.lines.push(`sum${i} = fma(vec4f(${a?.[i]?.[s]}), b${s}, sum${i});`);
  }
  root.nest(`for (var step = 0; step < ${shader.parameter(k / steps)}; step++)`, loop);
  declareFinish(kernel, shader, target, access, size);
  for (let i = 0; i < rows; i++) root.lines.push(`finish(batch, row + ${i}, column, sum${i});`);
  return { shaders: [shader.shader(kernel.name, root.lines, across * down, workgroups)] };
}

/** Names the neighbours of a side, or the vectors that they lie in; those past the end stand for the last one. */
function bindNeighbours(root: Scope, { access, size, first, count, position }: Side): void {
  const vectors = access.vectors === 'free';
  for (let i = 0; i < (vectors ? count / lanes : count); i++) {
    const name = `${first}_${i}`;
    const last = vectors ? `${size} / ${lanes} - 1` : `${size} - 1`;
    root.lines.push(`let ${name} = min(${vectors ? `${first} / ${lanes}` : first} + ${i}, ${last});`);
    root.bindAxis(position + i, name);
  }
}

/** The side's elements at every neighbour and step: names in `loop`. `known` numbers terms for what is loaded. */
function elements(
  side: Side,
  steps: readonly Expr[],
  shader: ShaderText,
  target: Target,
  loop: Scope,
  kernel: Contraction,
  known: number,
): string[][] {
  const { factor, access, free, sum, extent, count, position } = side;
  const { vectors, loads } = access;
  let loaded = known * lanes;
  /** What stands for the loads in `lane` of the vectors at a neighbour and step: each vector is loaded once. */
  const vectorsAt = (own: Expr, step: Expr | undefined): ReadonlyMap<Expr, readonly Expr[]> => {
    const found = new Map<Expr, readonly Expr[]>();
    for (const [load, number] of loads) {
      const use = kernel.inputs[load.value];
      if (!use) continue;
      const place = substitute(number, (leaf) => {
        if (leaf.op !== 'axis') return undefined;
        if (leaf.value === (vectors === 'free' ? vectorPosition(free) : free)) return own;
        return leaf.value === sum ? step : undefined;
      });
      const name = shader.name();
      loop.lines.push(`let ${name} = ${vectorBindingOf(use, shader.bindings).name}[${loop.emit(place)}];`);
      const parts = vectorForm(use.dtype, target).unpack(name);
      found.set(
        load,
        parts.map((part) => {
          const term = input(loaded++, load.type);
          loop.bindTerm(term, part);
          return term;
        }),
      );
    }
    return found;
  };
  const element = (own: Expr, step: Expr, lane: number, found: ReadonlyMap<Expr, readonly Expr[]>): string =>
    loop.emit(
      substitute(factor, (leaf) => {
        if (leaf.op === 'load') return found.get(leaf)?.[lane];
        if (leaf.op !== 'axis') return undefined;
        return leaf.value === free ? own : leaf.value === sum ? step : undefined;
      }),
    );
  if (vectors === 'free') {
    const groups = Array.from({ length: count / lanes }, (_, g) => {
      const own = axis(position + g, extent / lanes);
      return steps.map((step) => {
        const found = vectorsAt(own, step);
        return components.map((_, lane) =>
          element(add(mul(own, constant(lanes, 'i32')), constant(lane, 'i32')), step, lane, found),
        );
      });
    });
    return groups.flatMap((atSteps) => components.map((_, lane) => atSteps.map((own) => own[lane] as string)));
  }
  return Array.from({ length: count }, (_, i) => {
    const own = axis(position + i, extent);
    const found = vectorsAt(own, undefined);
    return steps.map((step, lane) => element(own, step, lane, found));
  });
}

/** Matrix products without workgroup memory: any factors, any device. */
export const direct: GemmVariant<DirectSchedule> = {
  candidates: (kernel, target) => (fitsWords(kernel, target) ? schedules : []),
  shaders,
};
