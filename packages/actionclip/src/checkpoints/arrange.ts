/** The parameters of a layout under this package's names: renamed, and joined or transposed where the layout asks for it. */
import { CheckpointError } from './errors.ts';
import { firstFew } from './first-few.ts';
import { type Layout, type LayoutName, renameParameter } from './names.ts';

/** How values of one kind, in memory or still in a file, are rearranged. `where` is named in errors. */
interface Rearrangements<Value> {
  transpose(value: Value, where: string): Value;
  concatenate(parts: readonly (Value | undefined)[], where: string): Value;
}

export interface Arranged<Value> {
  readonly layout: LayoutName;
  /** By this package's names. */
  readonly tensors: Map<string, Value>;
  /** Parameters of the layout that carry nothing of the model. */
  readonly dropped: readonly string[];
}

/**
 * @param source Named in errors.
 * @throws CheckpointError where a parameter has no place in the layout, or shares it with another.
 */
export function arrange<Value>(
  given: ReadonlyMap<string, Value>,
  layout: Layout,
  source: string,
  { transpose, concatenate }: Rearrangements<Value>,
): Arranged<Value> {
  const tensors = new Map<string, Value>();
  const thirds = new Map<string, (Value | undefined)[]>();
  const dropped: string[] = [];
  const unknown: string[] = [];
  for (const [name, value] of given) {
    const renaming = renameParameter(layout, name);
    if (renaming === 'dropped') dropped.push(name);
    else if (renaming === 'unknown') unknown.push(name);
    else if (renaming.third !== undefined) {
      const parts = thirds.get(renaming.name) ?? [undefined, undefined, undefined];
      parts[renaming.third] = value;
      thirds.set(renaming.name, parts);
    } else if (tensors.has(renaming.name)) {
      throw new CheckpointError(`${source}: ${name} and another parameter are both ${renaming.name}`, 'remove one');
    } else tensors.set(renaming.name, renaming.transpose ? transpose(value, `${source}: ${name}`) : value);
  }
  if (unknown.length > 0) {
    throw new CheckpointError(
      `${source}: ${unknown.length} parameters have no place in the ${layout.name} layout: ${firstFew(unknown)}`,
      'remove them from the file',
    );
  }
  for (const [name, parts] of thirds) tensors.set(name, concatenate(parts, `${source}: ${name}`));
  return { layout: layout.name, tensors, dropped };
}
