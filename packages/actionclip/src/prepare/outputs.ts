/** The files that a preparation writes: lists, tables and the summary. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { writeFileAtomically } from '../checkpoints/atomic-file.ts';
import { formatCsvField } from '../data/csv.ts';
import { fitsClipList, formatClipList, formatLabels } from '../data/lists.ts';
import { counted } from './counted.ts';
import type { PreparedClip, PrepareReport } from './report.ts';

export const journalFile = 'prepare.journal.jsonl';
export const reportFile = 'prepare.json';

/** Which split a list file holds. `val.txt` holds the test clips where there are no others to validate on. */
const listFiles = { train: 'train.txt', val: 'val.txt', test: 'test.txt' } as const;

export interface Prepared {
  readonly labels: readonly string[];
  /** phrase for each class name */
  readonly textOf: (label: string) => string;
  /** all clips with their final splits, the broken ones too */
  readonly clips: readonly PreparedClip[];
  readonly missing: readonly string[];
  /** whether broken clips stay in lists and table */
  readonly keepBroken: boolean;
}

/** What the files will hold, and how much of it. */
export interface Outputs {
  /** by file name; undefined removes what an earlier preparation left */
  readonly contents: ReadonlyMap<string, string | undefined>;
  readonly listed: PrepareReport['listed'];
  readonly frames: number;
  readonly broken: number;
  readonly unlistable: number;
  readonly notes: readonly string[];
}

/** Makes the contents of all files but the report. */
export function formatOutputs({ labels, textOf, clips, missing, keepBroken }: Prepared): Outputs {
  const broken = clips.filter(({ reason }) => reason !== undefined);
  const sound = keepBroken ? clips : clips.filter(({ reason }) => reason === undefined);
  const classOf = new Map(labels.map((label, index) => [label, index]));
  const splits = { train: of(sound, 'train'), val: of(sound, 'val'), test: of(sound, 'test') };
  const held = splits.val.length > 0 ? splits : { train: splits.train, val: splits.test, test: [] };

  const contents = new Map<string, string | undefined>();
  const notes: string[] = [];
  let unlistable = 0;
  for (const [split, file] of Object.entries(listFiles)) {
    const members = held[split as keyof typeof listFiles];
    const counted = members.every(({ frames }) => frames !== undefined);
    const fitting = members.filter((clip) => fitsClipList(clip.path, counted));
    unlistable += members.length - fitting.length;
    const entries = fitting.map(({ path: clip, label, frames }) => ({
      path: clip,
      label: classOf.get(label) ?? -1,
      ...(counted && frames !== undefined ? { frames } : {}),
    }));
    contents.set(file, entries.length === 0 ? undefined : formatClipList(entries));
  }
  if (splits.val.length === 0 && splits.test.length > 0)
    notes.push('val.txt holds the test clips, as there are no others');
  if (unlistable > 0) {
    notes.push(`in clips.csv only, as no list file can hold their names: ${counted(unlistable, 'clip')}`);
  }
  const without = labels.filter((label) => !sound.some((clip) => clip.label === label));
  if (without.length > 0)
    notes.push(`without a clip: ${counted(without.length, 'class', 'classes')}, such as "${without[0]}"`);

  contents.set('labels.csv', formatLabels(labels));
  contents.set(
    'clips.csv',
    csv(
      'path,label,text,group,split',
      sound.map((clip) => [clip.path, clip.label, textOf(clip.label), clip.group, clip.split]),
    ),
  );
  contents.set(
    'broken.csv',
    csv(
      'path,reason',
      broken.map(({ path: clip, reason = '' }) => [clip, reason]),
    ),
  );
  contents.set('missing.txt', missing.map((line) => `${line}\n`).join(''));
  return {
    contents,
    listed: { train: held.train.length, val: held.val.length, test: held.test.length },
    frames: sound.reduce((sum, { frames = 0 }) => sum + frames, 0),
    broken: broken.length,
    unlistable,
    notes,
  };
}

const of = (clips: readonly PreparedClip[], split: string): PreparedClip[] =>
  clips.filter((clip) => clip.split === split);

const csv = (header: string, rows: readonly (readonly string[])[]): string =>
  `${header}\n${rows.map((row) => `${row.map(formatCsvField).join(',')}\n`).join('')}`;

/** Writes the files into `folder`, each as a whole or not at all, the report last. */
export async function writeOutputs(folder: string, { contents }: Outputs, report: PrepareReport): Promise<void> {
  for (const [name, content] of contents) {
    const file = path.join(folder, name);
    if (content === undefined) await rm(file, { force: true });
    else await writeFileAtomically(file, content);
  }
  await writeFileAtomically(path.join(folder, reportFile), `${JSON.stringify(report, undefined, 2)}\n`);
}
