/** Adapters in checkpoints: what a file says of its own, and LoRA's updates merged into the weights. Runs in browsers. */
import { type HostTensor, toFloat32 } from '@actionclip/tensor';
import { type AdapterOptions, isAdapter, isLora, printAdapter, sameAdapter } from '../model/adapters.ts';
import type { CheckpointContents } from './contents.ts';
import { CheckpointError } from './errors.ts';
import { type StoredTensor, wholeTensor } from './stored-tensor.ts';

/** The parameter whose first axis is an adapter's size, whatever block or layer it is of. */
const sizeNames = { lora: /lora\.A$/, 'st-adapter': /\.adapter_pre_attn\.fc1\.bias$/ } as const;

/**
 * The adapter that a file's description tells of, checked against the shapes of its parameters before memory is taken.
 * @throws CheckpointError where it is none, or of another size.
 */
export function adapterOf({ source, scalars, tensors }: CheckpointContents): AdapterOptions | undefined {
  const { adapter } = described(scalars) ?? {};
  if (adapter === undefined) return undefined;
  if (!isAdapter(adapter)) {
    throw new CheckpointError(`${source}: its description has no readable adapter`, 'the file is damaged');
  }
  const size = adapter.kind === 'lora' ? adapter.rank : adapter.channels;
  const [name, tensor] = [...tensors].find(([one]) => sizeNames[adapter.kind].test(one)) ?? [];
  if (tensor?.shape[0] === size) return adapter;
  const found = tensor === undefined ? 'its parameters are those of none' : `${name} is [${tensor.shape}]`;
  throw new CheckpointError(
    `${source}: its description says ${printAdapter(adapter)}, ${found}`,
    'the file is damaged',
  );
}

interface Described {
  readonly adapter?: unknown;
}

/** The description in a file's metadata, if there is a readable one. */
function described(scalars: CheckpointContents['scalars']): Described | undefined {
  try {
    const value: unknown = JSON.parse(String(scalars.get('description')));
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The weights of a file for a model with this adapter to start from: as they are where the file has the same adapter or
 * none, else with LoRA's updates merged.
 * @throws CheckpointError for ST-Adapters that the model does not have: they cannot be merged.
 */
export function weightsFor(contents: CheckpointContents, adapter: AdapterOptions | undefined): CheckpointContents {
  const own = adapterOf(contents);
  if (own === undefined || sameAdapter(own, adapter)) return contents;
  if (own.kind === 'lora') return mergeLora(contents);
  throw new CheckpointError(
    `${contents.source}: it has ${printAdapter(own)}, the model has ${printAdapter(adapter)}`,
    `set network.adapter (--adapter) to st-adapter, with as many channels, or write the file without them: actionclip convert --drop-temporal`,
  );
}

/**
 * A checkpoint with LoRA's updates in its weights: weight + alpha / rank · B · A, in f32, and no adapter. Where there is
 * another adapter or none, the checkpoint as it is. Values are read and merged one tensor at a time, when they are asked for.
 * @throws CheckpointError where an update has another shape than its weight.
 */
export function mergeLora(contents: CheckpointContents): CheckpointContents {
  const adapter = adapterOf(contents);
  if (adapter?.kind !== 'lora') return contents;
  const tensors = new Map<string, StoredTensor>();
  for (const [name, weight] of contents.tensors) {
    if (isLora(name)) continue;
    const stem = /^(.*)weight$/.exec(name)?.[1];
    const [A, B] = ['A', 'B'].map((part) => contents.tensors.get(`${stem}lora.${part}`));
    tensors.set(
      name,
      A && B ? updated({ weight, A, B }, adapter.alpha / adapter.rank, `${contents.source}: ${name}`) : weight,
    );
  }
  return { ...contents, tensors, scalars: withoutAdapter(contents.scalars) };
}

interface Update<Value> {
  readonly weight: Value;
  readonly A: Value;
  readonly B: Value;
}

function updated({ weight, A, B }: Update<StoredTensor>, scale: number, where: string): StoredTensor {
  const [out, inner] = weight.shape;
  const rank = A.shape[0];
  if (A.shape.join() !== [rank, inner].join() || B.shape.join() !== [out, rank].join()) {
    throw new CheckpointError(
      `${where} is [${weight.shape}], its update [${B.shape}] times [${A.shape}]`,
      'the file is damaged',
    );
  }
  return wholeTensor({ dtype: 'f32', shape: weight.shape }, async () =>
    sum({ weight: await weight.read(), A: await A.read(), B: await B.read() }, scale),
  );
}

/** weight [out, in] + scale · B [out, rank] · A [rank, in], rounded once. */
function sum({ weight, A, B }: Update<HostTensor>, scale: number): HostTensor {
  const [rows, right, left] = [weight, A, B].map((tensor) => toFloat32(tensor).data) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const [rank = 0, inner = 0] = A.shape;
  const data = new Float32Array(rows.length);
  for (let start = 0, at = 0; start < rows.length; start += inner, at += rank) {
    const row = Float64Array.from(rows.subarray(start, start + inner));
    for (let k = 0; k < rank; k++) {
      const factor = scale * (left[at + k] ?? 0);
      for (let i = 0; i < inner; i++) row[i] = (row[i] ?? 0) + factor * (right[k * inner + i] ?? 0);
    }
    data.set(row, start);
  }
  return { dtype: 'f32', shape: weight.shape, data };
}

/** The metadata with a description of the model after merging. */
function withoutAdapter(scalars: CheckpointContents['scalars']): CheckpointContents['scalars'] {
  const { adapter: _, ...description } = described(scalars) ?? {};
  return new Map([...scalars, ['description', JSON.stringify(description)]]);
}
