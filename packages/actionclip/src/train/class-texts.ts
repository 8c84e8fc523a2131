/** The texts of all classes as the weights of a classifier that training leaves as they are. */
import { type Tensor, tensor } from '@actionclip/tensor';
import type { PromptFeatures } from '../evaluate/features.ts';

/** Places for the features of the texts of `classes` classes, [classes, width]: for `writeClassTexts`, before the first step. */
export const classTextsOf = (classes: number, width: number): Tensor =>
  tensor(new Float32Array(classes * width), { shape: [classes, width] });

/** Writes the mean over the templates of each class's features. */
export function writeClassTexts(texts: Tensor, { rows, width, templates, classes }: PromptFeatures): void {
  const mean = new Float32Array(classes * width);
  rows.forEach((value, i) => {
    mean[i % (classes * width)] = (mean[i % (classes * width)] as number) + value / templates;
  });
  texts.write(mean);
}
