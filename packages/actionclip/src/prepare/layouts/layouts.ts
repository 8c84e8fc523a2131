/** The layouts by name, and how the one that is there is told. */
import { DataError } from '../../data/errors.ts';
import { counted } from '../counted.ts';
import type { DatasetLayoutName } from '../layout-names.ts';
import { classes } from './classes.ts';
import { hmdb51 } from './hmdb51.ts';
import { kinetics } from './kinetics.ts';
import type { Layout, Tree } from './layout.ts';
import { something } from './something.ts';
import { table } from './table.ts';
import { ucf101 } from './ucf101.ts';

const layouts: Readonly<Record<DatasetLayoutName, Layout>> = { classes, kinetics, ucf101, hmdb51, something, table };

/** A layout, and why it was taken. */
export interface ChosenLayout {
  readonly layout: Layout;
  readonly reason: string;
}

/**
 * The layout with this name; for `auto` the one whose annotations are there, else class folders.
 * @param folder for messages
 * @throws DataError if several layouts fit, or none
 */
export function chooseLayout(name: DatasetLayoutName | 'auto', tree: Tree, folder: string): ChosenLayout {
  if (tree.clips.length === 0) {
    throw new DataError(
      `${folder}: there is no clip in it`,
      'expected video files, or folders of frames (JPEG or PNG files with numbers in their names)',
    );
  }
  if (name !== 'auto') return { layout: layouts[name], reason: 'it was asked for' };
  const fitting = Object.values(layouts).flatMap((layout) => {
    const reason = layout.recognise(tree);
    return reason === undefined ? [] : [{ layout, reason }];
  });
  const [first, second] = fitting.filter(({ layout }) => layout !== classes);
  if (first !== undefined && second !== undefined) {
    throw new DataError(
      `${folder} may be ${first.layout.name} (${first.reason}) or ${second.layout.name} (${second.reason})`,
      'say which with --layout, or which files count with --annotations',
    );
  }
  const chosen = first ?? fitting[0];
  if (chosen !== undefined) return chosen;
  throw new DataError(
    `${folder}: ${counted(tree.clips.length, 'clip')} in no class folders, and no annotations beside them`,
    'expected FOLDER/CLASS/CLIP, the annotation files of Kinetics, UCF101, HMDB51 or Something-Something, or a table "path,label"; name files that lie elsewhere with --annotations',
  );
}

/** Whether a file of this base name may be an annotation of any layout. */
export function mayBeAnnotation(name: string): boolean {
  return Object.values(layouts).some(({ annotationNames }) => annotationNames?.test(name) === true);
}
