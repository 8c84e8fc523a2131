/** The internal functions of one module, each added when the first kernel asks for it. */
import { scalarFunctions } from './arithmetic.ts';
import { type Code, type FunctionBuilder, type Local, op, type ValueType } from './assembler.ts';
import { vectorFunctions } from './functions.ts';
import type { ModuleBuilder } from './module.ts';

export interface LibraryFunction {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
  /** Leaves the results on the stack; `first` is the local of the first parameter, and the others follow it. */
  readonly write: (f: FunctionBuilder, library: Library, first: Local) => void;
}

export class Library {
  readonly module: ModuleBuilder;
  readonly #relaxed: boolean;
  readonly #indices = new Map<string, number>();

  /** `relaxed`: whether the functions may use the instructions of relaxed SIMD. */
  constructor(module: ModuleBuilder, relaxed: boolean) {
    this.module = module;
    this.#relaxed = relaxed;
  }

  /** a·b + c on four lanes, rounded once where the engine can. */
  multiplyAdd(a: Code, b: Code, c: Code): Code {
    return this.#relaxed ? op('f32x4.relaxed_madd', a, b, c) : op('f32x4.add', op('f32x4.mul', a, b), c);
  }

  /** The function index of `name`. */
  index(name: string): number {
    const known = this.#indices.get(name);
    if (known !== undefined) return known;
    const definition = vectorFunctions[name] ?? scalarFunctions[name];
    if (!definition) throw new Error(`library: no function '${name}'`);
    const { parameters, results, write } = definition;
    const index = this.module.define(parameters, results, (f) => write(f, this, 0));
    this.#indices.set(name, index);
    return index;
  }

  /**
   * The body of the function `name` of four lanes, in place: a loop then builds the constants once, where a called
   * function builds them at every call.
   */
  inline(name: string, argument: Code): Code {
    const definition = vectorFunctions[name];
    if (!definition) throw new Error(`library: no function '${name}'`);
    return (f) => definition.write(f, this, f.let('v128', argument));
  }

  /** The index of a function that the caller describes, added once under `name`. */
  define(name: string, definition: LibraryFunction): number {
    const known = this.#indices.get(name);
    if (known !== undefined) return known;
    const { parameters, results, write } = definition;
    const index = this.module.define(parameters, results, (f) => write(f, this, 0));
    this.#indices.set(name, index);
    return index;
  }
}
