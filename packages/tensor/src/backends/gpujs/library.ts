/**
 * What gpu.js's JavaScript lacks, as functions in it. gpu.js knows numbers, comparisons, Math and loops; it has no
 * literal for NaN and the infinities, and its variables hold floats, whatever was assigned to them.
 */

/** Arguments and result of every function are numbers. */
export interface LibraryFunction {
  readonly source: string;
  readonly parameters: readonly string[];
}

const define = (name: string, parameters: readonly string[], ...body: readonly string[]): LibraryFunction => ({
  parameters,
  source: `function ${name}(${parameters.join(', ')}) {\n${body.join('\n')}\n}`,
});

export const library: readonly LibraryFunction[] = [
  define('smaller', ['a', 'b'], 'return (a < b) ? a : ((a === a) ? b : a);'),
  define('larger', ['a', 'b'], 'return (a > b) ? a : ((a === a) ? b : a);'),
  define(
    'round_even',
    ['x'],
    'const low = Math.floor(x);',
    'const rest = x - low;',
    'const odd = low - 2 * Math.floor(low / 2);',
    'return (rest < 0.5) ? low : ((rest > 0.5) ? low + 1 : ((rest === 0.5) ? low + odd : x));',
  ),
  // Steps of half precision are 2^-24 below 2^-13 and double with every power of two above.
  define(
    'half_precision',
    ['x'],
    'const size = Math.abs(x);',
    'let step = 5.9604644775390625e-8;',
    'let inverse = 16777216.0;',
    'for (let n = 0; n < 30; n++) {',
    '  const grows = (size >= step * 2048) ? 1 : 0;',
    '  step = (grows > 0) ? step * 2 : step;',
    '  inverse = (grows > 0) ? inverse * 0.5 : inverse;',
    '}',
    'const rounded = round_even(size * inverse) * step;',
    'const result = (rounded > 65504) ? size * 1e38 * 1e38 * 1e300 : rounded;',
    'return (x > 0) ? result : ((x < 0) ? -result : x * inverse);',
  ),
  // Powers of negative numbers have a value where the exponent is whole; sqrt gives the NaN elsewhere.
  define(
    'power',
    ['a', 'b'],
    'const size = Math.pow(Math.abs(a), b);',
    'const odd = b - 2 * Math.floor(b / 2);',
    'return (a < 0) ? ((odd === 1) ? -size : ((odd === 0) ? size : Math.sqrt(a))) : size;',
  ),
  define('signum', ['x'], 'return (x > 0) ? 1 : ((x < 0) ? -1 : x);'),
  // Long division, exact at every step; a quotient rounded to 32 bits would be off by one. 280 powers of two lie
  // between the smallest and the largest float.
  define(
    'float_remainder',
    ['a', 'b', 'undefined_value'],
    'const size = Math.abs(b);',
    'let rest = Math.abs(a);',
    'let part = size;',
    'for (let n = 0; n < 280; n++) { part = (part * 2 <= rest) ? part * 2 : part; }',
    'for (let m = 0; m < 280; m++) {',
    '  rest = (rest >= part) ? rest - part : rest;',
    '  part = (part > size) ? part * 0.5 : part;',
    '}',
    'return (size > 0) ? ((a < 0) ? -rest : rest) : undefined_value;',
  ),
  // WGSL leaves NaN, negative numbers, 0 and infinity open; they are given as the values to take.
  define('exponential', ['x'], 'return (x === x) ? Math.exp(x) : x;'),
  define(
    'logarithm',
    ['x', 'undefined_value', 'pole'],
    'const positive = (x > 3.4e38) ? x : Math.log(x);',
    'return (x > 0) ? positive : ((x === 0) ? pole : undefined_value);',
  ),
  // WGSL's own overflows, and loses digits near 0, where the series is taken.
  define(
    'hyperbolic_tangent',
    ['x'],
    'const z = x * x;',
    'const series = 1 - z * (0.3333333333333333 - z * (0.13333333333333333 - z * (0.05396825396825397 - z * 0.021869488536155203)));',
    'const size = Math.abs(x);',
    'const far = 1 - 2 / (Math.exp((size < 20) ? 2 * size : 40) + 1);',
    'return (size < 0.3) ? x * series : ((x > 0) ? far : ((x < 0) ? -far : x));',
  ),
  // Sine of x plus `turns` right angles: WGSL allows its own an error of 2^-11. Three parts of a right angle are taken
  // off exactly; the series are good to 1e-9 on what is left.
  define(
    'turned_sine',
    ['x', 'turns'],
    'const count = Math.floor(x * 0.6366197723675814 + 0.5);',
    'const r = ((x - count * 1.5703125) - count * 0.0004837512969970703) - count * 7.549789954891882e-8;',
    'const z = r * r;',
    'const sine = r * (1 - z * (0.16666666666666666 - z * (0.008333333333333333 - z * (0.0001984126984126984 - z * 0.0000027557319223985893))));',
    'const cosine = 1 - z * (0.5 - z * (0.041666666666666664 - z * (0.001388888888888889 - z * (0.0000248015873015873 - z * 2.755731922398589e-7))));',
    'const turned = count + turns;',
    'const quarter = turned - 4 * Math.floor(turned / 4);',
    'const half = quarter - 2 * Math.floor(quarter / 2);',
    'const value = (half > 0.5) ? cosine : sine;',
    'return (quarter > 1.5) ? -value : value;',
  ),
  // 1 - erfc |x|, of which the Chebyshev fit of Press et al. is within 1.2e-7 relatively; the series of erf below 0.6.
  define(
    'error_function',
    ['x'],
    'const size = Math.abs(x);',
    'const t = 1 / (1 + 0.5 * size);',
    'const a = t * (-0.82215223 + t * 0.17087277);',
    'const b = t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + a)));',
    'const c = t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + b))));',
    'const far = 1 - t * Math.exp(c - 1.26551223 - size * size);',
    'const z = x * x;',
    'const series = 1 - z * (0.3333333333333333 - z * (0.1 - z * (0.023809523809523808 - z * (0.004629629629629629 - z * (0.0007575757575757576 - z * 0.00010683760683760684)))));',
    'const close = 1.1283791670955126 * size * series;',
    'const value = (size < 0.6) ? close : far;',
    'return (x < 0) ? -value : value;',
  ),
  // x / 0 is x and x mod 0 is 0. The quotient of floats may be off by one where division is not correctly rounded.
  define(
    'quotient',
    ['a', 'b'],
    'const near = Math.trunc(a / b);',
    'const rest = (a - near * b) * ((a < 0) ? -1 : 1);',
    'const size = Math.abs(b);',
    'const step = ((a < 0) ? -1 : 1) * ((b < 0) ? -1 : 1);',
    'const exact = (rest < 0) ? near - step : ((rest >= size) ? near + step : near);',
    'return (b === 0) ? a : exact;',
  ),
  define('remainder', ['a', 'b'], 'const whole = quotient(a, b);', 'return (b === 0) ? 0 : a - whole * b;'),
  define(
    'truncated',
    ['x', 'low', 'high'],
    'const clamped = (x < low) ? low : ((x > high) ? high : x);',
    'return (x === x) ? Math.trunc(clamped) : 0;',
  ),
];

/** Values without a literal, passed to kernels as an array of this name. */
export const specials = { name: 'special', values: [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY] };
