/** Training runs as a person starts them: on the built-in data set, by a YAML file, or on clips of one's own. */
import type { ResolveOptions } from '../hub/resolve.ts';
import { InterruptedError } from '../interrupted.ts';
import { openLivePage } from '../live/live-page.ts';
import { builtInRun } from './built-in.ts';
import { openConsole } from './console.ts';
import type { RunOptions } from './options.ts';
import { clipsRun, configRun } from './own-clips.ts';
import { pairsRun } from './pairs.ts';
import type { RunWatch } from './watch.ts';

/**
 * Carries out the run that the options describe: trains, evaluates, and writes checkpoints, a log and a report.
 * @param watch What to tell while weights are fetched; its signal stops the run after the step at hand, with a
 *   checkpoint to go on from.
 */
export async function startRun(options: RunOptions, watch: ResolveOptions = {}): Promise<void> {
  if (options.live !== true) return runOf(options)(options, watch);
  const { line } = openConsole();
  const live = await openLivePage({ port: options.port, onProblem: line });
  line(`Live page: ${live.url}`);
  try {
    await runOf(options)(options, { ...watch, live });
    await live.end('The run has ended.');
  } catch (error) {
    await live.end(endBy(error));
    throw error;
  }
}

function runOf(options: RunOptions): (options: RunOptions, watch: RunWatch) => Promise<void> {
  if (options.config !== undefined) return configRun;
  if (options.builtIn === 'pairs') return pairsRun;
  const ownClips = options.trainList !== undefined || options.clipsTable !== undefined;
  return ownClips ? clipsRun : builtInRun;
}

/** What the page says of a run that did not reach its end. */
function endBy(error: unknown): string {
  if (error instanceof InterruptedError) return error.message || 'The run was stopped.';
  const isForUser = error instanceof Error && 'hint' in error;
  return isForUser ? `The run has failed. ${error.message}` : 'The run has failed; its terminal says why.';
}
