/**
 * The WebAssembly backend: kernels are compiled at run time to SIMD code and run by all threads over one memory.
 */
import type { Program } from '../../compile/kernel.ts';
import { type DType, dtypes, type TypedArray } from '../../dtype.ts';
import { DeviceError, DisposedError } from '../../errors.ts';
import type { Backend, Executable, Slot, Template } from '../backend.ts';
import { anyMicroKernel, chooseMicroKernel } from './choose.ts';
import { type CompiledKernel, compileKernels, multiplies } from './compile.ts';
import { enableEngineFlags, hasRelaxedSimd, joinsVectors } from './engine.ts';
import { scratchBytes } from './gemm.ts';
import { DeviceMemory, type Piece } from './memory.ts';
import { PackedCopies } from './packed.ts';
import { RunRecord } from './record.ts';
import type { Target } from './target.ts';
import { availableThreads, Threads } from './threads.ts';
import { control } from './walk.ts';

export interface WasmOptions {
  /** Threads to compute with, this one included; by default as many as the process may use. 1 where memory cannot be shared. */
  readonly threads?: number;
  /** Whether V8's flags for faster vectors may be switched on, process-wide (see engine.ts); true by default. */
  readonly engineFlags?: boolean;
  /** Most bytes that the memory may grow to; 4 GiB by default and at most. */
  readonly memoryLimit?: number;
}

class WasmSlot implements Slot {
  readonly piece: Piece;
  readonly packed: PackedCopies;
  live = true;

  constructor(piece: Piece, packed: PackedCopies) {
    this.piece = piece;
    this.packed = packed;
  }

  get bytes(): number {
    return this.piece.bytes;
  }
}

class WasmExecutable implements Executable {
  readonly stats: Executable['stats'];
  readonly kernels: readonly CompiledKernel[];
  readonly record: RunRecord;
  readonly program: Program;

  constructor(program: Program, kernels: readonly CompiledKernel[], record: RunRecord, modules: number) {
    this.program = program;
    this.kernels = kernels;
    this.record = record;
    this.stats = { dispatches: kernels.length, passes: record.phases, submits: 1, pipelines: modules };
  }
}

/**
 * Starts the backend: its memory and its worker threads. Throws DeviceError where WebAssembly SIMD is missing, and for
 * a number of threads that is not a positive integer or that needs shared memory where there is none.
 */
export async function createWasmBackend(options: WasmOptions = {}): Promise<Backend> {
  if (options.engineFlags ?? true) await enableEngineFlags();
  const threads = options.threads ?? (await availableThreads());
  if (!Number.isInteger(threads) || threads < 1) {
    throw new DeviceError(`wasm: ${threads} threads`, 'give a whole number from 1');
  }
  if (threads > 1 && typeof SharedArrayBuffer === 'undefined') {
    throw new DeviceError(
      `wasm: ${threads} threads need shared memory, which this page does not have`,
      'serve the page with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or use threads: 1',
    );
  }
  const memory = new DeviceMemory(threads > 1, options.memoryLimit);
  const controls = memory.alloc(control.bytes).address;
  const scratch = memory.alloc(threads * scratchBytes);
  const addresses = privateAddresses(scratch, threads);
  return new WasmBackend(memory, await Threads.start({ memory: memory.memory, controls, scratch: addresses }), scratch);
}

/** The addresses of equal shares of `piece`, one for each thread. */
const privateAddresses = (piece: Piece, threads: number): number[] =>
  Array.from({ length: threads }, (_, i) => piece.address + (i * piece.bytes) / threads);

class WasmBackend implements Backend {
  readonly name = 'wasm';
  readonly description: string;
  readonly limits: Backend['limits'];
  readonly #memory: DeviceMemory;
  readonly #threads: Threads;
  /** Where each module's functions start in the table of kernels. */
  readonly #tables = new Map<WebAssembly.Module, Promise<number>>();
  readonly #records: FinalizationRegistry<Piece>;
  readonly #slots = new Set<WasmSlot>();
  #workspace: Piece | undefined;
  /** The private memory of all threads. */
  #scratch: Piece;
  /** The end of the runs so far, while one is going on; undefined when nothing runs. */
  #pending: Promise<void> | undefined;
  #closed = false;

  constructor(memory: DeviceMemory, threads: Threads, scratch: Piece) {
    this.#memory = memory;
    this.#threads = threads;
    this.#scratch = scratch;
    const width = joinsVectors() ? '128-bit SIMD joined to 256 bits' : '128-bit SIMD';
    const simd = hasRelaxedSimd() ? `${width}, relaxed multiply-add` : width;
    this.description = `WebAssembly, ${simd}, ${threads.count} ${threads.count === 1 ? 'thread' : 'threads'}`;
    this.limits = {
      buffersPerKernel: 1024,
      bufferBytes: memory.limit,
      memoryBytes: memory.limit,
      dtypes: new Set(Object.keys(dtypes) as DType[]),
      slowHalves: 'WebAssembly multiplies in 32 bits',
      templates: new Set<Template>(['rows', 'attention']),
      epilogues: true,
    };
    this.#records = new FinalizationRegistry((piece) => {
      if (!this.#closed) void this.#after(() => memory.free(piece));
    });
  }

  alloc(bytes: number): Slot {
    this.#open();
    const slot = new WasmSlot(this.#alloc(bytes), new PackedCopies(this.#memory));
    this.#slots.add(slot);
    return slot;
  }

  free(slot: Slot): void {
    const own = this.#own(slot);
    own.live = false;
    this.#slots.delete(own);
    own.packed.drop();
    this.#memory.free(own.piece);
  }

  write(slot: Slot, data: TypedArray, dtype: DType, offset = 0): void {
    const own = this.#own(slot);
    this.#checkLength(own, offset + data.length, dtype, 'write');
    const copy = this.#pending ? data.slice() : data;
    void this.#after(() => {
      own.packed.drop();
      this.#view(own, copy.length, dtype, offset).set(copy);
    });
  }

  async read(slot: Slot, length: number, dtype: DType, offset = 0): Promise<TypedArray> {
    const own = this.#own(slot);
    this.#checkLength(own, offset + length, dtype, 'read');
    let result: TypedArray | undefined;
    await this.#after(() => {
      result = dtypes[dtype].array(length);
      result.set(this.#view(own, length, dtype, offset));
    });
    return result as unknown as TypedArray;
  }

  /** Memory that is not shared is another buffer after it has grown: only shared memory is given out. */
  async memoryOf(slot: Slot): Promise<Uint8Array | undefined> {
    await this.#pending;
    const { piece, packed } = this.#own(slot);
    packed.drop();
    const { buffer } = this.#memory.memory;
    return buffer instanceof ArrayBuffer ? undefined : new Uint8Array(buffer, piece.address, piece.bytes);
  }

  async compile(program: Program): Promise<Executable> {
    this.#open();
    const micro = multiplies(program) ? await chooseMicroKernel() : anyMicroKernel;
    const target: Target = { threads: this.#threads.count, relaxed: hasRelaxedSimd(), micro };
    const { kernels, modules } = compileKernels(program, target);
    const tables = await Promise.all(kernels.map((kernel) => this.#table(kernel)));
    await this.#after(() => this.#growScratch(kernels.reduce((bytes, { scratch }) => Math.max(bytes, scratch), 0)));
    this.#open();
    const positions = kernels.map((kernel, i) => {
      const first = kernel.names.indexOf(kernel.phases[0]?.name ?? '');
      return (tables[i] as number) + first;
    });
    const record = new RunRecord(program, kernels, positions);
    const piece = this.#alloc(record.bytes);
    record.place(piece.address, this.#memory.memory);
    const executable = new WasmExecutable(program, kernels, record, modules);
    this.#records.register(executable, piece);
    return executable;
  }

  async #table(kernel: CompiledKernel): Promise<number> {
    const module = await kernel.module;
    const known = this.#tables.get(module) ?? this.#threads.add(module, kernel.names);
    this.#tables.set(module, known);
    return known;
  }

  run(executable: Executable, slots: readonly Slot[]): Promise<void> | void {
    this.#open();
    if (!(executable instanceof WasmExecutable)) throw new DeviceError('wasm: a program of another backend');
    const { buffers } = executable.program;
    if (slots.length !== buffers.length) {
      throw new DeviceError(`wasm: ${slots.length} slots for a program of ${buffers.length} buffers`);
    }
    const own = slots.map((slot, i) => {
      const found = this.#own(slot);
      const needed = (buffers[i] as { bytes: number }).bytes;
      if (found.bytes < needed)
        throw new DeviceError(`wasm: buffer ${i} needs ${needed} bytes, its slot has ${found.bytes}`);
      return found;
    });
    return this.#after(() => {
      const { record } = executable;
      const addresses = own.map(({ piece }) => piece.address);
      const workspace = this.#workspaceFor(record.workspace);
      for (const buffer of record.written) (own[buffer] as WasmSlot).packed.drop();
      const panels = record.panels.map(({ buffer, layout, bytes }) => {
        return (own[buffer] as WasmSlot).packed.place(layout, bytes);
      });
      record.prepare(this.#memory.memory, addresses, workspace, panels);
      return this.#threads.run(record.address, record.parallel);
    });
  }

  memory(): { readonly live: number; readonly peak: number } {
    return { live: this.#memory.live, peak: this.#memory.peak };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#pending;
    await this.#threads.close();
  }

  /** Runs `action` now, or after the runs that are still going on. */
  #after(action: () => Promise<void> | void): Promise<void> | void {
    const result = this.#pending ? this.#pending.then(action) : action();
    if (!result) return;
    const settled = result.then(
      () => {
        if (this.#pending === settled) this.#pending = undefined;
      },
      () => {
        if (this.#pending === settled) this.#pending = undefined;
      },
    );
    this.#pending = settled;
    return result;
  }

  #workspaceFor(bytes: number): number {
    if (bytes === 0) return 0;
    if (!this.#workspace || this.#workspace.bytes < bytes) {
      if (this.#workspace) this.#memory.free(this.#workspace);
      this.#workspace = undefined;
      this.#workspace = this.#alloc(bytes);
    }
    return this.#workspace.address;
  }

  /** Makes the private memory of every thread at least `bytes` bytes. */
  #growScratch(bytes: number): void {
    const { count } = this.#threads;
    if (this.#scratch.bytes >= count * bytes) return;
    const larger = this.#alloc(count * bytes);
    this.#threads.moveScratch(privateAddresses(larger, count));
    this.#memory.free(this.#scratch);
    this.#scratch = larger;
  }

  /** Memory for `bytes` bytes; packed copies make room where there is no other. */
  #alloc(bytes: number): Piece {
    const piece = this.#memory.allocSpare(bytes);
    if (piece) return piece;
    if (!this.#pending) for (const { packed } of this.#slots) packed.drop();
    return this.#memory.alloc(bytes);
  }

  #view({ piece }: WasmSlot, length: number, dtype: DType, offset: number): TypedArray {
    const ArrayOfType = dtypes[dtype].array(0).constructor as new (
      buffer: ArrayBufferLike,
      offset: number,
      length: number,
    ) => TypedArray;
    return new ArrayOfType(this.#memory.memory.buffer, piece.address + offset * dtypes[dtype].bytes, length);
  }

  #checkLength(slot: WasmSlot, length: number, dtype: DType, verb: string): void {
    const bytes = length * dtypes[dtype].bytes;
    if (bytes > slot.bytes) throw new DeviceError(`wasm: ${verb} of ${bytes} bytes in a slot of ${slot.bytes}`);
  }

  #own(slot: Slot): WasmSlot {
    this.#open();
    if (!(slot instanceof WasmSlot)) throw new DeviceError('wasm: a slot of another backend');
    if (!slot.live) throw new DisposedError('wasm: a slot that was freed');
    return slot;
  }

  #open(): void {
    if (this.#closed) throw new DisposedError('wasm: the backend is closed');
  }
}
