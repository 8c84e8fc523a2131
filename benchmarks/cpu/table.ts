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

export const label = ({ name, threads }: Outcome): string => `${name} ${threads}T`;

function timedLine({ milliseconds, resident, ratio, runs }: Timed, cost: Cost | undefined): string {
  const { lower, median, upper } = milliseconds;
  const rate = cost && rateOf(cost, median);
  return [
    `${digits(median).padStart(8)} ms`,
    `(${digits(lower)} .. ${digits(upper)}, ${runs} runs)`.padEnd(32),
    (rate ? `${digits(rate.value).padStart(7)} ${rate.unit}` : '').padEnd(16),
    `${(resident / 2 ** 20).toFixed(0).padStart(6)} MB`,
    ratio === undefined ? '' : `  ${ratio.toFixed(2)} x our time`,
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

/** All cases: rows are cases, columns are contenders, cells are rates (milliseconds where the work has no rate). */
export function overview(results: readonly CaseResult[]): string[] {
  const columns = [...new Set(results.flatMap(({ outcomes }) => outcomes.map(label)))];
  const rows = results.map(({ name, cost, outcomes }) => {
    const cells = columns.map((column) => {
      const outcome = outcomes.find((entry) => label(entry) === column);
      if (!outcome || !isTimed(outcome)) return '';
      const { median } = outcome.milliseconds;
      return digits(cost ? rateOf(cost, median).value : median);
    });
    return [name, cost ? ('flops' in cost ? 'GFLOP/s' : 'GB/s') : 'ms', ...cells];
  });
  return grid([['case', '', ...columns], ...rows]);
}
