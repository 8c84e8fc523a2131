/** Mixed precision: products of factors rounded to half precision, with everything else as it is. */
import {
  autocast,
  conv2d,
  Device,
  einsum,
  grad,
  jvp,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
  vjp,
} from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createReferenceBackend } from '../../packages/tensor/src/backends/reference/backend.ts';
import type { Kernel } from '../../packages/tensor/src/compile/kernel.ts';
import { arrayOf } from './arbitraries.ts';
import { expectNear } from './comparison.ts';
import { testDevices, use } from './devices.ts';
import { type NaiveArray, toTensor } from './naive.ts';

const rounded = (x: Tensor): Tensor => x.to('f16').to('f32');

interface Case {
  readonly a: NaiveArray;
  readonly b: NaiveArray;
  readonly seed: NaiveArray;
}

const size = fc.constantFrom(1, 3, 5, 17);
const cases: fc.Arbitrary<Case> = fc
  .tuple(size, size, size)
  .chain(([m, k, n]) => fc.record({ a: arrayOf([m, k]), b: arrayOf([k, n]), seed: arrayOf([m, n]) }));

const valuesOf = async (tensors: readonly Tensor[]): Promise<number[][]> => {
  await realize(tensors);
  return Promise.all(tensors.map(async (x) => Array.from(await x.data())));
};

/** tanh(x wᵀ) summed with weights: a layer with a slope that depends on both operands. */
const layer = (x: Tensor, w: Tensor): Tensor => x.matmul(w.T).tanh().square().mean();

describe.each(testDevices)('autocast on $name', (device) => {
  let close = async (): Promise<void> => undefined;
  beforeAll(async () => {
    const opened = await use(device);
    close = () => opened.close();
  });
  afterAll(() => close());

  it('a product and both of its gradients are products of rounded factors', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ a, b, seed }) => {
        const [x, y, g] = [toTensor(a), toTensor(b), toTensor(seed)];
        const { value, pullback } = autocast(() => vjp((p, q) => p.matmul(q), [x, y]));
        const found = await valuesOf([value, ...pullback(g)]);
        const expected = await valuesOf([
          rounded(x).matmul(rounded(y)),
          rounded(g).matmul(rounded(y).T),
          rounded(x).T.matmul(rounded(g)),
        ]);
        expect(found).toEqual(expected);
      }),
      { numRuns: device.runs },
    );
  });

  it('gradients of gradients and changes along a direction follow', async () => {
    const waves = (k: number): Tensor =>
      tensor(Array.from({ length: 12 }, (_, i) => Math.sin(3 * i + k))).reshape([3, 4]);
    const [x, w, v] = [waves(0), waves(1), waves(2)];
    const curvature = (): Tensor[] => {
      const slope = (p: Tensor, q: Tensor): Tensor => (grad(layer)(p, q)[1] as Tensor).mul(v).sum();
      return [...grad(slope)(x, w), jvp(layer, [x, w], [v, v]).tangent];
    };
    const plain = await valuesOf(curvature());
    const mixed = autocast(curvature);
    for (const [k, expected] of plain.entries()) {
      const result = mixed[k] as Tensor;
      await expectNear(result, { shape: result.shape, data: expected }, 5e-3, `derivative ${k}`);
    }
    expect(await valuesOf(mixed)).not.toEqual(plain);
  });
});

describe('what autocast covers', () => {
  const x = tensor([1 + 2 ** -12, 3]).reshape([1, 2]);
  const y = tensor([1, 2 ** -12]).reshape([2, 1]);
  const product = (): Promise<number> => x.matmul(y).item();
  const exact = 1 + 2 ** -12 + 3 * 2 ** -12;
  const halved = 1 + 3 * 2 ** -12;
  beforeAll(() => use(testDevices[0] as (typeof testDevices)[number]));

  it('is the body alone, less what it switches off', async () => {
    const [inside, off, again] = autocast(() => [
      x.matmul(y),
      autocast(() => x.matmul(y), { enabled: false }),
      x.matmul(y),
    ]) as [Tensor, Tensor, Tensor];
    expect([await inside.item(), await off.item(), await again.item()]).toEqual([halved, exact, halved]);
    expect(await product()).toBe(exact);
    expect(() =>
      autocast(() => {
        throw new Error('the body failed');
      }),
    ).toThrow('the body failed');
    expect(await product()).toBe(exact);
    expect(() => autocast(async () => x)).toThrow(/autocast: the function is asynchronous; build the graph/);
  });

  it('is every kind of product, and no sum, mean or elementwise product', async () => {
    const [dot, image, elementwise, mean] = autocast(() => [
      einsum('ij,jk->ik', x, y),
      conv2d(x.reshape([1, 2, 1, 1]), y.reshape([1, 2, 1, 1])),
      x.mul(y.T).sum(),
      x.mean(),
    ]) as [Tensor, Tensor, Tensor, Tensor];
    expect([await dot.item(), await image.item()]).toEqual([halved, halved]);
    expect([await elementwise.item(), await mean.item()]).toEqual([exact, (4 + 2 ** -12) / 2]);
  });
});

describe('the kernel of a product in half precision', () => {
  it('has factors that are rounded, or loads where the buffer has rounded already', async () => {
    const kernels: Kernel[] = [];
    const backend = createReferenceBackend();
    const compile = backend.compile.bind(backend);
    backend.compile = (program) => {
      kernels.push(...program.kernels);
      return compile(program);
    };
    const device = new Device('reference', async () => backend);
    setDefaultDevice(device);
    const a = tensor(Array.from({ length: 6 }, (_, i) => i / 7)).reshape([2, 3]);
    const b = tensor(
      Array.from({ length: 12 }, (_, i) => i / 5),
      { dtype: 'f16' },
    ).reshape([3, 4]);
    await realize([b]);
    await autocast(() => a.matmul(b)).data();
    const factors = kernels.flatMap((kernel) => (kernel.kind === 'loop' ? (kernel.reduce?.factors ?? []) : []));
    expect(factors.map(({ op }) => op)).toEqual(['half', 'load']);
    await device.close();
  });
});
