/** What a captured function reports: the work of one run, the memory that it is planned to need, and what ran it. */
import type { Backend, Created } from '../backends/backend.ts';
import { printBytes } from '../errors.ts';
import type { Prepared } from './prepare.ts';

/** Bytes on the device that a run needs, by what they hold. */
export interface PlannedMemory {
  /** Tensors that the function reads or updates: weights, running averages, constants. */
  readonly tensors: number;
  readonly arguments: number;
  /** Results that are not written over the tensors that they replace, once each. */
  readonly results: number;
  /** Intermediate values at their fullest: activations and gradients. */
  readonly workspace: number;
  /** What the program holds beside its buffers. */
  readonly program: number;
}

export interface StepStats {
  /** What one run does on the device. */
  readonly dispatches: number;
  readonly passes: number;
  readonly submits: number;
  /** Pipelines or modules compiled for the program. */
  readonly pipelines: number;
  /** Bytes that a run needs at its fullest, and what for. */
  readonly peakBytes: number;
  readonly memory: PlannedMemory;
  /** Objects that the last run made on the device: none once the runs are steady. */
  readonly created: Created;
  /** How often the function has been traced: more than once means that arguments changed shape. */
  readonly traces: number;
  readonly runs: number;
  /** The backend that ran, and what did not run in its fastest form, with the reasons. */
  readonly ran: string;
  readonly fallbacks: readonly string[];
  readonly kernels: readonly string[];
}

export const nothingCreated: Created = { buffers: 0, bindGroups: 0, pipelines: 0 };

export function difference(after: Created, before: Created): Created {
  return {
    buffers: after.buffers - before.buffers,
    bindGroups: after.bindGroups - before.bindGroups,
    pipelines: after.pipelines - before.pipelines,
  };
}

/** The memory of a program on `backend`; `isArgument` tells leaves that are arguments. */
export function plannedMemory(
  backend: Backend,
  prepared: Prepared,
  isArgument: (leaf: number) => boolean,
): PlannedMemory {
  const memory = { tensors: 0, arguments: 0, results: 0, workspace: 0, program: 0 };
  prepared.bytes.forEach((bytes, i) => {
    const source = prepared.sources[i];
    const part = !source
      ? 'workspace'
      : 'output' in source
        ? 'results'
        : isArgument(source.leaf)
          ? 'arguments'
          : 'tensors';
    memory[part] += backend.footprint?.(bytes) ?? bytes;
  });
  return { ...memory, program: prepared.executable.stats.ownBytes ?? 0 };
}

export const totalBytes = (memory: PlannedMemory): number =>
  memory.tensors + memory.arguments + memory.results + memory.workspace + memory.program;

/** `1.20 GiB (tensors 300.00 MiB, arguments 75.00 MiB, ...)`: a plan in words. */
export function printPlan(memory: PlannedMemory): string {
  const parts = Object.entries(memory) as [string, number][];
  const shown = parts.filter(([, bytes]) => bytes > 0).map(([name, bytes]) => `${name} ${printBytes(bytes)}`);
  return `${printBytes(totalBytes(memory))} (${shown.join(', ')})`;
}
