/** Training runs as a person starts them: on the built-in data set, by a YAML file, or on clips of one's own. */
import type { ResolveOptions } from '../hub/resolve.ts';
import { builtInRun } from './built-in.ts';
import type { RunOptions } from './options.ts';
import { clipsRun, configRun } from './own-clips.ts';
import { pairsRun } from './pairs.ts';

/**
 * Carries out the run that the options describe: trains, evaluates, and writes checkpoints, a log and a report.
 * @param watch What to tell while weights are fetched; its signal stops the run after the step at hand, with a
 *   checkpoint to go on from.
 */
export function startRun(options: RunOptions, watch: ResolveOptions = {}): Promise<void> {
  if (options.config !== undefined) return configRun(options, watch);
  if (options.builtIn === 'pairs') return pairsRun(options, watch);
  const ownClips = options.trainList !== undefined || options.clipsTable !== undefined;
  return ownClips ? clipsRun(options, watch) : builtInRun(options, watch);
}
