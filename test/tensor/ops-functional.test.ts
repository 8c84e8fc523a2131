/** Convolution, pooling, interpolation, einsum, normalisation, losses, attention and LSTM equal their textbook loops. */
import * as engine from '@actionclip/tensor';
import { type Tensor, tensor } from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrayOf, numberIn } from './arbitraries.ts';
import { expectNear } from './comparison.ts';
import { everyDevice, use } from './devices.ts';
import { at, build, foldAxes, type NaiveArray, sizeOf, toTensor } from './naive.ts';

interface ConvolutionCase {
  readonly x: NaiveArray;
  readonly weight: NaiveArray;
  readonly bias: NaiveArray;
  readonly stride: number[];
  readonly padding: number[];
  readonly dilation: number[];
  readonly groups: number;
}

const small = (low: number, high: number): fc.Arbitrary<number> => fc.integer({ min: low, max: high });

function convolutions(spatial: number): fc.Arbitrary<ConvolutionCase> {
  const each = (value: fc.Arbitrary<number>): fc.Arbitrary<number[]> =>
    fc.array(value, { minLength: spatial, maxLength: spatial });
  return fc
    .record({
      batch: small(1, 2),
      own: small(1, 2),
      outOwn: small(1, 2),
      groups: small(1, 3),
      kernel: each(small(1, 3)),
      stride: each(small(1, 3)),
      padding: each(small(0, 2)),
      dilation: each(small(1, 2)),
      more: each(small(0, 4)),
    })
    .chain(({ batch, own, outOwn, groups, kernel, stride, padding, dilation, more }) => {
      const extents = kernel.map((k, i) => (k - 1) * (dilation[i] ?? 1) + 1 + (more[i] ?? 0));
      return fc.record({
        x: arrayOf([batch, own * groups, ...extents]),
        weight: arrayOf([outOwn * groups, own, ...kernel]),
        bias: arrayOf([outOwn * groups]),
        stride: fc.constant(stride),
        padding: fc.constant(padding),
        dilation: fc.constant(dilation),
        groups: fc.constant(groups),
      });
    });
}

/** Where a window's element lies in the unpadded input. */
const place = (c: ConvolutionCase, window: readonly number[], within: readonly number[]): number[] =>
  window.map((w, i) => w * (c.stride[i] ?? 1) + (within[i] ?? 0) * (c.dilation[i] ?? 1) - (c.padding[i] ?? 0));

const inside = (position: readonly number[], extents: readonly number[]): boolean =>
  position.every((p, i) => p >= 0 && p < (extents[i] ?? 0));

function windowsOf(c: ConvolutionCase, kernel: readonly number[]): number[] {
  return kernel.map((k, i) => {
    const padded = (c.x.shape[2 + i] ?? 0) + 2 * (c.padding[i] ?? 0);
    return Math.floor((padded - (k - 1) * (c.dilation[i] ?? 1) - 1) / (c.stride[i] ?? 1)) + 1;
  });
}

function convolve(c: ConvolutionCase): NaiveArray {
  const kernel = c.weight.shape.slice(2);
  const own = c.weight.shape[1] ?? 1;
  const out = c.weight.shape[0] ?? 1;
  return build([c.x.shape[0] ?? 1, out, ...windowsOf(c, kernel)], ([n = 0, o = 0, ...window]) => {
    const group = Math.floor(o / (out / c.groups));
    const products = build([own, ...kernel], ([channel = 0, ...within]) => {
      const position = place(c, window, within);
      if (!inside(position, c.x.shape.slice(2))) return 0;
      return at(c.x, [n, group * own + channel, ...position]) * at(c.weight, [o, channel, ...within]);
    });
    return products.data.reduce((a, b) => a + b, c.bias.data[o] ?? 0);
  });
}

/** Folds the elements of every window that lie inside. */
function pool(c: ConvolutionCase, fold: (values: readonly number[], all: number) => number): NaiveArray {
  const kernel = c.weight.shape.slice(2);
  return build([...c.x.shape.slice(0, 2), ...windowsOf(c, kernel)], ([n = 0, channel = 0, ...window]) => {
    const values: number[] = [];
    build(kernel, (within) => {
      const position = place(c, window, within);
      if (inside(position, c.x.shape.slice(2))) values.push(at(c.x, [n, channel, ...position]));
      return 0;
    });
    return fold(values, sizeOf(kernel));
  });
}

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** The sum over all values of all letters of the product of the operands. */
function einsum(
  equation: string,
  sizes: Readonly<Record<string, number>>,
  operands: readonly NaiveArray[],
): NaiveArray {
  const [left = '', output = ''] = equation.split('->');
  const terms = left.split(',');
  const summed = [...new Set([...left].filter((letter) => letter !== ',' && !output.includes(letter)))];
  return build(
    [...output].map((letter) => sizes[letter] ?? 1),
    (index) => {
      const rest = build(
        summed.map((letter) => sizes[letter] ?? 1),
        (inner) => {
          const value = new Map([
            ...[...output].map((letter, i) => [letter, index[i] ?? 0] as const),
            ...summed.map((letter, i) => [letter, inner[i] ?? 0] as const),
          ]);
          return operands.reduce(
            (product, x, k) =>
              product *
              at(
                x,
                [...(terms[k] ?? '')].map((letter) => value.get(letter) ?? 0),
              ),
            1,
          );
        },
      );
      return total(rest.data);
    },
  );
}

const letters = ['i', 'j', 'k', 'l'];
const equations = fc
  .tuple(
    fc.array(fc.array(fc.constantFrom(...letters), { minLength: 0, maxLength: 3 }), { minLength: 1, maxLength: 3 }),
    fc.tuple(small(1, 4), small(1, 3), small(1, 3), small(1, 2)),
    fc.shuffledSubarray(letters),
  )
  .chain(([terms, extents, wanted]) => {
    const used = new Set(terms.flat());
    const output = wanted.filter((letter) => used.has(letter)).join('');
    const sizes = Object.fromEntries(letters.map((letter, i) => [letter, extents[i] ?? 1]));
    const operands = terms.map((term) => arrayOf(term.map((letter) => sizes[letter] ?? 1)));
    const equation = `${terms.map((term) => term.join('')).join(',')}->${output}`;
    return fc.record({ equation: fc.constant(equation), sizes: fc.constant(sizes), operands: fc.tuple(...operands) });
  });

describe.each(everyDevice)('functions on $name', (device) => {
  let close = async (): Promise<void> => undefined;
  beforeAll(async () => {
    const opened = await use(device);
    close = () => opened.close();
  });
  afterAll(() => close());
  const numRuns = Math.max(2, Math.floor(device.runs / 2));
  const tolerance = device.functionTolerance * 10;

  it.each([1, 2] as const)('conv%id weighs every window', async (spatial) => {
    await fc.assert(
      fc.asyncProperty(convolutions(spatial), async (c) => {
        const conv = spatial === 1 ? engine.conv1d : engine.conv2d;
        const { stride, padding, dilation, groups } = c;
        const y = conv(toTensor(c.x), toTensor(c.weight), toTensor(c.bias), { stride, padding, dilation, groups });
        await expectNear(y, convolve(c), tolerance);
      }),
      { numRuns },
    );
  });

  it('patch embedding is a convolution whose kernel is its stride', async () => {
    const drawn = fc.record({ x: arrayOf([2, 3, 4, 7]), weight: arrayOf([5, 3, 2, 3]), bias: arrayOf([5]) });
    await fc.assert(
      fc.asyncProperty(drawn, async (arrays) => {
        const c = { ...arrays, stride: [2, 3], padding: [0, 0], dilation: [1, 1], groups: 1 };
        const y = engine.conv2d(toTensor(c.x), toTensor(c.weight), toTensor(c.bias), { stride: c.stride });
        await expectNear(y, convolve(c), tolerance);
      }),
      { numRuns: 2 },
    );
  });

  it('max and average pooling fold every window', async () => {
    const drawn = convolutions(2).filter(({ weight, padding }) =>
      padding.every((p, i) => 2 * p <= (weight.shape[2 + i] ?? 1)),
    );
    await fc.assert(
      fc.asyncProperty(drawn, async (c) => {
        const kernel = c.weight.shape.slice(2);
        const x = toTensor(c.x);
        const { stride, padding } = c;
        const flat = { ...c, dilation: [1, 1] };
        await expectNear(
          engine.maxPool2d(x, kernel, { stride, padding, dilation: c.dilation }),
          pool(c, (values) => Math.max(...values)),
          tolerance,
        );
        await expectNear(
          engine.avgPool2d(x, kernel, { stride, padding }),
          pool(flat, (values, all) => total(values) / all),
          tolerance,
        );
        await expectNear(
          engine.avgPool2d(x, kernel, { stride, padding, countIncludePad: false }),
          pool(flat, (values) => total(values) / values.length),
          tolerance,
        );
      }),
      { numRuns },
    );
  });

  it('adaptive pooling covers the axis evenly', async () => {
    const drawn = fc
      .tuple(small(1, 9), small(1, 5))
      .chain(([extent, count]) => fc.tuple(arrayOf([2, extent]), fc.constant(count)));
    await fc.assert(
      fc.asyncProperty(drawn, async ([array, count]) => {
        const extent = array.shape[1] ?? 1;
        const expected = build([2, count], ([row = 0, i = 0]) => {
          const values: number[] = [];
          for (let j = Math.floor((i * extent) / count); j < Math.ceil(((i + 1) * extent) / count); j++)
            values.push(at(array, [row, j]));
          return total(values) / values.length;
        });
        await expectNear(engine.adaptiveAvgPool1d(toTensor(array), count), expected, tolerance);
      }),
      { numRuns },
    );
  });

  it('einsum sums the products over all letters that the output lacks', async () => {
    await fc.assert(
      fc.asyncProperty(equations, async ({ equation, sizes, operands }) => {
        const y = engine.einsum(equation, ...operands.map((array) => toTensor(array)));
        await expectNear(y, einsum(equation, sizes, operands), tolerance, equation);
      }),
      { numRuns: device.runs * 2 },
    );
  });

  it('einsum takes ellipses, omitted outputs and axes of size 1', async () => {
    const a = build([2, 3, 4], ([i = 0, j = 0, k = 0]) => i - j + 2 * k);
    const b = build([4, 5], ([k = 0, l = 0]) => k * l - 1);
    const [x, y] = [toTensor(a), toTensor(b)];
    const product = einsum('ijk,kl->ijl', { i: 2, j: 3, k: 4, l: 5 }, [a, b]);
    await expectNear(engine.einsum('...k,kl->...l', x, y), product, tolerance);
    await expectNear(engine.einsum('...k, kl', x, y), product, tolerance);
    await expectNear(
      engine.einsum('ba', y),
      build([5, 4], ([l = 0, k = 0]) => at(b, [k, l])),
      0,
    );
    const one = build([1, 4], ([, k = 0]) => k);
    const spread = build([2, 3], ([i = 0, j = 0]) => total([0, 1, 2, 3].map((k) => at(a, [i, j, k]) * k)));
    await expectNear(engine.einsum('ijk,jk->ij', x, toTensor(one)), spread, tolerance);
    await expectNear(engine.einsum('...->', x), { shape: [], data: [total(a.data)] }, tolerance);
  });

  it('interpolation places, weighs and clamps as PyTorch does', async () => {
    const x = tensor([1, 2, 4, 8], { shape: [1, 1, 4] });
    const row = (y: Tensor): Tensor => y.flatten();
    const list = (data: readonly number[]): NaiveArray => ({ shape: [data.length], data });
    await expectNear(row(engine.interpolate(x, { size: 6 })), list([1, 1, 2, 4, 4, 8]), 0);
    await expectNear(
      row(engine.interpolate(x, { size: 8, mode: 'linear' })),
      list([1, 1.25, 1.75, 2.5, 3.5, 5, 7, 8]),
      tolerance,
    );
    await expectNear(
      row(engine.interpolate(x, { size: 7, mode: 'linear', alignCorners: true })),
      list([1, 1.5, 2, 3, 4, 6, 8]),
      tolerance,
    );
    // Keys' kernel with a = -0.75 at distances 1/4, 3/4, 5/4 and 7/4, worked out by hand.
    const [near, next, far, farthest] = [0.87890625, 0.26171875, -0.10546875, -0.03515625];
    const square = x.reshape([1, 1, 1, 4]);
    const expected = [0, 1, 2, 3].flatMap((i) => {
      const value = (k: number): number => [1, 2, 4, 8][Math.min(3, Math.max(0, k))] ?? 0;
      const left = far * value(i + 1) + near * value(i) + next * value(i - 1) + farthest * value(i - 2);
      const right = far * value(i - 1) + near * value(i) + next * value(i + 1) + farthest * value(i + 2);
      return [left, right];
    });
    await expectNear(row(engine.interpolate(square, { size: [1, 8], mode: 'bicubic' })), list(expected), tolerance);
    await expectNear(
      row(engine.interpolate(square, { size: [1, 4], mode: 'bicubic', alignCorners: true })),
      list([1, 2, 4, 8]),
      tolerance,
    );
  });

  it('normalisations leave mean 0 and variance 1, or length 1', async () => {
    await fc.assert(
      fc.asyncProperty(arrayOf([2, 4, 3], numberIn([-2, 2])), async (array) => {
        const x = toTensor(array);
        const standard = (axes: readonly number[]): NaiveArray => {
          const mean = foldAxes(array, axes, (v) => total(v) / v.length);
          const variance = foldAxes(array, axes, (v) => {
            const m = total(v) / v.length;
            return total(v.map((e) => (e - m) ** 2)) / v.length;
          });
          return build(array.shape, (index) => {
            const own = index.filter((_, i) => !axes.includes(i));
            return (at(array, index) - at(mean, own)) / Math.sqrt(at(variance, own) + 1e-5);
          });
        };
        await expectNear(engine.layerNorm(x, [3]), standard([2]), tolerance, 'layerNorm');
        await expectNear(engine.layerNorm(x, [4, 3]), standard([1, 2]), tolerance, 'layerNorm of two axes');
        await expectNear(engine.groupNorm(x, 1), standard([1, 2]), tolerance, 'groupNorm of one group');
        await expectNear(engine.groupNorm(x, 4), standard([2]), tolerance, 'groupNorm of single channels');
        await expectNear(engine.batchNorm(x, { training: true }), standard([0, 2]), tolerance, 'batchNorm');
        const lengths = foldAxes(array, [2], (v) => Math.hypot(...v));
        const unit = build(array.shape, (index) => at(array, index) / at(lengths, index.slice(0, 2)));
        await expectNear(engine.normalize(x), unit, tolerance, 'normalize');
        const rms = build(array.shape, (i) => at(array, i) / Math.sqrt(at(lengths, i.slice(0, 2)) ** 2 / 3 + 2 ** -23));
        await expectNear(engine.rmsNorm(x, [3]), rms, tolerance, 'rmsNorm');
      }),
      { numRuns: 2 },
    );
  });

  it('batchNorm moves the running statistics in training and uses them in evaluation', async () => {
    const runningMean = engine.zeros([2]).add(0) as Tensor;
    const runningVar = engine.ones([2]).add(0) as Tensor;
    await engine.realize([runningMean, runningVar]);
    const x = tensor([1, 10, 3, 30], { shape: [2, 2] });
    await engine.batchNorm(x, { training: true, runningMean, runningVar }).data();
    await expectNear(runningMean, { shape: [2], data: [0.2, 2] }, tolerance);
    await expectNear(runningVar, { shape: [2], data: [0.9 + 0.2, 0.9 + 20] }, tolerance);
    const y = engine.batchNorm(x, { runningMean, runningVar, eps: 0 });
    const [first, second] = [Math.sqrt(1.1), Math.sqrt(20.9)];
    const expected = [0.8 / first, 8 / second, 2.8 / first, 28 / second];
    await expectNear(y, { shape: [2, 2], data: expected }, tolerance);
  });

  it('losses equal their formulas', async () => {
    const logits = build([2, 3], ([i = 0, c = 0]) => Math.sin(3 * i + c));
    const x = toTensor(logits);
    const logSoftmax = build([2, 3], ([i = 0, c = 0]) => {
      const sum = total([0, 1, 2].map((k) => Math.exp(at(logits, [i, k]))));
      return at(logits, [i, c]) - Math.log(sum);
    });
    const own = [at(logSoftmax, [0, 2]), at(logSoftmax, [1, 0])];
    const target = tensor([2, 0], { dtype: 'i32' });
    const scalar = (value: number): NaiveArray => ({ shape: [], data: [value] });
    await expectNear(engine.crossEntropy(x, target), scalar(-total(own) / 2), tolerance);
    await expectNear(engine.crossEntropy(x, target, { reduction: 'sum' }), scalar(-total(own)), tolerance);
    const smooth = own.map((o, i) => -0.8 * o - (0.2 / 3) * total([0, 1, 2].map((c) => at(logSoftmax, [i, c]))));
    const smoothed = engine.crossEntropy(x, target, { reduction: 'none', labelSmoothing: 0.2 });
    await expectNear(smoothed, { shape: [2], data: smooth }, tolerance);
    const ignoring = engine.crossEntropy(x, tensor([2, -100], { dtype: 'i32' }), { ignoreIndex: -100 });
    await expectNear(ignoring, scalar(-(own[0] ?? 0)), tolerance);
    const probabilities = toTensor({ shape: [2, 3], data: [0, 0, 1, 1, 0, 0] });
    await expectNear(engine.crossEntropy(x, probabilities), scalar(-total(own) / 2), tolerance);
    await expectNear(engine.nllLoss(toTensor(logSoftmax), target), scalar(-total(own) / 2), tolerance);
    const kl = engine.klDivergence(toTensor(logSoftmax), probabilities, { reduction: 'batchmean' });
    await expectNear(kl, scalar(-total(own) / 2), tolerance);
    const even = toTensor({ shape: [2, 3], data: new Array<number>(6).fill(1 / 3) });
    const divergence = logSoftmax.data.map((l) => (Math.log(1 / 3) - l) / 3);
    await expectNear(engine.klDivergence(toTensor(logSoftmax), even), scalar(total(divergence) / 6), tolerance);
    const logEven = toTensor({ shape: [2, 3], data: new Array<number>(6).fill(Math.log(1 / 3)) });
    const byLog = engine.klDivergence(toTensor(logSoftmax), logEven, { logTarget: true, reduction: 'none' });
    await expectNear(byLog, { shape: [2, 3], data: divergence }, tolerance);
    const [a, b] = [tensor([0, 3, -1]), tensor([0.5, 1, -1])];
    await expectNear(engine.mseLoss(a, b, 'sum'), scalar(4.25), tolerance);
    await expectNear(engine.l1Loss(a, b, 'sum'), scalar(2.5), tolerance);
    await expectNear(engine.huberLoss(a, b, 1, 'none'), { shape: [3], data: [0.125, 1.5, 0] }, tolerance);
    const bce = engine.binaryCrossEntropyWithLogits(tensor([0, 100]), tensor([1, 0]), 'none');
    await expectNear(bce, { shape: [2], data: [Math.LN2, 100] }, tolerance);
  });

  it('attention weighs values by softmax, and sees no masked or later key', async () => {
    const drawn = fc.tuple(arrayOf([2, 3, 2]), arrayOf([2, 3, 2]), arrayOf([2, 3, 4]), fc.boolean());
    await fc.assert(
      fc.asyncProperty(drawn, async ([q, k, v, causal]) => {
        const expected = build([2, 3, 4], ([n = 0, row = 0, c = 0]) => {
          const seen = [0, 1, 2].filter((key) => !causal || key <= row);
          const scores = seen.map((key) => {
            const product = at(q, [n, row, 0]) * at(k, [n, key, 0]) + at(q, [n, row, 1]) * at(k, [n, key, 1]);
            return Math.exp(product / Math.SQRT2);
          });
          return total(seen.map((key, i) => (scores[i] ?? 0) * at(v, [n, key, c]))) / total(scores);
        });
        const [tq, tk, tv] = [toTensor(q), toTensor(k), toTensor(v)];
        await expectNear(engine.scaledDotProductAttention(tq, tk, tv, { causal }), expected, tolerance);
        const mask = causal ? engine.ones([3, 3]).tril().ne(0) : engine.ones([3, 3]).ne(0);
        await expectNear(engine.scaledDotProductAttention(tq, tk, tv, { mask }), expected, tolerance, 'masked');
      }),
      { numRuns: 2 },
    );
  });

  it('an LSTM follows its equations over time, both ways', async () => {
    const [time, batch, input, hidden] = [3, 2, 2, 2];
    const wave = (shape: readonly number[], seed: number): NaiveArray => ({
      shape,
      data: Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(1.7 * i + seed)),
    });
    const [x, ih, hh, b] = [wave([time, batch, input], 1), wave([8, input], 2), wave([8, hidden], 3), wave([8], 4)];
    const sigmoid = (v: number): number => 1 / (1 + Math.exp(-v));
    const run = (order: readonly number[]): Map<string, number> => {
      const outputs = new Map<string, number>();
      for (let n = 0; n < batch; n++) {
        let h = new Array<number>(hidden).fill(0);
        let c = new Array<number>(hidden).fill(0);
        for (const t of order) {
          const gates = Array.from({ length: 8 }, (_, g) => {
            const fromX = total([0, 1].map((i) => at(ih, [g, i]) * at(x, [t, n, i])));
            return fromX + total(h.map((v, i) => at(hh, [g, i]) * v)) + at(b, [g]);
          });
          const gate = (k: number, u: number): number => gates[k * hidden + u] ?? 0;
          c = c.map((v, u) => sigmoid(gate(1, u)) * v + sigmoid(gate(0, u)) * Math.tanh(gate(2, u)));
          h = c.map((v, u) => sigmoid(gate(3, u)) * Math.tanh(v));
          h.forEach((v, u) => {
            outputs.set(`${t},${n},${u}`, v);
          });
        }
      }
      return outputs;
    };
    const [ahead, behind] = [run([0, 1, 2]), run([2, 1, 0])];
    const expected = build(
      [time, batch, 2 * hidden],
      ([t, n, u = 0]) => (u < hidden ? ahead : behind).get(`${t},${n},${u % hidden}`) ?? Number.NaN,
    );
    const weights = { weightIh: toTensor(ih), weightHh: toTensor(hh), biasIh: toTensor(b) };
    const result = engine.lstm(toTensor(x), [{ forward: weights, backward: weights }]);
    await expectNear(result.output, expected, tolerance);
    expect(result.hidden.shape).toEqual([2, batch, hidden]);
    const first = engine.lstm(toTensor(x).transpose(0, 1), [{ forward: weights }], { batchFirst: true });
    expect(first.output.shape).toEqual([batch, time, hidden]);
    await expectNear(
      first.hidden.select(0, 0),
      { shape: [batch, hidden], data: [0, 1].flatMap((n) => [0, 1].map((u) => ahead.get(`2,${n},${u}`) ?? 0)) },
      tolerance,
    );
  });

  it('small functions equal their definitions', async () => {
    const [a, b] = [tensor([1, -2, 3]), tensor([4, 5, -6])];
    const list = (...data: number[]): NaiveArray => ({ shape: [data.length], data });
    expect(await engine.dot(a, b).item()).toBe(-24);
    await expectNear(engine.mv(engine.outer(a, b), a), list(-24, 48, -72), tolerance);
    expect(await engine.trace(engine.outer(a, b)).item()).toBeCloseTo(-24, 4);
    await expectNear(engine.lerp(a, b, 0.5), list(2.5, 1.5, -1.5), tolerance);
    await expectNear(engine.leakyRelu(a, 0.1), list(1, -0.2, 3), tolerance);
    await expectNear(engine.elu(a), list(1, Math.expm1(-2), 3), tolerance);
    await expectNear(engine.mish(a), list(...[1, -2, 3].map((v) => v * Math.tanh(Math.log1p(Math.exp(v))))), tolerance);
    await expectNear(engine.hardtanh(a), list(1, -1, 1), 0);
    await expectNear(
      engine.logaddexp(a, b),
      list(
        ...[
          [1, 4],
          [-2, 5],
          [3, -6],
        ].map(([p = 0, q = 0]) => Math.log(Math.exp(p) + Math.exp(q))),
      ),
      tolerance,
    );
    await expectNear(engine.logaddexp(tensor([1000]), tensor([1000])), list(1000 + Math.LN2), tolerance);
    expect(await engine.allclose(a, a.add(1e-9))).toBe(true);
    expect(await engine.allclose(a, b)).toBe(false);
    const odd = tensor([Number.NaN, Number.POSITIVE_INFINITY, 1]);
    expect([...(await engine.isclose(odd, odd).data())]).toEqual([0, 1, 1]);
    expect([...(await engine.isclose(odd, odd, { equalNan: true }).data())]).toEqual([1, 1, 1]);
    const infinite = tensor([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    expect(await infinite.logsumexp(0).item()).toBe(Number.NEGATIVE_INFINITY);
    await expectNear(
      engine.embedding(tensor([1, 0], { dtype: 'i32' }), engine.outer(a, b)),
      { shape: [2, 3], data: [-8, -10, 12, 4, 5, -6] },
      tolerance,
    );
  });
});
