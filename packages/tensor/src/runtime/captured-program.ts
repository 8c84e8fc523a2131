/** One trace of a captured function: the program, what it binds at every run, and its replay. */
import type { Backend } from '../backends/backend.ts';
import { type Resolution, resolution } from '../compile/resolution.ts';
import type { TypedArray } from '../dtype.ts';
import { CaptureError, DeviceError } from '../errors.ts';
import { Node, type Op, topological } from '../graph.ts';
import { sizeOf } from '../shape.ts';
import { ownerOf, realize, Tensor } from '../tensor.ts';
import type { Device } from './device.ts';
import { defaultDevice, presetDevice } from './devices.ts';
import { elementsOf, liveSource } from './live.ts';
import { describe, type Prepared, prepare } from './prepare.ts';
import { execute, replaced } from './realize.ts';
import { KeptMemory } from './run-memory.ts';
import { difference, nothingCreated, type PlannedMemory, plannedMemory } from './step-stats.ts';
import { Storage } from './storage.ts';
import { type Traced, traced } from './trace.ts';

/** What a captured function gives: one tensor, or a list of them. */
export type Result = Tensor | readonly Tensor[] | undefined;

const argumentOp: Op = { name: 'argument', kind: 'leaf' };

/** The parts of a trace. */
interface Parts {
  readonly device: Device;
  readonly backend: Backend;
  readonly prepared: Prepared;
  readonly outputs: readonly Node[];
  readonly leaves: readonly Node[];
  readonly placeholders: readonly Node[];
  readonly updates: Traced<Result>['updates'];
  /** Live values, in the order in which they were made. */
  readonly live: readonly Node[];
  readonly result: Result;
}

/** Traces and compiles `step` for arguments like `args`. Throws CaptureError for what a captured function may not do. */
export async function trace(
  step: (args: readonly Tensor[]) => unknown,
  args: readonly Tensor[],
): Promise<CapturedProgram> {
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
  return new CapturedProgram({ device, backend, prepared, outputs, leaves, placeholders, updates, live, result });
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

export class CapturedProgram {
  readonly device: Device;
  readonly prepared: Prepared;
  readonly memory: PlannedMemory;
  /** What the last run made on the device. */
  created = nothingCreated;
  private readonly parts: Parts;
  private readonly kept: KeptMemory;
  private readonly isArgument: (leaf: number) => boolean;
  /** The elements that live values were last given. */
  private readonly told = new Map<Node, TypedArray>();

  constructor(parts: Parts) {
    const { device, backend, prepared, leaves, placeholders } = parts;
    const given = new Set(placeholders);
    const overwritten = new Set(prepared.inPlace.values());
    const argumentLeaves = leaves.map((leaf, i) => given.has(leaf) && !overwritten.has(i));
    this.isArgument = (leaf) => argumentLeaves[leaf] === true;
    this.parts = parts;
    this.device = device;
    this.prepared = prepared;
    this.memory = plannedMemory(backend, prepared, this.isArgument);
    this.kept = new KeptMemory(device, backend, this.isArgument);
  }

  /** Computes pending values of the tensors that the function reads. */
  ready(): Promise<void> {
    return realize(this.parts.leaves.flatMap((leaf) => ownerOf(leaf) ?? []));
  }

  /** Runs once, after all work given to the device before. */
  replay(args: readonly Tensor[]): Promise<Result> {
    return this.device.exclusively(() => this.run(args));
  }

  /** Gives back the memory kept for the next run, after the work under way. */
  trim(): Promise<void> {
    return this.device.exclusively(async () => this.kept.trim());
  }

  /** Gives back what the program holds, after the work under way. */
  close(): Promise<void> {
    return this.device.exclusively(async () => {
      this.kept.close();
      this.parts.backend.release?.(this.prepared.executable);
    });
  }

  private async run(args: readonly Tensor[]): Promise<Result> {
    const { device, backend, outputs, updates, result } = this.parts;
    const before = backend.created?.() ?? nothingCreated;
    const current = this.currentNodes(args);
    const bound = this.parts.leaves.map((leaf) => current.get(leaf) ?? leaf);
    // Whatever was given up throws here, before the sources of live values count a run that does not happen.
    bound.forEach(({ storage }, i) => {
      if (this.isArgument(i)) storage?.check();
      else storage?.on(backend);
    });
    this.tellLiveValues();
    const storages = await execute(device, backend, this.prepared, outputs, bound, this.kept);
    this.created = difference(backend.created?.() ?? nothingCreated, before);
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
    if (result === undefined) return undefined;
    return result instanceof Tensor
      ? new Tensor(fresh(result.node))
      : result.map(({ node }) => new Tensor(fresh(node)));
  }

  /** The node of now for each leaf whose value may have changed since the trace. */
  private currentNodes(args: readonly Tensor[]): Map<Node, Node> {
    const { device, leaves, placeholders } = this.parts;
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
    return current;
  }

  /** Asks the sources of live values, and writes what has changed. */
  private tellLiveValues(): void {
    for (const node of this.parts.live) {
      const source = liveSource(node);
      if (!source) continue;
      const elements = elementsOf(source, node.shape, node.dtype);
      const told = this.told.get(node);
      if (told && elements.every((element, i) => Object.is(element, told[i]))) continue;
      node.storage?.write(elements);
      this.told.set(node, elements);
    }
  }
}
