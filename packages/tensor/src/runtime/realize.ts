/** Computing nodes: the graph behind them is prepared (once for each structure), bound to memory and run. */
import type { Backend, Slot } from '../backends/backend.ts';
import { resolution } from '../compile/resolution.ts';
import { DeviceError } from '../errors.ts';
import type { Node } from '../graph.ts';
import { sizeOf } from '../shape.ts';
import type { Device } from './device.ts';
import { defaultDevice } from './devices.ts';
import { describe, type Prepared, prepare } from './prepare.ts';
import { BorrowedMemory, type RunMemory } from './run-memory.ts';
import { type Keeper, Storage } from './storage.ts';

/** Results that replace an old leaf, whose memory they take over. */
export type Donations = ReadonlyMap<Node, Node>;

export const replaced = 'replaced by assign()';

/** Gives every node in `nodes` its elements. Nodes of several devices are computed device by device. */
export async function realize(nodes: readonly Node[], donations: Donations = new Map()): Promise<void> {
  const byDevice = new Map<Device, Node[]>();
  for (const node of new Set(nodes)) {
    const device = node.device ?? (await defaultDevice());
    const list = byDevice.get(device);
    if (list) list.push(node);
    else byDevice.set(device, [node]);
  }
  for (const [device, list] of byDevice) {
    await device.exclusively(async () => {
      // Work queued before may have computed some of them.
      const pending = list.filter((node) => node.storage === undefined);
      const own = new Map(pending.map((node) => [node, donations.get(node)] as const).filter(isDonation));
      if (pending.length > 0) await compute(device, pending, own);
    });
  }
}

const isDonation = (entry: readonly [Node, Node | undefined]): entry is readonly [Node, Node] => entry[1] !== undefined;

async function compute(device: Device, outputs: readonly Node[], donations: Donations): Promise<void> {
  const backend = await device.backend();
  const { text, leaves } = describe(outputs, donations, resolution(backend.limits.templates));
  const prepared = await device.program(text, () => prepare(backend, outputs, leaves, donations));
  const storages = await execute(device, backend, prepared, outputs, leaves);
  outputs.forEach((output, i) => {
    output.fulfil(storages[i] as Storage);
  });
  const kept = new Set(prepared.inPlace.values());
  for (const [, old] of donations) {
    const position = leaves.indexOf(old);
    if (!kept.has(position)) old.storage?.dispose(replaced);
  }
}

/** The slots of one run. */
interface BoundRun {
  readonly slots: readonly Slot[];
  readonly workspace: readonly Slot[];
  readonly results: ReadonlyMap<number, { readonly slot: Slot; readonly keeper: Keeper }>;
}

/** Runs a prepared program on the storages of `leaves` and returns fresh storages for the outputs. */
export async function execute(
  device: Device,
  backend: Backend,
  prepared: Prepared,
  outputs: readonly Node[],
  leaves: readonly Node[],
  memory: RunMemory = new BorrowedMemory(backend),
): Promise<Storage[]> {
  const { slots, workspace, results } = await bind(device, backend, prepared, leaves, memory);
  await backend.run(prepared.executable, slots, device.hasMore);
  memory.done(workspace);
  const storages = new Map<number, Storage>();
  const hold = (i: number, slot: Slot, keeper?: Keeper): void => {
    const node = outputs[i] as Node;
    const storage = new Storage(node.dtype, sizeOf(node.shape), node.op.name);
    storage.adopt(backend, slot, keeper);
    storages.set(i, storage);
  };
  for (const [i, { slot, keeper }] of results) hold(i, slot, keeper);
  for (const [output, leaf] of prepared.inPlace) {
    hold(output, ((leaves[leaf] as Node).storage as Storage).surrender(replaced));
  }
  return outputs.map(
    (node, i) => storages.get(i) ?? twin(outputs, storages, i) ?? new Storage(node.dtype, 0, node.op.name),
  );
}

/** Finds memory for a run; where there is not enough, once more without what the device keeps for later. */
async function bind(
  device: Device,
  backend: Backend,
  prepared: Prepared,
  leaves: readonly Node[],
  memory: RunMemory,
): Promise<BoundRun> {
  try {
    return await bindOnce(backend, prepared, leaves, memory);
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    device.trim(backend);
    return bindOnce(backend, prepared, leaves, memory);
  }
}

async function bindOnce(
  backend: Backend,
  prepared: Prepared,
  leaves: readonly Node[],
  memory: RunMemory,
): Promise<BoundRun> {
  const results = new Map<number, { readonly slot: Slot; readonly keeper: Keeper }>();
  let workspace: readonly Slot[] = [];
  try {
    const slots = prepared.sources.map((source, i): Slot => {
      if ('leaf' in source) {
        const { storage } = leaves[source.leaf] as Node;
        if (!storage) throw new DeviceError('realize: a leaf has no elements');
        return memory.leaf(source.leaf, storage);
      }
      const result = memory.output(source.output, prepared.bytes[i] as number);
      results.set(source.output, result);
      return result.slot;
    });
    workspace = memory.workspace(prepared.bytes.slice(prepared.bindings));
    await backend.settled?.();
    return { slots: [...slots, ...workspace], workspace, results };
  } catch (error) {
    for (const { slot, keeper } of results.values()) keeper.free(slot);
    memory.done(workspace);
    throw error;
  }
}

/** Two outputs that resolve to one node share its storage. */
function twin(outputs: readonly Node[], storages: ReadonlyMap<number, Storage>, i: number): Storage | undefined {
  const node = outputs[i] as Node;
  if (sizeOf(node.shape) === 0) return undefined;
  for (const [j, storage] of storages) {
    const other = outputs[j] as Node;
    if (other === node || sameDefinition(other, node)) return storage;
  }
  throw new Error(`realize: no kernel computes ${node.op.name}`);
}

function sameDefinition(a: Node, b: Node): boolean {
  const end = (node: Node): Node =>
    node.op.kind === 'composite' && node.storage === undefined ? end(node.define()) : node;
  return end(a) === end(b);
}
