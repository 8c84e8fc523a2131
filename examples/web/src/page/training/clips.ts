/** The clips that a person has recorded, label by label. They are in memory alone, and gone with the page. */
import type { FeatureClip } from 'actionclip/browser';
import type { ClipReport } from '../../training-protocol.ts';

/** Most clips and labels that are held. */
export const mostClips = 200;
export const mostLabels = 20;

export interface Clip extends ClipReport {
  readonly id: number;
  /** What a person knows it by: the number of a recording, or the name of a file. */
  readonly name: string;
}

export interface LabelClips {
  readonly label: string;
  readonly clips: readonly Clip[];
}

/** A clip as a training takes it, and how a person finds it again. */
export interface Example extends FeatureClip {
  readonly clip: Clip;
}

export class Clips {
  #labels: readonly LabelClips[] = [];
  #lastId = 0;
  /** Recordings of each label so far, deleted ones too, so that no two have one name. */
  readonly #recordings = new Map<string, number>();

  get labels(): readonly LabelClips[] {
    return this.#labels;
  }

  get count(): number {
    return this.#labels.reduce((sum, { clips }) => sum + clips.length, 0);
  }

  get isFull(): boolean {
    return this.count >= mostClips;
  }

  /** Adds labels that are not there yet, whatever their case; gives those for which there is no room. */
  addLabels(labels: readonly string[]): readonly string[] {
    const beyond: string[] = [];
    for (const label of labels) {
      if (this.#labels.some((one) => one.label.toLowerCase() === label.toLowerCase())) continue;
      if (this.#labels.length < mostLabels) this.#labels = [...this.#labels, { label, clips: [] }];
      else beyond.push(label);
    }
    return beyond;
  }

  /** Removes a label with its clips. */
  removeLabel(label: string): void {
    this.#labels = this.#labels.filter((one) => one.label !== label);
  }

  /**
   * Adds a clip to a label that is still there, if there is room.
   * @param name Of a file; recordings are counted.
   */
  add(label: string, report: ClipReport, name?: string): void {
    if (this.isFull) return;
    const recording = (this.#recordings.get(label) ?? 0) + (name === undefined ? 1 : 0);
    this.#recordings.set(label, recording);
    const clip = { ...report, id: ++this.#lastId, name: name ?? `recording ${recording}` };
    this.#change(label, (clips) => [...clips, clip]);
  }

  remove(id: number): void {
    for (const { label } of this.#labels) this.#change(label, (clips) => clips.filter((clip) => clip.id !== id));
  }

  /** Removes all clips; the labels stay. */
  clear(): void {
    this.#labels = this.#labels.map(({ label }) => ({ label, clips: [] }));
  }

  /** What a training lacks, in a sentence; undefined where it can begin. */
  get lack(): string | undefined {
    if (this.#labels.length < 2) return 'Name at least two actions, and show each of them a few times.';
    const empty = this.#labels.find(({ clips }) => clips.length === 0);
    return empty && `“${empty.label}” has no clip yet: record some, or remove it.`;
  }

  /** The clips in their order, each with the place of its label. */
  get examples(): readonly Example[] {
    return this.#labels.flatMap(({ clips }, label) => clips.map((clip) => ({ rows: clip.rows, label, clip })));
  }

  #change(label: string, changed: (clips: readonly Clip[]) => readonly Clip[]): void {
    this.#labels = this.#labels.map((one) => (one.label === label ? { label, clips: changed(one.clips) } : one));
  }
}
