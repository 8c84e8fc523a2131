/** Concatenations whose operands are computed in their places: the same elements, and no copy of them. */
import { compile, concat, gradients, realize, type Tensor, tensor, zeros } from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectSame } from './comparison.ts';
import { reference, testDevices, use } from './devices.ts';

/** Columns of all operands: with 16 of them, every fourth row begins at a place that can be bound. */
const columns = 16;

/** What makes an operand of `rows` rows from values of its own, most of them by a kernel that cannot be fused away. */
const kinds: Readonly<Record<string, (rows: number, values: (...shape: number[]) => Tensor) => Tensor>> = {
  product: (rows, values) => values(rows, 3).matmul(values(3, columns)),
  sum: (rows, values) => values(5, rows, columns).sum(0),
  scaledSum: (rows, values) => values(rows, columns, 6).sum(2).mul(0.5),
  softmax: (rows, values) => values(rows, columns).softmax(1),
  scatter: (rows, values) => {
    const table = values(rows, columns);
    const rowNumbers = tensor(
      Int32Array.from({ length: 7 }, (_, i) => (i * 3) % rows),
      { shape: [7] },
    );
    const [gradient] = gradients(table.indexSelect(0, rowNumbers), [table], values(7, columns));
    return gradient as Tensor;
  },
  elementwise: (rows, values) => values(rows, columns).mul(2).add(1),
  stored: (rows, values) => values(rows, columns),
  turned: (rows, values) => values(columns, rows).T,
  zeros: (rows) => zeros([rows, columns]),
};

interface Operand {
  readonly kind: string;
  readonly rows: number;
  /** What reads it beside the concatenation. */
  readonly alsoRead: 'not' | 'by the caller' | 'by a sum' | 'by another operand' | 'twice in the concatenation';
}

const operand: fc.Arbitrary<Operand> = fc.record({
  kind: fc.constantFrom(...Object.keys(kinds)),
  rows: fc.constantFrom(1, 2, 4, 4, 8, 12, 13),
  alsoRead: fc.constantFrom(
    'not',
    'not',
    'not',
    'by the caller',
    'by a sum',
    'by another operand',
    'twice in the concatenation',
  ),
});

interface Case {
  readonly operands: readonly Operand[];
  /** What reads the concatenation beside the caller. */
  readonly consumer: string;
  readonly seed: number;
}

const consumers: Readonly<Record<string, (joined: Tensor) => Tensor>> = {
  none: (joined) => joined,
  rows: (joined) => joined.softmax(1),
  total: (joined) => joined.square().sum(),
  part: (joined) => joined.slice(0, 1, joined.shape[0] as number).mul(3),
  product: (joined) => joined.matmul(joined.T),
  joinedAgain: (joined) => concat([joined, joined.sum(0, true), joined.mul(2)]),
};

const cases: fc.Arbitrary<Case> = fc.record({
  operands: fc.array(operand, { minLength: 2, maxLength: 9 }),
  consumer: fc.constantFrom(...Object.keys(consumers)),
  seed: fc.nat(1000),
});

/**
 * The tensors that a case asks for: the concatenation, what consumes it, and what else reads operands. `join` joins the
 * operands, `after` sees each of them as soon as it is defined.
 */
async function build(
  { operands, consumer, seed }: Case,
  join: (operands: readonly Tensor[]) => Tensor | Promise<Tensor>,
  after: (x: Tensor) => Promise<unknown> | undefined,
): Promise<Tensor[]> {
  let next = seed;
  const values = (...shape: number[]): Tensor => {
    const draw = (): number => {
      next = (next * 1103 + 12345) % 65536;
      return ((next % 32) - 16) / 8;
    };
    const count = shape.reduce((product, extent) => product * extent, 1);
    return tensor(Float32Array.from({ length: count }, draw), { shape });
  };
  const wanted: Tensor[] = [];
  const joined: Tensor[] = [];
  for (const { kind, rows, alsoRead } of operands) {
    const own = (kinds[kind] as (typeof kinds)[string])(rows, values);
    await after(own);
    joined.push(own);
    if (alsoRead === 'by the caller') wanted.push(own);
    if (alsoRead === 'by a sum') wanted.push(own.sum(1));
    if (alsoRead === 'by another operand') joined.push(own.matmul(values(columns, columns)));
    if (alsoRead === 'twice in the concatenation') joined.push(own);
  }
  const whole = await join(joined);
  return [whole, (consumers[consumer] as (typeof consumers)[string])(whole), ...wanted];
}

/** The operands' elements one after the other, as a tensor of its own. */
async function joinOnHost(operands: readonly Tensor[]): Promise<Tensor> {
  const elements: number[] = [];
  for (const own of operands) elements.push(...Array.from(await own.data()));
  return tensor(Float64Array.from(elements), { dtype: 'f32', shape: [elements.length / columns, columns] });
}

const describeCase = ({ operands, consumer }: Case): string =>
  `${operands.map(({ kind, rows, alsoRead }) => `${kind}(${rows}) read ${alsoRead}`).join(', ')}; ${consumer}`;

describe.each(testDevices)('on $name', (device) => {
  let opened: Awaited<ReturnType<typeof use>>;
  beforeAll(async () => {
    opened = await use(device);
  });
  afterAll(() => opened.close());

  it('a concatenation is its operands end to end, whatever makes and reads them', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (given) => {
        const apart = await build(given, joinOnHost, (own) => own.data());
        const together = await build(given, concat, () => undefined);
        await realize(together);
        for (const [i, found] of together.entries())
          await expectSame(found, apart[i] as Tensor, device.functionTolerance * 4, `${i}: ${describeCase(given)}`);
      }),
      { numRuns: 2 * device.runs },
    );
  });

  it('sums of columns read an operand where it was placed', async () => {
    const step = compile((x: Tensor) => {
      const joined = concat([zeros([4, columns]), x.mul(2).add(1)]);
      return [joined, concat([joined, joined.sum(0, true), joined.mul(2)])];
    });
    const [joined, again] = (await step(noise(12, columns))) as [Tensor, Tensor];
    const apart = await joinOnHost([joined]);
    const expected = await joinOnHost([apart, apart.sum(0, true), apart.mul(2)]);
    await expectSame(again, expected, device.functionTolerance * 4);
  });

  it('operands with kernels of their own are not copied', async () => {
    const [a, b, c] = [noise(8, 5), noise(5, 16), noise(9, 4, 16)];
    const step = compile((x: Tensor, y: Tensor, z: Tensor) => {
      const joined = concat([x.matmul(y), z.sum(0), x.exp().matmul(y).square(), z.softmax(2).max(0)]);
      return [joined, joined.sum()];
    });
    const [joined, total] = (await step(a, b, c)) as [Tensor, Tensor];
    const { kernels } = step.stats();
    expect(kernels.filter((name) => /concat|copy|where/.test(name))).toEqual([]);
    expect(kernels.filter((name) => name.includes('contract'))).toHaveLength(2);
    const parts = [a.matmul(b), c.sum(0), a.exp().matmul(b).square(), c.softmax(2).max(0)];
    const expected = await joinOnHost(parts);
    await expectSame(joined, expected, device.functionTolerance);
    await expectSame(total, expected.sum(), device.functionTolerance * 4);
  });
});

const noise = (...shape: number[]): Tensor => {
  const count = shape.reduce((product, extent) => product * extent, 1);
  return tensor(
    Float32Array.from({ length: count }, (_, i) => Math.sin(i + count)),
    { shape },
  );
};

describe('what is cheaper otherwise', () => {
  it.each<[string, () => Tensor]>([
    ['along an inner axis', () => concat([noise(4, 3).matmul(noise(3, 16)), noise(4, 3).matmul(noise(3, 16))], 1)],
    ['of a few stored tensors', () => concat([noise(4, 16), noise(4, 16), noise(4, 16)])],
    ['of what is computed element by element', () => concat([noise(4, 16).exp(), noise(4, 16).exp()])],
    ['whose operands begin where nothing can be bound', () => concat([noise(3, 4).sum(1), noise(3, 4).sum(1)])],
  ])('%s is left as it is', async (_, make) => {
    const device = await use(reference);
    const step = compile((x: Tensor) => make().mul(x));
    await step(tensor([1]));
    expect(step.stats().kernels.some((name) => name.includes('concat'))).toBe(true);
    await device.close();
  });

  it('many stored tensors are copied to their places one by one', async () => {
    const device = await use(reference);
    const parts = Array.from({ length: 12 }, () => noise(4, 16));
    const step = compile((x: Tensor) => concat(parts).mul(x));
    const [found] = [await step(tensor([2]))];
    expect(step.stats().kernels.filter((name) => name === 'copy')).toHaveLength(12);
    const expected = (await joinOnHost(parts)).mul(2);
    await expectSame(found, expected, 0);
    await device.close();
  });
});
