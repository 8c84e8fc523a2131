// Values of parameters that are read from elsewhere: in pieces, or straight into the memory of a device that shares it.
import { type Device, Generator, LayerNorm, Linear, Module, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { afterAll, describe, expect, it } from 'vitest';

class Pair extends Module {
  first = new Linear(7, 5, { generator: new Generator(1) });
  norm = new LayerNorm(5);
}

const devices: Device[] = [];
async function pairOn(threads: number): Promise<Pair> {
  const device = await openDevice('wasm', { threads, engineFlags: false });
  devices.push(device);
  setDefaultDevice(device);
  return new Pair();
}
afterAll(async () => {
  for (const device of devices) await device.close();
});

/** Values of every parameter that count what was read how. */
function valuesFor(model: Module, failing?: string) {
  const expected = new Map<string, Float32Array>();
  const used = { pieces: 0, places: 0, left: 0 };
  const values = new Map(
    [...model.namedParameters()].map(([name, { shape, size }], at) => {
      const elements = Float32Array.from({ length: size }, (_, i) => at + i / 8);
      expected.set(name, elements);
      const value = {
        shape,
        async *pieces() {
          used.pieces++;
          for (let start = 0; start < size; start += 3) yield elements.slice(start, start + 3);
        },
        async readInto(memory: Uint8Array) {
          used.places++;
          used.left++;
          expect(memory.byteLength).toBe(size * 4);
          await new Promise((resolve) => setTimeout(resolve, at));
          used.left--;
          if (name === failing) throw new RangeError(`cannot read ${name}`);
          memory.set(new Uint8Array(elements.buffer));
        },
      };
      return [name, value] as const;
    }),
  );
  return { values, expected, used };
}

describe('streamed parameters', () => {
  it.each([
    { threads: 1, how: 'pieces' },
    { threads: 2, how: 'places' },
  ] as const)('have their values, on $threads threads by $how', async ({ threads, how }) => {
    const model = await pairOn(threads);
    const { values, expected, used } = valuesFor(model);
    await model.streamParameters(values);
    expect(used).toEqual({ pieces: 0, places: 0, left: 0, [how]: values.size });
    for (const [name, parameter] of model.namedParameters()) expect(await parameter.data()).toEqual(expected.get(name));
    const again = valuesFor(model);
    for (const elements of again.expected.values()) elements.fill(0.5);
    await model.streamParameters(again.values);
    for (const parameter of model.parameters()) expect(new Set(await parameter.data())).toEqual(new Set([0.5]));
  });

  it('are not left half-read: a failure waits for the reads under way', async () => {
    const model = await pairOn(2);
    const { values, used } = valuesFor(model, 'first.weight');
    await expect(model.streamParameters(values)).rejects.toThrow('cannot read first.weight');
    expect(used.left).toBe(0);
  });

  it('of another shape or name are refused before anything is read', async () => {
    const model = await pairOn(2);
    const { values, used } = valuesFor(model);
    const [[name, value] = ['', undefined]] = values;
    await expect(model.streamParameters(new Map(value && [[`${name}s`, value]]))).rejects.toThrow('1 unexpected');
    await expect(model.streamParameters(new Map(value && [[name, { ...value, shape: [3] }]]))).rejects.toThrow(
      '1 of another shape',
    );
    expect(used).toEqual({ pieces: 0, places: 0, left: 0 });
  });
});
