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

/** The line of a terminal: a bar between epoch and measures; measures that do not fit are left out from the end. */
export function formatBar(state: ProgressState, columns: number, color = false): string {
  const head = `epoch ${state.epoch}/${state.epochs} `;
  const step = ` ${state.step}/${state.steps}`;
  // Time left matters most after the loss, so it is moved to the front before the cut.
  const [loss = '', rate = '', speed = '', wait = '', left = '', ...memory] = measures(state);
  let shown = '';
  for (const part of [loss, left, speed, rate, wait, ...memory]) {
    if (head.length + BAR_WIDTH + step.length + shown.length + 2 + part.length > columns) break;
    shown += `  ${part}`;
  }
  const plain = head.length + BAR_WIDTH + step.length <= columns;
  if (!plain) return `${head}${step.trim()}`.slice(0, Math.max(0, columns));
  return `${head}${barOf(state.step / Math.max(1, state.steps), color)}${step}${shown}`;
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
function barOf(part: number, color: boolean): string {
  const filled = Math.round(BAR_WIDTH * Math.min(1, Math.max(0, part)));
  const [done, rest] = ['━'.repeat(filled), '─'.repeat(BAR_WIDTH - filled)];
  return color ? `\x1b[36m${done}\x1b[2m${rest}\x1b[0m` : done + rest;
}

function measures(state: ProgressState): string[] {
  return [
    `loss ${formatNumber(state.loss)}`,
    `lr ${formatRate(state.learningRate)}`,
    `${formatNumber(state.clipsPerSecond)} clips/s`,
    `data wait ${Math.round(state.dataWait * 100)}%`,
    `left ${formatDuration(state.secondsLeft)}`,
    `memory ${formatBytes(state.residentBytes)}`,
    `device ${formatBytes(state.deviceBytes)}`,
  ];
}

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
