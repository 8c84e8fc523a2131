/** Similarities of the frames of a clip to a few labels: curves below the frames, each value below its own. */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { FrameSimilarity } from './data.ts';
import { Html, html } from './html.ts';

const CURVE_HEIGHT = 96;
/** More values than this are drawn without dots. */
const MOST_DOTS = 16;
const COLORS = 4;

/** Labels beyond the colours there are stay grey: two of one colour could not be told apart. */
export const color = (place: number | undefined): string =>
  place !== undefined && place < COLORS ? `var(--series-${place + 1})` : 'var(--muted)';

/** Curves across the whole width with a legend; nothing where there are fewer than two frames. */
export function renderFrameCurves(curves: readonly FrameSimilarity[]): Html | undefined {
  const frames = curves[0]?.values.length ?? 0;
  if (frames < 2) return undefined;
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const marks = curves.flatMap(({ values }, place) => {
    const points = values.map((y, at) => ({ x: at + 0.5, y }));
    const stroke = color(place);
    const line = Plot.line(points, { x: 'x', y: 'y', stroke, strokeWidth: 1.75 });
    return frames > MOST_DOTS ? [line] : [line, Plot.dot(points, { x: 'x', y: 'y', fill: stroke, r: 3 })];
  });
  const svg = Plot.plot({
    document: document as unknown as Document,
    width: 940,
    height: CURVE_HEIGHT,
    margin: 6,
    marginLeft: 0,
    marginRight: 0,
    style: { background: 'none', color: 'inherit', overflow: 'visible' },
    x: { axis: null, domain: [0, frames] },
    y: { axis: null, nice: false },
    marks,
  });
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  const all = curves.flatMap(({ values }) => values);
  const range = `${Math.min(...all).toFixed(3)} to ${Math.max(...all).toFixed(3)}`;
  const legend = curves.map(
    ({ name }, place) => html`<li><span class="swatch" style="background:${color(place)}"></span>${name}</li>`,
  );
  return html`<div class="similarities" role="img" aria-label="similarity of each frame to the best labels">${new Html(svg.outerHTML)}</div>
<ul class="legend">${legend}<li class="note">cosine of each frame with the label, ${range}</li></ul>`;
}
