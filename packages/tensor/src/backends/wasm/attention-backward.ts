/**
 * The gradients of attention, one head at a time. The scores are computed again, and with them the weights and their
 * slopes in panels [keys][queries]; from these come the gradient of the queries panel by panel, and, turned to
 * [queries][keys], sums over all queries for the keys and values.
 */
import type { AttentionKernel, MatrixUse } from '../../compile/attention-kernel.ts';
import {
  type Code,
  call,
  type FunctionBuilder,
  f32,
  fillMemory,
  get,
  i32,
  type Local,
  op,
  smaller,
} from './assembler.ts';
import { definePackAcross, definePackAlong, defineTurn, defineUnpack } from './attention-panels.ts';
import {
  type HeadWriter,
  keysFor,
  multiplyPanels,
  packRows,
  panelsOf,
  plus,
  rates,
  repeat,
  ScratchLayout,
  scratchAt,
  type Tile,
  visibilityOf,
} from './attention-parts.ts';
import { definePowers, defineSlopes } from './attention-softmax.ts';
import { roundUp } from './axes.ts';
import type { Library } from './library.ts';

/** Most weights, and as many slopes, that are kept until their products with all queries are taken. */
const mostWeights = 40960;

/** Queries that are dealt with before their share goes into the gradients of the keys and values. */
function blockRows({ queries, keys }: AttentionKernel, columns: number): number {
  const most = Math.max(columns, Math.floor(mostWeights / roundUp(keys, columns) / columns) * columns);
  return roundUp(Math.ceil(queries / Math.ceil(queries / most)), columns);
}

function arrange(kernel: AttentionKernel, { rows, columns }: Tile) {
  const { keys, width, valueWidth, mask } = kernel;
  const block = blockRows(kernel, columns);
  const [keyRows, keyColumns] = [roundUp(keys, rows), roundUp(keys, columns)];
  const [widthRows, valueRows] = [roundUp(width, rows), roundUp(valueWidth, rows)];
  const layout = new ScratchLayout();
  const zeroCount = Math.max(width, valueWidth, mask ? keys : 0);
  const panel = Math.max(keyRows, keyColumns) * columns;
  const places = {
    block,
    zeroCount,
    panel,
    keyPanels: keyColumns / columns,
    widthRows,
    valueRows,
    keysAcross: layout.take(keyRows * width),
    valuesAcross: layout.take(keyRows * valueWidth),
    keysAlong: layout.take(widthRows * keys),
    queriesAlong: layout.take(widthRows * block),
    gradientAlong: layout.take(valueRows * block),
    query: layout.take(width * columns),
    gradient: layout.take(valueWidth * columns),
    powers: layout.take(panel),
    slopes: layout.take(panel),
    mask: layout.take(mask ? keys * columns : 0),
    result: layout.take(widthRows * columns),
    weightsTurned: layout.take(keyColumns * block),
    slopesTurned: layout.take(keyColumns * block),
    keyGradient: layout.take(widthRows * keyColumns),
    valueGradient: layout.take(valueRows * keyColumns),
    factors: layout.take(columns),
    scales: layout.take(columns),
    ones: layout.take(columns),
    zeros: layout.take(zeroCount),
    discard: layout.take(Math.max(width, valueWidth)),
  };
  return { ...places, bytes: layout.bytes };
}

export function writeBackward(library: Library, kernel: AttentionKernel, tile: Tile): HeadWriter {
  const { queries, keys, width, valueWidth, scale, q, k, v, mask } = kernel;
  const { rows, columns } = tile;
  const gradient = kernel.gradient as MatrixUse;
  const [ofQueries, ofKeys, ofValues] = kernel.results as readonly [MatrixUse, MatrixUse, MatrixUse];
  const place = arrange(kernel, tile);
  const visibility = visibilityOf(kernel);
  const acrossRows = definePackAcross(library, rows);
  const acrossColumns = definePackAcross(library, columns);
  const acrossScaled = definePackAcross(library, columns, scale);
  const widthAlong = definePackAlong(library, rows, width);
  const valueAlong = definePackAlong(library, rows, valueWidth);
  const unpackWidth = defineUnpack(library, columns, width);
  const unpackValues = defineUnpack(library, columns, valueWidth);
  const turn = defineTurn(library, columns);
  const powers = definePowers(library, columns, visibility);
  const slopes = defineSlopes(library, columns, visibility);
  const zeros = scratchAt(place.zeros);
  const discard = scratchAt(place.discard);

  /** Weights and slopes of the queries from `query` on, and from them the gradient of the queries. */
  const panelOfQueries = (
    f: FunctionBuilder,
    at: { readonly [name in 'q' | 'gradient' | 'mask' | 'result']: Local },
    query: Local,
    present: Local,
  ): Local => {
    const seen = f.let('i32', keysFor(kernel, query, columns));
    const pack = (index: number, to: number, from: Local, row: number, steps: Code): void =>
      call(index, scratchAt(to), plus(get(from), get(query), row * 4), steps, get(present), i32(row * 4), zeros)(f);
    const scores = (a: number, b: number, c: number, steps: number): void =>
      multiplyPanels(f, tile, panelsOf(get(seen), rows), {
        a: scratchAt(a),
        stride: i32(steps * rows * 4),
        b: scratchAt(b),
        c: scratchAt(c),
        steps: i32(steps),
      });
    pack(acrossScaled, place.query, at.q, q.row, i32(width));
    pack(acrossColumns, place.gradient, at.gradient, gradient.row, i32(valueWidth));
    if (mask) pack(acrossColumns, place.mask, at.mask, mask.row, get(seen));
    scores(place.keysAcross, place.query, place.powers, width);
    scores(place.valuesAcross, place.gradient, place.slopes, valueWidth);
    const [factors, maskPanel] = [scratchAt(place.factors), scratchAt(place.mask)];
    call(powers, scratchAt(place.powers), get(seen), factors, maskPanel, get(query))(f);
    call(slopes, scratchAt(place.powers), scratchAt(place.slopes), get(seen), factors, maskPanel, get(query))(f);
    multiplyPanels(f, tile, i32(place.widthRows / rows), {
      a: scratchAt(place.keysAlong),
      stride: i32(keys * rows * 4),
      b: scratchAt(place.slopes),
      c: scratchAt(place.result),
      steps: get(seen),
    });
    const to = plus(get(at.result), get(query), ofQueries.row * 4);
    const from = scratchAt(place.result);
    call(unpackWidth, to, from, get(present), i32(ofQueries.row * 4), discard, scratchAt(place.scales))(f);
    return seen;
  };

  /** Adds [width][keys] += along[width][count] · turned[count][keys] to a gradient, panel of keys by panel of keys. */
  const accumulate = (
    f: FunctionBuilder,
    from: { readonly along: number; readonly turned: number; readonly to: number; readonly rows: number },
    count: Local,
    stride: Local,
    isFirst: Local,
  ): void =>
    repeat(f, i32(place.keyPanels), (p) =>
      multiplyPanels(f, tile, i32(from.rows / rows), {
        a: scratchAt(from.along),
        stride: op('i32.mul', get(count), i32(rows * 4)),
        b: scratchAt(from.turned, op('i32.mul', get(p), get(stride))),
        c: scratchAt(from.to, op('i32.mul', get(p), i32(from.rows * columns * 4))),
        steps: get(count),
        first: get(isFirst),
      }),
    );

  const storeSums = (
    f: FunctionBuilder,
    unpack: number,
    from: number,
    height: number,
    to: Local,
    row: number,
    by: number,
  ): void =>
    repeat(f, i32(place.keyPanels), (p) => {
      const present = op('i32.sub', i32(keys), op('i32.mul', get(p), i32(columns)));
      const target = plus(get(to), get(p), columns * row * 4);
      const source = scratchAt(from, op('i32.mul', get(p), i32(height * columns * 4)));
      call(unpack, target, source, present, i32(row * 4), discard, scratchAt(by))(f);
    });

  const packed = (3 * keys + 3 * queries) * (width + valueWidth) + 2 * queries * keys;
  return {
    scratch: place.bytes,
    cost: queries * keys * ((3 * width + 2 * valueWidth) / rates.multiply + 2 * rates.softmax) + packed * rates.pack,
    prepare: (f) => {
      fillMemory(f, zeros, i32(0), i32(place.zeroCount * 4));
      // Rows past the last key belong to no key; they are turned with the others.
      for (const panel of [place.powers, place.slopes]) fillMemory(f, scratchAt(panel), i32(0), i32(place.panel * 4));
      for (let i = 0; i < columns; i++) {
        f.store('f32.store', scratchAt(place.scales), f32(scale), i * 4);
        f.store('f32.store', scratchAt(place.ones), f32(1), i * 4);
      }
    },
    write: (f, at, first, end) => {
      const [qAt, kAt, vAt, gradientAt] = [at(q), at(k), at(v), at(gradient)];
      const sources = { q: qAt, gradient: gradientAt, mask: mask ? at(mask) : qAt, result: at(ofQueries, true) };
      const [keysTo, valuesTo] = [at(ofKeys, true), at(ofValues, true)];
      const across = (to: number, from: Local, steps: number, stride: number): void =>
        packRows(f, acrossRows, tile, { to, from, count: keys, steps, stride, zeros: place.zeros });
      across(place.keysAcross, kAt, width, k.row);
      across(place.valuesAcross, vAt, valueWidth, v.row);
      call(widthAlong, scratchAt(place.keysAlong), get(kAt), i32(keys), i32(k.row * 4))(f);
      f.count(first, get(end), place.block, () => {
        const blockEnd = f.let('i32', smaller(op('i32.add', get(first), i32(place.block)), get(end)));
        const count = f.let('i32', op('i32.sub', get(blockEnd), get(first)));
        // Bytes of a panel of `columns` keys for all queries of the block.
        const stride = f.let('i32', op('i32.mul', panelsOf(get(count), columns), i32(columns * columns * 4)));
        if (kernel.causal) {
          for (const turned of [place.weightsTurned, place.slopesTurned])
            fillMemory(f, scratchAt(turned), i32(0), op('i32.mul', get(stride), i32(place.keyPanels)));
        }
        const along = (pack: number, to: number, from: Local, row: number): void =>
          call(pack, scratchAt(to), plus(get(from), get(first), row * 4), get(count), i32(row * 4))(f);
        along(widthAlong, place.queriesAlong, qAt, q.row);
        along(valueAlong, place.gradientAlong, gradientAt, gradient.row);
        const query = f.let('i32', get(first));
        f.count(query, get(blockEnd), columns, () => {
          const present = f.let('i32', smaller(op('i32.sub', get(blockEnd), get(query)), i32(columns)));
          const seen = panelOfQueries(f, sources, query, present);
          const within = op('i32.mul', op('i32.sub', get(query), get(first)), i32(columns * 4));
          const panels = panelsOf(get(seen), columns);
          call(turn, scratchAt(place.weightsTurned, within), scratchAt(place.powers), panels, get(stride))(f);
          call(turn, scratchAt(place.slopesTurned, within), scratchAt(place.slopes), panels, get(stride))(f);
        });
        const isFirst = f.let('i32', op('i32.eqz', get(first)));
        const { queriesAlong, slopesTurned, gradientAlong, weightsTurned, keyGradient, valueGradient } = place;
        const ofKey = { along: queriesAlong, turned: slopesTurned, to: keyGradient, rows: place.widthRows };
        const ofValue = { along: gradientAlong, turned: weightsTurned, to: valueGradient, rows: place.valueRows };
        for (const sum of [ofKey, ofValue]) accumulate(f, sum, count, stride, isFirst);
      });
      storeSums(f, unpackWidth, place.keyGradient, place.widthRows, keysTo, ofKeys.row, place.scales);
      storeSums(f, unpackValues, place.valueGradient, place.valueRows, valuesTo, ofValues.row, place.ones);
    },
  };
}
