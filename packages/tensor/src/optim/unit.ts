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
  /** The gradient of the values; undefined where no member has one. Throws OptimizerError where the layout forbids it. */
  gradient(): Tensor | undefined;
  /** Sums of gradient² that together are the sum of all: a scalar, or many [n]. */
  squares(gradient: Tensor): Tensor;
  /** True at the values that the last gradient moves (bool); undefined where it moves all of them. */
  mask(): Tensor | undefined;
  /** Whether the steps of the unit are steps of `parameter`. */
  moves(parameter: Tensor): boolean;
  /** The steps that the unit has taken, from those of its members. Throws OptimizerError where they differ. */
  commonSteps(stepsOf: (parameter: Tensor) => number): number;
  /** Goes on where `moved` are the members that have been moved. */
  load(moved: ReadonlySet<Tensor>): void;
}

/** A parameter by itself. */
export const separateUnit = (name: string, parameter: Tensor): Unit => ({
  values: parameter,
  members: [{ name, parameter, offset: 0 }],
  gradient: () => parameter.grad,
  squares: (gradient) => gradient.square().sum(),
  mask: () => undefined,
  moves: () => true,
  commonSteps: (stepsOf) => stepsOf(parameter),
  load: () => {},
});

/** The elements of every member in the layout of the unit; zeros between them. */
export function laidOut(unit: Unit, elementsOf: (member: Member) => TypedArray | undefined): TypedArray {
  const parts = unit.members.map((member) => ({ offset: member.offset, elements: elementsOf(member) }));
  const wide = parts.some(({ elements }) => elements instanceof Float64Array);
  const result = wide ? new Float64Array(unit.values.size) : new Float32Array(unit.values.size);
  for (const { offset, elements } of parts) if (elements) result.set(elements, offset);
  return result;
}
