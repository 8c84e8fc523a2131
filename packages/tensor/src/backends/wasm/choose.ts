/** Chooses the micro-kernel of this engine by timing the candidates for a few milliseconds, once per process. */
import { call, get, i32 } from './assembler.ts';
import { hasRelaxedSimd, joinsVectors, nodeMajor } from './engine.ts';
import { Library } from './library.ts';
import { candidates, defineMicroKernel, type MicroKernel, microKernels, nameOf } from './micro-kernel.ts';
import { ModuleBuilder } from './module.ts';

/** Steps of one product: its panels lie in the first-level cache. */
const steps = 128;
/** Multiplications and additions of one timed slice: a fraction of a millisecond. */
const sliceOperations = 8e6;
/**
 * Engines compile twice, and the better code comes after a while: the timing goes on for at least the first number of
 * milliseconds, then until no candidate has become faster for some slices, and at most for the second number.
 */
const duration = { least: 30, most: 120 };
const settled = 6;

/** repeat(count): `count` products of the same panels. */
function probeModule(kernels: readonly MicroKernel[]): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ shared: false });
  const library = new Library(module, false);
  for (const kernel of kernels) {
    const micro = defineMicroKernel(library, kernel);
    const [a, b, c] = [0, kernel.rows * steps * 4 + 64, (kernel.rows + kernel.columns) * steps * 4 + 128];
    module.define(
      ['i32'],
      [],
      (f) => {
        const done = f.let('i32', i32(0));
        f.count(done, get(0), 1, () =>
          call(micro, i32(a), i32(b), i32(c), i32(steps), i32(kernel.columns * 4), i32(1))(f),
        );
      },
      nameOf(kernel),
    );
  }
  return module.encode();
}

async function measure(kernels: readonly MicroKernel[]): Promise<MicroKernel> {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
  const { instance } = await WebAssembly.instantiate(probeModule(kernels), { engine: { memory } });
  const contenders = kernels.map((kernel) => {
    const operations = 2 * kernel.rows * kernel.columns * steps;
    const repeat = instance.exports[nameOf(kernel)] as (count: number) => void;
    return { kernel, operations, repeat, rate: 0, unchanged: 0 };
  });
  const start = performance.now();
  const goesOn = (elapsed: number): boolean =>
    elapsed < duration.least || (elapsed < duration.most && contenders.some(({ unchanged }) => unchanged < settled));
  while (goesOn(performance.now() - start)) {
    for (const contender of contenders) {
      const count = Math.ceil(sliceOperations / contender.operations);
      const before = performance.now();
      contender.repeat(count);
      const rate = (count * contender.operations) / (performance.now() - before);
      contender.unchanged = rate > contender.rate * 1.02 ? 0 : contender.unchanged + 1;
      contender.rate = Math.max(contender.rate, rate);
    }
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return contenders.reduce((best, contender) => (contender.rate > best.rate ? contender : best)).kernel;
}

/** A micro-kernel for programs that have no contraction. */
export const anyMicroKernel: MicroKernel = microKernels.plain[0] as MicroKernel;

const chosen = new Map<string, Promise<MicroKernel>>();

/** The fastest micro-kernel of this engine; without timing where there is only one that can be. */
export function chooseMicroKernel(): Promise<MicroKernel> {
  const likely = candidates(hasRelaxedSimd(), joinsVectors(), nodeMajor());
  const key = likely.map(nameOf).join();
  const known = chosen.get(key) ?? (likely.length === 1 ? Promise.resolve(likely[0] as MicroKernel) : measure(likely));
  chosen.set(key, known);
  return known;
}
