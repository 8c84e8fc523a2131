/** The internal functions of one module, each added when the first kernel asks for it. */
import { scalarFunctions } from './arithmetic.ts';
import type { FunctionBuilder, ModuleBuilder, ValueType } from './assembler.ts';
import { vectorFunctions } from './functions.ts';

export interface LibraryFunction {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
  readonly write: (f: FunctionBuilder, library: Library) => void;
}

export class Library {
  readonly module: ModuleBuilder;
  readonly #indices = new Map<string, number>();

  constructor(module: ModuleBuilder) {
    this.module = module;
  }

  /** The function index of `name`. */
  index(name: string): number {
    const known = this.#indices.get(name);
    if (known !== undefined) return known;
    const definition = vectorFunctions[name] ?? scalarFunctions[name];
    if (!definition) throw new Error(`library: no function '${name}'`);
    const { parameters, results, write } = definition;
    const index = this.module.define(parameters, results, (f) => write(f, this));
    this.#indices.set(name, index);
    return index;
  }

  /** The index of a function that the caller describes, added once under `name`. */
  define(name: string, definition: LibraryFunction): number {
    const known = this.#indices.get(name);
    if (known !== undefined) return known;
    const { parameters, results, write } = definition;
    const index = this.module.define(parameters, results, (f) => write(f, this));
    this.#indices.set(name, index);
    return index;
  }
}
