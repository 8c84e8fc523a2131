/**
 * Whether the class indices of a list follow the rows of a label file. Where the paths of the clips name their classes,
 * as folders do in most data sets, a list that counts the classes in another order gives itself away, and the order can
 * be mapped. HMDB51 is known in two orders: see `KNOWN_SWAPS`.
 */
import { DataError } from '../data/errors.ts';
import type { ClipEntry } from '../data/lists.ts';
import { classFinder } from '../prompts/class-names.ts';

/** A class index of the list whose clips lie under the name of another row of the label file. */
export interface MovedClass {
  readonly index: number;
  readonly row: number;
}

/** What the paths tell of the order of the classes. */
export interface LabelOrder {
  /**
   * `same`: every path that names a class agrees with the label file. `moved`: the indices are those of another order,
   * which `rows` maps. `unclear`: paths contradict one another or leave an index open. `untold`: no path names a class.
   */
  readonly kind: 'same' | 'moved' | 'unclear' | 'untold';
  /** Clips whose path names a class. */
  readonly told: number;
  /** With `moved`: the row of the label file for each index of the list. */
  readonly rows: ReadonlyMap<number, number>;
  readonly moved: readonly MovedClass[];
  /** What was found, in a sentence without its end. */
  readonly explanation: string;
}

/** Pairs of classes that published label files of one data set have in either order. */
const KNOWN_SWAPS = [
  {
    dataset: 'HMDB51',
    pairs: [
      ['kick ball', 'kick'],
      ['sword exercise', 'sword'],
    ],
    /** Where the first of each pair comes first, and where the second does. */
    sources: ['ActionCLIP and X-CLIP', 'mmaction2 and Text4Vis'],
  },
] as const;

/** Names of files in which the class stands: UCF101's `v_YoYo_g01_c02` and HMDB51's `..._kick_ball_f_cm_np1_ba_bad_4`. */
const FILE_NAMES: readonly RegExp[] = [
  /^v_(?<name>[A-Za-z]+)_g\d+_c\d+/,
  /_(?<name>[a-z]+(?:_[a-z]+)?)_[fuhl]_(?:cm|nm)_np\d_/,
];

/** The class that a path names: its innermost folder that is called like one, else the file where its name has one. */
export function classOfPath(path: string, find: (spelling: string) => number | undefined): number | undefined {
  const parts = path.split(/[/\\]/);
  const file = parts.pop() ?? '';
  for (const folder of parts.reverse()) {
    const row = find(folder);
    if (row !== undefined) return row;
  }
  for (const pattern of FILE_NAMES) {
    const name = pattern.exec(file)?.groups?.name;
    // A name of two words may begin with a word of the title before it: `..._the_kick` is a kick.
    const row = name === undefined ? undefined : (find(name) ?? find(name.slice(name.indexOf('_') + 1)));
    if (row !== undefined) return row;
  }
  return undefined;
}

/** Compares the indices of a list with the classes that its paths name. Nothing is changed: see `mapLabels`. */
export function findLabelOrder(entries: readonly ClipEntry[], labels: readonly string[]): LabelOrder {
  const find = classFinder(labels);
  const rows = new Map<number, number>();
  const open = new Set<number>();
  let told = 0;
  for (const { path, label } of entries) {
    const row = classOfPath(path, find);
    if (row === undefined) {
      open.add(label);
      continue;
    }
    told++;
    const earlier = rows.get(label);
    if (earlier !== undefined && earlier !== row) {
      const names = `"${labels[earlier]}" and "${labels[row]}"`;
      return unclear(told, `clips of class ${label} lie under ${names}, the second in ${path}`);
    }
    rows.set(label, row);
  }
  const none: Pick<LabelOrder, 'told' | 'rows' | 'moved'> = { told, rows: new Map(), moved: [] };
  if (told === 0) {
    return { ...none, kind: 'untold', explanation: 'The paths name no classes: their order cannot be checked' };
  }
  for (const label of open) if (!rows.has(label)) rows.set(label, label);
  const moved = [...rows].flatMap(([index, row]) => (row === index ? [] : [{ index, row }]));
  if (moved.length === 0) {
    const explanation = `The class indices agree with the label file for all ${told} clips whose path names a class`;
    return { ...none, kind: 'same', explanation };
  }
  const indexOf = new Map<number, number>();
  for (const [index, row] of rows) {
    const other = indexOf.get(row);
    if (other !== undefined) return unclear(told, `classes ${other} and ${index} would both be "${labels[row]}"`);
    indexOf.set(row, index);
  }
  return { kind: 'moved', told, rows, moved, explanation: movedExplanation(moved, labels) };
}

function unclear(told: number, problem: string): LabelOrder {
  const explanation = `The paths do not tell the order of the classes: ${problem}`;
  return { kind: 'unclear', told, rows: new Map(), moved: [], explanation };
}

const SHOWN = 4;

function movedExplanation(moved: readonly MovedClass[], labels: readonly string[]): string {
  const shown = moved.slice(0, SHOWN).map(({ index, row }) => `${index} is "${labels[row]}" (row ${row})`);
  const rest = moved.length > SHOWN ? ` and ${moved.length - SHOWN} more` : '';
  const known = knownOrder(moved, labels);
  const source = known === undefined ? '' : `; this is ${known}`;
  return `The list counts the classes in another order than the label file: ${shown.join(', ')}${rest}${source}`;
}

/** The name of the list's order where it differs from the label file's by known swaps only. */
function knownOrder(moved: readonly MovedClass[], labels: readonly string[]): string | undefined {
  const rowOf = new Map(moved.map(({ index, row }) => [index, row]));
  for (const { dataset, pairs, sources } of KNOWN_SWAPS) {
    const places = pairs.map(([first, second]) => [labels.indexOf(first), labels.indexOf(second)] as const);
    const swapped = new Set(places.flat());
    const partner = new Map(places.flatMap(([a, b]) => [[a, b] as const, [b, a] as const]));
    if (swapped.has(-1) || ![...rowOf].every(([index, row]) => partner.get(index) === row)) continue;
    const firstComesFirst = places.every(([a, b]) => a < b);
    return `the order of ${dataset} in ${sources[firstComesFirst ? 1 : 0]}`;
  }
  return undefined;
}

/**
 * The entries with their classes as rows of the label file.
 * @throws DataError unless the order is `same` or `moved`: what the paths do not tell is not guessed.
 */
export function mapLabels<Entry extends ClipEntry>(entries: readonly Entry[], order: LabelOrder): Entry[] {
  if (order.kind === 'unclear' || order.kind === 'untold') {
    throw new DataError(
      order.explanation,
      'use the indices as they stand, with the label file that the list was made for',
    );
  }
  const rowOf = (label: number): number => order.rows.get(label) ?? label;
  return entries.map((entry) => ({
    ...entry,
    label: rowOf(entry.label),
    ...(entry.labels === undefined ? {} : { labels: entry.labels.map(rowOf) }),
  }));
}
