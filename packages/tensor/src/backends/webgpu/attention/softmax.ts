/**
 * Scores in scratch memory made weights in place, a few threads for each row; backward, also the gradients of the
 * weights made those of the scores.
 */
import type { AttentionKernel } from '../../../compile/attention-kernel.ts';
import type { Target } from '../target.ts';
import { indented, type Shader } from '../wgsl.ts';
import { AttentionText, inverseOf, lowest, minusInfinity, pointsOf } from './matrices.ts';
import type { MaterialisedSchedule } from './schedule.ts';

/** Threads of a workgroup: several rows where few threads share one. */
const threads = 128;

/** Scratch 0 holds the scores and then the weights; with a gradient, scratch 1 theirs. All are [points, queries, keys]. */
export function softmaxShader(kernel: AttentionKernel, target: Target, { lanes }: MaterialisedSchedule): Shader {
  const backward = kernel.gradient !== undefined;
  const text = new AttentionText(kernel, target, {
    inputs: kernel.mask ? [kernel.mask] : [],
    scratch: backward ? [0, 1].map((scratch) => ({ scratch, writable: true })) : [{ scratch: 0, writable: true }],
  });
  const { shader, queries, keys } = text;
  const rows = pointsOf(kernel) * kernel.queries;
  const total = shader.parameter(rows);
  shader.declare(`var<workgroup> partial: array<vec2f, ${threads}>;`);
  const located = text.locate('point');
  const { added, hidden } = text.masked('query', 'key');
  const score = `scratch0[first + key]${added === undefined ? '' : ` + ${added}`}`;
  // Threads of rows past the end have no keys, but meet the others at every barrier.
  const overKeys = (body: readonly string[]): string[] => [
    `for (var key = lane % ${lanes}; key < count; key += ${lanes}) {`,
    ...indented(body),
    '}',
  ];
  const join = (value: string, joined: (a: string, b: string) => string): string[] => [
    `partial[lane] = ${value};`,
    'workgroupBarrier();',
    ...Array.from({ length: Math.log2(lanes) }, (_, i) => lanes >> (i + 1)).flatMap((half) => [
      `if (lane % ${lanes} < ${half}) { partial[lane] = ${joined('partial[lane]', `partial[lane + ${half}]`)}; }`,
      'workgroupBarrier();',
    ]),
  ];
  const lines = [
    `let own = group * ${threads / lanes} + lane / ${lanes};`,
    `let count = select(0, ${keys}, own < ${total});`,
    `let whole = min(own, ${total} - 1);`,
    `let query = whole % ${queries};`,
    `let point = whole / ${queries};`,
    ...located,
    `let first = whole * ${keys};`,
    `let leader = (lane / ${lanes}) * ${lanes};`,
    `var most = ${lowest};`,
    ...overKeys([
      `let score = ${score};`,
      `most = max(most, ${hidden === undefined ? 'score' : `select(score, ${minusInfinity}, ${hidden})`});`,
    ]),
    ...join('vec2f(most)', (a, b) => `max(${a}, ${b})`),
    'let top = partial[leader].x;',
    'workgroupBarrier();',
    'var sums = vec2f();',
    ...overKeys([
      `let score = ${score};`,
      `let weight = ${hidden === undefined ? 'weight_of(score - top)' : `select(weight_of(score - top), 0.0, ${hidden})`};`,
      `sums += weight * vec2f(1.0, ${backward ? 'scratch1[first + key]' : '0.0'});`,
      'scratch0[first + key] = weight;',
    ]),
    ...join('sums', (a, b) => `${a} + ${b}`),
    'let sum = partial[leader].x;',
    `let inverse = ${inverseOf('sum')};`,
    ...(backward ? ['let mean = partial[leader].y * inverse;'] : []),
    ...overKeys([
      'let weight = scratch0[first + key] * inverse;',
      'scratch0[first + key] = weight;',
      // A hidden score has no gradient, even where the weights are no numbers.
      ...(backward
        ? [
            'let slope = weight * (scratch1[first + key] - mean);',
            `scratch1[first + key] = ${hidden === undefined ? 'slope' : `select(slope, 0.0, ${hidden})`};`,
          ]
        : []),
    ]),
  ];
  return shader.shader(`${kernel.name} softmax`, lines, threads, Math.ceil(rows / (threads / lanes)));
}
