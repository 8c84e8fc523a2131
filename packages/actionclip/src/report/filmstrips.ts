/** Filmstrips: the frames of a clip in a row, with the true label and the model's best guesses as bars. */
import type { Filmstrip, ReportImage } from './data.ts';
import { renderFrameCurves } from './frame-curves.ts';
import { dataUri } from './frames.ts';
import { type Html, html } from './html.ts';

const SHOWN_PREDICTIONS = 3;

/** True where the first prediction is a label of the clip. */
export function isRight(strip: Filmstrip): boolean {
  return labelsOf(strip).includes(strip.predictions[0]?.label ?? '');
}

const labelsOf = ({ label, otherLabels = [] }: Filmstrip): readonly string[] => [label, ...otherLabels];

export function renderFilmstrip(strip: Filmstrip): Html {
  const verdict = isRight(strip)
    ? html`<span class="verdict right">right</span>`
    : html`<span class="verdict wrong">wrong</span>`;
  return html`<article class="strip">
<div>
${renderFrames(strip.frames, 'frame')}
${strip.attention === undefined ? undefined : renderFrames(strip.attention, 'attention in frame')}
${strip.similarities === undefined ? undefined : renderFrameCurves(strip.similarities)}
</div>
<div class="verdicts"><p>${verdict} <strong>${labelsOf(strip).join(', ')}</strong>${strip.source === undefined ? undefined : html` <small>${strip.source}</small>`}</p>
<ol>${strip.predictions.slice(0, SHOWN_PREDICTIONS).map(({ label, probability }) => prediction(label, probability, labelsOf(strip).includes(label)))}</ol></div>
</article>
`;
}

function renderFrames(frames: readonly ReportImage[], what: string): Html {
  return html`<div class="frames" style="grid-template-columns:repeat(${Math.max(1, frames.length)},1fr)">${frames.map((frame, i) => html`<img src="${dataUri(frame)}" alt="${what} ${i + 1} of ${frames.length}">`)}</div>`;
}

function prediction(label: string, probability: number, isLabel: boolean): Html {
  const percent = Math.min(100, Math.max(0, probability * 100));
  return html`<li class="${isLabel ? 'true-label' : 'other-label'}"><span class="name">${label}</span><span class="track"><span class="bar" style="width:${percent.toFixed(1)}%"></span></span><span class="percent">${percent.toFixed(1)} %</span></li>`;
}
