/** Numbers that every contender draws alike, and the comparison of what they compute from them. */

/** A starting value of the generator for a name; never 0. */
function seedOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 0 || 1;
}

/** `length` numbers of variance `deviation`² around `mean`, uniform (xorshift32 of Marsaglia 2003), the same for the same name. */
export function uniform(name: string, length: number, deviation = 0.5, mean = 0): Float32Array {
  const values = new Float32Array(length);
  const [scale, offset] = [(deviation * Math.sqrt(12)) / 2 ** 32, mean - (deviation * Math.sqrt(12)) / 2];
  let state = seedOf(name);
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[i] = (state >>> 0) * scale + offset;
  }
  return values;
}

/** Rows and columns exchanged: [rows, columns] to [columns, rows]. */
export function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = values[i * columns + j] as number;
  }
  return result;
}

/** Elements of a result that travel to the comparison at most. */
const sampleSize = 50_000;

/** Evenly spread elements of a result; the stride is odd, so that no column of an even matrix is left out. */
export function sampleOf(values: ArrayLike<number>): Float32Array {
  const stride = Math.ceil(values.length / sampleSize) | 1;
  return Float32Array.from({ length: Math.ceil(values.length / stride) }, (_, i) => values[i * stride] as number);
}

/** The largest difference of two samples over the largest magnitude of the first; infinite for other lengths or NaN. */
export function relativeDifference(expected: Float32Array, given: Float32Array): number {
  if (expected.length !== given.length) return Number.POSITIVE_INFINITY;
  let [largest, difference] = [0, 0];
  for (const [i, value] of expected.entries()) {
    const distance = Math.abs(value - (given[i] as number));
    if (!(distance <= difference)) difference = Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance;
    largest = Math.max(largest, Math.abs(value));
  }
  return largest > 0 ? difference / largest : difference > 0 ? Number.POSITIVE_INFINITY : 0;
}
