/**
 * The gradients of fused attention in two dispatches, each sum in its own order and without atomics. First every
 * query's thread walks the keys twice: for the statistics of its weights, and for the query's gradient. Then every
 * key's thread walks the queries, for the gradient of the key in one workgroup and of the value in another: together
 * their rows would not fit into registers.
 */
import type { AttentionKernel, MatrixUse } from '../../../compile/attention-kernel.ts';
import type { Target } from '../target.ts';
import { indented, type Shader } from '../wgsl.ts';
import { AttentionText, floatParameter, inverseOf, lowest, pointsOf } from './matrices.ts';
import {
  addRows,
  declareStaged,
  dotRows,
  eachOf,
  foldStep,
  hidePast,
  loadRow,
  maskScores,
  numberRows,
  overTiles,
  stageRows,
  storeRow,
  weighStep,
  zeroRow,
} from './rows.ts';
import type { FusedSchedule } from './schedule.ts';

/** Bytes of the statistics: for every query the largest score, 1 / sum of weights, and the weighted mean of slopes. */
export const statisticsBytes = (kernel: AttentionKernel): number => 16 * pointsOf(kernel) * kernel.queries;

interface Operands {
  readonly q: MatrixUse;
  readonly k: MatrixUse;
  readonly v: MatrixUse;
  readonly gradient: MatrixUse;
  readonly masks: readonly MatrixUse[];
}

const operandsOf = ({ q, k, v, mask, gradient, name }: AttentionKernel): Operands => {
  if (!gradient) throw new Error(`webgpu: '${name}' has no gradient to go back from`);
  return { q, k, v, gradient, masks: mask ? [mask] : [] };
};

export function backwardShaders(kernel: AttentionKernel, target: Target, schedule: FusedSchedule): Shader[] {
  return [queriesShader(kernel, target, schedule), keysShader(kernel, target, schedule)];
}

function queriesShader(kernel: AttentionKernel, target: Target, schedule: FusedSchedule): Shader {
  const { width, valueWidth } = kernel;
  const { q, k, v, gradient, masks } = operandsOf(kernel);
  const [ofQueries] = kernel.results as readonly [MatrixUse];
  const { rows } = schedule;
  const text = new AttentionText(
    kernel,
    target,
    {
      inputs: [q, k, v, gradient, ...masks],
      results: [ofQueries],
      scratch: [{ scratch: 0, writable: true, vectors: true }],
    },
    true,
  );
  const { shader, queries, keys } = text;
  const blocks = Math.ceil(kernel.queries / rows);
  const located = text.locate('point');
  const query = { name: 'query', vectors: width / 4 };
  const output = { name: 'output', vectors: valueWidth / 4 };
  const changes = { name: 'changes', vectors: width / 4 };
  const stagedKeys = { name: 'staged_keys', vectors: width / 4 };
  const stagedValues = { name: 'staged_values', vectors: valueWidth / 4 };
  for (const staged of [stagedKeys, stagedValues]) declareStaged(text, staged, schedule);
  const blockCount = shader.parameter(blocks);
  const scale = floatParameter(shader, kernel.scale);
  const stage = [
    ...stageRows(stagedKeys, text.input(k), 'first', keys, schedule),
    ...stageRows(stagedValues, text.input(v), 'first', keys, schedule),
  ];
  const step = [
    ...numberRows('key', keys, schedule),
    ...dotRows('score', query, stagedKeys, schedule),
    ...dotRows('slope', output, stagedValues, schedule),
    ...maskScores(text, 'own', 'key#', schedule),
    ...hidePast(keys, schedule),
  ];
  const lines = [
    `if (group >= ${shader.parameter(blocks * pointsOf(kernel))}) { return; }`,
    `let block = group % ${blockCount};`,
    `let point = group / ${blockCount};`,
    ...located,
    `let own = min(block * ${rows} + lane, ${queries} - 1);`,
    ...loadRow(query, text.input(q), 'own', scale),
    ...loadRow(output, text.input(gradient), 'own'),
    `let end = ${kernel.causal ? `min(${keys}, (block + 1) * ${rows})` : keys};`,
    `var most = ${lowest};`,
    'var sum = 0.0;',
    'var mean = 0.0;',
    ...overTiles(schedule, '0', 'end', stage, [
      ...step,
      ...weighStep(schedule),
      `mean = fma(mean, correction, ${foldStep(schedule, 'weight# * slope#', (a, b) => `${a} + ${b}`)});`,
    ]),
    `let inverse = ${inverseOf('sum')};`,
    'mean *= inverse;',
    ...zeroRow(changes),
    ...overTiles(schedule, '0', 'end', stage, [
      ...step,
      // What is hidden has no gradient, even where the weights are no numbers.
      ...eachOf(schedule, (i) => [
        `let weight${i} = weight_of(score${i} - most) * inverse;`,
        `let change${i} = select(weight${i} * (slope${i} - mean), 0.0, past${i} || hidden${i});`,
      ]),
      ...addRows(changes, 'change', stagedKeys, schedule),
    ]),
    `if (block * ${rows} + lane < ${queries}) {`,
    ...indented([
      ...storeRow(changes, text.result(ofQueries), 'own', scale),
      `scratch0[point * ${queries} + own] = vec4f(most, inverse, mean, 0.0);`,
    ]),
    '}',
  ];
  return shader.shader(`${kernel.name} queries`, lines, rows, blocks * pointsOf(kernel));
}

function keysShader(kernel: AttentionKernel, target: Target, schedule: FusedSchedule): Shader {
  const { width, valueWidth } = kernel;
  const { q, k, v, gradient, masks } = operandsOf(kernel);
  const [, ofKeys, ofValues] = kernel.results as readonly [MatrixUse, MatrixUse, MatrixUse];
  const { rows, tile } = schedule;
  const text = new AttentionText(
    kernel,
    target,
    {
      inputs: [q, k, v, gradient, ...masks],
      results: [ofKeys, ofValues],
      scratch: [{ scratch: 0, writable: false, vectors: true }],
    },
    true,
  );
  const { shader, queries, keys } = text;
  const blocks = Math.ceil(kernel.keys / rows);
  const located = text.locate('point');
  const key = { name: 'key', vectors: width / 4 };
  const value = { name: 'value', vectors: valueWidth / 4 };
  const changes = { name: 'changes', vectors: width / 4 };
  const mixed = { name: 'mixed', vectors: valueWidth / 4 };
  const stagedQueries = { name: 'staged_queries', vectors: width / 4 };
  const stagedOutputs = { name: 'staged_outputs', vectors: valueWidth / 4 };
  for (const staged of [stagedQueries, stagedOutputs]) declareStaged(text, staged, schedule);
  const blockCount = shader.parameter(blocks);
  const scale = floatParameter(shader, kernel.scale);
  const stage = [
    ...stageRows(stagedQueries, text.input(q), 'first', queries, schedule),
    ...stageRows(stagedOutputs, text.input(gradient), 'first', queries, schedule),
  ];
  const weigh = [
    ...numberRows('query', queries, schedule),
    ...dotRows('score', key, stagedQueries, schedule),
    ...maskScores(text, 'query#', 'own', schedule),
    ...hidePast(queries, schedule),
    // A query that may look nowhere has no numbers for weights: they go to every key's value.
    ...eachOf(schedule, (i) => [
      `let of_query${i} = scratch0[point * ${queries} + query${i}];`,
      `let weight${i} = select(weight_of(score${i} - of_query${i}.x) * of_query${i}.y, 0.0, past${i});`,
    ]),
  ];
  const exists = `if (block * ${rows} + lane < ${keys}) {`;
  const lines = [
    `if (group >= ${shader.parameter(2 * blocks * pointsOf(kernel))}) { return; }`,
    `let block = (group >> 1u) % ${blockCount};`,
    `let point = (group >> 1u) / ${blockCount};`,
    ...located,
    `let own = min(block * ${rows} + lane, ${keys} - 1);`,
    ...loadRow(key, text.input(k), 'own', scale),
    // With a mask a query may look nowhere, and counts for all keys then.
    `let begin = ${kernel.causal && !kernel.mask ? `block * ${rows} / ${tile} * ${tile}` : '0'};`,
    'if ((group & 1) == 0) {',
    ...indented([
      ...zeroRow(mixed),
      ...overTiles(schedule, 'begin', queries, stage, [...weigh, ...addRows(mixed, 'weight', stagedOutputs, schedule)]),
      exists,
      ...indented(storeRow(mixed, text.result(ofValues), 'own')),
      '}',
    ]),
    '} else {',
    ...indented([
      ...loadRow(value, text.input(v), 'own'),
      ...zeroRow(changes),
      ...overTiles(schedule, 'begin', queries, stage, [
        ...weigh,
        ...dotRows('slope', value, stagedOutputs, schedule),
        ...eachOf(schedule, (i) => [
          `let change${i} = select(weight${i} * (slope${i} - of_query${i}.z), 0.0, past${i} || hidden${i});`,
        ]),
        ...addRows(changes, 'change', stagedQueries, schedule),
      ]),
      exists,
      ...indented(storeRow(changes, text.result(ofKeys), 'own', scale)),
      '}',
    ]),
    '}',
  ];
  return shader.shader(`${kernel.name} keys`, lines, rows, 2 * blocks * pointsOf(kernel));
}
