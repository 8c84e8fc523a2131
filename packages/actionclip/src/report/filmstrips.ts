/** Filmstrips: the frames of a clip in a row, with the true label and the model's best guesses as bars. */
import type { Filmstrip } from './data.ts';
import { dataUri } from './frames.ts';
import { type Html, html } from './html.ts';

const SHOWN_PREDICTIONS = 3;

/** True where the first prediction is the label. */
export function isRight({ label, predictions }: Filmstrip): boolean {
  return predictions[0]?.label === label;
}

export function renderFilmstrip(strip: Filmstrip): Html {
  const verdict = isRight(strip)
    ? html`<span class="verdict right">right</span>`
    : html`<span class="verdict wrong">wrong</span>`;
  return html`<article class="strip">
<div class="frames" style="grid-template-columns:repeat(${Math.max(1, strip.frames.length)},1fr)">${strip.frames.map((frame, i) => html`<img src="${dataUri(frame)}" alt="frame ${i + 1} of ${strip.frames.length}">`)}</div>
<div class="verdicts"><p>${verdict} <strong>${strip.label}</strong>${strip.source === undefined ? undefined : html` <small>${strip.source}</small>`}</p>
<ol>${strip.predictions.slice(0, SHOWN_PREDICTIONS).map(({ label, probability }) => prediction(label, probability, label === strip.label))}</ol></div>
</article>
`;
}

function prediction(label: string, probability: number, isLabel: boolean): Html {
  const percent = Math.min(100, Math.max(0, probability * 100));
  return html`<li class="${isLabel ? 'true-label' : 'other-label'}"><span class="name">${label}</span><span class="track"><span class="bar" style="width:${percent.toFixed(1)}%"></span></span><span class="percent">${percent.toFixed(1)} %</span></li>`;
}
