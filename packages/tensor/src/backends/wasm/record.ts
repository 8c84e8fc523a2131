/** A program as the threads read it: phases, steps and arguments laid out in shared memory. */
import type { Program } from '../../compile/kernel.ts';
import type { CompiledKernel } from './compile.ts';
import { layout } from './walk.ts';

/** Less work than this, in nanoseconds, is not worth waking another thread for. */
const smallStep = 30_000;
/** Work of one chunk in nanoseconds. */
const chunkCost = 25_000;
const mostChunks = 1024;

interface Step {
  readonly kernel: number;
  readonly argumentsAt: number;
  readonly units: number;
  readonly chunk: number;
}

interface PhaseRow {
  readonly firstStep: number;
  steps: number;
  readonly chunks: number;
}

export class RunRecord {
  readonly bytes: number;
  /** Bytes of workspace that the largest kernel needs. */
  readonly workspace: number;
  readonly parallel: boolean;
  address = 0;
  readonly #steps: readonly Step[];
  readonly #phases: readonly PhaseRow[];
  /** The program's buffer of every argument word; -1 for the workspace. */
  readonly #arguments: readonly number[];
  readonly #argumentsAt: number;

  /** `positions[i]`: where the phases of kernel i start in the table of kernels. */
  constructor(program: Program, kernels: readonly CompiledKernel[], positions: readonly number[]) {
    const steps: Step[] = [];
    const phases: PhaseRow[] = [];
    const words: number[] = [];
    for (const [k, { phases: kernelPhases }] of kernels.entries()) {
      const kernel = program.kernels[k] as Program['kernels'][number];
      const argumentsAt = words.length;
      words.push(...[...kernel.inputs, ...kernel.outputs].map((use) => use.buffer), -1);
      for (const [p, { units, cost }] of kernelPhases.entries()) {
        const small = units * cost < smallStep;
        const chunk = small ? units : Math.max(1, Math.ceil(chunkCost / cost), Math.ceil(units / mostChunks));
        const chunks = Math.ceil(units / chunk);
        const last = phases[phases.length - 1];
        if (chunks === 1 && last?.chunks === 1) last.steps++;
        else phases.push({ firstStep: steps.length, steps: 1, chunks });
        steps.push({ kernel: (positions[k] as number) + p, argumentsAt, units, chunk });
      }
    }
    this.#steps = steps;
    this.#phases = phases;
    this.#arguments = words;
    this.workspace = kernels.reduce((bytes, kernel) => Math.max(bytes, kernel.workspace), 0);
    this.parallel = phases.some((phase) => phase.chunks > 1);
    this.#argumentsAt = layout.header + phases.length * layout.phase + steps.length * layout.step;
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
    const stepsAt = layout.header + this.#phases.length * layout.phase;
    for (const [i, { firstStep, steps, chunks }] of this.#phases.entries()) {
      const at = (layout.header + i * layout.phase) / 4;
      words[at + layout.firstStep / 4] = address + stepsAt + firstStep * layout.step;
      words[at + layout.steps / 4] = steps;
      words[at + layout.chunks / 4] = chunks;
    }
    for (const [i, { kernel, argumentsAt, units, chunk }] of this.#steps.entries()) {
      const at = (stepsAt + i * layout.step) / 4;
      words[at + layout.kernel / 4] = kernel;
      words[at + layout.arguments / 4] = address + this.#argumentsAt + argumentsAt * 4;
      words[at + layout.units / 4] = units;
      words[at + layout.chunk / 4] = chunk;
    }
  }

  /** Resets the counters and writes the addresses of the program's buffers. */
  prepare(memory: WebAssembly.Memory, addresses: readonly number[], workspace: number): void {
    const words = new Int32Array(memory.buffer, this.address, this.bytes / 4);
    words[layout.finished / 4] = 0;
    for (let i = 0; i < this.#phases.length; i++) {
      const at = (layout.header + i * layout.phase) / 4;
      words[at + layout.claimed / 4] = 0;
      words[at + layout.done / 4] = 0;
    }
    const first = this.#argumentsAt / 4;
    for (let i = 0; i < this.#arguments.length; i++) {
      const buffer = this.#arguments[i] as number;
      words[first + i] = buffer < 0 ? workspace : (addresses[buffer] as number);
    }
  }
}
