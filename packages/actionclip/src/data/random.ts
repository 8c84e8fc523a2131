// A small seeded generator of random numbers for the host side of training: xoshiro128** with a key from which
// independent streams are forked. It decides augmentations, sampling and order, never anything on a device.

/** What identifies a forked stream: an epoch, the index of a sample, a name. */
export type StreamKey = number | string;

/** The whole state of a generator as plain JSON: four 32-bit words of key and four of position. */
export interface RandomState {
  readonly key: readonly number[];
  readonly position: readonly number[];
}

/** Thrown for an argument or a saved state that the generator cannot use. */
export class RandomError extends Error {
  override readonly name = 'RandomError';
}

type Words = readonly [number, number, number, number];

/** A stream of random numbers. Equal keys give equal streams on every machine. */
export class Random {
  readonly #key: Words;
  #position: Words;

  /** @param seed a number or a name (equal seeds give equal streams), or a state to continue from */
  constructor(seed: StreamKey | RandomState) {
    if (typeof seed === 'object') {
      this.#key = words('key', seed.key);
      this.#position = words('position', seed.position);
    } else {
      this.#key = hash([0, 0, 0, 0], [seed]);
      this.#position = this.#key;
    }
  }

  /** A copy of the state; `new Random(state)` continues the stream exactly where it stands. */
  state(): RandomState {
    return { key: [...this.#key], position: [...this.#position] };
  }

  /**
   * An independent stream for the given keys. It depends on this stream's own key and not on how many numbers were
   * drawn, so `root.fork(epoch, sample)` is the same in whichever worker and order it is called.
   */
  fork(...keys: readonly StreamKey[]): Random {
    const key = hash(this.#key, keys);
    return new Random({ key, position: key });
  }

  /** 32 random bits, as an integer in [0, 2^32). The generator is Blackman and Vigna's xoshiro128**. */
  bits(): number {
    const [s0, s1, s2, s3] = this.#position;
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    const x2 = s2 ^ s0;
    const x3 = s3 ^ s1;
    this.#position = [(s0 ^ x3) >>> 0, (s1 ^ x2) >>> 0, (x2 ^ (s1 << 9)) >>> 0, rotateLeft(x3, 11) >>> 0];
    return result;
  }

  /** A number in [low, high), with 53 random bits before scaling. */
  uniform(low = 0, high = 1): number {
    const unit = ((this.bits() >>> 5) * 67108864 + (this.bits() >>> 6)) / 9007199254740992;
    return low + unit * (high - low);
  }

  /** An integer in [0, count), every value equally likely. @throws {RandomError} unless 1 <= count <= 2^32 */
  integer(count: number): number {
    if (!Number.isInteger(count) || count < 1 || count > 4294967296) {
      throw new RandomError(`integer: count is ${count}, expected an integer from 1 to 2^32`);
    }
    // Values from the last, incomplete multiple of count would favour small results, so they are drawn again.
    const limit = 4294967296 - (4294967296 % count);
    let value = this.bits();
    while (value >= limit) value = this.bits();
    return value % count;
  }

  /** True with the given probability: never at 0, always at 1. Draws one number in every case. */
  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  /** A sample of the normal distribution (Box and Muller; the second value is not kept, so that the state stays small). */
  normal(mean = 0, deviation = 1): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return mean + deviation * radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** One of the items, every one equally likely. @throws {RandomError} when there are none */
  choice<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RandomError('choice: the list is empty, expected at least one item');
    return items[this.integer(items.length)] as T;
  }

  /** Shuffles the array in place (Fisher and Yates) and returns it. */
  shuffle<T>(items: T[]): T[] {
    for (let last = items.length - 1; last > 0; last--) {
      const other = this.integer(last + 1);
      const kept = items[last] as T;
      items[last] = items[other] as T;
      items[other] = kept;
    }
    return items;
  }
}

const rotateLeft = (x: number, by: number): number => (x << by) | (x >>> (32 - by));

/** The finaliser of MurmurHash3: every input bit reaches every output bit. */
function mix(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

/** Four words that depend on every bit of the parent key and of the stream keys, by four differently started lanes. */
function hash(parent: Words, keys: readonly StreamKey[]): Words {
  const input: number[] = [...parent];
  for (const key of keys) {
    if (typeof key === 'string') {
      // The length and a tag keep ('ab', 'c') apart from ('a', 'bc') and '1' apart from 1.
      input.push(1, key.length);
      for (let i = 0; i < key.length; i++) input.push(key.charCodeAt(i));
    } else {
      if (Number.isNaN(key)) throw new RandomError('a seed or stream key is NaN, expected a number or a name');
      input.push(2, ...new Uint32Array(Float64Array.of(key + 0).buffer)); // + 0 makes -0 the same key as 0
    }
  }
  const lane = (number: number): number => {
    let h = Math.imul(0x9e3779b9, number);
    for (const word of input) h = (mix(Math.imul(h, 5) + word) + 0xe6546b64) | 0;
    return mix(h ^ input.length) >>> 0;
  };
  const [first, ...rest] = [lane(1), lane(2), lane(3), lane(4)] as const;
  // xoshiro stays at zero for ever once all four words are zero.
  return [rest.some((word) => word !== 0) ? first : first || 1, ...rest];
}

function words(name: string, values: readonly number[]): Words {
  const [a, b, c, d] = values;
  const whole = values.every((value) => Number.isInteger(value) && value >= 0 && value < 4294967296);
  const four = values.length === 4 && a !== undefined && b !== undefined && c !== undefined && d !== undefined;
  if (!whole || !four || values.every((value) => value === 0)) {
    throw new RandomError(
      `the saved random ${name} is [${values.join(', ')}], expected four integers from 0 to 2^32 - 1, not all 0`,
    );
  }
  return [a, b, c, d];
}
