/** The one interface between the engine and what runs it: eight verbs on untyped slots. */
import type { Program } from '../compile/kernel.ts';
import type { DType, TypedArray } from '../dtype.ts';

/** A piece of device memory. Only the backend that made it can look inside. */
export interface Slot {
  readonly bytes: number;
}

/** A program made ready by a backend. Only that backend can run it. */
export interface Executable {
  /** What one run does, for `stats()`: kernels started, passes and submits to a queue, pipelines or modules compiled for it. */
  readonly stats: {
    readonly dispatches: number;
    readonly passes: number;
    readonly submits: number;
    readonly pipelines: number;
    /** Bytes of device memory that the executable holds beside the program's buffers; none if absent. */
    readonly ownBytes?: number;
    /** Kernels that do not run in their fastest form, each with the reason. */
    readonly fallbacks?: readonly string[];
  };
}

/** How many objects a backend has made on its device so far. */
export interface Created {
  readonly buffers: number;
  readonly bindGroups: number;
  readonly pipelines: number;
}

/**
 * What a backend may have beside loops and scatters: kinds of kernel, folds of columns in row kernels, and sums of the
 * factors of contractions.
 */
export type Template = 'rows' | 'columns' | 'attention' | 'factorSums';

export interface Limits {
  /** Most distinct buffers that one kernel may touch, outputs included. */
  readonly buffersPerKernel: number;
  /** Largest buffer in bytes. */
  readonly bufferBytes: number;
  /** Most bytes of all buffers together; infinite where only the machine's memory bounds it, absent where nobody tells. */
  readonly memoryBytes?: number;
  /** Element types that a kernel may load and store. */
  readonly dtypes: ReadonlySet<DType>;
  /** Why matrix products of factors of half precision are no faster than others; absent where they are. */
  readonly slowHalves?: string;
  /** What its programs may contain beside loops and scatters. */
  readonly templates: ReadonlySet<Template>;
  /**
   * Most that an element of a matrix product's operand may cost (in simple operations) where it is read from elements
   * of at most half its width, such as bytes of frames: it is then computed as it is loaded. 0 if absent.
   */
  readonly loaderCost?: number;
  /** Whether a reduction of several outputs is folded once for all of them: what is computed from it then joins it. */
  readonly epilogues: boolean;
}

export interface Backend {
  readonly name: string;
  /** What runs underneath, in words: the adapter, the number of threads, the instruction set. */
  readonly description: string;
  readonly limits: Limits;
  /** Memory for `bytes` bytes; its contents mean nothing. Throws DeviceError, naming both sizes, when there is not enough. */
  alloc(bytes: number): Slot;
  free(slot: Slot): void;
  /**
   * Copies host elements of `dtype` to the slot, from element `offset` on (0 if absent, at a whole word); later runs see
   * them, earlier ones do not.
   */
  write(slot: Slot, data: TypedArray, dtype: DType, offset?: number): void;
  /**
   * `length` elements of the slot from element `offset` on (0 if absent, at a whole word), after every run before this
   * call has finished.
   */
  read(slot: Slot, length: number, dtype: DType, offset?: number): Promise<TypedArray>;
  /**
   * The memory of a slot that no run uses, for the host to write to in place, as bytes that stay where they are until the
   * slot is freed; undefined where the host cannot reach it or it may move. Absent where it never can.
   */
  memoryOf?(slot: Slot): Promise<Uint8Array | undefined>;
  compile(program: Program): Promise<Executable>;
  /**
   * Runs once. `slots[i]` is the program's buffer i, workspace included. Runs take effect in the order of the calls.
   * @param more another run, or `submit`, follows at once: the device may be told of both together.
   */
  run(executable: Executable, slots: readonly Slot[], more?: boolean): Promise<void> | void;
  /** Tells the device of runs that were held back for others to follow. */
  submit?(): void;
  /** Gives back what the executable holds; it cannot run afterwards. */
  release?(executable: Executable): void;
  /** Rejects with DeviceError where memory given out since the last call turns out to be missing; undefined where none can be. */
  settled?(): Promise<void> | undefined;
  /** Bytes that a slot of `bytes` takes on the device; `bytes` if absent. */
  footprint?(bytes: number): number;
  /** Gives memory that no slot uses back to the system. */
  trim?(): void;
  created?(): Created;
  /** Live and peak bytes of device memory. */
  memory(): { readonly live: number; readonly peak: number };
  /** Gives everything back; the backend cannot be used afterwards. */
  close(): Promise<void>;
}
