/** Captured functions: traced once into one program, replayed with other arguments. */
import { type Resolution, resolution } from '../compile/resolution.ts';
import { CaptureError, DeviceError, printShape } from '../errors.ts';
import { Node, type Op, topological } from '../graph.ts';
import { sizeOf } from '../shape.ts';
import { ownerOf, realize, Tensor } from '../tensor.ts';
import type { Device } from './device.ts';
import { defaultDevice, presetDevice } from './devices.ts';
import { elementsOf, liveSource } from './live.ts';
import { describe, type Prepared, prepare } from './prepare.ts';
import { execute, replaced } from './realize.ts';
import { Storage } from './storage.ts';
import { type Traced, traced } from './trace.ts';

/** What a captured function takes and gives: one tensor, or a list of them. */
type Result = Tensor | readonly Tensor[] | undefined;

export interface StepStats {
  /** What one run does on the device. */
  readonly dispatches: number;
  readonly passes: number;
  readonly submits: number;
  readonly pipelines: number;
  /** Bytes that the program binds and uses as workspace: what a run needs at its fullest. */
  readonly peakBytes: number;
  /** How often the function has been traced: more than once means that arguments changed shape. */
  readonly traces: number;
  readonly runs: number;
  /** The backend that ran. */
  readonly ran: string;
  readonly kernels: readonly string[];
}

export interface Captured<A extends readonly Tensor[], R extends Result> {
  (...args: A): Promise<R>;
  stats(): StepStats;
}

interface Program {
  readonly device: Device;
  readonly prepared: Prepared;
  readonly outputs: readonly Node[];
  readonly leaves: readonly Node[];
  readonly placeholders: readonly Node[];
  readonly updates: Traced<Result>['updates'];
  /** Live values, in the order in which they were made. */
  readonly live: readonly Node[];
  readonly result: Result;
}

const argumentOp: Op = { name: 'argument', kind: 'leaf' };

/**
 * Traces `step` at the first call and replays the program afterwards; a call whose arguments have other shapes or
 * dtypes traces again. The arguments, live values and tensors updated by `assign` are the only things that vary;
 * numbers are constants of the trace. A tensor that changed since the trace is read as it is at the run. Inside, reading a tensor, Math.random and Date throw CaptureError.
 */
export function compile<A extends readonly Tensor[], R extends Result>(step: (...args: A) => R): Captured<A, R>;
export function compile<A extends readonly Tensor[]>(step: (...args: A) => void): Captured<A, undefined>;
export function compile<A extends readonly Tensor[]>(step: (...args: A) => unknown): Captured<A, Result> {
  const programs = new Map<string, Program>();
  let latest: Program | undefined;
  let runs = 0;

  const captured = async (...args: A): Promise<Result> => {
    const signature = args.map(({ dtype, shape }) => `${dtype}${printShape(shape)}`).join();
    await realize(args);
    let program = programs.get(signature);
    if (!program) {
      program = await trace((placeholders) => step(...(placeholders as unknown as A)), args);
      programs.set(signature, program);
    }
    await realize(program.leaves.flatMap((leaf) => ownerOf(leaf) ?? []));
    latest = program;
    runs++;
    return replay(program, args);
  };
  const stats = (): StepStats => {
    if (!latest) throw new CaptureError('stats: the function has not run yet', 'call it first');
    const { prepared, device } = latest;
    return {
      ...prepared.executable.stats,
      peakBytes: prepared.peakBytes,
      traces: programs.size,
      runs,
      ran: device.name,
      kernels: prepared.kernelNames,
    };
  };
  return Object.assign(captured, { stats });
}

async function trace(step: (args: readonly Tensor[]) => unknown, args: readonly Tensor[]): Promise<Program> {
  const placeholders = args.map(({ node }) => {
    const placeholder = new Node(argumentOp, [], undefined, node.shape, node.dtype, node.device ?? presetDevice());
    placeholder.storage = new Storage(node.dtype, sizeOf(node.shape), 'argument');
    return placeholder;
  });
  const { result, updates, live } = traced(() => {
    const value: unknown = step(placeholders.map((node) => new Tensor(node)));
    if (value instanceof Promise) {
      value.catch(() => undefined);
      throw new CaptureError('compile: the captured function is asynchronous', 'build the graph without await');
    }
    return asResult(value);
  });
  for (const { before } of updates) {
    if (!before.storage)
      throw new CaptureError(
        'assign: a tensor without a stored value was updated in a captured function',
        'realize() it before the first call',
      );
  }
  const results = result === undefined ? [] : result instanceof Tensor ? [result] : [...result];
  const outputs = [...new Set([...results.map(({ node }) => node), ...updates.map(({ next }) => next)])].filter(
    (node) => node.storage === undefined,
  );
  const device = outputs.find((node) => node.device)?.device ?? (await defaultDevice());
  const backend = await device.backend();
  const donations = new Map(updates.map(({ next, before }) => [next, before] as const));
  const seen = resolution(backend.limits.templates);
  checkAlive(outputs, seen);
  const { leaves } = describe(outputs, donations, seen);
  const prepared = await device.exclusively(() => prepare(backend, outputs, leaves, donations));
  return { device, prepared, outputs, leaves, placeholders, updates, live, result };
}

function asResult(value: unknown): Result {
  if (value === undefined || value instanceof Tensor) return value;
  if (Array.isArray(value) && value.every((entry) => entry instanceof Tensor)) return value;
  throw new CaptureError(
    'compile: the captured function returned something else than tensors',
    'return a tensor, a list of tensors, or nothing',
  );
}

/** Throws CaptureError when the function uses a tensor whose memory was given up. */
function checkAlive(outputs: readonly Node[], { resolve, operandsOf }: Resolution): void {
  for (const node of topological(outputs.map(resolve), operandsOf)) {
    if (node.storage?.disposed)
      throw new CaptureError(
        `compile: the function uses a tensor made by ${node.op.name} that was given up`,
        'keep it alive',
      );
  }
}

async function replay(program: Program, args: readonly Tensor[]): Promise<Result> {
  const { device, prepared, outputs, leaves, placeholders, updates, live } = program;
  const backend = await device.backend();
  return device.exclusively(async () => {
    const current = new Map<Node, Node>();
    placeholders.forEach((placeholder, i) => {
      const { node } = args[i] as Tensor;
      if (node.device !== undefined && node.device !== device)
        throw new DeviceError(
          `compile: argument ${i} is on device ${node.device.name}, and the function was traced on ${device.name}`,
          'capture the function again for the other device',
        );
      current.set(placeholder, node);
    });
    for (const leaf of leaves) {
      const owner = ownerOf(leaf);
      if (owner) current.set(leaf, owner.node);
    }
    const bound = leaves.map((leaf) => current.get(leaf) ?? leaf);
    // Whatever was given up throws here, before the sources of live values count a run that does not happen.
    for (const { storage } of bound) storage?.on(backend);
    for (const node of live) {
      const source = liveSource(node);
      if (source) node.storage?.write(elementsOf(source, node.shape, node.dtype));
    }
    const storages = await execute(device, backend, prepared, outputs, bound);
    const values = new Map(outputs.map((node, i) => [node, storages[i] as Storage] as const));
    const fresh = (node: Node): Node => {
      const storage = values.get(node);
      if (!storage) return current.get(node) ?? node;
      const stored = new Node({ ...argumentOp, name: node.op.name }, [], undefined, node.shape, node.dtype, device);
      stored.storage = storage;
      return stored;
    };
    for (const { tensor, next } of updates) {
      const previous = tensor.node.storage;
      tensor.commit(fresh(next));
      if (previous !== tensor.node.storage) previous?.dispose(replaced);
    }
    const { result } = program;
    if (result === undefined) return undefined;
    return result instanceof Tensor
      ? new Tensor(fresh(result.node))
      : result.map(({ node }) => new Tensor(fresh(node)));
  });
}
