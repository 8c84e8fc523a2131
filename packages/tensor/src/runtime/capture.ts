/** Captured functions: traced once into one program, replayed with other arguments. */
import { CaptureError, printShape } from '../errors.ts';
import { realize, type Tensor } from '../tensor.ts';
import { type CapturedProgram, type Result, trace } from './captured-program.ts';
import { type StepStats, totalBytes } from './step-stats.ts';

export interface Captured<A extends readonly Tensor[], R extends Result> {
  (...args: A): Promise<R>;
  /** About the arguments of the last call or `prepare`. Throws CaptureError where there was none. */
  stats(): StepStats;
  /** Traces and compiles for arguments like these, and runs nothing. */
  prepare(...args: A): Promise<StepStats>;
  /** Gives back the memory that the function keeps on its device between calls; the next call takes it again. */
  trim(): Promise<void>;
  /** Gives back all that the function keeps on its device; a later call traces again. */
  dispose(): Promise<void>;
}

type Programs = Map<string, Promise<CapturedProgram>>;

/** Functions under way: what only a running call knows of is not collected. */
const running = new Set<object>();

/** Programs of functions that were garbage collected without `dispose()`. */
const collected = new FinalizationRegistry<Programs>((programs) => void closeAll(programs));

async function closeAll(programs: Programs): Promise<void> {
  const all = [...programs.values()];
  programs.clear();
  for (const program of all) await program.then((made) => made.close()).catch(() => undefined);
}

/**
 * Traces `step` at the first call and replays the program afterwards; a call whose arguments have other shapes or
 * dtypes traces again. The arguments, live values and tensors updated by `assign` are the only things that vary;
 * numbers are constants of the trace. A tensor that changed since the trace is read as it is at the run. Inside, reading a tensor, Math.random and Date throw CaptureError.
 */
export function compile<A extends readonly Tensor[], R extends Result>(step: (...args: A) => R): Captured<A, R>;
export function compile<A extends readonly Tensor[]>(step: (...args: A) => void): Captured<A, undefined>;
export function compile<A extends readonly Tensor[]>(step: (...args: A) => unknown): Captured<A, Result> {
  const programs: Programs = new Map();
  let latest: CapturedProgram | undefined;
  let runs = 0;

  const programFor = async (args: A): Promise<CapturedProgram> => {
    const signature = args.map(({ dtype, shape }) => `${dtype}${printShape(shape)}`).join();
    let program = programs.get(signature);
    if (!program) {
      program = trace((placeholders) => step(...(placeholders as unknown as A)), args);
      programs.set(signature, program);
      program.catch(() => programs.delete(signature));
    }
    return program;
  };
  const captured = async (...args: A): Promise<Result> => {
    const call = { captured };
    running.add(call);
    try {
      await realize(args);
      const program = await programFor(args);
      await program.ready();
      latest = program;
      runs++;
      return await program.replay(args);
    } finally {
      running.delete(call);
    }
  };
  const stats = (): StepStats => {
    if (!latest) throw new CaptureError('stats: the function has not run yet', 'call it first');
    const { prepared, device, memory, created } = latest;
    const { dispatches, passes, submits, pipelines } = prepared.executable.stats;
    return {
      ...{ dispatches, passes, submits, pipelines },
      peakBytes: totalBytes(memory),
      memory,
      created,
      traces: programs.size,
      runs,
      ran: device.name,
      fallbacks: prepared.fallbacks,
      kernels: prepared.kernelNames,
    };
  };
  const prepare = async (...args: A): Promise<StepStats> => {
    latest = await programFor(args);
    return stats();
  };
  const trim = async (): Promise<void> => {
    for (const program of programs.values()) await (await program).trim();
  };
  const dispose = (): Promise<void> => closeAll(programs);
  collected.register(captured, programs);
  return Object.assign(captured, { stats, prepare, trim, dispose });
}
