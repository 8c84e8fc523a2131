// Schedules chosen by measuring: what wins, what is kept, what is ignored, and that a program runs by it.

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { create } from 'webgpu';
import {
  type Autotune,
  pickFastest,
  type ScheduleStore,
  type Tunable,
  Tuner,
} from '../../../packages/tensor/src/backends/webgpu/autotune.ts';
import { createWebGPUBackend, type WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import type { WebGPUExecutable } from '../../../packages/tensor/src/backends/webgpu/executable.ts';
import { candidates, shapeClass } from '../../../packages/tensor/src/backends/webgpu/gemm/choose.ts';
import { cacheFolder, fileStore } from '../../../packages/tensor/src/backends/webgpu/schedule-store.ts';
import { Stopwatch } from '../../../packages/tensor/src/backends/webgpu/stopwatch.ts';
import { targetOf } from '../../../packages/tensor/src/backends/webgpu/target.ts';
import { contraction } from './examples.ts';
import { programOf } from './interpret.ts';

interface Tile {
  readonly kind: 'tile';
  readonly rows: number;
  readonly columns?: number;
}

const tiles: readonly Tile[] = [8, 16, 32, 64].map((rows) => ({ kind: 'tile', rows }));
const [first, , third] = tiles as [Tile, Tile, Tile, Tile];

/** A store in memory. */
function memoryStore(text?: string): ScheduleStore & { text: string | undefined } {
  return {
    place: 'memory',
    text,
    async load() {
      return this.text;
    },
    async save(next) {
      this.text = next;
    },
  };
}

/** Kernels of one class, which take as long as `times` says; every measurement is counted. */
function tunable(times: Readonly<Record<number, number>>, key = 'a class') {
  const measured: number[] = [];
  const measure = async ({ rows }: Tile): Promise<number> => {
    measured.push(rows);
    const time = times[rows];
    if (time === undefined) throw new Error('refused');
    return time;
  };
  const kernel: Tunable<Tile> = { key, candidates: tiles, measure };
  return { kernel, measured };
}

const tuner = (store: ScheduleStore, mode: Autotune = 'measure', adapter = 'a card, driver 1') => {
  const lines: string[] = [];
  const made = new Tuner({ mode, store, adapter, warn: (line) => void lines.push(line) });
  return { choose: (kernel: Tunable<Tile>) => made.choose([kernel]).then(([schedule]) => schedule), lines };
};

describe('the fastest schedule', () => {
  it('is picked, with no second look where it is clearly ahead', async () => {
    const { kernel, measured } = tunable({ 8: 90, 16: 80, 32: 20, 64: 70 });
    expect(await pickFastest(kernel.candidates, kernel.measure)).toEqual({ schedule: third, microseconds: 20 });
    expect(measured).toEqual([8, 16, 32, 64]);
  });

  it('is picked among close ones by the least of several times', async () => {
    const times = new Map([
      [8, [10, 9.9, 9.9]],
      [16, [11, 11, 11]],
      [32, [10.5, 9.8, 9.4]],
    ]);
    const seen = new Map<number, number>();
    const fastest = await pickFastest(tiles.slice(0, 3), async ({ rows }) => {
      const round = seen.get(rows) ?? 0;
      seen.set(rows, round + 1);
      return times.get(rows)?.[round] ?? Number.NaN;
    });
    expect(fastest).toEqual({ schedule: third, microseconds: 9.4 });
  });

  it('is none that the device refuses, and none at all where it refuses all', async () => {
    const { kernel } = tunable({ 64: 5 });
    expect((await pickFastest(kernel.candidates, kernel.measure))?.schedule).toEqual(tiles[3]);
    const refused = tunable({});
    expect(await pickFastest(refused.kernel.candidates, refused.kernel.measure)).toBeUndefined();
    expect(await tuner(memoryStore()).choose(refused.kernel)).toEqual(first);
  });
});

describe('a measured schedule', () => {
  it('is kept: the next process measures nothing', async () => {
    const store = memoryStore();
    const { kernel } = tunable({ 8: 9, 16: 8, 32: 2, 64: 7 });
    expect(await tuner(store).choose(kernel)).toEqual(third);
    for (const mode of ['measure', 'cached'] as const) {
      const again = tunable({ 8: 1 });
      expect(await tuner(store, mode).choose(again.kernel)).toBe(third);
      expect(again.measured).toEqual([]);
    }
    expect(await tuner(store, 'off').choose(kernel)).toBe(first);
  });

  it('is measured only when that is asked for', async () => {
    const store = memoryStore();
    const { kernel, measured } = tunable({ 8: 9, 16: 8, 32: 2, 64: 7 });
    expect(await tuner(store, 'cached').choose(kernel)).toBe(first);
    expect({ measured, text: store.text }).toEqual({ measured: [], text: undefined });
  });

  it('counts for its class, its adapter and driver, and its format alone', async () => {
    const store = memoryStore();
    const { kernel } = tunable({ 8: 9, 16: 8, 32: 2, 64: 7 });
    await tuner(store).choose(kernel);
    const kept = store.text as string;
    expect(await tuner(store, 'cached').choose({ ...kernel, key: 'another class' })).toBe(first);
    expect(await tuner(store, 'cached', 'a card, driver 2').choose(kernel)).toBe(first);
    for (const field of ['format', 'kernels']) {
      const other = memoryStore(JSON.stringify({ ...JSON.parse(kept), [field]: 999 }));
      const { choose, lines } = tuner(other, 'cached');
      expect(await choose(kernel)).toBe(first);
      expect(lines).toEqual([]);
    }
  });

  it('that is no longer among the candidates is measured again', async () => {
    const store = memoryStore();
    const { kernel } = tunable({ 8: 9, 16: 8, 32: 2, 64: 7 });
    await tuner(store).choose(kernel);
    const fewer = { ...kernel, candidates: tiles.slice(0, 2) };
    expect(await tuner(store, 'cached').choose(fewer)).toBe(first);
    expect(await tuner(store).choose(fewer)).toBe(tiles[1]);
  });

  it('is known by its fields, whatever their order', async () => {
    const store = memoryStore();
    const { kernel } = tunable({ 8: 9, 16: 8, 32: 2, 64: 7 });
    const wide = (rows: number): Tile => ({ kind: 'tile', rows, columns: 4 });
    await tuner(store).choose({ ...kernel, candidates: [8, 32].map(wide) });
    const turned: Tile = { columns: 4, rows: 32, kind: 'tile' };
    expect(await tuner(store, 'cached').choose({ ...kernel, candidates: [wide(8), turned] })).toBe(turned);
  });

  it.each(['', 'no JSON', '[]', '{"format":1}', 'null'])(
    'a broken text %j is told in one line and rewritten',
    async (text) => {
      const store = memoryStore(text);
      const { kernel } = tunable({ 8: 9, 16: 8, 32: 2, 64: 7 });
      const { choose, lines } = tuner(store);
      expect(await choose(kernel)).toBe(third);
      expect(await choose(kernel)).toBe(third);
      // {"format":1} belongs to other kernels, and says so.
      expect(lines.length).toBe(text === '{"format":1}' ? 0 : 1);
      for (const line of lines) expect(line).toMatch(/^Measured schedules in memory are not readable/);
      expect(await tuner(store, 'cached').choose(kernel)).toBe(third);
    },
  );

  it('stays in use where it cannot be kept, with one line', async () => {
    const store: ScheduleStore = {
      ...memoryStore(),
      load: async () => undefined,
      save: () => Promise.reject(new Error('disk full')),
    };
    const { kernel } = tunable({ 8: 9, 16: 8, 32: 2, 64: 7 });
    const { choose, lines } = tuner(store);
    expect(await choose(kernel)).toBe(third);
    expect(await choose(kernel)).toBe(third);
    expect(lines).toEqual(['Measured schedules could not be kept in memory (disk full)']);
  });

  it('joins those that another process measured meanwhile', async () => {
    const store = memoryStore();
    const [a, b] = [tunable({ 8: 1, 16: 2 }, 'a'), tunable({ 8: 2, 16: 1 }, 'b')];
    const [one, other] = [tuner(store), tuner(store)];
    await other.choose(tunable({}, 'unknown').kernel);
    await one.choose(a.kernel);
    await other.choose(b.kernel);
    expect(Object.keys((JSON.parse(store.text as string) as { schedules: object }).schedules).sort()).toEqual([
      'a',
      'b',
    ]);
  });
});

describe('the cache folder', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'actionclip-schedules-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('is where the platform has it', () => {
    expect(cacheFolder('linux', { HOME: '/home/me' })).toBe('/home/me/.cache/actionclip');
    expect(cacheFolder('linux', { HOME: '/home/me', XDG_CACHE_HOME: '/fast' })).toBe('/fast/actionclip');
    expect(cacheFolder('darwin', { HOME: '/Users/me' })).toBe('/Users/me/Library/Caches/actionclip');
    expect(cacheFolder('win32', { LOCALAPPDATA: 'C:\\me' })).toBe('C:\\me\\actionclip');
    expect(cacheFolder('linux', { HOME: '/home/me', ACTIONCLIP_CACHE: '/own' })).toBe('/own');
    expect(cacheFolder('linux', {})).toBeUndefined();
  });

  it('has one file for each adapter, never in part', async () => {
    const [one, other] = ['one', 'other'].map((adapter) => fileStore(join(folder, 'new'), adapter)) as [
      ScheduleStore,
      ScheduleStore,
    ];
    expect(await one.load()).toBeUndefined();
    await one.save('first');
    await one.save('second');
    await other.save('third');
    expect([await one.load(), await other.load()]).toEqual(['second', 'third']);
    expect((await readdir(join(folder, 'new'))).every((name) => /^schedules-[0-9a-f]{8}\.json$/.test(name))).toBe(true);
    await writeFile(one.place, '{');
    const { kernel } = tunable({ 8: 9, 16: 8, 32: 2, 64: 7 });
    await tuner(one).choose(kernel);
    expect(JSON.parse(await readFile(one.place, 'utf8'))).toMatchObject({ adapter: 'a card, driver 1' });
  });
});

describe('a WebGPU device', () => {
  const product = programOf(contraction({ m: 64, n: 64, k: 32 }));

  /** A device that checks everything and computes nothing, with schedules kept in `store`. */
  async function nullBackend(store: ScheduleStore, autotune: Autotune): Promise<WebGPUBackend> {
    const gpu = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
    const holder = globalThis as { keptNullGPUs?: unknown[] };
    holder.keptNullGPUs = [...(holder.keptNullGPUs ?? []), gpu];
    const adapter = await gpu.requestAdapter();
    if (!adapter) throw new Error("Dawn's null backend gave no adapter");
    return createWebGPUBackend({ adapter, autotune, scheduleStore: store });
  }

  it('measures the candidates of a matrix product, keeps the fastest, and computes by it the next time', async () => {
    const store = memoryStore();
    const times: number[] = [];
    const spy = vi.spyOn(Stopwatch.prototype, 'microseconds').mockImplementation(async () => {
      // The last candidate that is measured is the fastest.
      times.push(1000 / (times.length + 1) ** 2);
      return times[times.length - 1] as number;
    });
    const own = await nullBackend(store, 'measure');
    const [kernel] = product.kernels;
    if (!kernel) throw new Error('the program has no kernel');
    const target = await targetOf(own.device, { subgroupMinSize: 4, subgroupMaxSize: 128 } as GPUAdapterInfo);
    expect(candidates(kernel, target).length).toBeGreaterThan(1);
    const before = own.memory().live;
    const { dispatches } = (await own.compile(product)).stats;
    expect(times.length).toBeGreaterThan(1);
    const measured = times.length;
    await own.compile(product);
    expect(times.length).toBe(measured);
    expect(own.memory().live - before).toBeLessThan(2 ** 20);
    await own.close();
    const { schedules } = JSON.parse(store.text as string) as { schedules: Record<string, { microseconds: number }> };
    expect(Object.keys(schedules)).toEqual([shapeClass(kernel)]);
    expect(Object.values(schedules)[0]?.microseconds).toBe(Math.min(...times));

    const next = await nullBackend(store, 'cached');
    const modules = vi.spyOn(next.device, 'createShaderModule');
    expect((await next.compile(product)).stats.dispatches).toBe(dispatches);
    expect(times.length).toBe(measured);
    const byTable = await nullBackend(store, 'off');
    const tableModules = vi.spyOn(byTable.device, 'createShaderModule');
    await byTable.compile(product);
    const code = ({ mock }: typeof modules): string[] => mock.calls.map(([{ code }]) => code);
    expect(code(modules)).not.toEqual(code(tableModules));
    spy.mockRestore();
    await next.close();
    await byTable.close();
  });

  it('tells times that are numbers, whatever it measures them with', async () => {
    const own = await createWebGPUBackend({ allowSoftware: true, autotune: 'measure', scheduleStore: memoryStore() });
    let clock = 0;
    const watch = new Stopwatch(own.device, () => {
      clock += 2;
      return clock;
    });
    const program = programOf(contraction({ m: 4, n: 4, k: 4 }));
    const executable = (await own.compile(program)) as WebGPUExecutable;
    const slots = program.buffers.map(({ bytes }) => own.alloc(bytes));
    const bound = executable.bind(slots, (descriptor) => own.device.createBindGroup(descriptor));
    const time = await watch.microseconds(executable, bound);
    expect(time).toBeGreaterThan(0);
    expect(time).toBeLessThan(Number.POSITIVE_INFINITY);
    await own.close();
  });

  it('that is software measures nothing and asks no store', async () => {
    const load = vi.fn(async () => undefined);
    const store: ScheduleStore = { ...memoryStore(), load };
    const own = await createWebGPUBackend({ allowSoftware: true, autotune: 'measure', scheduleStore: store });
    await own.compile(programOf(contraction({ m: 4, n: 4, k: 4 })));
    expect(load).not.toHaveBeenCalled();
    await own.close();
  });
});
