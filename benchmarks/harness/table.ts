/** Results as text: a case's contenders line by line, and all cases side by side. */
import { type CaseResult, isTimed, type Outcome, type Timed } from './measure.ts';
import type { Cost } from './work.ts';

const digits = (value: number): string => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);

export interface Rate {
  readonly value: number;
  readonly unit: 'GFLOP/s' | 'GB/s';
}

/** Work for each nanosecond. */
export function rateOf(cost: Cost, milliseconds: number): Rate {
  return 'flops' in cost
    ? { value: cost.flops / milliseconds / 1e6, unit: 'GFLOP/s' }
    : { value: cost.bytes / milliseconds / 1e6, unit: 'GB/s' };
}

export const label = ({ name, threads }: Outcome): string => (threads === 0 ? name : `${name} ${threads}T`);

function timedLine({ milliseconds, resident, ratio, runs, device }: Timed, cost: Cost | undefined): string {
  const { lower, median, upper } = milliseconds;
  const rate = cost && rateOf(cost, median);
  return [
    `${digits(median).padStart(8)} ms`,
    `(${digits(lower)} .. ${digits(upper)}, ${runs} runs)`.padEnd(32),
    (rate ? `${digits(rate.value).padStart(7)} ${rate.unit}` : '').padEnd(16),
    `${(resident / 2 ** 20).toFixed(0).padStart(6)} MB`,
    ratio === undefined ? '' : `  ${ratio.toFixed(2)} x our time`,
    device === undefined ? '' : `  ${digits(device)} ms by the device's clock`,
  ].join(' ');
}

/** A case: one line for each contender, with median and quartiles, rate, and memory of the process at its fullest. */
export function caseLines({ name, cost, outcomes }: CaseResult): string[] {
  const lines = outcomes.map((outcome) => {
    const text = isTimed(outcome)
      ? timedLine(outcome, cost)
      : 'absent' in outcome
        ? `       -    ${outcome.absent}`
        : `  FAILED    ${outcome.failed}`;
    return `  ${label(outcome).padEnd(20)} ${text}`;
  });
  return [name, ...lines];
}

const grid = (rows: readonly (readonly string[])[]): string[] => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[0] as number) : cell.padStart(widths[i] as number))).join('  '),
  );
};

const columnsOf = (results: readonly CaseResult[]): string[] => [
  ...new Set(results.flatMap(({ outcomes }) => outcomes.map(label))),
];

const cellOf = ({ outcomes }: CaseResult, column: string, text: (outcome: Timed) => string): string => {
  const outcome = outcomes.find((entry) => label(entry) === column);
  return outcome && isTimed(outcome) ? text(outcome) : '';
};

/** All cases by all contenders: rates, or milliseconds where the work has no rate. */
export function overview(results: readonly CaseResult[]): string[] {
  const columns = columnsOf(results);
  const rows = results.map((result) => {
    const { name, cost } = result;
    const cells = columns.map((column) =>
      cellOf(result, column, ({ milliseconds: { median } }) => digits(cost ? rateOf(cost, median).value : median)),
    );
    return [name, cost ? ('flops' in cost ? 'GFLOP/s' : 'GB/s') : 'ms', ...cells];
  });
  return grid([['rates', '', ...columns], ...rows]);
}

/** All cases by the peers: how many times as long as this engine with as many threads. */
export function comparison(results: readonly CaseResult[]): string[] {
  const compared = results.filter(({ outcomes }) => outcomes.some((outcome) => isTimed(outcome) && 'ratio' in outcome));
  const columns = columnsOf(compared).filter((column) =>
    compared.some((result) => cellOf(result, column, ({ ratio }) => (ratio === undefined ? '' : 'x')) !== ''),
  );
  const rows = compared.map((result) => [
    result.name,
    ...columns.map((column) => cellOf(result, column, ({ ratio }) => (ratio === undefined ? '' : ratio.toFixed(2)))),
  ]);
  return rows.length > 0 ? grid([['time / our time', ...columns], ...rows]) : [];
}
