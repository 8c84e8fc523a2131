/** The confusion matrix as a heat map in inline SVG, shaded by the share of each true class. */
import { type ConfusionData, ReportError } from './data.ts';
import { type Html, html } from './html.ts';

/** Names and counts are printed up to this many classes; above, only the shades would be legible. */
const NAMED_CLASSES = 60;
const COUNTED_CLASSES = 32;
const MATRIX_WIDTH = 640;
const LARGEST_CELL = 44;
const NAME_LENGTH = 30;
/** Width of an average character of the labels, in pixels at 11 px. */
const CHARACTER = 5.9;
/** Above this share the shade is dark enough to need light text. */
const DARK_SHARE = 0.55;

/**
 * Rows are true classes, columns predictions.
 * @throws ReportError where the counts are no square of the labels.
 */
export function renderConfusion({ labels, counts, note }: ConfusionData): Html {
  const size = labels.length;
  if (counts.length !== size * size) {
    throw new ReportError(`${counts.length} counts for ${size} classes`, 'the matrix needs classes x classes counts');
  }
  const cell = Math.min(LARGEST_CELL, MATRIX_WIDTH / Math.max(1, size));
  const named = size <= NAMED_CLASSES;
  const names = labels.map(shorten);
  const margin = named ? Math.max(...names.map((name) => name.length), 4) * CHARACTER + 10 : 12;
  // Column names lean at 45 degrees, so they rise and reach to the right by the same length.
  const slant = named ? margin * Math.SQRT1_2 + 10 : 12;
  const width = margin + size * cell + slant;
  const height = slant + size * cell + 4;
  const fontSize = Math.min(11, cell * 0.95);
  const rows = Array.from({ length: size }, (_, row) => row);
  return html`<figure class="confusion">
<svg viewBox="0 0 ${round(width)} ${round(height)}" width="${round(width)}" role="img" aria-label="Confusion matrix of ${size} classes">
<g font-size="${round(fontSize)}">${named ? rows.map((row) => axisNames(names[row] ?? '', row, { cell, margin, slant })) : undefined}</g>
<g transform="translate(${round(margin)} ${round(slant)})">
<rect class="frame" width="${round(size * cell)}" height="${round(size * cell)}"/>
${rows.map((row) => drawRow(row, { labels, counts, cell, counted: size <= COUNTED_CLASSES }))}
</g></svg>
<figcaption>Rows: true class. Columns: prediction. Shade: share of the true class. ${note}</figcaption>
</figure>
`;
}

function axisNames(name: string, index: number, place: { cell: number; margin: number; slant: number }): Html {
  const middle = (index + 0.5) * place.cell;
  const x = round(place.margin + middle);
  const y = round(place.slant - 6);
  return html`<text x="${round(place.margin - 6)}" y="${round(place.slant + middle)}" dy=".35em" text-anchor="end">${name}</text><text transform="translate(${x} ${y}) rotate(-45)" dy=".35em">${name}</text>`;
}

interface RowPlace {
  readonly labels: readonly string[];
  readonly counts: ArrayLike<number>;
  readonly cell: number;
  readonly counted: boolean;
}

function drawRow(row: number, { labels, counts, cell, counted }: RowPlace): Html {
  const size = labels.length;
  const values = labels.map((_, column) => counts[row * size + column] ?? 0);
  const total = values.reduce((a, b) => a + b, 0);
  const cells = values.flatMap((count, column) => {
    if (count === 0) return [];
    const share = count / total;
    const [x, y, side] = [column * cell, row * cell, Math.max(0.5, cell - 1)].map(round);
    const kind = column === row ? 'hit' : 'miss';
    const shade = round(0.12 + 0.88 * share);
    const title = `${labels[row]} → ${labels[column]}: ${count} of ${total} (${Math.round(share * 100)} %)`;
    const number = html`<text x="${round((column + 0.5) * cell)}" y="${round((row + 0.5) * cell)}" dy=".35em" class="${share > DARK_SHARE ? 'on-dark' : 'on-light'}">${count}</text>`;
    return [
      html`<g><title>${title}</title><rect class="${kind}" x="${x}" y="${y}" width="${side}" height="${side}" fill-opacity="${shade}"/>${counted ? number : undefined}</g>`,
    ];
  });
  return html`${cells}`;
}

function shorten(name: string): string {
  const characters = [...name];
  return characters.length <= NAME_LENGTH ? name : `${characters.slice(0, NAME_LENGTH - 1).join('')}…`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
