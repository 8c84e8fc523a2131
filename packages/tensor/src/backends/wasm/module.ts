/** WebAssembly modules in binary: functions with their types, an imported memory, exported names. */
import { FunctionBuilder, unsigned, type ValueType, valueTypes } from './assembler.ts';

export interface ModuleOptions {
  /** Whether the imported memory is shared between threads. */
  readonly shared: boolean;
  /** Whether the module calls through the imported table `kernels`. */
  readonly table?: boolean;
}

/** A module that imports `engine.memory` (and `engine.kernels`) and exports named functions. */
export class ModuleBuilder {
  readonly #options: ModuleOptions;
  readonly #types = new Map<string, { index: number; bytes: number[] }>();
  readonly #functions: { type: number; builder: FunctionBuilder }[] = [];
  readonly #exports: [string, number][] = [];

  constructor(options: ModuleOptions) {
    this.#options = options;
  }

  type(parameters: readonly ValueType[], results: readonly ValueType[]): number {
    const bytes = [0x60, parameters.length, ...parameters.map((t) => valueTypes[t])];
    bytes.push(results.length, ...results.map((t) => valueTypes[t]));
    const key = bytes.join();
    const known = this.#types.get(key);
    if (known) return known.index;
    const index = this.#types.size;
    this.#types.set(key, { index, bytes });
    return index;
  }

  /** Adds a function and returns its index; `write` receives the parameters as locals 0, 1, 2 and so on. */
  define(
    parameters: readonly ValueType[],
    results: readonly ValueType[],
    write: (f: FunctionBuilder) => void,
    name?: string,
  ): number {
    const builder = new FunctionBuilder(parameters.length);
    const index = this.#functions.length;
    this.#functions.push({ type: this.type(parameters, results), builder });
    if (name !== undefined) this.#exports.push([name, index]);
    write(builder);
    return index;
  }

  encode(): Uint8Array<ArrayBuffer> {
    const bytes: number[] = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
    const text = (to: number[], name: string): void => {
      const encoded = new TextEncoder().encode(name);
      unsigned(to, encoded.length);
      to.push(...encoded);
    };
    const section = (id: number, count: number, write: (to: number[]) => void): void => {
      const content: number[] = [];
      unsigned(content, count);
      write(content);
      bytes.push(id);
      unsigned(bytes, content.length);
      for (const byte of content) bytes.push(byte);
    };
    section(1, this.#types.size, (to) => {
      for (const { bytes: type } of this.#types.values()) to.push(...type);
    });
    section(2, this.#options.table ? 2 : 1, (to) => {
      text(to, 'engine');
      text(to, 'memory');
      to.push(2, this.#options.shared ? 3 : 1, 1); // at least one page, at most 65536
      unsigned(to, 65536);
      if (!this.#options.table) return;
      text(to, 'engine');
      text(to, 'kernels');
      to.push(1, 0x70, 0, 0);
    });
    section(3, this.#functions.length, (to) => {
      for (const { type } of this.#functions) unsigned(to, type);
    });
    section(7, this.#exports.length, (to) => {
      for (const [name, index] of this.#exports) {
        text(to, name);
        to.push(0);
        unsigned(to, index);
      }
    });
    section(10, this.#functions.length, (to) => {
      for (const { builder } of this.#functions) {
        const body = builder.body();
        unsigned(to, body.length);
        for (const byte of body) to.push(byte);
      }
    });
    return new Uint8Array(bytes);
  }
}
