/** Labels as they are given on a command line: in the line itself, or in a file. */
import { readFile } from 'node:fs/promises';
import { parseCsv } from '../data/csv.ts';
import { codeOf, messageOf } from '../data/errors.ts';
import { parseLabels } from '../data/lists.ts';
import { OptionError } from './options.ts';

/**
 * Labels from `--labels`: separated by commas; a label that holds a comma stands in double quotes, as in CSV.
 * @throws OptionError or DataError that names the label: empty or given twice, or a quote that never closes.
 */
export function parseLabelList(text: string): string[] {
  const labels = parseCsv(text, '--labels').flatMap(({ fields }) => fields.map((label) => label.trim()));
  return distinctLabels(labels, '--labels');
}

/** The first line of a labels file that is CSV: fields with `name` among them. */
const csvHeader = /(^|,)\s*"?name"?\s*(,|$)/i;

/**
 * Labels from a file: CSV where its first line is a header with a column `name`, such as `id,name`; else one label on
 * each line as it stands, commas and all, where blank lines are dropped.
 * @param file Named in errors.
 */
export function parseLabelFile(text: string, file: string): string[] {
  const lines = (text.startsWith('\uFEFF') ? text.slice(1) : text).split(/\r\n|\n|\r/);
  const first = lines.find((line) => line.trim() !== '') ?? '';
  const labels = csvHeader.test(first)
    ? parseLabels(text, file)
    : lines.map((line) => line.trim()).filter((line) => line !== '');
  return distinctLabels(labels, file);
}

/** Two labels that are the same would share what is one label's probability. */
function distinctLabels(labels: readonly string[], where: string): string[] {
  if (labels.length === 0) throw new OptionError(`${where}: there is no label`, 'give at least two');
  const seen = new Set<string>();
  labels.forEach((label, index) => {
    if (label === '')
      throw new OptionError(`${where}: label ${index + 1} is empty`, 'remove it, or the comma too many');
    if (seen.has(label)) throw new OptionError(`${where}: the label "${label}" is given twice`, 'give it once');
    seen.add(label);
  });
  return [...labels];
}

/**
 * The labels that `--labels` or `--labels-file` give.
 * @throws OptionError where neither or both are given, or there is only one label.
 */
export async function labelsFrom({
  labels: list,
  labelsFile: file,
}: {
  readonly labels?: string;
  readonly labelsFile?: string;
}): Promise<string[]> {
  if (list !== undefined && file !== undefined) {
    throw new OptionError('--labels and --labels-file are both given', 'give one of them');
  }
  const labels =
    list !== undefined
      ? parseLabelList(list)
      : file !== undefined
        ? parseLabelFile(await readText('--labels-file', file), file)
        : undefined;
  if (labels === undefined) {
    throw new OptionError(
      'There are no labels',
      'give the actions to choose from: --labels "archery, juggling balls", or --labels-file FILE',
    );
  }
  if (labels.length < 2) {
    throw new OptionError(
      `"${labels[0]}" is the only label`,
      'give at least two, of which the video is the more like one',
    );
  }
  return labels;
}

async function readText(option: string, file: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
  } catch (error) {
    const isMissing = codeOf(error) === 'ENOENT';
    const isText = !(error instanceof TypeError);
    const problem = isMissing ? 'does not exist' : isText ? `cannot be read (${messageOf(error)})` : 'is not UTF-8';
    throw new OptionError(`${option}: ${file} ${problem}`, 'check the path');
  }
}
