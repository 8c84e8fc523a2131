/** A composite, by whatever kernel or rule it runs, equals its definition in primitives, and so do its gradients. */

import * as engine from '@actionclip/tensor';
import { gradients, layerNorm, Tensor } from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Node } from '../../packages/tensor/src/graph.ts';
import { topological } from '../../packages/tensor/src/graph.ts';
import { arrayOf, numberIn } from './arbitraries.ts';
import { expectNear } from './comparison.ts';
import { everyDevice, use } from './devices.ts';
import { weights } from './finite-difference.ts';
import { type NaiveArray, toTensor } from './naive.ts';

interface Composite {
  readonly shapes: readonly (readonly number[])[];
  readonly f: (...inputs: Tensor[]) => Tensor;
  readonly range?: readonly [number, number];
}

const classes = (): Tensor => engine.tensor([2, 0, 1], { dtype: 'i32' });

const composites: Readonly<Record<string, Composite>> = {
  softmax: { shapes: [[3, 5]], f: (x) => x.softmax(1) },
  logSoftmax: { shapes: [[3, 5]], f: (x) => x.logSoftmax(0) },
  normalize: { shapes: [[3, 7]], f: (x) => layerNorm(x, [7]) },
  attention: {
    shapes: [
      [2, 3, 4],
      [2, 5, 4],
      [2, 5, 2],
    ],
    f: (q, k, v) => engine.scaledDotProductAttention(q, k, v),
  },
  packedAttention: { shapes: [[2, 6, 3, 2, 4]], f: (x) => engine.packedAttention(x, { causal: true }) },
  convolution: {
    shapes: [
      [2, 3, 6],
      [4, 3, 2],
    ],
    f: (x, w) => engine.conv1d(x, w, undefined, { padding: 1 }),
  },
  crossEntropy: {
    shapes: [[3, 4]],
    f: (x) => engine.crossEntropy(x, classes(), { reduction: 'none', labelSmoothing: 0.1 }),
  },
  klDivergence: {
    shapes: [
      [2, 4],
      [2, 4],
    ],
    range: [0.1, 1],
    f: (x, t) => engine.klDivergence(x, t, { reduction: 'none' }),
  },
  lstm: {
    shapes: [
      [3, 2, 2],
      [8, 2],
      [8, 2],
    ],
    f: (x, weightIh, weightHh) => engine.lstm(x, [{ forward: { weightIh, weightHh } }]).output,
  },
};

/** The graph with every composite replaced by its definition, in new nodes that stand on `inputs`. */
function spellOut(root: Node, inputs: ReadonlyMap<Node, Node>): Node {
  const done = new Map<Node, Node>(inputs);
  const visit = (node: Node): Node => {
    const known = done.get(node);
    if (known) return known;
    const target = node.op.kind === 'composite' ? visit(node.define()) : clone(node, node.inputs.map(visit));
    done.set(node, target);
    return target;
  };
  return visit(root);
}

function clone(node: Node, operands: readonly Node[]): Node {
  if (operands.every((operand, k) => operand === node.inputs[k])) return node;
  return new (node.constructor as typeof Node)(node.op, operands, node.attributes, node.shape, node.dtype);
}

const compositesIn = (root: Node): number =>
  topological([root], (node) => node.inputs).filter(({ op }) => op.kind === 'composite').length;

describe.each(everyDevice)('composites on $name', (device) => {
  let close = async (): Promise<void> => undefined;
  beforeAll(async () => {
    const opened = await use(device);
    close = () => opened.close();
  });
  afterAll(() => close());

  it.each(Object.entries(composites))('%s equals its definition', async (name, { shapes, f, range = [-2, 2] }) => {
    const drawn = fc.tuple(...shapes.map((shape) => arrayOf(shape, numberIn(range))));
    await fc.assert(
      fc.asyncProperty(drawn, async (arrays: readonly NaiveArray[]) => {
        const inputs = arrays.map((array) => toTensor(array));
        const whole = f(...inputs);
        expect(compositesIn(whole.node)).toBeGreaterThan(0);
        const twins = arrays.map((array) => toTensor(array));
        const spelled = new Tensor(
          spellOut(whole.node, new Map(inputs.map(({ node }, k) => [node, twins[k]?.node as Node]))),
        );
        expect(compositesIn(spelled.node)).toBe(0);
        const tolerance = device.functionTolerance * 10;
        const expected = { shape: spelled.shape, data: Array.from(await spelled.data()) };
        await expectNear(whole, expected, tolerance, name);
        const loss = (y: Tensor): Tensor => y.mul(toTensor(weights(y.shape))).sum();
        const own = gradients(loss(f(...inputs)), inputs);
        const derived = gradients(loss(spelled), twins);
        for (const [k, gradient] of derived.entries()) {
          const wanted = { shape: gradient.shape, data: Array.from(await gradient.data()) };
          await expectNear(own[k] as Tensor, wanted, tolerance, `gradient ${k} of ${name}`);
        }
      }),
      { numRuns: Math.max(2, Math.floor(device.runs / 8)) },
    );
  });
});
