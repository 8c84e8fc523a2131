/** A long video over time: which label fits best when, and the probabilities of the best ones in every window. */
import type { ScoreReport } from '../protocol.ts';
import { byId, clock, drawn, element, labelText, percent } from './dom.ts';
import { inPortions } from './portions.ts';

/** Labels that have a curve, each in a colour of its own. */
const shownLabels = 6;

export class Timeline {
  readonly #section = byId('timeline-section', HTMLElement);
  readonly #plot = byId('timeline', HTMLElement);
  readonly #seek: (seconds: number) => void;
  #stop = (): void => {};

  /** @param seek Shows a moment of the video. */
  constructor(seek: (seconds: number) => void) {
    this.#seek = seek;
  }

  hide(): void {
    this.#stop();
    this.#section.hidden = true;
  }

  show(report: ScoreReport, duration: number): void {
    this.#section.hidden = report.windows.length < 2;
    if (this.#section.hidden) return;
    const best = labelsOf(report);
    const list = element('ol', { class: 'runs', attributes: { 'aria-label': 'Best label over time' } });
    this.#stop();
    this.#stop = inPortions(this.#runs(list, report, duration, best));
    this.#plot.replaceChildren(
      list,
      ...best.map((label, series) => lane(report, duration, label, series)),
      element(
        'div',
        { class: 'time-scale', attributes: { 'aria-hidden': 'true' } },
        ...[0, 0.5, 1].map((part) => element('span', {}, clock(part * duration))),
      ),
    );
  }

  /** Fills a strip with buttons, one for each run of windows with the same best label. */
  *#runs(
    list: HTMLOListElement,
    { runs, labels }: ScoreReport,
    duration: number,
    best: readonly number[],
  ): Generator<void> {
    const borders = runs.map(({ start }, at) => (at === 0 ? 0 : (start + (runs[at - 1]?.end ?? start)) / 2));
    for (const [at, { label, probability }] of runs.entries()) {
      const [start, end] = [borders[at] ?? 0, borders[at + 1] ?? duration];
      const name = labels[label] ?? '';
      const button = element(
        'button',
        {
          class: `run ${seriesClass(best.indexOf(label))}`,
          attributes: {
            type: 'button',
            'aria-label': `${clock(start)} to ${clock(end)}: ${name}, ${percent(probability)}`,
          },
          onClick: () => this.#seek(start),
        },
        element('span', {}, labelText(name)),
      );
      button.style.setProperty('--start', String(start / duration));
      button.style.setProperty('--length', String((end - start) / duration));
      button.title = `${name}, ${percent(probability)}`;
      list.append(element('li', {}, button));
      yield;
    }
  }
}

const seriesClass = (series: number): string => (series < 0 ? 'series-other' : `series-${series + 1}`);

/** The labels with a curve: those that are best for longest, in the order of time. */
function labelsOf({ runs }: ScoreReport): number[] {
  const windowsOf = new Map<number, number>();
  for (const { label, windows: count } of runs) windowsOf.set(label, (windowsOf.get(label) ?? 0) + count);
  const longest = [...windowsOf].sort(([, a], [, b]) => b - a).slice(0, shownLabels);
  return [...windowsOf.keys()].filter((label) => longest.some(([kept]) => kept === label));
}

/** The probability of one label in every window, as a curve over the windows' middles. */
function lane(report: ScoreReport, duration: number, label: number, series: number): HTMLElement {
  const points = report.windows.map(({ start, end, probabilities }) => {
    const x = (100 * (start + end)) / (2 * duration);
    return [x, 100 - 100 * (probabilities[label] ?? 0)] as const;
  });
  // The first and the last window speak for the video's ends, too.
  const ends = [[0, points[0]?.[1] ?? 100] as const, [100, points.at(-1)?.[1] ?? 100] as const] as const;
  const line = [ends[0], ...points, ends[1]].map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(' ');
  const highest = Math.max(...report.windows.map(({ probabilities }) => probabilities[label] ?? 0));
  const name = report.labels[label] ?? '';
  return element(
    'figure',
    { class: `lane ${seriesClass(series)}` },
    element('figcaption', {}, element('span', {}, labelText(name)), ` up to ${percent(highest)}`),
    wrapped(
      drawn(
        'svg',
        { viewBox: '0 0 100 100', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
        drawn('polygon', { points: `0,100 ${line} 100,100` }),
        drawn('polyline', { points: line }),
      ),
    ),
  );
}

const wrapped = (drawing: SVGElement): HTMLElement => element('div', { class: 'lane-plot' }, drawing);
