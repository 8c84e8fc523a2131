/** Whether the memory that a training step is planned to take is there; where it is not, which options make it fit. */
import { totalmem } from 'node:os';
import {
  type Device,
  DeviceError,
  type Optimizer,
  type PlannedMemory,
  printBytes,
  printPlan,
} from '@actionclip/tensor';
import type { ActionCLIP } from '../model/action-clip.ts';
import { type BatchStepOptions, batchStep, type HostBatch, type HostInput, type StepPlan } from './batch-step.ts';
import { TrainingError } from './errors.ts';

/** What there is for a step, beside other tensors. */
export interface MemoryBudget {
  readonly bytes: number;
  /** Whose memory it is, in words. */
  readonly of: string;
}

/** A step as it is to be run, and all that makes another one of it. */
export interface StepAtHand {
  readonly model: ActionCLIP;
  readonly optimizer: Optimizer;
  readonly options: BatchStepOptions;
  readonly batch: HostBatch;
}

/** Bytes of the machine's memory, or of what this process may have of it. */
function machineBytes(): number {
  const bound = process.constrainedMemory();
  return bound > 0 ? Math.min(bound, totalmem()) : totalmem();
}

/**
 * The memory of a device that computes on the processor: no more than it can address and than the machine has. No GPU
 * says how much there is; where one has too little, its own error tells.
 */
export async function memoryBudget(device: Device, machine = machineBytes()): Promise<MemoryBudget | undefined> {
  const { memoryBytes } = (await device.backend()).limits;
  if (memoryBytes === undefined) return undefined;
  return memoryBytes < machine
    ? { bytes: memoryBytes, of: `the ${device.name} device` }
    : { bytes: machine, of: 'this machine' };
}

/** The plan of a step, which runs nothing, for a device that holds `held` bytes of tensors already. */
export async function planWithin(
  step: StepAtHand,
  { prepare }: { readonly prepare: (batch: HostBatch) => Promise<StepPlan> },
  { budget, held }: { readonly budget: MemoryBudget | undefined; readonly held: number },
): Promise<StepPlan> {
  const room = budget?.bytes ?? Number.POSITIVE_INFINITY;
  const needed = (memory: PlannedMemory): number => totalBytes(memory) + Math.max(0, held - memory.tensors);
  let problem: string;
  try {
    const plan = await prepare(step.batch);
    const bytes = needed(plan.memory);
    if (bytes <= room || budget === undefined) return plan;
    const others = bytes > totalBytes(plan.memory) ? ` beside ${printBytes(bytes - totalBytes(plan.memory))} held` : '';
    problem =
      `A training step is planned to take ${printPlan(plan.memory)}${others}, and ${budget.of} has ` +
      `${printBytes(room)}: ${printBytes(bytes - room)} too much`;
  } catch (error) {
    // A single buffer that is larger than any of the device's.
    if (!(error instanceof DeviceError)) throw error;
    problem = `A training step cannot be planned on this device: ${error.message}`;
  }
  const fitting = await fittingOptions(step, (memory) => needed(memory) <= room);
  const listed = fitting.map(({ option, memory }) => `${option} takes ${printBytes(needed(memory))}`);
  const others = 'fewer or smaller frames (--frames, --size) save memory as fewer clips do';
  throw new TrainingError(
    problem,
    listed.length > 0
      ? `what fits: ${listed.join(', ')}; ${others}`
      : `no batch of this model fits with --checkpoint or --accumulate; ${others}`,
  );
}

/** What to tell of a step that a device had no memory for: which options take less, least changed first. */
export async function lighterOptions(step: StepAtHand, memory: PlannedMemory): Promise<string | undefined> {
  const bytes = totalBytes(memory);
  const found = await fittingOptions(step, (other) => totalBytes(other) < bytes);
  if (found.length === 0) return undefined;
  const listed = found.map(({ option, memory: other }) => `${option} takes ${printBytes(totalBytes(other))}`);
  return `a step is planned to take ${printBytes(bytes)}: ${listed.join(', ')}`;
}

const totalBytes = (memory: PlannedMemory): number =>
  Object.values(memory).reduce((sum: number, bytes: number) => sum + bytes, 0);

/** A way to take less memory. */
interface Alternative {
  readonly option: string;
  readonly options?: Partial<BatchStepOptions>;
  readonly checkpoint?: boolean;
  readonly batch?: HostBatch;
}

interface Fitting {
  readonly option: string;
  readonly memory: PlannedMemory;
}

/** The least change of each option that makes a step fit. Two together are tried where neither does alone. */
async function fittingOptions(step: StepAtHand, fits: (memory: PlannedMemory) => boolean): Promise<Fitting[]> {
  const first = async (tried: readonly Alternative[]): Promise<Fitting[]> => {
    for (const alternative of tried) {
      const memory = await planned(step, alternative);
      if (memory !== undefined && fits(memory)) return [{ option: alternative.option, memory }];
    }
    return [];
  };
  const recomputed = step.model.clip.checkpointing ? [] : [{ option: '--checkpoint on', checkpoint: true }];
  const inParts = accumulations(step);
  const same = [...(await first(recomputed)), ...(await first(inParts))];
  const together = inParts.map(({ option, options }) => ({
    option: `--checkpoint on with ${option}`,
    options,
    checkpoint: true,
  }));
  const both = same.length > 0 || recomputed.length === 0 ? [] : await first(together);
  return [...same, ...both, ...(await first(smallerBatches(step)))];
}

/** The same batch in more equal parts of at least two clips. */
function accumulations({ options }: StepAtHand): (Alternative & { options: Partial<BatchStepOptions> })[] {
  const { batchSize, accumulation } = options;
  return Array.from({ length: Math.floor(batchSize / 2) }, (_, i) => i + 1)
    .filter((parts) => parts > accumulation && batchSize % parts === 0)
    .map((parts) => ({ option: `--accumulate ${parts}`, options: { accumulation: parts } }));
}

/** Half the clips, a quarter, and so on down to two. */
function smallerBatches({ options, batch }: StepAtHand): Alternative[] {
  const found: Alternative[] = [];
  for (let clips = Math.floor(options.batchSize / 2); clips >= 2; clips = Math.floor(clips / 2)) {
    const [frames, texts, labels] = batch;
    found.push({
      option: `--batch-size ${clips}`,
      options: { batchSize: clips, accumulation: 1 },
      batch: [firstRows(frames, clips), firstRows(texts, clips), firstRows(labels, clips)],
    });
  }
  return found;
}

function firstRows({ data, shape: [count = 1, ...rest] }: HostInput, rows: number): HostInput {
  return { data: data.subarray(0, (data.length / count) * rows), shape: [rows, ...rest] };
}

/** What a step would take; undefined where the device has no buffer that is large enough. */
async function planned(step: StepAtHand, alternative: Alternative): Promise<PlannedMemory | undefined> {
  const { clip } = step.model;
  const { checkpointing } = clip;
  clip.checkpointing = checkpointing || alternative.checkpoint === true;
  try {
    const other = batchStep(step.model, step.optimizer, { ...step.options, ...alternative.options });
    return (await other.prepare(alternative.batch ?? step.batch)).memory;
  } catch (error) {
    if (error instanceof DeviceError) return undefined;
    throw error;
  } finally {
    clip.checkpointing = checkpointing;
  }
}
