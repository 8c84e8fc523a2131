/** Lanes moved between vectors, and stored one by one. */
import { type Code, type FunctionBuilder, get, type Local, shuffle } from './assembler.ts';

/** The rows of the matrix of four vectors become its columns. */
export function transpose4(f: FunctionBuilder, rows: readonly Code[]): Code[] {
  const [a, b, c, d] = rows.map((row) => f.let('v128', row)) as [Local, Local, Local, Local];
  const pair = (x: Local, y: Local, lanes: readonly number[]): Local => f.let('v128', shuffle(get(x), get(y), lanes));
  const [ab, cd] = [pair(a, b, [0, 4, 1, 5]), pair(c, d, [0, 4, 1, 5])];
  const [abHigh, cdHigh] = [pair(a, b, [2, 6, 3, 7]), pair(c, d, [2, 6, 3, 7])];
  const join = (x: Local, y: Local, lanes: readonly number[]): Code => shuffle(get(x), get(y), lanes);
  return [
    join(ab, cd, [0, 1, 4, 5]),
    join(ab, cd, [2, 3, 6, 7]),
    join(abHigh, cdHigh, [0, 1, 4, 5]),
    join(abHigh, cdHigh, [2, 3, 6, 7]),
  ];
}

/** Stores one lane of a vector, of the width that the instruction `name` says. */
export function storeLane(
  f: FunctionBuilder,
  name: 'v128.store32_lane' | 'v128.store64_lane',
  address: Code,
  vector: Local,
  lane: number,
  offset: number,
): void {
  address(f);
  get(vector)(f);
  f.access(name, offset, lane);
}
