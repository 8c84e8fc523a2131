/** The probabilities of every clip as a file: CSV for tables, safetensors for programs. */
import type { HostTensor } from '@actionclip/tensor';
import { writeFileAtomically } from '../checkpoints/atomic-file.ts';
import { writeSafetensorsFile } from '../checkpoints/files.ts';
import { formatCsvField } from '../data/csv.ts';
import type { ClipEntry } from '../data/lists.ts';
import type { Evaluation } from './evaluate.ts';
import { topClasses } from './metrics.ts';

/**
 * Writes scores. A `.csv` has the columns path, label, predicted and one for each class; any other name a safetensors
 * file with `scores` [clips, classes] in f64, `labels` and `indices` [clips] in i32, and in its metadata, as JSON, the
 * lists `classes` and `paths`.
 * @param entries The data set that the evaluation's indices count.
 */
export async function writeScores(
  file: string,
  { scores, labels, indices }: Evaluation,
  classes: readonly string[],
  entries: readonly ClipEntry[],
): Promise<void> {
  const paths = Array.from(indices, (index) => entries[index]?.path ?? '');
  if (/\.csv$/i.test(file)) {
    const rows = paths.map((path, row) => {
      const [best = 0] = topClasses(scores, row, 1);
      const own = Array.from({ length: classes.length }, (_, c) => scores.scores[row * classes.length + c] ?? 0);
      return [path, classes[labels[row] ?? 0] ?? '', classes[best] ?? '', ...own.map(String)];
    });
    const lines = [['path', 'label', 'predicted', ...classes], ...rows].map((row) => row.map(formatCsvField).join(','));
    await writeFileAtomically(file, lines.map((line) => `${line}\n`).join(''));
    return;
  }
  const tensors = new Map<string, HostTensor>([
    [
      'scores',
      { dtype: 'f64', shape: [paths.length, classes.length], data: Float64Array.from(Array.from(scores.scores)) },
    ],
    ['labels', { dtype: 'i32', shape: [paths.length], data: labels }],
    ['indices', { dtype: 'i32', shape: [paths.length], data: indices }],
  ]);
  const metadata = new Map([
    ['format', 'actionclip-scores'],
    ['classes', JSON.stringify(classes)],
    ['paths', JSON.stringify(paths)],
  ]);
  await writeSafetensorsFile(file, tensors, metadata);
}
