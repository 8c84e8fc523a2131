/** The report of a run as one HTML page that stands alone: no scripts, no network, images and styles inside. */
import { writeFileAtomically } from '../checkpoints/atomic-file.ts';
import { renderConfusion } from './confusion.ts';
import { renderCurves } from './curves.ts';
import { type Filmstrip, type ReportData, ReportError, type ReportTable, type RunDescription } from './data.ts';
import { isRight, renderFilmstrip } from './filmstrips.ts';
import { type Html, html } from './html.ts';
import { renderPage } from './page.ts';

/**
 * The whole page.
 * @throws ReportError where a table's rows or the confusion matrix do not fit their headings.
 */
export function renderReport(data: ReportData): string {
  const wrong = data.clips.filter((clip) => !isRight(clip));
  const right = data.clips.filter(isRight);
  const body = html`<h1>${data.title}</h1>
${data.subtitle === undefined ? undefined : html`<p class="subtitle">${data.subtitle}</p>`}
${data.summary.length === 0 ? undefined : renderSummary(data)}
${data.curves.length === 0 ? undefined : html`<h2>Training</h2><div class="charts">${data.curves.map(renderCurves)}</div>`}
${data.tables.map(renderTable)}
${data.confusion === undefined ? undefined : html`<h2>Confusion matrix</h2>${renderConfusion(data.confusion)}`}
${renderStrips('Clips that were recognised', right)}
${renderStrips('Clips that were mistaken', wrong)}
${renderRun(data.run)}`;
  return renderPage(data.title, body);
}

/** Writes the page atomically; folders on the way are made. */
export async function writeReport(path: string, data: ReportData): Promise<void> {
  await writeFileAtomically(path, renderReport(data));
}

function renderSummary({ summary }: ReportData): Html {
  const figures = summary.map(
    ({ label, value, note }) =>
      html`<div><dt>${label}</dt><dd class="value">${value}</dd>${note === undefined ? undefined : html`<dd class="note">${note}</dd>`}</div>`,
  );
  return html`<dl class="summary">${figures}</dl>`;
}

function renderTable({ title, note, columns, rows }: ReportTable): Html {
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

function renderStrips(title: string, clips: readonly Filmstrip[]): Html | undefined {
  if (clips.length === 0) return undefined;
  return html`<h2>${title}</h2><div class="strips">${clips.map(renderFilmstrip)}</div>`;
}

function renderRun({ facts, configuration }: RunDescription): Html {
  const rows = facts.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`);
  return html`<h2>What was run, and on what</h2>
<div class="scroll"><table><tbody>${rows}</tbody></table></div>
${configuration === undefined ? undefined : html`<details><summary>Configuration</summary><pre>${configuration}</pre></details>`}`;
}
