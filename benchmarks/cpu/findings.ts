/** What the measured cases say together: how cost grows with frames, and how near a training step is to its products. */

import { type CaseResult, isTimed, type Timed } from '../harness/measure.ts';
import { exponentOf } from '../harness/statistics.ts';
import { rateOf } from '../harness/table.ts';
import type { ModelName } from '../harness/work.ts';
import { referenceCase } from './cases.ts';

export interface GrowthPoint {
  readonly frames: number;
  readonly milliseconds: number;
  /** The process at its fullest, in bytes. */
  readonly resident: number;
  /** Device memory of a run beside the parameters, in bytes. */
  readonly working: number;
}

/** Time and memory of a video's features against its frames; the exponents are those of cost ~ frames^p. */
export interface Growth {
  readonly model: ModelName;
  readonly threads: number;
  readonly points: readonly GrowthPoint[];
  readonly timeExponent: number;
  readonly residentExponent: number;
  readonly workingExponent: number;
}

/** A training step's matrix products each second, against one product of 1024 x 1024 matrices in the same run. */
export interface Share {
  readonly name: string;
  readonly threads: number;
  readonly stepRate: number;
  readonly productRate: number;
}

const timedOf = ({ outcomes }: CaseResult): Timed[] => outcomes.filter(isTimed);

export function growthOf(results: readonly CaseResult[]): Growth[] {
  const found = new Map<string, { model: ModelName; threads: number; points: GrowthPoint[] }>();
  for (const result of results) {
    if (result.work.kind !== 'video') continue;
    const { model, frames } = result.work;
    for (const { threads, milliseconds, resident, working = 0 } of timedOf(result)) {
      const key = `${model} ${threads}`;
      const entry = found.get(key) ?? { model, threads, points: [] };
      entry.points.push({ frames, milliseconds: milliseconds.median, resident, working });
      found.set(key, entry);
    }
  }
  return [...found.values()]
    .filter(({ points }) => points.length > 1)
    .map((entry) => {
      const exponent = (cost: 'milliseconds' | 'resident' | 'working'): number =>
        exponentOf(entry.points.map((point) => [point.frames, point[cost]]));
      return {
        ...entry,
        timeExponent: exponent('milliseconds'),
        residentExponent: exponent('resident'),
        workingExponent: exponent('working'),
      };
    });
}

export function sharesOf(results: readonly CaseResult[]): Share[] {
  const reference = results.find(({ name }) => name === referenceCase);
  return results.flatMap((result) => {
    const { work, cost, name } = result;
    if (work.kind !== 'trainingStep' || !cost || !reference?.cost) return [];
    const products = reference.cost;
    return timedOf(result).flatMap((step) => {
      const product = timedOf(reference).find((other) => other.name === step.name && other.threads === step.threads);
      if (!product) return [];
      const stepRate = rateOf(cost, step.milliseconds.median).value;
      return [
        { name, threads: step.threads, stepRate, productRate: rateOf(products, product.milliseconds.median).value },
      ];
    });
  });
}

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`;

export function growthLines({ model, threads, points, ...exponents }: Growth): string[] {
  return [
    `Features of a video by ${model}, ${threads} thread(s): time ~ frames^${exponents.timeExponent.toFixed(2)}, ` +
      `working memory ~ frames^${exponents.workingExponent.toFixed(2)}, ` +
      `process ~ frames^${exponents.residentExponent.toFixed(2)}`,
    ...points.map(
      ({ frames, milliseconds, working, resident }) =>
        `  ${String(frames).padStart(3)} frames ${milliseconds.toFixed(2).padStart(9)} ms ` +
        `${(milliseconds / frames).toFixed(2).padStart(8)} ms a frame ${megabytes(working).padStart(10)} working ` +
        `${megabytes(resident).padStart(10)} process`,
    ),
  ];
}

export const shareLine = ({ name, threads, stepRate, productRate }: Share): string =>
  `${name}, ${threads} thread(s): ${stepRate.toFixed(1)} GFLOP/s over its matrix products, ` +
  `${((100 * stepRate) / productRate).toFixed(0)} % of ${referenceCase} (${productRate.toFixed(1)})`;
