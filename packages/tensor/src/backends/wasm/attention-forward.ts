/** Attention of one head: a few queries at a time, whose scores fill one panel. */
import type { AttentionKernel, MatrixUse } from '../../compile/attention-kernel.ts';
import { call, fillMemory, get, i32, op, smaller } from './assembler.ts';
import { definePackAcross, definePackAlong, defineUnpack } from './attention-panels.ts';
import {
  type HeadWriter,
  keysFor,
  multiplyPanels,
  packRows,
  panelsOf,
  plus,
  rates,
  ScratchLayout,
  scratchAt,
  type Tile,
  visibilityOf,
} from './attention-parts.ts';
import { definePowers } from './attention-softmax.ts';
import { roundUp } from './axes.ts';
import type { Library } from './library.ts';

export function writeForward(library: Library, kernel: AttentionKernel, tile: Tile): HeadWriter {
  const { queries, keys, width, valueWidth, scale, q, k, v, mask, results } = kernel;
  const { rows, columns } = tile;
  const visibility = visibilityOf(kernel);
  const [output] = results as readonly [MatrixUse];
  const layout = new ScratchLayout();
  const scoreRows = Math.max(roundUp(keys, rows), roundUp(keys, columns));
  const zeroCount = Math.max(width, mask ? keys : 0);
  const place = {
    keys: layout.take(roundUp(keys, rows) * width),
    values: layout.take(roundUp(valueWidth, rows) * keys),
    queries: layout.take(width * columns),
    scores: layout.take(scoreRows * columns),
    mask: layout.take(mask ? keys * columns : 0),
    mixed: layout.take(roundUp(valueWidth, rows) * columns),
    factors: layout.take(columns),
    zeros: layout.take(zeroCount),
    discard: layout.take(valueWidth),
  };
  const packKeys = definePackAcross(library, rows);
  const packQueries = definePackAcross(library, columns, scale);
  const packMask = definePackAcross(library, columns);
  const packValues = definePackAlong(library, rows, valueWidth);
  const unpack = defineUnpack(library, columns, valueWidth);
  const powers = definePowers(library, columns, visibility);
  const packed = keys * (width + valueWidth) + queries * (width + valueWidth);
  return {
    scratch: layout.bytes,
    cost: queries * keys * ((width + valueWidth) / rates.multiply + rates.softmax) + packed * rates.pack,
    prepare: (f) => fillMemory(f, scratchAt(place.zeros), i32(0), i32(zeroCount * 4)),
    write: (f, at, first, end) => {
      const [qAt, kAt, vAt, outputAt] = [at(q), at(k), at(v), at(output, true)];
      const maskAt = mask && at(mask);
      packRows(f, packKeys, tile, {
        to: place.keys,
        from: kAt,
        count: keys,
        steps: width,
        stride: k.row,
        zeros: place.zeros,
      });
      call(packValues, scratchAt(place.values), get(vAt), i32(keys), i32(v.row * 4))(f);
      f.count(first, get(end), columns, () => {
        const present = f.let('i32', smaller(op('i32.sub', get(end), get(first)), i32(columns)));
        const seen = f.let('i32', keysFor(kernel, first, columns));
        const zeros = scratchAt(place.zeros);
        const panel = scratchAt(place.queries);
        call(
          packQueries,
          panel,
          plus(get(qAt), get(first), q.row * 4),
          i32(width),
          get(present),
          i32(q.row * 4),
          zeros,
        )(f);
        multiplyPanels(f, tile, panelsOf(get(seen), rows), {
          a: scratchAt(place.keys),
          stride: i32(width * rows * 4),
          b: panel,
          c: scratchAt(place.scores),
          steps: i32(width),
        });
        if (mask && maskAt !== undefined) {
          const from = plus(get(maskAt), get(first), mask.row * 4);
          call(packMask, scratchAt(place.mask), from, get(seen), get(present), i32(mask.row * 4), zeros)(f);
        }
        const factors = scratchAt(place.factors);
        call(powers, scratchAt(place.scores), get(seen), factors, scratchAt(place.mask), get(first))(f);
        multiplyPanels(f, tile, i32(Math.ceil(valueWidth / rows)), {
          a: scratchAt(place.values),
          stride: i32(keys * rows * 4),
          b: scratchAt(place.scores),
          c: scratchAt(place.mixed),
          steps: get(seen),
        });
        const target = plus(get(outputAt), get(first), output.row * 4);
        const discard = scratchAt(place.discard);
        call(unpack, target, scratchAt(place.mixed), get(present), i32(output.row * 4), discard, factors)(f);
      });
    },
  };
}
