/** SHA-256 of bytes that come in pieces (FIPS 180-4); WebCrypto takes them all at once alone. */

/** The first 32 bits of the fractional parts of some roots of the first primes. */
const fractions = (count: number, root: (prime: number) => number): Int32Array => {
  const values = new Int32Array(count);
  for (let number = 2, found = 0; found < count; number++) {
    let divisor = 2;
    while (number % divisor !== 0) divisor++;
    if (divisor === number) values[found++] = (root(number) % 1) * 2 ** 32;
  }
  return values;
};
const roundConstants = fractions(64, Math.cbrt);
const start = fractions(8, Math.sqrt);

const block = 64;

export class Sha256 {
  readonly #state = start.slice();
  readonly #schedule = new Int32Array(64);
  /** Bytes that do not fill a block yet. */
  readonly #rest = new Uint8Array(block);
  #length = 0;

  update(bytes: Uint8Array): void {
    const waiting = this.#length % block;
    this.#length += bytes.length;
    let at = 0;
    if (waiting > 0) {
      at = Math.min(block - waiting, bytes.length);
      this.#rest.set(bytes.subarray(0, at), waiting);
      if (waiting + at < block) return;
      this.#compress(this.#rest, 0);
    }
    for (; at + block <= bytes.length; at += block) this.#compress(bytes, at);
    this.#rest.set(bytes.subarray(at));
  }

  /** In small hexadecimal digits. Nothing can be added afterwards. */
  digest(): string {
    const bits = this.#length * 8;
    const padding = new Uint8Array(block + ((2 * block - 9 - (this.#length % block)) % block) + 9 - block);
    padding[0] = 0x80;
    const view = new DataView(padding.buffer);
    view.setUint32(padding.length - 8, Math.floor(bits / 2 ** 32));
    view.setUint32(padding.length - 4, bits >>> 0);
    this.update(padding);
    return [...this.#state].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  #compress(bytes: Uint8Array, from: number): void {
    const schedule = this.#schedule;
    for (let t = 0, at = from; t < 16; t++, at += 4) {
      schedule[t] =
        (word(bytes, at) << 24) | (word(bytes, at + 1) << 16) | (word(bytes, at + 2) << 8) | word(bytes, at + 3);
    }
    for (let t = 16; t < 64; t++) {
      const far = word(schedule, t - 15);
      const near = word(schedule, t - 2);
      const farMix = rotated(far, 7) ^ rotated(far, 18) ^ (far >>> 3);
      const nearMix = rotated(near, 17) ^ rotated(near, 19) ^ (near >>> 10);
      schedule[t] = (word(schedule, t - 16) + farMix + word(schedule, t - 7) + nearMix) | 0;
    }
    const state = this.#state;
    let a = word(state, 0);
    let b = word(state, 1);
    let c = word(state, 2);
    let d = word(state, 3);
    let e = word(state, 4);
    let f = word(state, 5);
    let g = word(state, 6);
    let h = word(state, 7);
    for (let t = 0; t < 64; t++) {
      const mixE = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
      const one = (h + mixE + ((e & f) ^ (~e & g)) + word(roundConstants, t) + word(schedule, t)) | 0;
      const mixA = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
      const two = (mixA + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + one) | 0;
      d = c;
      c = b;
      b = a;
      a = (one + two) | 0;
    }
    state[0] = word(state, 0) + a;
    state[1] = word(state, 1) + b;
    state[2] = word(state, 2) + c;
    state[3] = word(state, 3) + d;
    state[4] = word(state, 4) + e;
    state[5] = word(state, 5) + f;
    state[6] = word(state, 6) + g;
    state[7] = word(state, 7) + h;
  }
}

const word = (array: Uint8Array | Int32Array, at: number): number => array[at] as number;
const rotated = (value: number, bits: number): number => (value >>> bits) | (value << (32 - bits));
