/**
 * The function that runs a program: every thread walks the same list of phases in shared memory, claims chunks of
 * work by an atomic counter, and sleeps until the last chunk of a phase is done. It is WebAssembly itself, so that the
 * main thread and the workers run the same code.
 */
import { type Code, callIndirect, type FunctionBuilder, get, i32, i64, type Local, load, op } from './assembler.ts';
import { kernelParameters } from './loop.ts';
import { ModuleBuilder } from './module.ts';

/** Layout of a run in memory, in bytes: a header, the phases, the steps. */
export const layout = {
  /** Header: number of phases; phases finished. */
  phases: 0,
  finished: 4,
  header: 64,
  /** Phase: address of its first step, number of steps, number of chunks; chunks claimed, chunks done. */
  firstStep: 0,
  steps: 4,
  chunks: 8,
  claimed: 12,
  done: 16,
  phase: 64,
  /** Step: position in the table of kernels, address of the arguments, units of work, units in a chunk, its first chunk. */
  kernel: 0,
  arguments: 4,
  units: 8,
  chunk: 12,
  firstChunk: 16,
  step: 20,
} as const;

/**
 * Control words by which workers join a run: the number of the run that is open (0 for none), who is in it, and whether
 * one of them was thrown out of it by an error.
 */
export const control = { open: 0, active: 4, failed: 8, bytes: 12 } as const;

/** More phases than a run has: nobody waits for any of them. */
const everyPhase = 1 << 30;

const atomicLoad = (address: Code, offset: number): Code => load('i32.atomic.load', address, offset);
const atomicAdd = (address: Code, offset: number, value: number): Code => {
  return (f) => {
    address(f);
    i32(value)(f);
    f.access('i32.atomic.rmw.add', offset);
  };
};

/** Sleeps while the word at `address` + `offset` is `value`. */
function wait(f: FunctionBuilder, address: Code, offset: number, value: Code): void {
  address(f);
  value(f);
  i64(-1n)(f);
  f.access('memory.atomic.wait32', offset);
  f.plain('drop');
}

function notify(f: FunctionBuilder, address: Code, offset: number): void {
  address(f);
  i32(-1)(f);
  f.access('memory.atomic.notify', offset);
  f.plain('drop');
}

/** walk(run, scratch): works on every phase until all are finished. */
function walk(f: FunctionBuilder, kernelType: number): void {
  const [run, scratch] = [0, 1];
  const field = (base: Local, offset: number): Code => load('i32.load', get(base), offset);
  const phase = f.let('i32', op('i32.add', get(run), i32(layout.header)));
  const count = f.let('i32', field(run, layout.phases));
  const position = f.let('i32', i32(0));
  const [claimed, seen, step, last] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
  const [start, end] = [f.local('i32'), f.local('i32')];
  const claim = (): void => f.set(claimed, atomicAdd(get(phase), layout.claimed, 1));
  f.count(position, get(count), 1, () => {
    claim();
    f.while(op('i32.lt_s', get(claimed), field(phase, layout.chunks)), () => {
      f.set(step, field(phase, layout.firstStep));
      f.set(last, op('i32.add', get(step), op('i32.mul', field(phase, layout.steps), i32(layout.step))));
      f.while(op('i32.lt_u', get(step), get(last)), () => {
        // Of a step's chunks, which begin at its first one, this may be none.
        f.set(start, op('i32.sub', get(claimed), field(step, layout.firstChunk)));
        f.when(op('i32.ge_s', get(start), i32(0)), () => {
          f.set(start, op('i32.mul', get(start), field(step, layout.chunk)));
          f.when(op('i32.lt_s', get(start), field(step, layout.units)), () => {
            f.set(end, op('i32.add', get(start), field(step, layout.chunk)));
            f.when(op('i32.gt_s', get(end), field(step, layout.units)), () => f.set(end, field(step, layout.units)));
            callIndirect(
              kernelType,
              field(step, layout.kernel),
              field(step, layout.arguments),
              get(start),
              get(end),
              get(scratch),
            )(f);
          });
        });
        f.set(step, op('i32.add', get(step), i32(layout.step)));
      });
      const done = op('i32.add', atomicAdd(get(phase), layout.done, 1), i32(1));
      f.when(op('i32.eq', done, field(phase, layout.chunks)), () => {
        atomicAdd(get(run), layout.finished, 1)(f);
        f.plain('drop');
        notify(f, get(run), layout.finished);
      });
      claim();
    });
    f.set(seen, atomicLoad(get(run), layout.finished));
    f.while(op('i32.le_s', get(seen), get(position)), () => {
      wait(f, get(run), layout.finished, get(seen));
      f.set(seen, atomicLoad(get(run), layout.finished));
    });
    f.set(phase, op('i32.add', get(phase), i32(layout.phase)));
  });
}

/**
 * The module with `walk(run, scratch)`, `join(control, number, run, scratch)`, `part(control)` which ends a join,
 * `abandon(control, run)` after an error, and `leave(control)`, which says whether there was one.
 */
export function walkModule(shared: boolean): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ shared, table: true });
  const kernelType = module.type(kernelParameters, []);
  const walkIndex = module.define(['i32', 'i32'], [], (f) => walk(f, kernelType), 'walk');
  const part = module.define(
    ['i32'],
    [],
    (f) => {
      atomicAdd(get(0), control.active, -1)(f);
      f.plain('drop');
      notify(f, get(0), control.active);
    },
    'part',
  );
  // A worker that wakes too late finds another number and stays out; the main thread waits for those who are in.
  module.define(
    ['i32', 'i32', 'i32', 'i32'],
    [],
    (f) => {
      atomicAdd(get(0), control.active, 1)(f);
      f.plain('drop');
      f.when(op('i32.eq', atomicLoad(get(0), control.open), get(1)), () => {
        get(2)(f);
        get(3)(f);
        f.index(0x10, walkIndex);
      });
      get(0)(f);
      f.index(0x10, part);
    },
    'join',
  );
  // Whoever cannot finish a chunk frees those who would wait for it.
  module.define(
    ['i32', 'i32'],
    [],
    (f) => {
      f.store('i32.atomic.store', get(0), i32(1), control.failed);
      f.store('i32.atomic.store', get(1), i32(everyPhase), layout.finished);
      notify(f, get(1), layout.finished);
    },
    'abandon',
  );
  module.define(
    ['i32'],
    ['i32'],
    (f) => {
      const active = f.local('i32');
      f.store('i32.atomic.store', get(0), i32(0), control.open);
      f.set(active, atomicLoad(get(0), control.active));
      f.while(get(active), () => {
        wait(f, get(0), control.active, get(active));
        f.set(active, atomicLoad(get(0), control.active));
      });
      const failed = f.let('i32', atomicLoad(get(0), control.failed));
      f.store('i32.atomic.store', get(0), i32(0), control.failed);
      get(failed)(f);
    },
    'leave',
  );
  return module.encode();
}
