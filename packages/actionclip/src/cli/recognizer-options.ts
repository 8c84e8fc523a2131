/** The options of every command that looks at videos: which weights, and how a video is looked at. */
import type { Recognizer } from '../recognize/recognizer.ts';
import type { ViewOptions } from '../recognize/types.ts';
import { deviceOptions, openDeviceFrom } from './device-options.ts';
import { OptionError, type OptionTable, oneOf, positive, text, type Values, wholeFrom } from './options.ts';
import type { Terminal } from './terminal.ts';

/** To be spread into a command's table. */
export const recognizerOptions = {
  weights: {
    place: 'W',
    kind: text,
    help: 'a checkpoint of any known layout, or a hub name (actionclip fetch --list)',
  },
  head: {
    place: 'NAME',
    kind: oneOf('meanP', 'LSTM', 'Transf', 'Conv_1D', 'Transf_cls'),
    help: 'how frames become a clip: the head of the weights, or meanP in its place',
  },
  frames: { place: 'T', kind: wholeFrom(1), help: 'frames of a clip; as many as the weights are for, or else 8' },
  resolution: { place: 'N', kind: wholeFrom(8), help: "side of the model's input in pixels; that of the weights" },
  clips: { place: 'N', kind: wholeFrom(1), help: 'clips of T frames that are taken of a video and averaged; 1' },
  crops: { place: '1|3', kind: oneOf('1', '3'), help: 'squares that are cut out of each frame; 1, the centre' },
  window: { place: 'S', kind: positive, help: 'look at a long video through a sliding window of S seconds' },
  stride: { place: 'S', kind: positive, help: 'seconds from one window to the next; half a window' },
  ...deviceOptions,
} as const satisfies OptionTable;

type RecognizerValues = Values<typeof recognizerOptions>;

/** @throws OptionError for a stride without a window. */
export function viewOptionsOf({ clips, crops, window, stride }: RecognizerValues): ViewOptions {
  if (stride !== undefined && window === undefined) {
    throw new OptionError('--stride needs --window', 'give the seconds of the window too');
  }
  return {
    ...(clips === undefined ? {} : { clips }),
    ...(crops === undefined ? {} : { crops: crops === '3' ? 3 : 1 }),
    ...(window === undefined ? {} : { window }),
    ...(stride === undefined ? {} : { stride }),
  };
}

export interface OpenedRecognizer {
  readonly recognizer: Recognizer;
  /** The file that the weights came from. */
  readonly weights: string;
  readonly close: () => Promise<void>;
}

/**
 * Opens the device and the model that the options ask for, and says which they are.
 * @throws OptionError without weights; CheckpointError or DeviceError where they cannot be opened.
 */
export async function openRecognizerFrom(values: RecognizerValues, terminal: Terminal): Promise<OpenedRecognizer> {
  const { weights: name, head, frames, resolution } = values;
  if (name === undefined) throw missingWeights();
  const [{ resolveWeights }, { openRecognizer }, { openFileTextCache }, { weightsProgress }] = await Promise.all([
    import('../hub/resolve.ts'),
    import('../recognize/open.ts'),
    import('../evaluate/text-cache-files.ts'),
    import('./fetch-progress.ts'),
  ]);
  const weights = await resolveWeights(name, weightsProgress(terminal));
  const device = await openDeviceFrom(values, terminal);
  terminal.progress(`Opening ${name}`);
  const recognizer = await openRecognizer(weights, {
    signal: terminal.signal,
    textCache: openFileTextCache(),
    ...(head === undefined ? {} : { temporal: head }),
    ...(frames === undefined ? {} : { frames }),
    ...(resolution === undefined ? {} : { resolution }),
  });
  const { model } = recognizer;
  const side = model.clip.sizes.vision.resolution;
  terminal.say(
    `Model: ${name}, ${model.options.temporal ?? 'Transf'}, ${model.frames} frames of ${side} x ${side} pixels`,
  );
  return {
    recognizer,
    weights,
    close: async () => {
      await recognizer.close();
      await device.close();
    },
  };
}

const missingWeights = (): OptionError =>
  new OptionError(
    '--weights is missing',
    'name the best.safetensors of a run of actionclip train, a published checkpoint, or a hub name of actionclip fetch --list',
  );
