/**
 * The progress of training on one line: redrawn in place on a terminal, plain lines now and then where the output
 * is a pipe or a file.
 */
import { formatBytes } from '../byte-size.ts';
import type { MemoryUse } from './memory.ts';
import type { Pace } from './timing.ts';

export interface ProgressState extends Pace, MemoryUse {
  /** 1-based. */
  readonly epoch: number;
  readonly epochs: number;
  /** Steps done in this epoch. */
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly learningRate: number;
}

/** Work before the steps of a run. */
export interface PreparationState {
  /** What is done, in the plural: `clip views encoded`. */
  readonly what: string;
  readonly done: number;
  readonly total: number;
  readonly perSecond: number;
}

/** What is written to: `process.stderr`, or a fake. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface ProgressOptions {
  readonly stream: ProgressStream;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
  /** `NO_COLOR` and `TERM=dumb` are respected. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** Milliseconds between redraws on a terminal, and between lines in a pipe. */
const REDRAW_INTERVAL = 100;
const LINE_INTERVAL = 10_000;
const BAR_WIDTH = 20;
const LEAST_BAR = 6;
const DEFAULT_COLUMNS = 80;
const ERASE_LINE = '\r\x1b[2K';

/** A line on a terminal of so many columns. */
type Bar = (columns: number) => string;

/** Draws progress; `message` prints a line above the bar, `done` leaves the cursor on a fresh line. */
export class Progress {
  readonly #stream: ProgressStream;
  readonly #now: () => number;
  readonly #inPlace: boolean;
  readonly #color: boolean;
  #last = Number.NEGATIVE_INFINITY;
  /** Of work that goes on. */
  #bar: Bar | undefined;
  #drawn = false;

  constructor({ stream, now = () => performance.now(), environment = process.env }: ProgressOptions) {
    this.#stream = stream;
    this.#now = now;
    this.#inPlace = stream.isTTY === true && environment.TERM !== 'dumb';
    this.#color = this.#inPlace && !environment.NO_COLOR;
  }

  /** Shows a state, unless the last one was shown a moment ago; the end of an epoch is always shown. */
  update(state: ProgressState): void {
    const bar: Bar = (columns) => formatBar(state, columns, this.#color);
    this.#show(bar, () => formatProgress(state), state.step < state.steps);
  }

  /** The same for work before the steps. */
  preparation(state: PreparationState): void {
    const bar: Bar = (columns) => formatPreparationBar(state, columns, this.#color);
    this.#show(bar, () => formatPreparation(state), state.done < state.total);
  }

  #show(bar: Bar, line: () => string, goesOn: boolean): void {
    this.#bar = goesOn ? bar : undefined;
    const interval = this.#inPlace ? REDRAW_INTERVAL : LINE_INTERVAL;
    if (this.#now() - this.#last < interval && goesOn) return;
    this.#last = this.#now();
    if (this.#inPlace) this.#draw(bar);
    else this.#stream.write(`${line()}\n`);
  }

  /** A line of its own, which the bar does not overwrite. */
  message(text: string): void {
    if (this.#drawn) this.#stream.write(ERASE_LINE);
    this.#drawn = false;
    this.#stream.write(`${text}\n`);
    if (this.#inPlace && this.#bar !== undefined) this.#draw(this.#bar);
  }

  /** Ends the line of the bar; a later update begins another. */
  done(): void {
    if (this.#drawn) this.#stream.write('\n');
    this.#drawn = false;
    this.#bar = undefined;
  }

  #draw(bar: Bar): void {
    // The last column stays free: a full line would wrap on some terminals.
    const columns = (this.#stream.columns ?? DEFAULT_COLUMNS) - 1;
    this.#stream.write(`${ERASE_LINE}${bar(columns)}`);
    this.#drawn = true;
  }
}

/**
 * One plain line:
 * `epoch 3/50  step 120/1828  loss 1.234  lr 5.00e-6  85.3 clips/s  data wait 4%  left 1h 05m  memory 1.20 GB  device 310.5 MB`.
 */
export function formatProgress(state: ProgressState): string {
  return [`epoch ${state.epoch}/${state.epochs}`, `step ${state.step}/${state.steps}`, ...measures(state)].join('  ');
}

/** How a line of a terminal words the state, without a bar. Of the parts the last one may be left out. */
interface Wording {
  readonly place: (state: ProgressState) => readonly [epoch: string, step: string];
  readonly parts: (state: ProgressState) => readonly string[];
  readonly hasBar: boolean;
}

const inFull: Wording = {
  place: ({ epoch, epochs, step, steps }) => [`epoch ${epoch}/${epochs} `, `${step}/${steps}`],
  parts: (state) => {
    const [loss = '', rate = '', speed = '', wait = '', left = '', ...memory] = measures(state);
    // Time left matters most after the loss.
    return [loss, left, speed, rate, wait, ...memory];
  },
  hasBar: true,
};

const short: Wording = {
  ...inFull,
  parts: (state) => [
    ...inFull.parts(state).slice(0, 4),
    `wait ${percent(state.dataWait)}`,
    formatBytes(state.residentBytes),
    `device ${formatBytes(state.deviceBytes)}`,
  ],
};

const terse: Wording = {
  place: ({ epoch, epochs, step, steps }) => [`${epoch}/${epochs} `, `${step}/${steps}`],
  parts: (state) => [
    ...inFull.parts(state).slice(0, 2),
    `${formatNumber(state.clipsPerSecond)}/s`,
    `lr ${state.learningRate === 0 ? '0' : state.learningRate.toExponential(1)}`,
    ...short.parts(state).slice(4),
  ],
  hasBar: false,
};

/** From what says most to what needs least. */
const WORDINGS: readonly Wording[] = [inFull, short, { ...short, hasBar: false }, terse];

/**
 * The line of a terminal, in the first wording that has room for all but the memory of the device; the bar takes what
 * is left. On a terminal too narrow for any, measures are left out from the end: the loss and the time left stay longest.
 */
export function formatBar(state: ProgressState, columns: number, color = false): string {
  const fitting = WORDINGS.find((wording) => room(state, wording, columns, -1) >= (wording.hasBar ? LEAST_BAR + 1 : 0));
  if (fitting === undefined) return cutLine(state, columns);
  const least = fitting.hasBar ? LEAST_BAR + 1 : 0;
  const end = room(state, fitting, columns, undefined) >= least ? undefined : -1;
  const width = fitting.hasBar ? Math.min(BAR_WIDTH, room(state, fitting, columns, end) - 1) : 0;
  const [epoch, step] = fitting.place(state);
  const bar = width === 0 ? '' : `${barOf(state.step / Math.max(1, state.steps), color, width)} `;
  return `${epoch}${bar}${[step, ...fitting.parts(state).slice(0, end)].join('  ')}`;
}

/** Columns that are left beside the words up to `end`. */
const room = (state: ProgressState, { place, parts }: Wording, columns: number, end: number | undefined): number => {
  const [epoch, step] = place(state);
  return columns - epoch.length - [step, ...parts(state).slice(0, end)].join('  ').length;
};

/** As many measures as fit. */
function cutLine(state: ProgressState, columns: number): string {
  let line = terse.place(state).join('');
  for (const part of terse.parts(state)) {
    if (line.length + 2 + part.length > columns) break;
    line += `  ${part}`;
  }
  return line.slice(0, Math.max(0, columns));
}

/** One plain line: `clip views encoded 320/6480  85.3/s  left 1m 12s`. */
export const formatPreparation = (state: PreparationState): string =>
  [`${state.what} ${state.done}/${state.total}`, ...preparationPace(state)].join('  ');

/** The same with a bar; what does not fit is left out from the end. */
export function formatPreparationBar(state: PreparationState, columns: number, color = false): string {
  const head = `${state.what} `;
  const step = ` ${state.done}/${state.total}`;
  let shown = '';
  for (const part of preparationPace(state)) {
    if (head.length + BAR_WIDTH + step.length + shown.length + 2 + part.length > columns) break;
    shown += `  ${part}`;
  }
  if (head.length + BAR_WIDTH + step.length > columns) return `${head}${step.trim()}`.slice(0, Math.max(0, columns));
  return `${head}${barOf(state.done / Math.max(1, state.total), color)}${step}${shown}`;
}

const preparationPace = ({ done, total, perSecond }: PreparationState): string[] => [
  `${formatNumber(perSecond)}/s`,
  `left ${formatDuration((total - done) / perSecond)}`,
];

/** A bar of which a part, 0 to 1, is filled. */
function barOf(part: number, color: boolean, width: number = BAR_WIDTH): string {
  const filled = Math.round(width * Math.min(1, Math.max(0, part)));
  const [done, rest] = ['━'.repeat(filled), '─'.repeat(width - filled)];
  return color ? `\x1b[36m${done}\x1b[2m${rest}\x1b[0m` : done + rest;
}

function measures(state: ProgressState): string[] {
  return [
    `loss ${formatNumber(state.loss)}`,
    `lr ${formatRate(state.learningRate)}`,
    `${formatNumber(state.clipsPerSecond)} clips/s`,
    `data wait ${percent(state.dataWait)}`,
    `left ${formatDuration(state.secondsLeft)}`,
    `memory ${formatBytes(state.residentBytes)}`,
    `device ${formatBytes(state.deviceBytes)}`,
  ];
}

/** `4%` */
const percent = (part: number): string => `${Math.round(part * 100)}%`;

/** Four significant digits without an exponent where possible: `0.01234`, `85.3`, `1828`. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const magnitude = Math.abs(value);
  if (magnitude !== 0 && (magnitude < 1e-3 || magnitude >= 1e6)) return formatRate(value);
  const digits = magnitude >= 1000 ? 0 : magnitude >= 10 ? 1 : magnitude >= 0.1 || magnitude === 0 ? 3 : 5;
  return value.toFixed(digits);
}

/** `5.00e-6`; zero is `0`. */
export function formatRate(value: number): string {
  return value === 0 ? '0' : value.toExponential(2);
}

/** `42s`, `3m 05s`, `1h 05m`, `2d 03h`; `?` for what is not known yet. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '?';
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, '0');
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86_400)}d ${two(Math.floor((whole % 86_400) / 3600))}h`;
}
