/**
 * Attention without its scores in memory. Keys are the rows and queries the columns of a product: the scores of a few
 * queries fill one panel, over which softmax runs down the columns, and which is at once the second factor of the
 * product with the values. All panels of a head lie in the thread's private memory.
 */
import type { AttentionKernel, MatrixUse } from '../../compile/attention-kernel.ts';
import { get, i32, type Local, op, smaller } from './assembler.ts';
import { writeBackward } from './attention-backward.ts';
import { writeForward } from './attention-forward.ts';
import type { HeadWriter, Tile } from './attention-parts.ts';
import { product, roundUp } from './axes.ts';
import type { Library } from './library.ts';
import { decode, kernelParameters, loadArguments, type Phase, parameter } from './loop.ts';

interface Definition {
  readonly phases: Phase[];
  /** Bytes of private memory that a thread needs. */
  readonly scratch: number;
}

/** Adds the function of `kernel` to the module. */
export function defineAttention(library: Library, kernel: AttentionKernel, name: string, tile: Tile): Definition {
  return kernel.gradient
    ? defineHeads(library, kernel, name, writeBackward(library, kernel, tile), kernel.queries)
    : defineHeads(library, kernel, name, writeForward(library, kernel, tile), blockOf(kernel, tile));
}

/** Few heads are divided into blocks of queries, so that there is work for several threads. */
const enoughUnits = 8;
const fewestQueries = 64;

function blockOf({ batch, queries }: AttentionKernel, { columns }: Tile): number {
  const blocks = Math.min(Math.ceil(enoughUnits / product(batch)), Math.floor(queries / fewestQueries));
  return roundUp(Math.ceil(queries / Math.max(1, blocks)), columns);
}

/** Units are blocks of `rows` queries of one head after the other. */
function defineHeads(
  library: Library,
  kernel: AttentionKernel,
  name: string,
  { cost, scratch, prepare, write }: HeadWriter,
  rows: number,
): Definition {
  const { batch, queries } = kernel;
  const blocks = Math.ceil(queries / rows);
  library.module.define(
    kernelParameters,
    [],
    (f) => {
      const inputs = loadArguments(f, kernel.inputs.length + 1);
      const output = inputs[kernel.inputs.length] as Local;
      const coordinates = batch.map(() => f.local('i32'));
      prepare(f);
      f.count(parameter.start, get(parameter.end), 1, () => {
        const unit = get(parameter.start);
        decode(f, op('i32.div_u', unit, i32(blocks)), batch, coordinates);
        const first = f.let('i32', op('i32.mul', op('i32.rem_u', unit, i32(blocks)), i32(rows)));
        const end = f.let('i32', smaller(op('i32.add', get(first), i32(rows)), i32(queries)));
        const at = (use: MatrixUse, result = false): Local => {
          const base = result ? output : (inputs[use.buffer] as Local);
          const address = f.let('i32', op('i32.add', get(base), i32(use.offset * 4)));
          for (const [axis, stride] of use.batch.entries()) {
            if (stride === 0) continue;
            const step = op('i32.mul', get(coordinates[axis] as Local), i32(stride * 4));
            f.set(address, op('i32.add', get(address), step));
          }
          return address;
        };
        write(f, at, first, end);
      });
    },
    name,
  );
  return { phases: [{ name, units: product(batch) * blocks, cost: cost / blocks }], scratch };
}
