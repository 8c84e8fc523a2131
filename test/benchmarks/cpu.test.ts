/** The parts of the CPU benchmark that decide what its numbers mean: costs, comparison, statistics, and the ONNX writer. */
import { presets, VisionTransformer } from '@actionclip/transformer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../benchmarks/contenders/onnx/graph.ts';
import { float, integer, join, text } from '../../benchmarks/contenders/onnx/protobuf.ts';
import { cases, frameCounts, referenceCase } from '../../benchmarks/cpu/cases.ts';
import { growthOf, sharesOf } from '../../benchmarks/cpu/findings.ts';
import { relativeDifference, sampleOf, transposed, uniform } from '../../benchmarks/harness/data.ts';
import type { CaseResult } from '../../benchmarks/harness/measure.ts';
import { exponentOf, spreadOf } from '../../benchmarks/harness/statistics.ts';
import { towerParameters } from '../../benchmarks/harness/tower.ts';
import { blockProducts, costOf, tokensOf, type Work } from '../../benchmarks/harness/work.ts';

/** A case that took `milliseconds` on one thread. */
const result = (name: string, work: Work, milliseconds: number, working = 1): CaseResult => {
  const cost = costOf(work);
  const spread = { lower: milliseconds, median: milliseconds, upper: milliseconds };
  const timed = { name: 'actionclip', threads: 1, description: '', runs: 1, turns: [milliseconds] };
  return {
    name,
    work,
    ...(cost === undefined ? {} : { cost }),
    outcomes: [{ ...timed, milliseconds: spread, resident: 2 ** 20, working }],
  };
};

describe('work', () => {
  it('has one name for each case, the reference among them', () => {
    const names = cases.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain(referenceCase);
  });

  it('counts two operations for each multiplication and addition of a product', () => {
    expect(costOf({ kind: 'matmul', batch: 3, m: 5, k: 7, n: 11 })).toEqual({ flops: 3 * 2 * 5 * 7 * 11 });
  });

  it('counts a block as twelve projections of its width, and two products of tokens by tokens', () => {
    const [sequences, length, width] = [2, 50, 64];
    const projections = 2 * (sequences * length) * width * (12 * width);
    expect(blockProducts(3, sequences, length, width)).toBe(
      3 * (projections + 2 * sequences * 2 * length ** 2 * width),
    );
  });

  it('counts 17.6 billion multiplications for ViT-B/16, as is published for 197 tokens', () => {
    const cost = costOf({ kind: 'imageTower', model: 'ViT-B/16' }) as { flops: number };
    expect(cost.flops / 2e9).toBeCloseTo(17.56, 1);
  });

  it('draws a parameter for every name and shape of the image tower', () => {
    const sizes = { ...presets.tiny.vision, embedding: presets.tiny.embedding };
    const own = towerParameters(sizes).map(({ name, shape }) => `${name} ${shape}`);
    const expected = [...new VisionTransformer(sizes).namedParameters()].map(([name, { shape }]) => `${name} ${shape}`);
    expect(own.sort()).toEqual(expected.sort());
    expect(tokensOf(sizes)).toBe(65);
  });
});

describe('data', () => {
  it('is the same for the same name, and has the deviation asked for', () => {
    const values = uniform('x', 20_000, 3, 1);
    expect(values).toEqual(uniform('x', 20_000, 3, 1));
    expect(values).not.toEqual(uniform('y', 20_000, 3, 1));
    const mean = values.reduce((a, b) => a + b) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(mean).toBeCloseTo(1, 0);
    expect(Math.sqrt(variance)).toBeCloseTo(3, 1);
  });

  it('comes back from two transpositions', () => {
    const values = uniform('x', 12);
    expect(transposed(transposed(values, 3, 4), 4, 3)).toEqual(values);
    expect(transposed(values, 3, 4)[1]).toBe(values[4]);
  });

  it('samples no more than it may, from the first element on', () => {
    const values = uniform('x', 1_000_003);
    const sample = sampleOf(values);
    expect(sample.length).toBeLessThanOrEqual(50_000);
    expect(sample[0]).toBe(values[0]);
    expect(sampleOf(values.subarray(0, 100))).toEqual(values.slice(0, 100));
  });

  it('differs by the largest distance over the largest magnitude, and infinitely where a value is missing', () => {
    const expected = Float32Array.of(1, -4, 2);
    expect(relativeDifference(expected, Float32Array.of(1, -4, 2))).toBe(0);
    expect(relativeDifference(expected, Float32Array.of(1.5, -4, 3))).toBe(0.25);
    expect(relativeDifference(expected, Float32Array.of(1, Number.NaN, 2))).toBe(Number.POSITIVE_INFINITY);
    expect(relativeDifference(expected, Float32Array.of(1, Number.NaN, 7))).toBe(Number.POSITIVE_INFINITY);
    expect(relativeDifference(expected, Float32Array.of(1, -4))).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('statistics', () => {
  it('has quartiles between neighbours in proportion', () => {
    expect(spreadOf([5, 1, 4, 2, 3])).toEqual({ lower: 2, median: 3, upper: 4 });
    expect(spreadOf([1, 2])).toEqual({ lower: 1.25, median: 1.5, upper: 1.75 });
  });

  it('finds the exponent of a power', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -3, max: 3, noNaN: true }),
        fc.double({ min: 0.1, max: 10, noNaN: true }),
        (p, c) => {
          const points = [1, 2, 4, 8].map((x) => [x, c * x ** p] as const);
          expect(exponentOf(points)).toBeCloseTo(p, 9);
        },
      ),
    );
  });

  it('says how time and memory grow with frames', () => {
    const results = frameCounts.map((frames) =>
      result(`${frames}`, { kind: 'video', model: 'small', frames }, 3 * frames, frames ** 2),
    );
    const [growth] = growthOf(results);
    expect(growth?.timeExponent).toBeCloseTo(1);
    expect(growth?.workingExponent).toBeCloseTo(2);
    expect(growth?.residentExponent).toBeCloseTo(0);
  });

  it('sets the products of a step against the reference product', () => {
    const work: Work = { kind: 'matmul', batch: 1, m: 1000, k: 1000, n: 1000 };
    const step = result('step', { kind: 'trainingStep', model: 'small', frames: 8, batch: 4 }, 100);
    const [share] = sharesOf([result(referenceCase, work, 40), { ...step, cost: { flops: 4e9 } }]);
    expect(share).toEqual({ name: 'step', threads: 1, stepRate: 40, productRate: 50 });
  });
});

describe('the ONNX writer', () => {
  it('writes fields as Protocol Buffers does', () => {
    expect([...join(integer(1, 150))]).toEqual([0x08, 0x96, 0x01]);
    expect([...join(integer(20, 7))]).toEqual([0xa0, 0x01, 0x07]);
    expect([...join(text(2, 'testing'))]).toEqual([0x12, 7, ...new TextEncoder().encode('testing')]);
    expect([...join(float(2, 1))]).toEqual([0x15, 0, 0, 0x80, 0x3f]);
  });

  it('holds parameters as raw elements', () => {
    const graph = new GraphBuilder();
    const output = graph.node('Add', [graph.input('x', [2]), graph.parameter(Float32Array.of(0.5, -2), [2])]);
    const file = Buffer.from(graph.model(output, [2]));
    expect(file.includes(Buffer.from(Float32Array.of(0.5, -2).buffer))).toBe(true);
    expect(file.includes('Add')).toBe(true);
  });
});
