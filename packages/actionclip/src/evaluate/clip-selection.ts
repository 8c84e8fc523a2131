/** Which clips are evaluated and what their classes are called: from list files or a table to one list without repeats. */
import { DataError } from '../data/errors.ts';
import { classesOf } from '../data/label-sets.ts';
import { type ClipEntry, readClipList, readClipTable, readLabels, type WarningHandler } from '../data/lists.ts';
import { findLabelOrder, type LabelOrder, mapLabels } from './label-orders.ts';

export interface SelectedClips {
  /** Each clip once. */
  readonly entries: readonly ClipEntry[];
  /** Names or phrases of the classes, not yet cleaned. */
  readonly labels: readonly string[];
  /** For each list file, or the one split of a table, the places of its clips among the entries. */
  readonly splits: readonly { readonly name: string; readonly places: readonly number[] }[];
  /** Lines that repeat a clip of the same list. */
  readonly repeats: number;
  /** Whether the indices of the lists follow the label file; a table has names instead. */
  readonly order?: LabelOrder;
  /** Whether the classes were mapped by that order. */
  readonly mapped?: boolean;
}

export interface ListSelection {
  readonly lists: readonly string[];
  /** File of the class names. */
  readonly labelsFile?: string;
  /** Class names where there is no file. */
  readonly labels?: readonly string[];
  /** Folder that relative paths start from. */
  readonly root?: string;
  /** Whether classes are mapped to the order that the paths tell; else indices are taken as they stand. */
  readonly mapOrder?: boolean;
  readonly onWarning?: WarningHandler;
}

/**
 * Clips of list files.
 * @throws DataError where a file cannot be read, two lists disagree about a clip, or an order is to be mapped that the
 * paths do not tell.
 */
export async function selectFromLists({
  lists,
  labelsFile,
  labels: given = [],
  root,
  mapOrder = false,
  onWarning,
}: ListSelection): Promise<SelectedClips> {
  const labels = labelsFile === undefined ? given : await readLabels(labelsFile, onWarning);
  const options = { classCount: labels.length, ...(root === undefined ? {} : { root }) };
  const read: { name: string; entries: readonly ClipEntry[] }[] = [];
  for (const name of lists) read.push({ name, entries: await readClipList(name, options) });
  const joined = joinLists(read);
  const order = findLabelOrder(joined.entries, labels);
  const entries = mapOrder ? mapLabels(joined.entries, order) : joined.entries;
  return { ...joined, labels, order, mapped: mapOrder, entries };
}

/**
 * One list of the clips of several, each once.
 * @throws DataError where a clip has two classes.
 */
export function joinLists(
  lists: readonly { readonly name: string; readonly entries: readonly ClipEntry[] }[],
): Pick<SelectedClips, 'entries' | 'splits' | 'repeats'> {
  const entries: ClipEntry[] = [];
  const placeOf = new Map<string, number>();
  let repeats = 0;
  const splits = lists.map((list) => {
    const places = new Set<number>();
    for (const entry of list.entries) {
      let place = placeOf.get(entry.path);
      if (place === undefined) {
        place = entries.push(entry) - 1;
        placeOf.set(entry.path, place);
      }
      const [known, own] = [entries[place] ?? entry, entry].map((each) => classesOf(each).join(','));
      if (known !== own) {
        throw new DataError(
          `${list.name}: ${entry.path} is of class ${own} here and of class ${known} elsewhere`,
          'correct one of the lines',
        );
      }
      if (places.has(place)) repeats++;
      places.add(place);
    }
    return { name: list.name, places: [...places] };
  });
  return { entries, splits, repeats };
}

export interface TableSelection {
  readonly table: string;
  /** Value of the column split; if absent those held out (val, validation, test), or all where none is. */
  readonly split?: string;
  readonly root?: string;
  /** File of the class names, in whose order classes are counted. */
  readonly labelsFile?: string;
  readonly onWarning?: WarningHandler;
}

const heldOut = ['val', 'validation', 'test'];

/**
 * Clips of a table.
 * @throws DataError where it cannot be read or has no clip of the split.
 */
export async function selectFromTable({
  table: file,
  split,
  root,
  labelsFile,
  onWarning,
}: TableSelection): Promise<SelectedClips> {
  const names = labelsFile === undefined ? undefined : await readLabels(labelsFile, onWarning);
  const table = await readClipTable(file, {
    ...(root === undefined ? {} : { root }),
    ...(names === undefined ? {} : { labels: names }),
    ...(onWarning === undefined ? {} : { onWarning }),
  });
  const wanted = split === undefined ? heldOut : [split];
  const found = table.clips.filter((clip) => wanted.includes(clip.split));
  if (found.length === 0 && split !== undefined) {
    const there = [...new Set(table.clips.map((clip) => clip.split || '(none)'))].join(', ');
    throw new DataError(`${file}: no clip has the split "${split}"`, `the table has ${there}`);
  }
  const chosen = found.length > 0 ? found : table.clips;
  const name = found.length > 0 ? [...new Set(found.map((clip) => clip.split))].join(', ') : 'all clips';
  const entries = chosen.map(({ path, label, labels }): ClipEntry => ({ path, label, ...(labels && { labels }) }));
  return { ...joinLists([{ name, entries }]), labels: table.texts };
}
