/**
 * Long reductions to few values, split: the parts of each reduction are folded apart from one another, into the
 * workspace, and then combined in order. The number of parts follows from the shape alone, so that the result does not
 * depend on the number of threads.
 */
import { type LoopNest, product } from './axes.ts';
import { Accumulator } from './reduction.ts';

export interface Split {
  readonly parts: number;
  /** Steps of the reduction's first axis in a part. */
  readonly steps: number;
  /** Bytes of one value in the workspace, where they lie part by part, each in the order of the output. */
  readonly bytes: number;
}

/** Elements that a part folds at least: less is not worth handing over. */
const leastWork = 1 << 14;
/** As many units of work keep all threads busy to the end. */
const enoughUnits = 64;

/** Columns of rows at least this long are folded over so many rows at a time: each row is on pages of its own. */
const wideRow = 1024;
const tallBlock = 2 * Accumulator.block;

/**
 * How the reduction of `nest` is split; undefined where it stays whole. `units`: units of work that it has unsplit;
 * `byPoints`: whether they go along the reduction's own axis.
 */
export function splitOf({ shape, reduce }: LoopNest, units: number, byPoints: boolean): Split | undefined {
  if (!reduce || reduce.body.type === 'bool') return undefined;
  const [first] = reduce.extent as [number, ...number[]];
  const bytes = Accumulator.savedBytes(reduce.op, reduce.body.type, product(reduce.extent));
  const tall = !byPoints && reduce.extent.length === 1 && (shape[shape.length - 1] as number) >= wideRow;
  if (tall && first >= 4 * tallBlock) {
    return { parts: Math.ceil(first / tallBlock), steps: tallBlock, bytes };
  }
  if (units >= enoughUnits / 4) return undefined;
  const work = product(shape) * product(reduce.extent);
  const most = Math.min(Math.floor(work / leastWork), Math.ceil(enoughUnits / units), first);
  if (most < 2) return undefined;
  // Whole blocks, so that sums go to 64 bits as rarely as they can.
  const block = reduce.extent.length > 1 ? 1 : byPoints ? 16 * Accumulator.block : Accumulator.block;
  const steps = Math.ceil(first / most / block) * block;
  const parts = Math.ceil(first / steps);
  return parts < 2 ? undefined : { parts, steps, bytes };
}
