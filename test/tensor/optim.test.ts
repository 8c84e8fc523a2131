/** Optimizers against PyTorch's formulas written out in double arithmetic, and what they promise about state and memory. */
import {
  Adam,
  AdamW,
  clipGradNorm,
  clipGradValue,
  compile,
  type Device,
  DisposedError,
  type Optimizer,
  OptimizerError,
  openDevice,
  SGD,
  setDefaultDevice,
  Tensor,
  tensor,
} from '@actionclip/tensor';
import { beforeAll, describe, expect, it } from 'vitest';

let device: Device;
beforeAll(async () => {
  device = await openDevice('reference');
  setDefaultDevice(device);
});

const start = { a: [0.5, -1.25, 2, 0.0625], b: [-0.75, 0.25], c: [3] };
const target = { a: [1, 1, -1, 0], b: [0.5, -0.5], c: [-2] };
type Name = keyof typeof start;
const names: readonly Name[] = ['a', 'b', 'c'];

const parameter = (values: readonly number[]): Tensor => tensor(values, { requiresGrad: true });
const model = (): Record<Name, Tensor> => ({
  a: parameter(start.a),
  b: parameter(start.b),
  c: parameter(start.c),
});

/** Σ (p - t)² + p³ / 3, whose gradient is 2 (p - t) + p². */
const lossOf = (parameters: Record<Name, Tensor>, used: readonly Name[]): Tensor =>
  used
    .map((name): Tensor => {
      const p = parameters[name];
      return p.sub(tensor(target[name])).square().add(p.mul(p).mul(p).div(3)).sum();
    })
    .reduce((sum, term) => sum.add(term));

const slope = (name: Name, values: readonly number[]): number[] =>
  values.map((p, i) => 2 * (p - (target[name][i] as number)) + p * p);

interface Settings {
  readonly rate: (step: number) => number;
  readonly weightDecay: number;
}
/** One element's next value and averages; `t` counts its own steps from 1. */
type Formula = (p: number, g: number, state: number[], t: number, rate: number, weightDecay: number) => number;

const [beta1, beta2, epsilon, momentum] = [0.9, 0.98, 1e-8, 0.9];
const adam =
  (decoupled: boolean): Formula =>
  (p, g, state, t, rate, weightDecay) => {
    const slopeOfP = decoupled ? g : g + weightDecay * p;
    const shrunk = decoupled ? p * (1 - rate * weightDecay) : p;
    const m = beta1 * (state[0] ?? 0) + (1 - beta1) * slopeOfP;
    const v = beta2 * (state[1] ?? 0) + (1 - beta2) * slopeOfP * slopeOfP;
    state[0] = m;
    state[1] = v;
    return shrunk - ((rate / (1 - beta1 ** t)) * m) / (Math.sqrt(v) / Math.sqrt(1 - beta2 ** t) + epsilon);
  };
const sgd =
  (mu: number, nesterov: boolean): Formula =>
  (p, g, state, t, rate, weightDecay) => {
    const slopeOfP = g + weightDecay * p;
    const buffer = t === 1 ? slopeOfP : mu * (state[0] ?? 0) + slopeOfP;
    state[0] = buffer;
    return p - rate * (nesterov ? slopeOfP + mu * buffer : buffer);
  };

const steps = 6;
/** c has no gradient in steps 2 and 3. */
const usedIn = (step: number): readonly Name[] => (step === 2 || step === 3 ? ['a', 'b'] : names);
const settings: Record<Name, Settings> = {
  a: { rate: (step) => 0.02 * (step + 1), weightDecay: 0.2 },
  b: { rate: (step) => 0.05 / (step + 1), weightDecay: 0 },
  c: { rate: (step) => 0.05 / (step + 1), weightDecay: 0 },
};

function oracle(formula: Formula): Record<Name, number[]> {
  const result = { a: [...start.a], b: [...start.b], c: [...start.c] };
  for (const name of names) {
    const state = start[name].map((): number[] => []);
    let t = 0;
    for (let step = 0; step < steps; step++) {
      if (!usedIn(step).includes(name)) continue;
      t++;
      const gradients = slope(name, result[name]);
      result[name] = result[name].map((p, i) =>
        formula(
          p,
          gradients[i] as number,
          state[i] as number[],
          t,
          settings[name].rate(step),
          settings[name].weightDecay,
        ),
      );
    }
  }
  return result;
}

type Groups = ConstructorParameters<typeof AdamW>[0];
const betas = [beta1, beta2] as const;
const kinds: Record<string, { readonly make: (groups: Groups) => Optimizer; readonly formula: Formula }> = {
  AdamW: { make: (groups) => new AdamW(groups, { betas }), formula: adam(true) },
  Adam: { make: (groups) => new Adam(groups, { betas }), formula: adam(false) },
  SGD: { make: (groups) => new SGD(groups), formula: sgd(0, false) },
  'SGD with momentum': { make: (groups) => new SGD(groups, { momentum }), formula: sgd(momentum, false) },
  'SGD with Nesterov momentum': {
    make: (groups) => new SGD(groups, { momentum, nesterov: true }),
    formula: sgd(momentum, true),
  },
};

const groupsOf = ({ a, b, c }: Record<Name, Tensor>): Groups => [
  { parameters: [['a', a]], weightDecay: settings.a.weightDecay },
  {
    parameters: [
      ['b', b],
      ['c', c],
    ],
    weightDecay: 0,
  },
];

function setRates(optimizer: Optimizer, step: number): void {
  (['a', 'b'] as const).forEach((name, i) => {
    (optimizer.groups[i] as Optimizer['groups'][number]).learningRate = settings[name].rate(step);
  });
}

async function train(optimizer: Optimizer, parameters: Record<Name, Tensor>, from: number, to: number): Promise<void> {
  for (let step = from; step < to; step++) {
    setRates(optimizer, step);
    optimizer.zeroGrad();
    lossOf(parameters, usedIn(step)).backward();
    await optimizer.step();
  }
}

const values = async (parameters: Record<Name, Tensor>): Promise<Record<Name, number[]>> => ({
  a: Array.from(await parameters.a.data()),
  b: Array.from(await parameters.b.data()),
  c: Array.from(await parameters.c.data()),
});

describe.each(Object.entries(kinds))('%s', (_, { make, formula }) => {
  it("follows PyTorch's formula with groups, changing rates and a parameter that misses steps", async () => {
    const parameters = model();
    await train(make(groupsOf(parameters)), parameters, 0, steps);
    const found = await values(parameters);
    const expected = oracle(formula);
    for (const name of names) {
      found[name].forEach((value, i) => {
        const wanted = expected[name][i] as number;
        // Rates and bias corrections reach the device in 32 bits.
        expect(Math.abs(value - wanted)).toBeLessThan(1e-6 * Math.max(1, Math.abs(wanted)));
      });
    }
  });

  it('continues bit for bit from its state', async () => {
    const unbroken = model();
    await train(make(groupsOf(unbroken)), unbroken, 0, steps);

    const first = model();
    const optimizer = make(groupsOf(first));
    await train(optimizer, first, 0, 3);
    const state = await optimizer.stateDict();
    const saved = await values(first);
    await train(optimizer, first, 3, 4);

    const second: Record<Name, Tensor> = {
      a: tensor(Float64Array.from(saved.a), { requiresGrad: true }),
      b: tensor(Float64Array.from(saved.b), { requiresGrad: true }),
      c: tensor(Float64Array.from(saved.c), { requiresGrad: true }),
    };
    for (const name of names) second[name].write(Float64Array.from(saved[name]));
    const resumed = make(groupsOf(second));
    resumed.loadStateDict(state);
    expect(resumed.groups.map(({ learningRate }) => learningRate)).toEqual([settings.a.rate(2), settings.b.rate(2)]);
    await train(resumed, second, 3, steps);
    expect(await values(second)).toEqual(await values(unbroken));
  });
});

describe('a parameter without a gradient', () => {
  it('stays as it is: not even weight decay touches it, and no average is kept', async () => {
    const [used, unused] = [parameter([1, 2]), parameter([3, 4])];
    const optimizer = new AdamW(
      [
        ['used', used],
        ['unused', unused],
      ],
      { weightDecay: 0.5, learningRate: 0.1 },
    );
    used.square().sum().backward();
    await optimizer.step();
    expect(Array.from(await unused.data())).toEqual([3, 4]);
    expect(Array.from(await used.data())).not.toEqual([1, 2]);
    const state = await optimizer.stateDict();
    expect([...state.keys()]).toEqual(['used.step', 'used.exp_avg', 'used.exp_avg_sq', 'groups.0.learningRate']);
  });
});

describe('gradient accumulation', () => {
  it('adds the gradients of two backward passes, and both losses can be read after the step', async () => {
    const [once, twice] = [parameter([1, -2]), parameter([1, -2])];
    const optimizers = [new SGD([once], { learningRate: 0.1 }), new SGD([twice], { learningRate: 0.1 })] as const;
    once.square().sum().mul(3).backward();
    const first = twice.square().sum();
    const second = twice.square().sum().mul(2);
    first.backward();
    second.backward();
    await optimizers[0].step();
    await optimizers[1].step();
    const [expected, found] = [await once.data(), await twice.data()];
    found.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i] as number, 12);
    });
    expect([await first.item(), await second.item()]).toEqual([5, 10]);
  });
});

describe('gradient clipping', () => {
  it('scales all gradients by one factor where their common norm is above the bound', async () => {
    const [a, b] = [parameter([3]), parameter([4, 0])];
    a.square().sum().add(b.square().sum()).backward(); // gradients 6 and [8, 0]: norm 10
    const norm = clipGradNorm([a, b], 5);
    expect(await norm.item()).toBeCloseTo(10, 12);
    const factor = 5 / (10 + 1e-6);
    expect((await (a.grad as Tensor).data())[0]).toBeCloseTo(6 * factor, 12);
    expect(Array.from(await (b.grad as Tensor).data())).toEqual([expect.closeTo(8 * factor, 12), 0]);
  });

  it('leaves gradients below the bound as they are, and the norm can be read after the step', async () => {
    const a = parameter([3, 4]);
    const optimizer = new SGD([a], { learningRate: 0.5 });
    a.square().sum().div(2).backward();
    const norm = clipGradNorm([a], 100);
    await optimizer.step();
    expect(await norm.item()).toBeCloseTo(5, 12);
    expect(Array.from(await a.data())).toEqual([1.5, 2]);
  });

  it('limits every element by value', async () => {
    const a = parameter([3, -4, 0.1]);
    a.square().sum().backward();
    clipGradValue([a], 1);
    const gradient = Array.from(await (a.grad as Tensor).data());
    expect(gradient).toEqual([1, -1, expect.closeTo(0.2, 7)]);
  });

  it('makes every gradient NaN where the norm is', async () => {
    const a = parameter([1, 2]);
    a.mul(tensor([Number.NaN, 1]))
      .sum()
      .backward();
    clipGradNorm([a], 1);
    expect(Array.from(await (a.grad as Tensor).data())).toEqual([Number.NaN, Number.NaN]);
  });

  it('refuses a bound that is not above 0', () => {
    expect(() => clipGradNorm([], 0)).toThrow(OptimizerError);
    expect(() => clipGradValue([], Number.NaN)).toThrow(OptimizerError);
  });
});

describe('a group in half precision', () => {
  it.each(['separate', 'flat'] as const)('rounds each new value, so that small steps are lost, %s', async (layout) => {
    const [rounded, plain] = [parameter([1, 0.5, 2 ** -15]), parameter([1])];
    const optimizer = new SGD(
      [{ parameters: [['rounded', rounded]], rounding: 'f16' }, { parameters: [['plain', plain]] }],
      { learningRate: 1, layout },
    );
    // Halves below 1 are 2^-11 apart, and below 0.5 2^-12, where 2^-13 is a tie, which goes to the even one.
    rounded
      .sum()
      .mul(2 ** -13)
      .add(plain.sum().mul(2 ** -13))
      .backward();
    await optimizer.step();
    expect([...(await rounded.data())]).toEqual([1, 0.5, 2 ** -15 - 2 ** -13]);
    expect([...(await plain.data())]).toEqual([1 - 2 ** -13]);
    optimizer.zeroGrad();
    rounded
      .sum()
      .mul(3 * 2 ** -13)
      .backward();
    await optimizer.step();
    expect((await rounded.data())[0]).toBe(1 - 2 ** -11);
  });
});

describe('a NaN gradient', () => {
  it('stays in the parameter that it came to, and the state saved before brings that back', async () => {
    const [ill, well] = [parameter([1]), parameter([2])];
    const optimizer = new AdamW(
      [
        ['ill', ill],
        ['well', well],
      ],
      { learningRate: 0.1 },
    );
    const run = async (factor: number): Promise<void> => {
      optimizer.zeroGrad();
      ill
        .mul(tensor([factor]))
        .sum()
        .add(well.square().sum())
        .backward();
      await optimizer.step();
    };
    await run(1);
    const state = await optimizer.stateDict();
    const saved = await ill.data();
    await run(Number.NaN);
    expect((await ill.data())[0]).toBeNaN();
    expect(Number.isFinite((await well.data())[0])).toBe(true);
    optimizer.loadStateDict(state);
    ill.write(saved);
    await run(1);
    expect((await ill.data())[0]).toBeLessThan(saved[0] as number);
  });
});

describe('a loss that is not finite', () => {
  it('leaves values, averages and step counts of a guarded step as they were, captured or not', async () => {
    for (const captured of [false, true]) {
      const value = parameter([1, 2]);
      const optimizer = new AdamW([{ parameters: [['value', value]], learningRate: 0.1 }]);
      const lossBy = (factor: Tensor): Tensor => {
        const loss = value.square().sum().mul(factor);
        loss.backward();
        return loss.detach();
      };
      const program = compile((factor: Tensor) => {
        const loss = lossBy(factor);
        optimizer.update({ onlyIfFinite: loss });
        return loss;
      });
      const uncaptured = async (factor: Tensor): Promise<Tensor> => {
        optimizer.zeroGrad();
        const loss = lossBy(factor);
        await optimizer.step({ onlyIfFinite: loss });
        return loss;
      };
      const step = async (factor: number): Promise<number> => {
        const loss = await (captured ? program : uncaptured)(tensor(factor));
        return Number((await loss.data())[0]);
      };
      const state = async (): Promise<unknown> => [[...(await value.data())], await optimizer.stateDict()];
      expect(await step(1)).toBe(5);
      const before = await state();
      expect(await step(Number.NaN)).toBeNaN();
      expect(await state()).toEqual(before);
      expect(await step(1)).toBeLessThan(5);
    }
  });
});

describe('memory', () => {
  it('does not grow over 200 steps', async () => {
    const own = await openDevice('reference');
    const p = tensor(new Float32Array(1000).fill(0.5), { requiresGrad: true, device: own });
    const optimizer = new AdamW([p]);
    const sizes: number[] = [];
    for (let step = 0; step < 200; step++) {
      optimizer.zeroGrad();
      const loss = p.square().sum();
      loss.backward();
      await optimizer.step();
      loss.dispose();
      sizes.push((await own.memory()).live);
    }
    expect(new Set(sizes.slice(1)).size).toBe(1);
    // The parameter, two averages, and what one step needs on top.
    expect(sizes[199]).toBeLessThan(3 * 4000 + 2 * 4000);
  });

  it('keeps no history: the graph behind a parameter does not grow', async () => {
    const p = parameter([1]);
    const optimizer = new SGD([p], { momentum: 0.5 });
    for (let step = 0; step < 5; step++) {
      optimizer.zeroGrad();
      p.square().sum().backward();
      await optimizer.step();
    }
    expect(p.node.inputs).toEqual([]);
  });

  it('of one device is left alone while another device computes', async () => {
    const devices = [await openDevice('reference'), await openDevice('reference')];
    const parameters = devices.map((own) => tensor([1, 2], { requiresGrad: true, device: own }));
    const optimizer = new SGD(
      parameters.map((p) => ({ parameters: [p] })),
      { learningRate: 0.25 },
    );
    for (const p of parameters) p.square().sum().backward();
    await optimizer.step();
    for (const p of parameters) expect(Array.from(await p.data())).toEqual([0.5, 1]);
  });

  it('is taken over: an old value that is read afterwards throws, naming what made it', async () => {
    const p = parameter([1, 2]);
    const old = new Tensor(p.node);
    const optimizer = new SGD([p]);
    p.square().sum().backward();
    const { grad } = p;
    await optimizer.step();
    const failure = old.data();
    await expect(failure).rejects.toThrow(DisposedError);
    await expect(failure).rejects.toThrow('the tensor made by tensor was replaced by assign()');
    await expect((grad as Tensor).data()).rejects.toThrow(DisposedError);
  });
});

describe('what an optimizer refuses', () => {
  it.each([
    ['a parameter that wants no gradient', () => new AdamW([tensor([1])]), 'parameter 0 wants no gradient'],
    [
      'a name given twice',
      () =>
        new SGD([
          ['w', parameter([1])],
          ['w', parameter([1])],
        ]),
      'two parameters are named w',
    ],
    ['a rate below 0', () => new SGD([parameter([1])], { learningRate: -1 }), 'learningRate is -1'],
    ['a beta of 1', () => new Adam([parameter([1])], { betas: [1, 0.9] }), 'betas[0] is 1'],
    ['Nesterov without momentum', () => new SGD([parameter([1])], { nesterov: true }), 'nesterov without momentum'],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(OptimizerError);
    expect(make).toThrow(message);
  });

  it('a parameter in two groups', () => {
    const p = parameter([1]);
    expect(() => new AdamW([{ parameters: [p] }, { parameters: [p] }])).toThrow('appears twice');
  });

  it('a state that does not fit, and changes nothing then', async () => {
    const p = parameter([1, 2]);
    const optimizer = new AdamW([['p', p]]);
    p.square().sum().backward();
    await optimizer.step();
    const before = await optimizer.stateDict();
    const broken = new Map(before);
    broken.delete('p.exp_avg');
    broken.set('p.exp_avg_sq', { dtype: 'f32', shape: [3], data: new Float32Array(3) });
    broken.set('q.step', { dtype: 'i32', shape: [], data: Int32Array.of(1) });
    expect(() => optimizer.loadStateDict(broken)).toThrow(
      'p.exp_avg is missing; p.exp_avg_sq is [3], not [2]; q.step is unexpected',
    );
    expect(await optimizer.stateDict()).toEqual(before);
  });

  it('step() in a captured function', async () => {
    const p = parameter([1]);
    const optimizer = new SGD([p]);
    const step = compile(() => {
      p.square().sum().backward();
      void optimizer.step();
      return p;
    });
    await expect(step()).rejects.toThrow('optimizer.step');
    expect(Array.from(await p.data())).toEqual([1]);
    expect(p.grad).toBeUndefined();
  });
});
