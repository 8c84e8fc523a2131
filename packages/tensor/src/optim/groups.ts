/** Parameter groups: which tensors an optimizer moves, under which names, and how far. */
import { DTypeError, TensorError } from '../errors.ts';
import type { Tensor } from '../tensor.ts';

/** Parameters or groups that an optimizer cannot work with, or a state that does not fit it. */
export class OptimizerError extends TensorError {}

/** Tensors, or tensors with names: `model.parameters()`, `model.namedParameters()`, a Map, `Object.entries(...)`. */
export type Parameters = Iterable<Tensor | readonly [string, Tensor]>;

/** What may differ from group to group. */
export interface GroupSettings {
  /** The rate that each step starts with; a schedule changes it through `optimizer.groups`. */
  readonly learningRate?: number;
  readonly weightDecay?: number;
  /** 'f16': values are rounded to half precision after each step, as where parameters are kept so; 'f32' if absent. */
  readonly rounding?: 'f32' | 'f16';
}

export interface GroupOptions extends GroupSettings {
  readonly parameters: Parameters;
}

export class ParameterGroup {
  /** By name; unnamed tensors are named by their position among all parameters of the optimizer. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  /** The rate of the next step. */
  learningRate: number;
  /** The rate that the group was made with, for schedules to scale. */
  readonly baseLearningRate: number;
  readonly weightDecay: number;
  readonly rounding: 'f32' | 'f16';

  constructor(parameters: ReadonlyMap<string, Tensor>, settings: Required<GroupSettings>) {
    this.parameters = parameters;
    this.learningRate = settings.learningRate;
    this.baseLearningRate = settings.learningRate;
    this.weightDecay = settings.weightDecay;
    this.rounding = settings.rounding;
  }
}

const isGroup = (entry: unknown): entry is GroupOptions =>
  typeof entry === 'object' && entry !== null && 'parameters' in entry;

/**
 * Groups from what a caller gave: parameters alone make one group. Throws OptimizerError for a parameter that appears
 * twice, wants no gradient, or has a name that is taken, and for a rate or decay that is negative or not a number.
 */
export function parameterGroups(
  given: Parameters | readonly GroupOptions[],
  defaults: Required<Pick<GroupSettings, 'learningRate' | 'weightDecay'>>,
): ParameterGroup[] {
  const entries: readonly unknown[] = [...(given as Iterable<unknown>)];
  const groups = entries.length > 0 && entries.every(isGroup) ? entries : [{ parameters: entries as Tensor[] }];
  const names = new Set<string>();
  const seen = new Set<Tensor>();
  return groups.map((group: GroupOptions) => {
    const parameters = new Map<string, Tensor>();
    for (const entry of group.parameters) {
      const [name, parameter] = Array.isArray(entry)
        ? (entry as readonly [string, Tensor])
        : [String(seen.size), entry as Tensor];
      check(name, parameter, names, seen);
      names.add(name);
      seen.add(parameter);
      parameters.set(name, parameter);
    }
    return new ParameterGroup(parameters, {
      learningRate: nonNegative('learningRate', group.learningRate ?? defaults.learningRate),
      weightDecay: nonNegative('weightDecay', group.weightDecay ?? defaults.weightDecay),
      rounding: group.rounding ?? 'f32',
    });
  });
}

function check(name: string, parameter: Tensor, names: ReadonlySet<string>, seen: ReadonlySet<Tensor>): void {
  if (seen.has(parameter))
    throw new OptimizerError(`optimizer: parameter ${name} appears twice`, 'put it into one group, once');
  if (names.has(name))
    throw new OptimizerError(`optimizer: two parameters are named ${name}`, 'give each its own name');
  if (!parameter.requiresGrad)
    throw new OptimizerError(`optimizer: parameter ${name} wants no gradient`, 'set requiresGrad, or leave it out');
  if (parameter.dtype !== 'f32')
    throw new DTypeError(`optimizer: parameter ${name} has dtype ${parameter.dtype}`, 'keep parameters in f32');
}

/** `value`, or OptimizerError where it is negative or not finite. */
export function nonNegative(name: string, value: number): number {
  if (!(value >= 0 && Number.isFinite(value)))
    throw new OptimizerError(`optimizer: ${name} is ${value}`, 'give a finite number, at least 0');
  return value;
}

/** `value`, or OptimizerError where it is outside [0, 1). */
export function fraction(name: string, value: number): number {
  if (!(value >= 0 && value < 1)) throw new OptimizerError(`optimizer: ${name} is ${value}`, 'give a number in [0, 1)');
  return value;
}
