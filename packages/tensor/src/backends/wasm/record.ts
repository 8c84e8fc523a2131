/** A program as the threads read it: phases, steps and arguments laid out in shared memory. */
import type { Program } from '../../compile/kernel.ts';
import { dtypes } from '../../dtype.ts';
import type { CompiledKernel } from './compile.ts';
import { type Phase, schedule, type Work } from './schedule.ts';
import { layout } from './walk.ts';

/** An argument: an address within a buffer of the program, or within the workspace. */
type Argument = { readonly buffer: number; readonly offset: number } | { readonly workspace: number };

/** A run of fewer nanoseconds than this is over before another thread is awake. */
const worthWaking = 250_000;

/** Numbers for the workspace in a work's list of memory: one for each factor's panels, both for everything else. */
const workspaceParts = [-1, -2];

/** Panels of a factor that is a buffer which the program does not write: they can be kept for the next run. */
export interface KeptPanels {
  readonly buffer: number;
  readonly layout: string;
  readonly bytes: number;
  /** The work that fills them, and the position of their address among the arguments. */
  readonly work: number;
  readonly argument: number;
}

/** Work with its function's position in the table of kernels, and where its arguments begin. */
interface PlacedWork extends Work {
  readonly kernel: number;
  readonly argumentsAt: number;
}

/** Where kept panels are, and whether they are filled already. */
export interface PlacedPanels {
  readonly address: number;
  readonly filled: boolean;
}

export class RunRecord {
  readonly bytes: number;
  /** Bytes of workspace that the largest kernel needs. */
  readonly workspace: number;
  readonly parallel: boolean;
  readonly panels: readonly KeptPanels[];
  /** Buffers of the program that a run writes. */
  readonly written: ReadonlySet<number>;
  address = 0;
  readonly #works: readonly PlacedWork[];
  readonly #phases: readonly Phase[];
  readonly #arguments: readonly Argument[];
  /** Byte offsets in the record: the steps (that of work w is the w-th), and the arguments. */
  readonly #stepsAt: number;
  readonly #argumentsAt: number;

  /** `positions[i]`: where the phases of kernel i start in the table of kernels. */
  constructor(program: Program, kernels: readonly CompiledKernel[], positions: readonly number[]) {
    const works: PlacedWork[] = [];
    const words: Argument[] = [];
    const kept: KeptPanels[] = [];
    const written = new Set(program.kernels.flatMap(({ outputs }) => outputs.map(({ buffer }) => buffer)));
    for (const [k, { phases, panels, workspace }] of kernels.entries()) {
      const kernel = program.kernels[k] as Program['kernels'][number];
      const argumentsAt = words.length;
      const inputs = kernel.inputs.map(({ buffer }) => buffer);
      const outputs = kernel.outputs.map(({ buffer }) => buffer);
      words.push(
        ...[...kernel.inputs, ...kernel.outputs].map(({ buffer, dtype, part }) => ({
          buffer,
          offset: (part?.offset ?? 0) * dtypes[dtype].bytes,
        })),
      );
      for (const { phase, kept: source, offset, bytes } of panels) {
        const buffer = source && inputs[source.input];
        if (source && buffer !== undefined && !written.has(buffer)) {
          kept.push({ buffer, layout: source.layout, bytes, work: works.length + phase, argument: words.length });
        }
        words.push({ workspace: offset });
      }
      if (panels.length === 0) words.push({ workspace: 0 });
      for (const [p, { units, cost }] of phases.entries()) {
        const filled = panels.findIndex(({ phase }) => phase === p);
        const uses = workspace === 0 ? [] : workspaceParts;
        works.push({
          kernel: (positions[k] as number) + p,
          argumentsAt,
          units,
          cost,
          reads: filled < 0 ? [...inputs, ...uses] : inputs,
          writes:
            filled >= 0 ? [workspaceParts[filled] as number] : panels.length > 0 ? outputs : [...outputs, ...uses],
        });
      }
    }
    this.#works = works;
    this.#phases = schedule(works);
    this.#arguments = words;
    this.panels = kept;
    this.written = written;
    this.workspace = kernels.reduce((bytes, kernel) => Math.max(bytes, kernel.workspace), 0);
    const duration = works.reduce((sum, { units, cost }) => sum + units * cost, 0);
    this.parallel = duration >= worthWaking && this.#phases.some((phase) => phase.chunks > 1);
    this.#stepsAt = layout.header + this.#phases.length * layout.phase;
    this.#argumentsAt = this.#stepsAt + works.length * layout.step;
    this.bytes = this.#argumentsAt + words.length * 4;
  }

  get phases(): number {
    return this.#phases.length;
  }

  /** Writes what never changes, at `address`. */
  place(address: number, memory: WebAssembly.Memory): void {
    this.address = address;
    const words = new Int32Array(memory.buffer, address, this.bytes / 4);
    words[layout.phases / 4] = this.#phases.length;
    for (const [i, { steps, chunks }] of this.#phases.entries()) {
      const at = (layout.header + i * layout.phase) / 4;
      words[at + layout.firstStep / 4] = address + this.#stepAt((steps[0] as Phase['steps'][number]).work);
      words[at + layout.steps / 4] = steps.length;
      words[at + layout.chunks / 4] = chunks;
      for (const { work, chunk, firstChunk } of steps) {
        const { kernel, argumentsAt, units } = this.#works[work] as PlacedWork;
        const stepAt = this.#stepAt(work) / 4;
        words[stepAt + layout.kernel / 4] = kernel;
        words[stepAt + layout.arguments / 4] = address + this.#argumentsAt + argumentsAt * 4;
        words[stepAt + layout.units / 4] = units;
        words[stepAt + layout.chunk / 4] = chunk;
        words[stepAt + layout.firstChunk / 4] = firstChunk;
      }
    }
  }

  /** Phases take the works in order, so a work's number is its step's. */
  #stepAt(work: number): number {
    return this.#stepsAt + work * layout.step;
  }

  /**
   * Resets the counters, writes the addresses of the program's buffers, and says of each of `panels` where they are:
   * undefined for the workspace. Those that are filled are not filled again.
   */
  prepare(
    memory: WebAssembly.Memory,
    addresses: readonly number[],
    workspace: number,
    panels: readonly (PlacedPanels | undefined)[],
  ): void {
    const words = new Int32Array(memory.buffer, this.address, this.bytes / 4);
    words[layout.finished / 4] = 0;
    for (let i = 0; i < this.#phases.length; i++) {
      const at = (layout.header + i * layout.phase) / 4;
      words[at + layout.claimed / 4] = 0;
      words[at + layout.done / 4] = 0;
    }
    const first = this.#argumentsAt / 4;
    for (const [i, argument] of this.#arguments.entries()) {
      words[first + i] =
        'buffer' in argument
          ? (addresses[argument.buffer] as number) + argument.offset
          : workspace + argument.workspace;
    }
    for (const [i, { work, argument }] of this.panels.entries()) {
      const placed = panels[i];
      if (placed) words[first + argument] = placed.address;
      const { units } = this.#works[work] as Work;
      words[(this.#stepAt(work) + layout.units) / 4] = placed?.filled ? 0 : units;
    }
  }
}
