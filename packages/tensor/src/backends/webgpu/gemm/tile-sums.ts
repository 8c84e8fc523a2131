/**
 * Sums of factors beside a product by tiles: of the workgroups that stage the same rows of a factor (or the same
 * columns), those of the first tile add up the staged strips, an element to a thread.
 */
import { type FactorSum, factorSums } from '../../../compile/factor-sums.ts';
import type { Contraction } from '../../../compile/kernel.ts';
import { type Binding, storeAll } from '../storage.ts';
import { lanes } from '../vectors.ts';
import { axesOf, bindCoordinates, indented, product, Scope, type ShaderText } from '../wgsl.ts';
import { sizesOf } from './contraction.ts';
import { type TileSchedule, threadsOf } from './schedules.ts';

/** Lines for the places in a product's shader where sums of its factors are begun, carried on and finished. */
export interface TileSums {
  readonly begin: readonly string[];
  /** Adds the staged strip. */
  readonly add: readonly string[];
  readonly finish: readonly string[];
}

/** The names of a factor in the shader, and where its elements of a tile begin. */
const sides = [
  { name: 'a', origin: 'tile_m', first: 'tile_n == 0' },
  { name: 'b', origin: 'tile_n', first: 'tile_m == 0' },
] as const;

/** The lines for all factors that `kernel` sums; with `scratch`, they leave there the parts of each factor in turn. */
export function tileSums(
  kernel: Contraction,
  schedule: TileSchedule,
  shader: ShaderText,
  root: Scope,
  scratch: Binding | undefined,
): TileSums {
  const begin: string[] = [];
  const add: string[] = [];
  const finish: string[] = [];
  const threads = threadsOf(schedule);
  let stored = 0;
  for (const sum of factorSums(kernel)) {
    const { name, first, origin } = sides[sum.factor];
    const width = sum.factor === 0 ? schedule.tileM : schedule.tileN;
    const adding: string[] = [];
    const storing: string[] = [];
    for (let round = 0; round * threads < width; round++) {
      const register = `sum_of_${name}${round}`;
      const element = round === 0 ? 'lane' : `(lane + ${round * threads})`;
      const guarded = (lines: readonly string[]): string[] =>
        (round + 1) * threads > width ? [`if (${element} < ${width}) {`, ...indented(lines), '}'] : [...lines];
      const staged = `staged_${name}[step * ${width / lanes} + ${element} / ${lanes}][${element} % ${lanes}]`;
      begin.push(`var ${register} = 0.0;`);
      adding.push(...guarded([`for (var step = 0; step < ${schedule.tileK}; step++) { ${register} += ${staged}; }`]));
      const place = `${origin} + ${element}`;
      storing.push(...guarded(storeLines(kernel, sum, shader, root, { register, place, scratch, stored })));
    }
    stored += schedule.split * product(sum.kernel.shape);
    add.push(`if (${first}) {`, ...indented(adding), '}');
    finish.push(`if (${first}) {`, ...indented(storing), '}');
  }
  return { begin, add, finish };
}

interface Finished {
  /** The variable that holds the sum, and the text of its place along the factor's own axis. */
  readonly register: string;
  readonly place: string;
  readonly scratch: Binding | undefined;
  /** Where the parts of this factor begin in `scratch`. */
  readonly stored: number;
}

/** The lines that store one finished sum, or one part of it, unless it lies past the end. */
function storeLines(
  kernel: Contraction,
  sum: FactorSum,
  shader: ShaderText,
  root: Scope,
  { register, place, scratch, stored }: Finished,
): string[] {
  const { shape, outputs } = sum.kernel;
  const free = shape.length - 1;
  const extent = shader.parameter(shape[free] as number);
  const inside = new Scope(shader, root);
  if (scratch) {
    const start = stored === 0 ? '' : `${shader.parameter(stored)} + `;
    inside.lines.push(`${scratch.name}[${start}tile * ${extent} + place] = ${register};`);
  } else {
    inside.lines.push(`let index = batch * ${extent} + place;`);
    inside.bindAxis(free, 'place');
    inside.bindAccumulator(register);
    const terms = outputs.map(({ value }) => value);
    bindCoordinates(shader, inside, 'batch', sizesOf(kernel).batch, axesOf(terms));
    const values = terms.map((value) => inside.emit(value));
    inside.lines.push(...storeAll(outputs, shader.bindings, values, { position: 'index', step: '0' }));
  }
  return [
    '{',
    `  let place = ${place};`,
    `  if (place < ${extent}) {`,
    ...indented(indented(inside.lines)),
    '  }',
    '}',
  ];
}
