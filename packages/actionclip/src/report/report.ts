/** The report of a run as one HTML page that stands alone: no scripts, no network, images and styles inside. */
import { writeFileAtomically } from '../checkpoints/atomic-file.ts';
import { renderConfusion } from './confusion.ts';
import { renderCurves } from './curves.ts';
import type { Filmstrip, ReportData } from './data.ts';
import { isRight, renderFilmstrip } from './filmstrips.ts';
import { type Html, html } from './html.ts';
import { renderPage } from './page.ts';
import { renderRun, renderSummary, renderTable } from './parts.ts';

/**
 * The whole page.
 * @throws ReportError where a table's rows or the confusion matrix do not fit their headings.
 */
export function renderReport(data: ReportData): string {
  const wrong = data.clips.filter((clip) => !isRight(clip));
  const right = data.clips.filter(isRight);
  const body = html`<h1>${data.title}</h1>
${data.subtitle === undefined ? undefined : html`<p class="subtitle">${data.subtitle}</p>`}
${renderSummary(data.summary)}
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

function renderStrips(title: string, clips: readonly Filmstrip[]): Html | undefined {
  if (clips.length === 0) return undefined;
  const notes = [
    'The most certain first.',
    ...(clips.some(({ attention }) => attention !== undefined)
      ? ['Below its frames are the same ones, lit where the class token of the image tower attends.']
      : []),
  ];
  return html`<h2>${title}</h2><p class="note">${notes.join(' ')}</p><div class="strips">${clips.map(renderFilmstrip)}</div>`;
}
