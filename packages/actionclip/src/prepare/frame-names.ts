/** How the frames in a folder are numbered, told from the names of its files. */
import {
  defaultImageTemplate,
  type FrameFolderOptions,
  frameFileName,
  parseImageTemplate,
} from '../data/frame-folder.ts';

/** Template and first number, as configurations have them. */
export type FrameNumbering = Required<Pick<FrameFolderOptions, 'imageTemplate' | 'indexBias'>>;

/**
 * The numbering that most of the names follow: `img_00001.jpg`, ... is `img_{:05d}.jpg` from 1. The number is the last run
 * of digits in a name; names of equal length with a zero in front are padded.
 * @returns undefined where no name has a number
 */
export function numberingOf(names: readonly string[]): FrameNumbering | undefined {
  const families = new Map<string, { prefix: string; suffix: string; digits: string[] }>();
  for (const name of names) {
    const [, prefix = '', digits = '', suffix = ''] = /^(.*?)(\d+)(\D*)$/.exec(name) ?? [];
    if (digits === '' || /[{}]/.test(name)) continue;
    const key = `${prefix}\n${suffix}`;
    const family = families.get(key) ?? { prefix, suffix, digits: [] };
    families.set(key, family);
    family.digits.push(digits);
  }
  const [largest] = [...families.values()].sort((a, b) => b.digits.length - a.digits.length);
  if (largest === undefined) return undefined;
  const { prefix, suffix, digits } = largest;
  const width = Math.min(...digits.map(({ length }) => length));
  const padded = digits.some((text) => text.length === width && text.startsWith('0') && width > 1);
  return {
    imageTemplate: `${prefix}${padded ? `{:0${width}d}` : '{:d}'}${suffix}`,
    indexBias: digits.reduce((least, text) => Math.min(least, Number(text)), Number.POSITIVE_INFINITY),
  };
}

/** How many of the names have a number of this numbering, whatever lies between. */
export function numberedFiles(
  names: readonly string[],
  { imageTemplate = defaultImageTemplate, indexBias = 1 }: FrameFolderOptions,
): number {
  const template = parseImageTemplate(imageTemplate);
  const { prefix, suffix } = template;
  return names.filter((name) => {
    if (!name.startsWith(prefix) || !name.endsWith(suffix)) return false;
    const digits = name.slice(prefix.length, name.length - suffix.length).trim();
    const number = /^\d{1,9}$/.test(digits) ? Number(digits) : Number.NaN;
    return number >= indexBias && frameFileName(template, number) === name;
  }).length;
}
