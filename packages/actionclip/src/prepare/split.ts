/** Divides clips into training and validation where nobody else has. */
import { Random } from '../data/random.ts';
import type { LabelledClip } from './layouts/layout.ts';

/**
 * Puts about `fraction` of the clips into `val` and the others into `train`. Where clips have groups, whole groups go to
 * one side; else each class is divided, and keeps a clip on both sides if it has two. Equal seeds and clips, whatever
 * their order, give equal splits.
 */
export function divide(clips: readonly LabelledClip[], fraction: number, seed: number): LabelledClip[] {
  const grouped = clips.some(({ group }) => group !== '');
  const random = new Random(seed);
  const held = new Set<string>();
  if (grouped) {
    // A clip without a group is a group by itself.
    const groups = [...new Set(clips.map(groupOf))].sort();
    for (const group of chosen(groups, fraction, random.fork('groups'))) held.add(group);
  } else {
    const byLabel = new Map<string, string[]>();
    for (const { label, path } of clips) {
      const paths = byLabel.get(label);
      if (paths === undefined) byLabel.set(label, [path]);
      else paths.push(path);
    }
    for (const [label, paths] of byLabel) {
      for (const path of chosen(paths.sort(), fraction, random.fork('class', label))) held.add(path);
    }
  }
  return clips.map((clip) => ({ ...clip, split: held.has(grouped ? groupOf(clip) : clip.path) ? 'val' : 'train' }));
}

const groupOf = ({ group, path }: LabelledClip): string => (group === '' ? `clip ${path}` : `group ${group}`);

/** A share of the names by lot: none of one name; else neither none nor all, unless the fraction is 0 or 1. */
function chosen(names: readonly string[], fraction: number, random: Random): string[] {
  const least = fraction > 0 && names.length > 1 ? 1 : 0;
  const most = fraction < 1 ? names.length - 1 : names.length;
  const count = Math.min(Math.max(Math.round(names.length * fraction), least), most);
  const drawn = [...names];
  for (let at = 0; at < count; at++) {
    const other = at + random.integer(names.length - at);
    [drawn[at], drawn[other]] = [drawn[other] ?? '', drawn[at] ?? ''];
  }
  return drawn.slice(0, count);
}
