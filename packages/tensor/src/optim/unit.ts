/** What an optimizer moves at once: one parameter, or many that lie in one flat tensor. */
import type { TypedArray } from '../dtype.ts';
import type { Tensor } from '../tensor.ts';

/** A parameter and where its elements lie in its unit. */
export interface Member {
  readonly name: string;
  readonly parameter: Tensor;
  readonly offset: number;
}

export interface Unit {
  /** The values that move. */
  readonly values: Tensor;
  readonly members: readonly Member[];
  /** The gradient of the values; undefined where no member has one. */
  gradient(): Tensor | undefined;
}

/** A parameter by itself. */
export const separateUnit = (name: string, parameter: Tensor): Unit => ({
  values: parameter,
  members: [{ name, parameter, offset: 0 }],
  gradient: () => parameter.grad,
});

/** The elements of every member in the layout of the unit; zeros between them. */
export function laidOut(unit: Unit, elementsOf: (member: Member) => TypedArray | undefined): TypedArray {
  const parts = unit.members.map((member) => ({ offset: member.offset, elements: elementsOf(member) }));
  const wide = parts.some(({ elements }) => elements instanceof Float64Array);
  const result = wide ? new Float64Array(unit.values.size) : new Float32Array(unit.values.size);
  for (const { offset, elements } of parts) if (elements) result.set(elements, offset);
  return result;
}
