/** A folder for each class, with videos or folders of frames in it; optionally `train/`, `val/` or `test/` above. */
import { DataError } from '../../data/errors.ts';
import { replaceUnderscores } from '../../prompts/templates.ts';
import { counted } from '../counted.ts';
import type { LabelledClip, Layout, LayoutResult, ListedClip, Split, Tree } from './layout.ts';

const splitFolders: ReadonlyMap<string, Split> = new Map([
  ['train', 'train'],
  ['training', 'train'],
  ['val', 'val'],
  ['valid', 'val'],
  ['validate', 'val'],
  ['validation', 'val'],
  ['test', 'test'],
  ['testing', 'test'],
]);

export const classes: Layout = {
  name: 'classes',
  recognise: ({ clips }) => {
    const { tops, splits } = arrangement(clips);
    if (tops.size === 0) return undefined;
    return splits
      ? `it has the folders ${[...tops].join(', ')} with class folders in them`
      : tops.size === 1
        ? 'it has one folder of clips, taken for a class'
        : `it has ${tops.size} folders of clips, taken for classes`;
  },
  read,
  textOf: replaceUnderscores,
};

/** Top folders that hold clips, and whether all of them are splits. */
function arrangement(clips: readonly ListedClip[]): { tops: Set<string>; splits: boolean } {
  const parts = clips.map(({ path }) => path.split('/')).filter(({ length }) => length >= 2);
  const tops = new Set(parts.map(([top = '']) => top));
  const deep = parts.every(([top = '', ...below]) => !splitFolders.has(top.toLowerCase()) || below.length >= 2);
  const splits = tops.size > 0 && deep && [...tops].every((top) => splitFolders.has(top.toLowerCase()));
  return { tops, splits };
}

function read({ clips }: Tree): LayoutResult {
  const { tops, splits } = arrangement(clips);
  if (tops.size === 0) {
    throw new DataError(
      'there is no clip inside of a class folder',
      'expected FOLDER/CLASS/CLIP, with the class as name',
    );
  }
  refuseMixture(tops, splits);
  if (!splits && tops.size === 1 && clips.every(({ path }) => path.split('/').length > 2)) {
    const [only = ''] = tops;
    throw new DataError(
      `all clips lie below the one folder "${only}"`,
      `if its folders are the classes, prepare "${only}" itself`,
    );
  }
  const depth = splits ? 1 : 0;
  const labelled: LabelledClip[] = [];
  let loose = 0;
  for (const clip of clips) {
    const parts = clip.path.split('/');
    const label = parts[depth]?.trim();
    if (label === undefined || parts.length < depth + 2) {
      loose += 1;
      continue;
    }
    if (label === '') throw new DataError(`"${clip.path}": the name of its class folder is blank`, 'rename the folder');
    const split = splits ? (splitFolders.get((parts[0] ?? '').toLowerCase()) ?? '') : '';
    labelled.push({ ...clip, label, split, group: '' });
  }
  const notes = loose === 0 ? [] : [`left out, as they lie in no class folder: ${counted(loose, 'clip')}`];
  return { labels: [...new Set(labelled.map(({ label }) => label))].sort(), clips: labelled, missing: [], notes };
}

/** `train` beside `walking` is one split of several, or a class: only a person can say. */
function refuseMixture(tops: ReadonlySet<string>, splits: boolean): void {
  const names = [...tops].filter((top) => splitFolders.has(top.toLowerCase()));
  const other = [...tops].find((top) => !splitFolders.has(top.toLowerCase()));
  if (splits || names.length < 2 || other === undefined) return;
  throw new DataError(
    `the folders ${names.join(', ')} look like splits, but "${other}" lies beside them`,
    'expected either split folders or class folders at the top; move one of them',
  );
}
