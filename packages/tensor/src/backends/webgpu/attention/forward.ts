/**
 * Fused attention: each thread has one query and its result in registers, and walks the keys and values, which its
 * workgroup stages tile by tile. The softmax runs along: sums so far are corrected when a larger score comes.
 */
import type { AttentionKernel, MatrixUse } from '../../../compile/attention-kernel.ts';
import type { Target } from '../target.ts';
import { indented, type Shader } from '../wgsl.ts';
import { AttentionText, floatParameter, inverseOf, lowest, pointsOf } from './matrices.ts';
import {
  addRows,
  declareStaged,
  dotRows,
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

export function forwardShader(kernel: AttentionKernel, target: Target, schedule: FusedSchedule): Shader {
  const { q, k, v, mask, width, valueWidth, causal } = kernel;
  const [result] = kernel.results as readonly [MatrixUse];
  const { rows } = schedule;
  const text = new AttentionText(
    kernel,
    target,
    { inputs: [q, k, v, ...(mask ? [mask] : [])], results: [result] },
    true,
  );
  const { shader, queries, keys } = text;
  const blocks = Math.ceil(kernel.queries / rows);
  const located = text.locate('point');
  const query = { name: 'query', vectors: width / 4 };
  const mixed = { name: 'mixed', vectors: valueWidth / 4 };
  const stagedKeys = { name: 'staged_keys', vectors: width / 4 };
  const stagedValues = { name: 'staged_values', vectors: valueWidth / 4 };
  for (const staged of [stagedKeys, stagedValues]) declareStaged(text, staged, schedule);
  const blockCount = shader.parameter(blocks);
  const lines = [
    `if (group >= ${shader.parameter(blocks * pointsOf(kernel))}) { return; }`,
    `let block = group % ${blockCount};`,
    `let point = group / ${blockCount};`,
    ...located,
    `let own = min(block * ${rows} + lane, ${queries} - 1);`,
    ...loadRow(query, text.input(q), 'own', floatParameter(shader, kernel.scale)),
    ...zeroRow(mixed),
    `var most = ${lowest};`,
    'var sum = 0.0;',
    `let end = ${causal ? `min(${keys}, (block + 1) * ${rows})` : keys};`,
    ...overTiles(
      schedule,
      '0',
      'end',
      [
        ...stageRows(stagedKeys, text.input(k), 'first', keys, schedule),
        ...stageRows(stagedValues, text.input(v), 'first', keys, schedule),
      ],
      [
        ...numberRows('key', keys, schedule),
        ...dotRows('score', query, stagedKeys, schedule),
        ...maskScores(text, 'own', 'key#', schedule),
        ...hidePast(keys, schedule),
        ...weighStep(schedule),
        ...Array.from({ length: mixed.vectors }, (_, d) => `mixed${d} *= correction;`),
        ...addRows(mixed, 'weight', stagedValues, schedule),
      ],
    ),
    `if (block * ${rows} + lane < ${queries}) {`,
    ...indented([`let inverse = ${inverseOf('sum')};`, ...storeRow(mixed, text.result(result), 'own', 'inverse')]),
    '}',
  ];
  return shader.shader(kernel.name, lines, rows, blocks * pointsOf(kernel));
}
