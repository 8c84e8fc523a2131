/** What the program says while it runs: lines above one line of progress. */
import { Progress } from '../train/progress.ts';

export interface Console {
  readonly progress: Progress;
  /** Prints one line. */
  readonly line: (text: string) => void;
}

export function openConsole(): Console {
  const progress = new Progress({ stream: process.stderr });
  return { progress, line: (text) => progress.message(text) };
}

/** `94.2 %` */
export const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;
