/** Curves as inline SVG, drawn by Observable Plot on a document without a browser. */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { CurveChart, CurveSeries } from './data.ts';
import { Html, html } from './html.ts';

const WIDTH = 290;
const HEIGHT = 210;
/** More points than this cannot be told apart at this width. */
const MAXIMUM_POINTS = 400;
/** Series of few points show each of them. */
const MOST_DOTS = 40;
/** Series differ by dashes as well as by colour. */
const DASHES = ['none', '6 3', '2 3', '8 3 2 3'] as const;
const COLORS = 4;

/** A chart with its title and a legend where there are several series. */
export function renderCurves(chart: CurveChart): Html {
  const named = chart.series.map((series, index) => ({ ...series, index }));
  return html`<figure class="chart">
<figcaption>${chart.title}</figcaption>
${drawChart(chart)}
${named.length > 1 ? html`<ul class="legend">${named.map(({ name, index }) => legendEntry(name, index))}</ul>` : undefined}
</figure>
`;
}

function legendEntry(name: string, index: number): Html {
  return html`<li><svg width="26" height="10" aria-hidden="true"><line x1="0" x2="26" y1="5" y2="5" stroke="${color(index)}" stroke-width="2" stroke-dasharray="${dash(index)}"/></svg>${name}</li>`;
}

function color(index: number): string {
  return `var(--series-${(index % COLORS) + 1})`;
}

function dash(index: number): string {
  return DASHES[index % DASHES.length] ?? 'none';
}

function drawChart(chart: CurveChart): Html {
  const { title, xLabel, xDomain, yLabel, series, percent = false, logarithmic = false } = chart;
  const scale = percent ? 100 : 1;
  // A logarithmic axis has no place for zero and below; gaps are what Plot makes of NaN.
  const value = (y: number): number => (logarithmic && y <= 0 ? Number.NaN : y * scale);
  const marks = series.flatMap(({ points }, index) => {
    const place = { x: 'x', y: ({ y }: { y: number }) => value(y) };
    const style = { stroke: color(index), strokeWidth: 1.75, strokeDasharray: dash(index) };
    const line = Plot.line(thin(points), { ...place, ...style });
    return points.length > MOST_DOTS ? [line] : [line, Plot.dot(points, { ...place, fill: color(index), r: 2.5 })];
  });
  const hasPoints = series.some(({ points }) => points.some(({ y }) => Number.isFinite(value(y))));
  if (!hasPoints) return html`<p class="empty">No values yet.</p>`;
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const svg = Plot.plot({
    document: document as unknown as Document,
    width: WIDTH,
    height: HEIGHT,
    marginLeft: 46,
    marginBottom: 38,
    style: { background: 'none', color: 'inherit', fontSize: '11px', fontFamily: 'inherit' },
    x: { label: xLabel, ticks: 5, labelArrow: 'none', ...(xDomain === undefined ? {} : { domain: [...xDomain] }) },
    y: {
      label: percent ? `${yLabel} (%)` : yLabel,
      labelArrow: 'none',
      ticks: 5,
      grid: true,
      ...(percent ? { domain: [0, 100] } : { nice: true, zero: !logarithmic }),
      ...(logarithmic ? { type: 'log' as const, tickFormat: '~g' } : {}),
    },
    marks,
  });
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  // The name stands on an element of ours: the document's serialiser leaves `<` in attributes as it is.
  return html`<div role="img" aria-label="${title}">${new Html(svg.outerHTML)}</div>`;
}

/** At most 400 points: each stands for the mean of its neighbours. */
export function thin(points: CurveSeries['points']): { x: number; y: number }[] {
  const size = Math.ceil(points.length / MAXIMUM_POINTS);
  if (size <= 1) return [...points];
  return Array.from({ length: Math.ceil(points.length / size) }, (_, bucket) => {
    const part = points.slice(bucket * size, (bucket + 1) * size);
    const mean = (pick: (point: { x: number; y: number }) => number): number =>
      part.reduce((sum, point) => sum + pick(point), 0) / part.length;
    return { x: mean(({ x }) => x), y: mean(({ y }) => y) };
  });
}
