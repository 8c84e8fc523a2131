/** A recognizer from weights by path or name, and videos from files. Node only. */
import { type Device, type DeviceName, openDevice, setDefaultDevice } from '@actionclip/tensor';
import type { OpenModelOptions } from '../checkpoints/build-model.ts';
import { openCheckpointModel } from '../checkpoints/open-model.ts';
import { type FrameSourceOptions, openFrameSource } from '../data/open-source.ts';
import type { TextCache } from '../evaluate/text-cache.ts';
import { rememberedTextSpace } from '../evaluate/text-cache-files.ts';
import { type ResolveOptions, resolveWeights } from '../hub/resolve.ts';
import { throwIfInterrupted } from '../interrupted.ts';
import { recognizerOf } from './of-checkpoint.ts';
import type { NamedVideo, Recognizer, RecognizerOptions } from './recognizer.ts';

/** Which model of the weights (see `openCheckpointModel`), and what to tell while they are fetched. */
export interface OpenRecognizerOptions extends OpenModelOptions, ResolveOptions, Pick<RecognizerOptions, 'precision'> {
  /** Where the model runs; made the default of this process. The device that is the default already unless told. */
  readonly device?: Device | DeviceName;
  /** Text features that were computed before. Worth it for many labels: to know the text tower, all of it is read once. */
  readonly textCache?: TextCache;
}

/**
 * Opens the model of a checkpoint for recognition.
 * @param weights A path, or a hub name (see `resolveWeights`).
 * @throws HubError where the weights cannot be fetched; CheckpointError where the file is absent, damaged, or of
 *   another kind.
 */
export async function openRecognizer(weights: string, options: OpenRecognizerOptions = {}): Promise<Recognizer> {
  const { device, signal, precision, textCache: cache } = options;
  const path = await resolveWeights(weights, options);
  throwIfInterrupted(signal);
  if (device !== undefined) setDefaultDevice(typeof device === 'string' ? await openDevice(device) : device);
  const opened = await openCheckpointModel(path, options);
  throwIfInterrupted(signal);
  return recognizerOf(opened, {
    ...(precision === undefined ? {} : { precision }),
    ...(cache === undefined
      ? {}
      : { texts: async () => ({ cache, space: await rememberedTextSpace(opened.model, path) }) }),
  });
}

/**
 * Videos and folders of frames by their paths, each opened when its turn comes. Since it is one at a time, all
 * processors decode it unless told.
 */
export const videoFiles = (paths: readonly string[], options: FrameSourceOptions = {}): NamedVideo[] =>
  paths.map((path) => ({ path, open: () => openFrameSource(path, { threads: 0, ...options }) }));
