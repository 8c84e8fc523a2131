/**
 * Attention with all scores in scratch memory: products, softmax by rows, products. It takes every size; a gradient is
 * three dispatches, of which the first has both products that the softmax needs and the last all three results.
 */
import type { AttentionKernel, MatrixUse } from '../../../compile/attention-kernel.ts';
import type { KernelShaders } from '../kernels.ts';
import type { Target } from '../target.ts';
import { indented, product as productOf, type Shader } from '../wgsl.ts';
import { AttentionText, type Matrix, pointsOf, type Reached } from './matrices.ts';
import { declareStaging, type Factor, type Product, productLines, threadsOf, tilesOf } from './products.ts';
import type { MaterialisedSchedule } from './schedule.ts';
import { softmaxShader } from './softmax.ts';

/** Bytes of the scores of all points. */
export const scoreBytes = (kernel: AttentionKernel): number =>
  4 * productOf([...kernel.batch, kernel.queries, kernel.keys]);

/** A matrix with its rows along the free axis of a factor, or along the sum. */
const byRows = ({ binding, start, row }: Matrix): Factor => ({ name: binding.name, start, free: row, step: '1' });
const byColumns = ({ binding, start, row }: Matrix): Factor => ({ name: binding.name, start, free: '1', step: row });
const into = ({ binding, start, row }: Matrix): Product['result'] => ({ name: binding.name, start, row });

/** The shader of several products at every point, of which each has workgroups of its own. */
function productsShader(
  name: string,
  text: AttentionText,
  schedule: MaterialisedSchedule,
  products: readonly Product[],
  located: readonly string[],
): Shader {
  const { shader, kernel } = text;
  declareStaging(shader, schedule);
  const points = pointsOf(kernel);
  const lines: string[] = [];
  let workgroups = 0;
  for (const product of products) {
    const tiles = tilesOf(product, schedule);
    const first = shader.parameter(workgroups);
    workgroups += tiles * points;
    lines.push(
      `if (group >= ${first} && group < ${shader.parameter(workgroups)}) {`,
      `  let point = (group - ${first}) / ${shader.parameter(tiles)};`,
      `  let tile = (group - ${first}) % ${shader.parameter(tiles)};`,
      ...indented([...located, ...productLines(shader, product, schedule)]),
      '}',
    );
  }
  return shader.shader(name, lines, threadsOf(schedule), workgroups);
}

export function materialisedShaders(
  kernel: AttentionKernel,
  target: Target,
  schedule: MaterialisedSchedule,
): KernelShaders {
  const { queries, keys, width, valueWidth, scale, q, k, v, gradient, name } = kernel;
  // With a mask a query may look nowhere, and is no number then, whichever keys it would not have seen.
  const triangular = kernel.causal && kernel.mask === undefined;
  /** A shader of products, which `list` makes of the matrices at a point. */
  const shaderOf = (
    label: string,
    reached: Reached,
    list: (matrices: {
      readonly text: AttentionText;
      readonly read: (use: MatrixUse) => Matrix;
      readonly wrote: (use: MatrixUse) => Matrix;
      /** Scores or weights: their buffer, and the distances of neighbouring queries and keys. */
      readonly scores: (scratch: number) => { name: string; start: string; row: string };
    }) => readonly Product[],
  ): Shader => {
    const text = new AttentionText(kernel, target, reached);
    const located = text.locate('point');
    const perPoint = text.shader.parameter(queries * keys);
    const products = list({
      text,
      read: (use) => text.input(use),
      wrote: (use) => text.result(use),
      scores: (scratch) => ({ name: `scratch${scratch}`, start: `point * ${perPoint}`, row: text.keys }),
    });
    return productsShader(`${name} ${label}`, text, schedule, products, located);
  };

  const scores = shaderOf(
    'scores',
    {
      inputs: gradient ? [q, k, v, gradient] : [q, k],
      scratch: gradient ? [0, 1].map((scratch) => ({ scratch, writable: true })) : [{ scratch: 0, writable: true }],
    },
    ({ text, read, scores: at }) => {
      const size = { m: queries, n: keys };
      // No query of a tile sees the keys of a tile beyond its diagonal: such sums are left out.
      const to = (steps: number): Pick<Product, 'to'> =>
        triangular ? { to: `select(${text.shader.parameter(steps)}, 0, tile_n > tile_m + ${schedule.tileM - 1})` } : {};
      const ofScores = { ...size, k: width, left: byRows(read(q)), right: byRows(read(k)), scale, result: at(0) };
      if (!gradient) return [{ ...ofScores, ...to(width) }];
      const factors = { left: byRows(read(gradient)), right: byRows(read(v)) };
      const ofSlopes = { ...size, k: valueWidth, ...factors, scale: 1, result: at(1) };
      return [
        { ...ofScores, ...to(width) },
        { ...ofSlopes, ...to(valueWidth) },
      ];
    },
  );

  const rows = ({ name: buffer, start, row }: Product['result']): Factor => ({
    name: buffer,
    start,
    free: row,
    step: '1',
  });
  const columns = ({ name: buffer, start, row }: Product['result']): Factor => ({
    name: buffer,
    start,
    free: '1',
    step: row,
  });
  const untilDiagonal = (text: AttentionText): Pick<Product, 'to'> =>
    triangular ? { to: `min(${text.keys}, tile_m + ${schedule.tileM})` } : {};
  const results = gradient
    ? shaderOf(
        'results',
        {
          inputs: [q, k, gradient],
          results: kernel.results,
          scratch: [0, 1].map((scratch) => ({ scratch, writable: false })),
        },
        ({ text, read, wrote, scores: at }) => {
          const [ofQueries, ofKeys, ofValues] = kernel.results as readonly [MatrixUse, MatrixUse, MatrixUse];
          const fromDiagonal: Pick<Product, 'from'> = triangular ? { from: 'tile_m' } : {};
          const [weights, slopes] = [at(0), at(1)];
          const ofQuery = { left: rows(slopes), right: byColumns(read(k)), result: into(wrote(ofQueries)) };
          const ofKey = { left: columns(slopes), right: byColumns(read(q)), result: into(wrote(ofKeys)) };
          const ofValue = { left: columns(weights), right: byColumns(read(gradient)), result: into(wrote(ofValues)) };
          return [
            { m: queries, n: width, k: keys, ...ofQuery, scale, ...untilDiagonal(text) },
            { m: keys, n: width, k: queries, ...ofKey, scale, ...fromDiagonal },
            { m: keys, n: valueWidth, k: queries, ...ofValue, scale: 1, ...fromDiagonal },
          ];
        },
      )
    : shaderOf(
        'results',
        { inputs: [v], results: kernel.results, scratch: [{ scratch: 0, writable: false }] },
        ({ text, read, wrote, scores: at }) => [
          {
            m: queries,
            n: valueWidth,
            k: keys,
            left: rows(at(0)),
            right: byColumns(read(v)),
            scale: 1,
            result: into(wrote(kernel.results[0] as MatrixUse)),
            ...untilDiagonal(text),
          },
        ],
      );
  const bytes = scoreBytes(kernel);
  return {
    shaders: [scores, softmaxShader(kernel, target, schedule), results],
    scratch: gradient ? [bytes, bytes] : [bytes],
  };
}
