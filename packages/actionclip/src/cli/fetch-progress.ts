/** The progress of fetching weights: a bar that is drawn over, or a line now and then where nobody looks on. */
import { formatBytes } from '../byte-size.ts';
import type { DownloadProgress } from '../hub/download.ts';
import type { ResolveOptions } from '../hub/resolve.ts';
import { formatDuration } from '../train/progress.ts';
import type { Terminal } from './terminal.ts';

/** Milliseconds between redraws on a terminal, and between lines elsewhere. */
const REDRAW_INTERVAL = 100;
const LINE_INTERVAL = 10_000;
const BAR_WIDTH = 24;
/** Files below this are no news. */
const WORTH_A_LINE = 1_000_000;

export interface WeightsProgress extends ResolveOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: DownloadProgress) => void;
  readonly onNote: (note: string) => void;
}

/** Options for `resolveWeights` that show on the terminal what happens, and stop with it. */
export function weightsProgress(
  terminal: Pick<Terminal, 'interactive' | 'progress' | 'say' | 'signal'>,
  now: () => number = () => performance.now(),
): WeightsProgress {
  const { interactive } = terminal;
  // In a pipe the first line comes after the interval: what is fetched in a moment needs none.
  let last = interactive ? Number.NEGATIVE_INFINITY : now();
  return {
    signal: terminal.signal,
    onNote: (note) => terminal.say(note),
    onProgress: (progress) => {
      const { name, done, total } = progress;
      if (done === total) {
        terminal.progress('');
        if (done >= WORTH_A_LINE) terminal.say(`Fetched ${name} (${formatBytes(done)})`);
        last = now();
        return;
      }
      if (now() - last < (interactive ? REDRAW_INTERVAL : LINE_INTERVAL)) return;
      last = now();
      if (interactive) terminal.progress(formatDownload(progress, true));
      else terminal.say(`Fetching ${formatDownload(progress, false)}`);
    },
  };
}

/** `ViT-B-16.pt ━━━━━━━━────── 120.5 MB of 350.8 MB  12.3 MB/s  left 18s`. */
export function formatDownload({ name, done, total, rate }: DownloadProgress, bar: boolean): string {
  const filled = total === undefined ? 0 : Math.round((BAR_WIDTH * done) / Math.max(1, total));
  return [
    name,
    ...(bar ? [` ${'━'.repeat(filled)}${'─'.repeat(BAR_WIDTH - filled)}`] : []),
    ` ${formatBytes(done)}`,
    ...(total === undefined ? [] : [` of ${formatBytes(total)}`]),
    ...(rate > 0 ? [`  ${formatBytes(Math.round(rate))}/s`] : []),
    ...(rate > 0 && total !== undefined ? [`  left ${formatDuration((total - done) / rate)}`] : []),
  ].join('');
}
