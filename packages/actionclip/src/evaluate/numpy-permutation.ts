/**
 * The permutations of NumPy's `np.random.seed(s); np.random.permutation(n)`, by which published evaluations draw their
 * halves of the classes: the Mersenne Twister MT19937 (Matsumoto and Nishimura 1998) and Fisher and Yates' shuffle.
 */

const size = 624;
const middle = 397;

/** A function that gives 32 random bits at each call. */
function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(size);
  state[0] = seed;
  for (let i = 1; i < size; i++) {
    const before = state[i - 1] ?? 0;
    state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
  }
  let next = size;
  const at = (i: number): number => state[i % size] ?? 0;
  const refill = (): void => {
    for (let i = 0; i < size; i++) {
      const joined = (at(i) & 0x80000000) | (at(i + 1) & 0x7fffffff);
      state[i] = at(i + middle) ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
    }
    next = 0;
  };
  return () => {
    if (next === size) refill();
    let bits = at(next++);
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    return (bits ^ (bits >>> 18)) >>> 0;
  };
}

/**
 * The numbers 0 to n - 1 in NumPy's order of this seed.
 * @param n Up to 2^31.
 * @param seed A whole number from 0 to 2^32 - 1.
 */
export function numpyPermutation(n: number, seed: number): number[] {
  const bits = mersenneTwister(seed);
  const order = Array.from({ length: n }, (_, i) => i);
  for (let last = n - 1; last > 0; last--) {
    // Draws below the next power of two are repeated until one is in range.
    const mask = 2 ** (32 - Math.clz32(last)) - 1;
    let drawn = (bits() & mask) >>> 0;
    while (drawn > last) drawn = (bits() & mask) >>> 0;
    [order[last], order[drawn]] = [order[drawn] ?? 0, order[last] ?? 0];
  }
  return order;
}
