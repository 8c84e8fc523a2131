/** A recognizer from a file of weights, and videos from files. Node only. */
import { type Device, type DeviceName, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { type FrameSourceOptions, openFrameSource } from '../data/open-source.ts';
import { throwIfInterrupted } from '../interrupted.ts';
import { readTrainingCheckpoint } from '../train/checkpoint.ts';
import { openModel } from '../train/model-description.ts';
import { loadPretrained } from '../train/weights.ts';
import { type NamedVideo, Recognizer } from './recognizer.ts';

export interface OpenRecognizerOptions {
  /** Where the model runs; made the default of this process. The device that is the default already unless told. */
  readonly device?: Device | DeviceName;
  readonly signal?: AbortSignal;
}

/**
 * Opens the model of a checkpoint for recognition.
 * @throws CheckpointError where the file is absent, damaged, or of another kind.
 */
export async function openRecognizer(
  weights: string,
  { device, signal }: OpenRecognizerOptions = {},
): Promise<Recognizer> {
  if (device !== undefined) setDefaultDevice(typeof device === 'string' ? await openDevice(device) : device);
  throwIfInterrupted(signal);
  const { description } = await readTrainingCheckpoint(weights);
  const { model, tokenizer } = await openModel(description, 0);
  await loadPretrained(model, weights);
  const { shortSide } = description;
  return new Recognizer(model, tokenizer, shortSide === undefined ? {} : { shortSide });
}

/** Videos and folders of frames by their paths, each opened when its turn comes. */
export const videoFiles = (paths: readonly string[], options: FrameSourceOptions = {}): NamedVideo[] =>
  paths.map((path) => ({ path, open: () => openFrameSource(path, options) }));
