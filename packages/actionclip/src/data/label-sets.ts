/** Clips with their classes: one, or several. */

/** One clip: a video file or a folder of frames, and its class. */
export interface ClipEntry {
  readonly path: string;
  /** class index from 0; the first one of several */
  readonly label: number;
  /** all classes of a clip that has several */
  readonly labels?: readonly number[];
  /** number of frames, where the list gives it; otherwise it is counted when the clip is opened */
  readonly frames?: number;
}

/** All classes of a clip. */
export const classesOf = ({ label, labels = [label] }: ClipEntry): readonly number[] => labels;

/** Whether any clip has several classes. */
export const hasLabelSets = (entries: readonly ClipEntry[]): boolean =>
  entries.some(({ labels }) => labels !== undefined);
