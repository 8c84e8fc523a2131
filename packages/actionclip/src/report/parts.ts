/** Parts that pages on runs have in common: the figures that matter, tables, and what was run and on what. */
import { ReportError, type ReportTable, type RunDescription, type SummaryFigure } from './data.ts';
import { type Html, html } from './html.ts';

/** Figures in large type; nothing where there are none. */
export function renderSummary(summary: readonly SummaryFigure[]): Html | undefined {
  if (summary.length === 0) return undefined;
  const figures = summary.map(
    ({ label, value, note }) =>
      html`<div><dt>${label}</dt><dd class="value">${value}</dd>${note === undefined ? undefined : html`<dd class="note">${note}</dd>`}</div>`,
  );
  return html`<dl class="summary">${figures}</dl>`;
}

/** @throws ReportError where a row does not fit the headings. */
export function renderTable({ title, note, columns, rows }: ReportTable): Html {
  rows.forEach((row, index) => {
    if (row.length !== columns.length) {
      throw new ReportError(
        `Row ${index} of the table "${title}" has ${row.length} cells for ${columns.length} columns`,
        'give every row a cell for each column',
      );
    }
  });
  const isNumber = columns.map((_, column) => rows.length > 0 && rows.every((row) => isNumeric(row[column])));
  const kind = (column: number): string => (isNumber[column] ? 'number' : 'text');
  const head = columns.map((name, column) => html`<th scope="col" class="${kind(column)}">${name}</th>`);
  const body = rows.map(
    (row) => html`<tr>${row.map((cell, column) => html`<td class="${kind(column)}">${cell}</td>`)}</tr>`,
  );
  return html`<h2>${title}</h2>
<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>
${note === undefined ? undefined : html`<p class="note">${note}</p>`}
`;
}

/** Numbers, and texts that begin as one: `94.2 %`, `12.1 ± 0.4`, `–`. */
function isNumeric(cell: string | number | undefined): boolean {
  return typeof cell === 'number' || (cell !== undefined && /^([-+−]?\d|–$)/.test(cell));
}

/** The end of a page: what was run and on what, and the configuration to be unfolded. */
export function renderRun({ facts, configuration }: RunDescription): Html {
  const rows = facts.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`);
  return html`<h2>What was run, and on what</h2>
<div class="scroll"><table><tbody>${rows}</tbody></table></div>
${configuration === undefined ? undefined : html`<details><summary>Configuration</summary><pre>${configuration}</pre></details>`}`;
}
