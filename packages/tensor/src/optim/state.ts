/** An optimizer's state as a file holds it: the names of its entries, and their check before anything is changed. */
import type { TypedArray } from '../dtype.ts';
import { printShape } from '../errors.ts';
import type { HostTensor } from '../io/host-tensor.ts';
import { sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { OptimizerError, type ParameterGroup } from './groups.ts';
import { goodStepsName, scaleName } from './loss-scale.ts';

export const stepName = (parameter: string): string => `${parameter}.step`;
export const rateName = (group: number): string => `groups.${group}.learningRate`;

/** What loading will do. */
export interface PlannedLoad {
  /** Steps taken and running averages; none where the state has no entry for the parameter. */
  readonly parameters: ReadonlyMap<Tensor, { readonly step: number; readonly moments: readonly TypedArray[] }>;
  /** The groups' rates. */
  readonly rates: readonly number[];
  /** Where the state has one and the optimizer scales its loss. */
  readonly lossScale?: { readonly scale: number; readonly goodSteps: number };
}

/** Reads `state` for these groups. Throws OptimizerError that lists what does not fit. */
export function planLoad(
  state: ReadonlyMap<string, HostTensor>,
  groups: readonly ParameterGroup[],
  momentNames: readonly string[],
  scalesLoss: boolean,
): PlannedLoad {
  const problems: string[] = [];
  const known = new Set<string>();
  const entry = (name: string): HostTensor | undefined => {
    known.add(name);
    return state.get(name);
  };
  const parameters = new Map<Tensor, { step: number; moments: TypedArray[] }>();
  for (const [name, parameter] of groups.flatMap((group) => [...group.parameters])) {
    const step = entry(stepName(name));
    const moments = momentNames.map((moment) => [`${name}.${moment}`, entry(`${name}.${moment}`)] as const);
    const floats: TypedArray[] = [];
    for (const [momentName, moment] of moments) {
      if (!moment) {
        if (step) problems.push(`${momentName} is missing`);
      } else if (!step) problems.push(`${stepName(name)} is missing`);
      else if (!sameShape(moment.shape, parameter.shape))
        problems.push(`${momentName} is ${printShape(moment.shape)}, not ${printShape(parameter.shape)}`);
      else if (moment.data instanceof Float32Array || moment.data instanceof Float64Array) floats.push(moment.data);
      else problems.push(`${momentName} has dtype ${moment.dtype}, not f32 or f64`);
    }
    parameters.set(parameter, { step: Number(step?.data[0] ?? 0), moments: floats });
  }
  const rates = groups.map((group, i) => Number(entry(rateName(i))?.data[0] ?? group.learningRate));
  const [scale, goodSteps] = scalesLoss ? [entry(scaleName), entry(goodStepsName)] : [];
  if (scale && !goodSteps) problems.push(`${goodStepsName} is missing`);
  if (goodSteps && !scale) problems.push(`${scaleName} is missing`);
  for (const name of state.keys()) if (!known.has(name)) problems.push(`${name} is unexpected`);
  if (problems.length > 0) {
    const shown = problems.slice(0, 5).join('; ');
    throw new OptimizerError(
      `optimizer: the state does not fit: ${shown}${problems.length > 5 ? `; and ${problems.length - 5} more` : ''}`,
      'load it into an optimizer with the same parameters and names',
    );
  }
  const lossScale = scale &&
    goodSteps && { lossScale: { scale: Number(scale.data[0]), goodSteps: Number(goodSteps.data[0]) } };
  return { parameters, rates, ...lossScale };
}
