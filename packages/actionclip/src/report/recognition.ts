/** Classified videos as one HTML page that stands alone: bars, frames with the curves below them, timelines. */
import { writeFileAtomically } from '../checkpoints/atomic-file.ts';
import { bestLabels, bestOverTime, windowRuns } from '../recognize/timeline.ts';
import type { Classification, VideoOutcome } from '../recognize/types.ts';
import { renderCurves } from './curves.ts';
import type { ReportImage } from './data.ts';
import { color, renderFrameCurves } from './frame-curves.ts';
import { dataUri, encodeFrame } from './frames.ts';
import { type Html, html } from './html.ts';
import { renderPage } from './page.ts';
import { RECOGNITION_STYLE } from './recognition-style.ts';

/** A video of the page: what is left of its outcome when the frames have become small pictures. */
export type RecognizedVideo =
  | { readonly path: string; readonly error: string }
  | {
      readonly path: string;
      readonly classification: Classification;
      /** Places of the labels that are shown, best first. */
      readonly shown: readonly number[];
      readonly pictures: readonly { readonly time: number; readonly image: ReportImage }[];
    };

/** What the page says of the model and the labels: names with their values. */
export type RecognitionFacts = readonly (readonly [name: string, value: string])[];

const MOST_PICTURES = 8;
const PICTURE_WIDTH = 200;
const MOST_CURVES = 4;
/** Parts into which the timeline's strip is cut. */
const STRIP_PARTS = 480;

/** @param top How many labels are shown. */
export async function recognizedVideo(outcome: VideoOutcome, top: number): Promise<RecognizedVideo> {
  const { path } = outcome;
  if ('error' in outcome) return { path, error: outcome.error.message };
  const { classification } = outcome;
  const { sampled } = classification;
  const count = Math.min(MOST_PICTURES, sampled.length);
  const chosen = Array.from({ length: count }, (_, i) => sampled[Math.floor(((i + 0.5) * sampled.length) / count)]);
  const pictures = await Promise.all(
    chosen
      .filter((frame) => frame !== undefined)
      .map(async ({ time, image: { data, width, height } }) => ({
        time,
        image: await encodeFrame(new Uint8Array(data.buffer, data.byteOffset, data.length), {
          width,
          height,
          shownWidth: PICTURE_WIDTH,
        }),
      })),
  );
  // The page needs of the frames no more than their small pictures: the full ones of many videos would fill the memory.
  const blank = { width: 0, height: 0, data: new Uint8Array(0) };
  const lean = { ...classification, sampled: sampled.map((frame) => ({ ...frame, image: blank })) };
  return { path, classification: lean, shown: bestLabels(classification.probabilities, top), pictures };
}

/** The whole page. */
export function renderRecognition(videos: readonly RecognizedVideo[], facts: RecognitionFacts): string {
  const title = videos.length === 1 ? (videos[0]?.path ?? '') : `${videos.length} videos`;
  const rows = facts.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`);
  const body = html`<h1>${title}</h1>
${videos.map((video) => renderVideo(video, videos.length > 1))}
<h2>How this was computed</h2>
<div class="scroll"><table><tbody>${rows}</tbody></table></div>`;
  return renderPage(title, body, RECOGNITION_STYLE);
}

/** Writes the page atomically; folders on the way are made. */
export async function writeRecognition(
  path: string,
  videos: readonly RecognizedVideo[],
  facts: RecognitionFacts,
): Promise<void> {
  await writeFileAtomically(path, renderRecognition(videos, facts));
}

function renderVideo(video: RecognizedVideo, hasHeading: boolean): Html {
  const heading = hasHeading ? html`<h2>${video.path}</h2>` : undefined;
  if ('error' in video) return html`${heading}<p class="wrong">${video.error}</p>`;
  const { classification, shown, pictures } = video;
  const { frames, duration, windows } = classification;
  const count = windows.length > 1 ? `, ${windows.length} windows` : '';
  return html`${heading}<p class="subtitle">${frames} ${frames === 1 ? 'frame' : 'frames'}, ${duration.toFixed(1)} s${count}</p>
${renderBars(classification, shown)}
<div class="film">
<div class="frames" style="grid-template-columns:repeat(${Math.max(1, pictures.length)},1fr)">${pictures.map(
    ({ time, image }) =>
      html`<figure><img src="${dataUri(image)}" alt="frame at ${time.toFixed(1)} s"><figcaption>${clock(time)}</figcaption></figure>`,
  )}</div>
${renderSimilarities(classification, shown.slice(0, MOST_CURVES))}
</div>
${windows.length > 1 ? renderTimeline(classification, shown) : undefined}`;
}

const percent = (probability: number): string => `${(probability * 100).toFixed(1)} %`;

function renderBars({ labels, probabilities }: Classification, shown: readonly number[]): Html {
  const rest = labels.length - shown.length;
  const restSum = Math.max(0, 1 - shown.reduce((sum, index) => sum + (probabilities[index] ?? 0), 0));
  const rows = shown.map((index, place) => bar(labels[index] ?? '', probabilities[index] ?? 0, color(place)));
  return html`<ol class="bars">${rows}${rest > 0 ? bar(`${rest} ${rest === 1 ? 'other' : 'others'}`, restSum, 'var(--muted)') : undefined}</ol>`;
}

const bar = (label: string, probability: number, fill: string): Html =>
  html`<li><span class="name">${label}</span><span class="track"><span class="bar" style="width:${Math.min(100, probability * 100).toFixed(2)}%;background:${fill}"></span></span><span class="percent">${percent(probability)}</span></li>`;

/** Curves across the whole width, each value below its frame. */
function renderSimilarities({ labels, sampled }: Classification, shown: readonly number[]): Html | undefined {
  return renderFrameCurves(
    shown.map((index) => ({
      name: labels[index] ?? '',
      values: sampled.map(({ similarities }) => similarities[index] ?? Number.NaN),
    })),
  );
}

function renderTimeline(classification: Classification, shown: readonly number[]): Html {
  const { labels, windows, duration } = classification;
  const runs = windowRuns(windows);
  const places = new Map(
    [...new Set([...shown, ...runs.map(({ label }) => label)])].map((label, place) => [label, place]),
  );
  const fill = (label: number | undefined): string => (label === undefined ? 'none' : color(places.get(label)));
  const segments = joined(bestOverTime(windows, duration, STRIP_PARTS)).map(
    ({ value, length }) =>
      html`<span style="flex:${length};background:${fill(value)}" title="${value === undefined ? 'no window' : (labels[value] ?? '')}"></span>`,
  );
  const rows = runs.map(
    ({ start, end, label, probability, windows: count }) =>
      html`<tr><td class="number">${clock(start)}–${clock(end)}</td><td><span class="swatch" style="background:${fill(label)}"></span>${labels[label]}</td><td class="number">${percent(probability)}</td><td class="number">${count}</td></tr>`,
  );
  const drawn = [...places.keys()].slice(0, MOST_CURVES);
  const series = drawn.map((index) => ({
    name: labels[index] ?? '',
    points: windows.map(({ start, end, probabilities }) => ({ x: (start + end) / 2, y: probabilities[index] ?? 0 })),
  }));
  return html`<h3>Timeline</h3>
<div class="timeline">${segments}</div>
<p class="ends"><span>${clock(0)}</span><span>${clock(duration)}</span></p>
<div class="windows"><div class="scroll"><table><thead><tr><th scope="col" class="number">Time</th><th scope="col">Best label</th><th scope="col" class="number">Probability</th><th scope="col" class="number">Windows</th></tr></thead><tbody>${rows}</tbody></table></div>
${renderCurves({ title: 'Probability over time', xLabel: 'seconds', yLabel: 'probability', series, percent: true })}</div>`;
}

/** Runs of equal values with their lengths. */
function joined<T>(values: readonly T[]): { value: T; length: number }[] {
  const runs: { value: T; length: number }[] = [];
  for (const value of values) {
    const last = runs.at(-1);
    if (last !== undefined && last.value === value) last.length += 1;
    else runs.push({ value, length: 1 });
  }
  return runs;
}

/** `m:ss.s` */
function clock(seconds: number): string {
  const tenths = Math.round(seconds * 10);
  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, '0')}.${tenths % 10}`;
}
