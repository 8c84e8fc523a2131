/**
 * A WebAssembly assembler. Code is written as nested calls that mirror the instructions' operands: a `Code` puts its
 * instructions at the end of a function, and `op('f32.add', a, b)` is the code of a, of b, and of the addition.
 */
import { type Instruction, laneInstructions, memoryInstructions, plainInstructions } from './opcodes.ts';

export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';
export type Code = (f: FunctionBuilder) => void;
export type Local = number & { readonly local?: never };

export const valueTypes: Readonly<Record<ValueType, number>> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
};
const scratch = new DataView(new ArrayBuffer(8));

/** Appends `value` in LEB128. */
export function unsigned(bytes: number[], value: number): void {
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
}

function signed(bytes: number[], value: bigint): void {
  let rest = value;
  for (;;) {
    const byte = Number(rest & 127n);
    rest >>= 7n;
    if ((rest === 0n && byte < 64) || (rest === -1n && byte >= 64)) {
      bytes.push(byte);
      return;
    }
    bytes.push(byte | 128);
  }
}

function instruction(table: ReadonlyMap<string, Instruction>, name: string): Instruction {
  const found = table.get(name);
  if (!found) throw new Error(`assembler: no instruction '${name}'`);
  return found;
}

/** One function's locals and instructions. */
export class FunctionBuilder {
  readonly code: number[] = [];
  readonly #locals: ValueType[] = [];
  readonly #parameters: number;
  readonly #literals = new Map<string, { readonly local: Local; readonly bytes: readonly number[] }>();

  constructor(parameters: number) {
    this.#parameters = parameters;
  }

  local(type: ValueType): Local {
    this.#locals.push(type);
    return this.#parameters + this.#locals.length - 1;
  }

  /**
   * A local that holds the v128 of `bytes` from the function's start: not every engine moves a literal out of a loop, and
   * building one takes several instructions.
   */
  literal(bytes: readonly number[]): Local {
    const key = bytes.join();
    const known = this.#literals.get(key) ?? { local: this.local('v128'), bytes };
    this.#literals.set(key, known);
    return known.local;
  }

  /** A local that holds the value of `code` from here on. */
  let(type: ValueType, code: Code): Local {
    const local = this.local(type);
    this.set(local, code);
    return local;
  }

  set(local: Local, code: Code): void {
    code(this);
    this.index(0x21, local);
  }

  store(name: string, address: Code, value: Code, offset = 0): void {
    address(this);
    value(this);
    this.access(name, offset);
  }

  /** `then` when `condition` is not 0, otherwise `otherwise`. */
  when(condition: Code, then: () => void, otherwise?: () => void): void {
    condition(this);
    this.code.push(0x04, 0x40);
    then();
    if (otherwise) {
      this.code.push(0x05);
      otherwise();
    }
    this.code.push(0x0b);
  }

  /** Runs `body` while `condition` holds before it. */
  while(condition: Code, body: () => void): void {
    this.code.push(0x02, 0x40, 0x03, 0x40);
    condition(this);
    this.code.push(0x45, 0x0d, 1);
    body();
    this.code.push(0x0c, 0, 0x0b, 0x0b);
  }

  /** Counts `variable` on by `step` from its present value while it is below `end` (signed), which must not change. */
  count(variable: Local, end: Code, step: number, body: () => void): void {
    this.when(op('i32.lt_s', get(variable), end), () => {
      this.code.push(0x03, 0x40);
      body();
      this.set(variable, op('i32.add', get(variable), i32(step)));
      op('i32.lt_s', get(variable), end)(this);
      this.code.push(0x0d, 0, 0x0b);
    });
  }

  // ---- Encoding ---------------------------------------------------------------------------------------------------

  plain(name: string): void {
    this.#opcode(instruction(plainInstructions, name));
  }

  access(name: string, offset: number, lane?: number): void {
    const found = instruction(memoryInstructions, name);
    this.#opcode(found);
    this.code.push(found.prefix === 0xfe ? 2 : 0); // atomics state their alignment; elsewhere it is a hint
    unsigned(this.code, offset);
    if (lane !== undefined) this.code.push(lane);
  }

  lane(name: string, lane: number): void {
    this.#opcode(instruction(laneInstructions, name));
    this.code.push(lane);
  }

  index(opcode: number, index: number): void {
    this.code.push(opcode);
    unsigned(this.code, index);
  }

  #opcode({ prefix, code }: Instruction): void {
    if (prefix === 0) this.code.push(code);
    else {
      this.code.push(prefix);
      unsigned(this.code, code);
    }
  }

  /** The function's entry in the code section. */
  body(): number[] {
    const bytes: number[] = [];
    unsigned(bytes, this.#locals.length);
    for (const type of this.#locals) bytes.push(1, valueTypes[type]);
    for (const literal of this.#literals.values()) {
      bytes.push(0xfd, 12, ...literal.bytes, 0x21);
      unsigned(bytes, literal.local);
    }
    for (const byte of this.code) bytes.push(byte);
    bytes.push(0x0b);
    return bytes;
  }
}

// ---- Code ---------------------------------------------------------------------------------------------------------

export const op =
  (name: string, ...args: readonly Code[]): Code =>
  (f) => {
    for (const arg of args) arg(f);
    f.plain(name);
  };

export const get =
  (local: Local): Code =>
  (f) =>
    f.index(0x20, local);

/** The value of `code`, kept in `local` too. */
export const tee =
  (local: Local, code: Code): Code =>
  (f) => {
    code(f);
    f.index(0x22, local);
  };

export const i32 =
  (value: number): Code =>
  (f) => {
    f.code.push(0x41);
    signed(f.code, BigInt(value | 0));
  };

export const i64 =
  (value: bigint): Code =>
  (f) => {
    f.code.push(0x42);
    signed(f.code, value);
  };

const pushScratch = (bytes: number[], count: number): void => {
  for (let i = 0; i < count; i++) bytes.push(scratch.getUint8(i));
};

export const f32 =
  (value: number): Code =>
  (f) => {
    f.code.push(0x43);
    scratch.setFloat32(0, value, true);
    pushScratch(f.code, 4);
  };

export const f64 =
  (value: number): Code =>
  (f) => {
    f.code.push(0x44);
    scratch.setFloat64(0, value, true);
    pushScratch(f.code, 8);
  };

/** A v128 of the bytes that `write` puts into the scratch bytes for each lane. */
const vector =
  (lanes: number, write: (lane: number) => void): Code =>
  (f) => {
    const bytes: number[] = [];
    for (let lane = 0; lane < lanes; lane++) {
      write(lane);
      pushScratch(bytes, 16 / lanes);
    }
    f.index(0x20, f.literal(bytes));
  };

/** Four lanes of one f32. */
export const f32x4 = (value: number): Code => vector(4, () => scratch.setFloat32(0, value, true));
/** Two lanes of one f64. */
export const f64x2 = (value: number): Code => vector(2, () => scratch.setFloat64(0, value, true));
/** Four lanes of one i32, or four given ones. */
export const i32x4 = (...values: readonly number[]): Code =>
  vector(4, (lane) => scratch.setInt32(0, values[lane % values.length] as number, true));

export const load =
  (name: string, address: Code, offset = 0): Code =>
  (f) => {
    address(f);
    f.access(name, offset);
  };

/** `vector` with one lane replaced from memory. */
export const loadLane =
  (name: string, address: Code, vector: Code, lane: number, offset = 0): Code =>
  (f) => {
    address(f);
    vector(f);
    f.access(name, offset, lane);
  };

export const extract =
  (name: string, vector: Code, lane: number): Code =>
  (f) => {
    vector(f);
    f.lane(`${name}.extract_lane`, lane);
  };

export const replace =
  (name: string, vector: Code, lane: number, value: Code): Code =>
  (f) => {
    vector(f);
    value(f);
    f.lane(`${name}.replace_lane`, lane);
  };

/** The 32-bit lanes `lanes` of the eight lanes of a and b. */
export const shuffle =
  (a: Code, b: Code, lanes: readonly number[]): Code =>
  (f) => {
    a(f);
    b(f);
    f.code.push(0xfd, 13);
    for (const lane of lanes) for (let byte = 0; byte < 4; byte++) f.code.push(lane * 4 + byte);
  };

/** The bytes `bytes`, sixteen of the thirty-two of a and b. */
export const shuffleBytes =
  (a: Code, b: Code, bytes: readonly number[]): Code =>
  (f) => {
    a(f);
    b(f);
    f.code.push(0xfd, 13, ...bytes);
  };

export const call =
  (index: number, ...args: readonly Code[]): Code =>
  (f) => {
    for (const arg of args) arg(f);
    f.index(0x10, index);
  };

/** The smaller of two integers. */
export const smaller =
  (a: Code, b: Code): Code =>
  (f) => {
    const [x, y] = [f.let('i32', a), f.let('i32', b)];
    op('select', get(x), get(y), op('i32.lt_s', get(x), get(y)))(f);
  };

/** Calls entry `entry` of the imported table, which has the function type `type`. */
export const callIndirect =
  (type: number, entry: Code, ...args: readonly Code[]): Code =>
  (f) => {
    for (const arg of args) arg(f);
    entry(f);
    f.index(0x11, type);
    f.code.push(0);
  };

export const fillMemory = (f: FunctionBuilder, address: Code, value: Code, bytes: Code): void => {
  address(f);
  value(f);
  bytes(f);
  f.code.push(0xfc, 11, 0);
};
