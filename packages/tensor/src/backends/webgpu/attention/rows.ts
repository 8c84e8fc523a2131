/**
 * What the fused shaders of attention share: rows in named vectors of four, which stay in registers, rows of other
 * matrices staged in workgroup memory, and the scores of a few keys at a time.
 */
import { indented } from '../wgsl.ts';
import { type AttentionText, loadVector, type Matrix, minusInfinity, storeVector } from './matrices.ts';
import type { FusedSchedule } from './schedule.ts';

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** A row of a matrix in variables `${name}0`, `${name}1`, ... of four columns each. */
export interface Row {
  readonly name: string;
  readonly vectors: number;
}

/** The lines that load row `row` (an i32 text) of a matrix, times a number if one is given. */
export const loadRow = ({ name, vectors }: Row, matrix: Matrix, row: string, scale?: string): string[] => [
  `let ${name}_at = ${matrix.start} + ${row} * ${matrix.row};`,
  ...range(vectors).flatMap((d) => [
    `let ${name}_at${d} = ${name}_at + ${4 * d};`,
    `let ${name}${d} = ${loadVector(matrix, `${name}_at${d}`)}${scale === undefined ? '' : ` * ${scale}`};`,
  ]),
];

/** The lines that start a row of sums at zero. */
export const zeroRow = ({ name, vectors }: Row): string[] => range(vectors).map((d) => `var ${name}${d} = vec4f();`);

/** The lines that store a row, times `factor`, as row `row` of a matrix. */
export const storeRow = ({ name, vectors }: Row, matrix: Matrix, row: string, factor?: string): string[] => [
  `let ${name}_to = ${matrix.start} + ${row} * ${matrix.row};`,
  ...range(vectors).flatMap((d) => [
    `let ${name}_to${d} = ${name}_to + ${4 * d};`,
    `let ${name}_value${d} = ${name}${d}${factor === undefined ? '' : ` * ${factor}`};`,
    ...storeVector(matrix, `${name}_to${d}`, `${name}_value${d}`),
  ]),
];

/** Rows of a matrix from `first` on in workgroup memory: vector d of row r is `${name}[r * vectors + d]`. */
export interface Staged {
  readonly name: string;
  readonly vectors: number;
}

export const declareStaged = (text: AttentionText, { name, vectors }: Staged, { tile }: FusedSchedule): void =>
  text.shader.declare(`var<workgroup> ${name}: array<vec4f, ${tile * vectors}>;`);

/** The lines by which all threads stage a tile; rows past the end are the last one again. */
export const stageRows = (
  { name, vectors }: Staged,
  matrix: Matrix,
  first: string,
  count: string,
  { tile, rows }: FusedSchedule,
): string[] => [
  `for (var e = lane; e < ${tile * vectors}; e += ${rows}) {`,
  `  let at = ${matrix.start} + min(${first} + e / ${vectors}, ${count} - 1) * ${matrix.row} + (e % ${vectors}) * 4;`,
  `  ${name}[e] = ${loadVector(matrix, 'at')};`,
  '}',
];

/** The lines that name the product of a row with row `at + i` of a tile `${result}${i}`, for every i of a step. */
export const dotRows = (result: string, row: Row, { name, vectors }: Staged, { step }: FusedSchedule): string[] =>
  range(step).flatMap((i) => {
    const other = (d: number): string => `${name}[(at + ${i}) * ${vectors} + ${d}]`;
    const sum = `${result}${i}_sum`;
    return [
      `var ${sum} = ${row.name}0 * ${other(0)};`,
      ...range(vectors - 1).map((d) => `${sum} = fma(${row.name}${d + 1}, ${other(d + 1)}, ${sum});`),
      `var ${result}${i} = (${sum}.x + ${sum}.y) + (${sum}.z + ${sum}.w);`,
    ];
  });

/** The lines that add to a row of sums `${factor}${i}` times row `at + i` of a tile, for every i of a step. */
export const addRows = (sums: Row, factor: string, { name, vectors }: Staged, { step }: FusedSchedule): string[] =>
  range(step).flatMap((i) =>
    range(vectors).map(
      (d) =>
        `${sums.name}${d} = fma(vec4f(${factor}${i}), ${name}[(at + ${i}) * ${vectors} + ${d}], ${sums.name}${d});`,
    ),
  );

/** For every i of a step: lines. */
export const eachOf = ({ step }: FusedSchedule, lines: (i: number) => readonly string[]): string[] =>
  range(step).flatMap(lines);

/** A loop over the tiles from `from` to `end` (i32 texts): stage, then the steps of a tile that begin before the end. */
export const overTiles = (
  schedule: FusedSchedule,
  from: string,
  end: string,
  stage: readonly string[],
  body: readonly string[],
): string[] => [
  `for (var first = ${from}; first < ${end}; first += ${schedule.tile}) {`,
  ...indented([
    ...stage,
    'workgroupBarrier();',
    `for (var at = 0; at < ${schedule.tile} && first + at < ${end}; at += ${schedule.step}) {`,
    ...indented(body),
    '}',
    'workgroupBarrier();',
  ]),
  '}',
];

/** Names of row `at + i` of a tile of `count` rows in all: its number, the last one where it is past the end. */
export const numberRows = (name: string, count: string, schedule: FusedSchedule): string[] =>
  eachOf(schedule, (i) => [`let ${name}${i} = min(first + at + ${i}, ${count} - 1);`]);

/**
 * The lines that make the scores what the mask makes of them, and name \`hidden\${i}\` whether they are hidden. The
 * queries and keys are names, those that end in \`#\` with the number of the step.
 */
export const maskScores = (text: AttentionText, query: string, key: string, schedule: FusedSchedule): string[] =>
  eachOf(schedule, (i) => {
    const { added, hidden = 'false' } = text.masked(query.replace('#', `${i}`), key.replace('#', `${i}`));
    return [
      ...(added === undefined ? [] : [`score${i} += ${added};`]),
      `let hidden${i} = ${hidden};`,
      ...(hidden === 'false' ? [] : [`score${i} = select(score${i}, ${minusInfinity}, hidden${i});`]),
    ];
  });

/** The lines that hide the scores of rows past the end. */
export const hidePast = (count: string, schedule: FusedSchedule): string[] =>
  eachOf(schedule, (i) => [
    `let past${i} = first + at + ${i} >= ${count};`,
    `score${i} = select(score${i}, ${minusInfinity}, past${i});`,
  ]);

/** The term over all of a step. */
export const foldStep = ({ step }: FusedSchedule, name: string, join: (a: string, b: string) => string): string =>
  range(step)
    .map((i) => name.replaceAll('#', `${i}`))
    .reduce(join);

/**
 * The lines of the running softmax: \`most\` grows to \`top\`, the weights \`weight\${i}\` are relative to it, and sums so
 * far are to be multiplied by \`correction\`, as \`sum\` was.
 */
export const weighStep = (schedule: FusedSchedule): string[] => [
  `let top = max(most, ${foldStep(schedule, 'score#', (a, b) => `max(${a}, ${b})`)});`,
  'let correction = weight_of(most - top);',
  'most = top;',
  ...eachOf(schedule, (i) => [`let weight${i} = weight_of(score${i} - top);`]),
  `sum = fma(sum, correction, ${foldStep(schedule, 'weight#', (a, b) => `${a} + ${b}`)});`,
];
