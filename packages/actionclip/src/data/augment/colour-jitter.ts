// Random changes of colour: torchvision's ColorJitter, drawn anew for every frame, and the steps that follow it.
import type { DecidedOperation, ImageOperationName } from '../image/operations.ts';
import { applyOperations } from '../image/operations.ts';
import type { ClipTransform } from './clip.ts';

/** How far each factor strays: brightness, contrast and saturation from 1, hue from 0. */
export interface ColourJitterAmounts {
  readonly brightness: number;
  readonly contrast: number;
  readonly saturation: number;
  readonly hue: number;
}

/** ActionCLIP's amounts. */
export const colourJitterAmounts: ColourJitterAmounts = { brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1 };

/** The four adjustments in a random order with random factors; order and factors are drawn for every frame. */
export function colourJitter(amounts: ColourJitterAmounts = colourJitterAmounts): ClipTransform {
  const ranges: readonly (readonly [name: ImageOperationName, low: number, high: number])[] = [
    ['JitterBrightness', Math.max(0, 1 - amounts.brightness), 1 + amounts.brightness],
    ['JitterContrast', Math.max(0, 1 - amounts.contrast), 1 + amounts.contrast],
    ['JitterSaturation', Math.max(0, 1 - amounts.saturation), 1 + amounts.saturation],
    ['JitterHue', -amounts.hue, amounts.hue],
  ];
  return (clip, random) =>
    clip.map((frame) => {
      const decided: DecidedOperation[] = random
        .shuffle([...ranges])
        .map(([name, low, high]) => ({ name, value: random.uniform(low, high) }));
      return applyOperations(frame, decided);
    });
}

/** One Gaussian blur for all frames, its deviation drawn between two bounds in pixels. */
export function randomBlur(lowest: number, highest: number): ClipTransform {
  return (clip, random) => {
    const value = random.uniform(lowest, highest);
    return clip.map((frame) => applyOperations(frame, [{ name: 'GaussianBlur', value }]));
  };
}
