/**
 * The stack machine of Python's pickles (protocols 2 to 5, PEP 307, 3154 and 574) over plain data. What a name means,
 * and what calling it gives, is left to the caller: there is no way from the bytes to any code or any prototype. Time
 * and memory are bounded by the number of bytes. Runs in browsers.
 */

/** A class or function that the pickle names, `module.name`. */
export class GlobalName {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    Object.freeze(this);
  }
}

/** What the machine leaves open. Whatever these throw ends the reading. */
export interface PickleMeaning {
  /** Told of each class or function that is named, called or not. */
  named(name: GlobalName): void;
  /** The value of a class or function that is called with these arguments. */
  call(name: GlobalName, args: readonly unknown[]): unknown;
  /** The value of a persistent id. */
  persistent(id: unknown): unknown;
  /** Gives an object its state, as Python's `__setstate__` does. */
  build(object: unknown, state: unknown): void;
  /** Puts a pair into what is neither a Map nor a list. */
  setItem(object: unknown, key: unknown, value: unknown): void;
  /** Appends to what is no list. */
  append(object: unknown, value: unknown): void;
}

/**
 * Runs a pickle. Tuples and lists become arrays, dictionaries Maps, sets Sets, and whole numbers that a number cannot
 * hold bigints.
 * @throws Error that says what is wrong with the bytes.
 */
export function runPickle(bytes: Uint8Array, meaning: PickleMeaning): unknown {
  const machine = new Machine(bytes, meaning);
  for (;;) {
    const code = machine.uint(1);
    if (code === STOP) return machine.pop();
    const operation = OPERATIONS.get(code);
    if (operation === undefined) throw new Error(`unknown opcode ${code}`);
    operation(machine);
  }
}

type Operation = (machine: Machine) => void;

/** Longer numbers are refused: reading one takes the square of its length. */
const MAXIMUM_NUMBER_BYTES = 255;
const latin = new TextDecoder('latin1');
const utf8 = new TextDecoder();

class Machine {
  readonly meaning: PickleMeaning;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;
  #stack: unknown[] = [];
  readonly #marked: unknown[][] = [];
  readonly #memo = new Map<number, unknown>();

  constructor(bytes: Uint8Array, meaning: PickleMeaning) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.meaning = meaning;
  }

  /** The next bytes, as a view. */
  take(length: number): Uint8Array {
    const begin = this.#position;
    if (!(length <= this.#bytes.byteLength - begin)) throw new Error(`it ends within its opcode at byte ${begin}`);
    this.#position += length;
    return this.#bytes.subarray(begin, this.#position);
  }

  /** A little-endian whole number of 1, 2, 4 or 8 bytes. */
  uint(size: number): number {
    return this.take(size).reduceRight((value, byte) => value * 256 + byte, 0);
  }

  int32(): number {
    return this.#view.getInt32(this.take(4).byteOffset - this.#bytes.byteOffset, true);
  }

  float64(): number {
    return this.#view.getFloat64(this.take(8).byteOffset - this.#bytes.byteOffset, false);
  }

  /** Two's complement of any length. */
  long(size: number): number | bigint {
    if (size > MAXIMUM_NUMBER_BYTES) throw new Error(`a whole number of ${size} bytes`);
    const bits = this.take(size).reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);
    const value = BigInt.asIntN(8 * size, bits);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  text(size: number): string {
    return utf8.decode(this.take(size));
  }

  /** The text up to the end of the line. */
  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#position);
    if (end < 0) throw new Error('a line without an end');
    const line = this.text(end - this.#position);
    this.take(1);
    return line;
  }

  push(value: unknown): void {
    this.#stack.push(value);
  }

  pop(): unknown {
    if (this.#stack.length === 0) throw new Error('an opcode asks for more than there is on the stack');
    return this.#stack.pop();
  }

  top(): unknown {
    const value = this.pop();
    this.push(value);
    return value;
  }

  /** The last `count` values, in the order in which they were pushed. */
  popMany(count: number): unknown[] {
    const values = Array.from({ length: count }, () => this.pop());
    return values.reverse();
  }

  mark(): void {
    this.#marked.push(this.#stack);
    this.#stack = [];
  }

  /** All values since the last mark. */
  popMark(): unknown[] {
    const values = this.#stack;
    const before = this.#marked.pop();
    if (before === undefined) throw new Error('an opcode asks for a mark that there is not');
    this.#stack = before;
    return values;
  }

  memoize(index = this.#memo.size): void {
    this.#memo.set(index, this.top());
  }

  recall(index: number): void {
    if (!this.#memo.has(index)) throw new Error(`nothing was memoized as ${index}`);
    this.push(this.#memo.get(index));
  }

  call(name: unknown, args: unknown): void {
    if (!(name instanceof GlobalName) || !Array.isArray(args)) throw new Error('a call of what is no class');
    this.push(this.meaning.call(name, args));
  }

  global(module: unknown, name: unknown): void {
    if (typeof module !== 'string' || typeof name !== 'string') throw new Error('a class whose name is no text');
    const found = new GlobalName(`${module}.${name}`);
    this.meaning.named(found);
    this.push(found);
  }

  /** Puts [key, value, key, value, ...] into the object on top. */
  setItems(items: readonly unknown[]): void {
    const object = this.top();
    if (items.length % 2 !== 0) throw new Error('a key without a value');
    for (let i = 0; i < items.length; i += 2) {
      if (object instanceof Map) object.set(items[i], items[i + 1]);
      else this.meaning.setItem(object, items[i], items[i + 1]);
    }
  }

  appendAll(items: readonly unknown[]): void {
    const object = this.top();
    for (const item of items) {
      if (Array.isArray(object)) object.push(item);
      else this.meaning.append(object, item);
    }
  }

  addAll(items: readonly unknown[]): void {
    const set = this.top();
    if (!(set instanceof Set)) throw new Error('items for what is no set');
    for (const item of items) set.add(item);
  }
}

const STOP = 0x2e;
const constant =
  (value: unknown): Operation =>
  (m) =>
    m.push(value);

/** By opcode; the comments are the names in Python's pickletools. Those of protocols 0 and 1 alone are not needed. */
const OPERATIONS: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [0x80, (m) => void m.take(1)], // PROTO
  [0x95, (m) => void m.take(8)], // FRAME
  [0x28, (m) => m.mark()], // MARK
  [0x30, (m) => void m.pop()], // POP
  [0x31, (m) => void m.popMark()], // POP_MARK
  [0x32, (m) => m.push(m.top())], // DUP
  [0x71, (m) => m.memoize(m.uint(1))], // BINPUT
  [0x72, (m) => m.memoize(m.uint(4))], // LONG_BINPUT
  [0x94, (m) => m.memoize()], // MEMOIZE
  [0x68, (m) => m.recall(m.uint(1))], // BINGET
  [0x6a, (m) => m.recall(m.uint(4))], // LONG_BINGET

  [0x4e, constant(null)], // NONE
  [0x88, constant(true)], // NEWTRUE
  [0x89, constant(false)], // NEWFALSE
  [0x4a, (m) => m.push(m.int32())], // BININT
  [0x4b, (m) => m.push(m.uint(1))], // BININT1
  [0x4d, (m) => m.push(m.uint(2))], // BININT2
  [0x8a, (m) => m.push(m.long(m.uint(1)))], // LONG1
  [0x8b, (m) => m.push(m.long(m.uint(4)))], // LONG4
  [0x47, (m) => m.push(m.float64())], // BINFLOAT
  [0x58, (m) => m.push(m.text(m.uint(4)))], // BINUNICODE
  [0x8c, (m) => m.push(m.text(m.uint(1)))], // SHORT_BINUNICODE
  [0x8d, (m) => m.push(m.text(m.uint(8)))], // BINUNICODE8
  [0x54, (m) => m.push(latin.decode(m.take(m.uint(4))))], // BINSTRING
  [0x55, (m) => m.push(latin.decode(m.take(m.uint(1))))], // SHORT_BINSTRING
  [0x42, (m) => m.push(m.take(m.uint(4)))], // BINBYTES
  [0x43, (m) => m.push(m.take(m.uint(1)))], // SHORT_BINBYTES
  [0x8e, (m) => m.push(m.take(m.uint(8)))], // BINBYTES8
  [0x96, (m) => m.push(m.take(m.uint(8)))], // BYTEARRAY8

  [0x29, (m) => m.push([])], // EMPTY_TUPLE
  [0x85, (m) => m.push(m.popMany(1))], // TUPLE1
  [0x86, (m) => m.push(m.popMany(2))], // TUPLE2
  [0x87, (m) => m.push(m.popMany(3))], // TUPLE3
  [0x74, (m) => m.push(m.popMark())], // TUPLE
  [0x5d, (m) => m.push([])], // EMPTY_LIST
  [0x6c, (m) => m.push(m.popMark())], // LIST
  [0x61, (m) => m.appendAll(m.popMany(1))], // APPEND
  [0x65, (m) => m.appendAll(m.popMark())], // APPENDS
  [0x7d, (m) => m.push(new Map())], // EMPTY_DICT
  [
    0x64, // DICT
    (m) => {
      const items = m.popMark();
      m.push(new Map());
      m.setItems(items);
    },
  ],
  [0x73, (m) => m.setItems(m.popMany(2))], // SETITEM
  [0x75, (m) => m.setItems(m.popMark())], // SETITEMS
  [0x8f, (m) => m.push(new Set())], // EMPTY_SET
  [0x90, (m) => m.addAll(m.popMark())], // ADDITEMS
  [0x91, (m) => m.push(new Set(m.popMark()))], // FROZENSET

  [0x63, (m) => m.global(m.line(), m.line())], // GLOBAL
  [
    0x93, // STACK_GLOBAL
    (m) => {
      const [module, name] = m.popMany(2);
      m.global(module, name);
    },
  ],
  [
    0x52, // REDUCE
    (m) => {
      const [name, args] = m.popMany(2);
      m.call(name, args);
    },
  ],
  [
    0x81, // NEWOBJ
    (m) => {
      const [name, args] = m.popMany(2);
      m.call(name, args);
    },
  ],
  [
    0x92, // NEWOBJ_EX
    (m) => {
      const [name, args] = m.popMany(3);
      m.call(name, args);
    },
  ],
  [
    0x6f, // OBJ
    (m) => {
      const [name, ...args] = m.popMark();
      m.call(name, args);
    },
  ],
  [
    0x62, // BUILD
    (m) => {
      const state = m.pop();
      m.meaning.build(m.top(), state);
    },
  ],
  [0x51, (m) => m.push(m.meaning.persistent(m.pop()))], // BINPERSID
]);
