/** Label lists that come with the page, and the one of the model. */
import { cleanLabels } from 'actionclip/browser';
import hmdb51 from '../../labels/hmdb51.txt?raw';
import kinetics400 from '../../labels/kinetics-400.txt?raw';
import ucf101 from '../../labels/ucf101.txt?raw';
import { labelsIn } from './labels.ts';

/** The class names of a list, as words. */
const listed = (text: string): readonly string[] => cleanLabels(labelsIn(text)).labels;

/** By the values of the page's menu. */
export const presets: Readonly<Record<string, () => readonly string[]>> = {
  kinetics400: () => listed(kinetics400),
  hmdb51: () => listed(hmdb51),
  ucf101: () => listed(ucf101),
};
