/**
 * WGSL functions for what the language has not, or has with too little accuracy: WGSL leaves NaN in min and max open,
 * allows sin an absolute error of 2^-11 and atan 4096 units in the last place. Those below are good to a few units.
 */

/** Function name to its text. A shader gets only those that it calls, and those that they call. */
const functions: Readonly<Record<string, string>> = {
  // A call is no constant expression, in which WGSL forbids infinities and NaN.
  float_bits: `fn float_bits(bits: u32) -> f32 { return bitcast<f32>(bits); }`,

  // By the bits: compilers may assume that x == x.
  is_nan: `fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }`,

  larger: `fn larger(a: f32, b: f32) -> f32 { return select(max(a, b), a + b, is_nan(a) || is_nan(b)); }`,
  smaller: `fn smaller(a: f32, b: f32) -> f32 { return select(min(a, b), a + b, is_nan(a) || is_nan(b)); }`,
  sign_of: `fn sign_of(x: f32) -> f32 { return select(sign(x), x, is_nan(x)); }`,

  to_i32: `fn to_i32(x: f32) -> i32 {
  if (is_nan(x)) { return 0; }
  if (x >= 2147483648.0) { return 2147483647; }
  return i32(max(x, -2147483648.0));
}`,
  to_u32: `fn to_u32(x: f32) -> u32 {
  if (is_nan(x)) { return 0u; }
  if (x >= 4294967296.0) { return 0xffffffffu; }
  return u32(max(x, 0.0));
}`,

  exponential: `fn exponential(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  if (x > 88.73) { return float_bits(0x7f800000u); }
  return select(exp(x), 0.0, x < -104.0);
}`,

  // x = m 2^e with m in [sqrt(1/2), sqrt(2)); log m = 2 artanh(s), s = (m - 1) / (m + 1), |s| < 0.172.
  logarithm: `fn logarithm(x: f32) -> f32 {
  if (is_nan(x) || x < 0.0) { return float_bits(0x7fc00000u); }
  if (x == 0.0) { return float_bits(0xff800000u); }
  var bits = bitcast<u32>(x);
  if (bits == 0x7f800000u) { return x; }
  var exponent = 0;
  if (bits < 0x00800000u) { bits = bitcast<u32>(x * 8388608.0); exponent = -23; }
  let shift = (bits - 0x3f3504f3u) & 0xff800000u;
  exponent += bitcast<i32>(shift) >> 23u;
  let f = bitcast<f32>(bits - shift) - 1.0;
  let s = f / (f + 2.0);
  let z = s * s;
  let tail = z * (0.6666666667 + z * (0.4 + z * (0.2857142857 + z * (0.2222222222 + z * 0.1818181818))));
  let e = f32(exponent);
  return e * 0.693115234375 + (2.0 * s + (s * tail + e * 0.00003194618329871446));
}`,

  // A small integer exponent multiplies, exactly where the product is exact; others go through the logarithm.
  power: `fn power(a: f32, b: f32) -> f32 {
  if (b == 0.0) { return 1.0; }
  if (is_nan(a) || is_nan(b)) { return float_bits(0x7fc00000u); }
  let whole = trunc(b) == b;
  if (whole && abs(b) <= 64.0) {
    var factor = a;
    var product = 1.0;
    for (var n = u32(abs(b)); n > 0u; n >>= 1u) {
      if ((n & 1u) == 1u) { product *= factor; }
      factor *= factor;
    }
    return select(product, 1.0 / product, b < 0.0);
  }
  if (a < 0.0 && a >= -3.4028234e38 && !whole) { return float_bits(0x7fc00000u); }
  let magnitude = exponential(b * logarithm(abs(a)));
  let odd = whole && abs(b) < 16777216.0 && (to_i32(b) & 1) == 1;
  return select(magnitude, -magnitude, a < 0.0 && odd);
}`,

  // Square and multiply, modulo 2^32; a negative exponent leaves only the inverses of 1 and -1.
  power_i32: `fn power_i32(a: i32, b: i32) -> i32 {
  if (b < 0) {
    if (a == 1) { return 1; }
    if (a == -1) { return select(1, -1, (b & 1) == 1); }
    return 0;
  }
  return bitcast<i32>(power_u32(bitcast<u32>(a), bitcast<u32>(b)));
}`,
  power_u32: `fn power_u32(a: u32, b: u32) -> u32 {
  var factor = a;
  var product = 1u;
  for (var n = b; n > 0u; n >>= 1u) {
    if ((n & 1u) == 1u) { product *= factor; }
    factor *= factor;
  }
  return product;
}`,

  // Long division of the significands: exact, at one step for each bit of the quotient.
  remainder: `fn remainder(a: f32, b: f32) -> f32 {
  let sign = bitcast<u32>(a) & 0x80000000u;
  var x = bitcast<u32>(a) & 0x7fffffffu;
  var y = bitcast<u32>(b) & 0x7fffffffu;
  if (x >= 0x7f800000u || y > 0x7f800000u || y == 0u) { return float_bits(0x7fc00000u); }
  if (x < y) { return a; }
  var xe = i32(x >> 23u);
  var ye = i32(y >> 23u);
  x &= 0x7fffffu;
  y &= 0x7fffffu;
  if (xe == 0) { xe = 1; } else { x |= 0x800000u; }
  if (ye == 0) { ye = 1; } else { y |= 0x800000u; }
  while (y < 0x800000u) { y <<= 1u; ye -= 1; }
  while (x < 0x800000u) { x <<= 1u; xe -= 1; }
  loop {
    if (x >= y) { x -= y; }
    if (x == 0u) { return bitcast<f32>(sign); }
    if (xe == ye) { break; }
    x <<= 1u;
    xe -= 1;
  }
  while (x < 0x800000u) { x <<= 1u; xe -= 1; }
  if (xe > 0) { return bitcast<f32>(sign | (x & 0x7fffffu) | (u32(xe) << 23u)); }
  return bitcast<f32>(sign | (x >> u32(1 - xe)));
}`,

  // erf x = x P(x^2) below 1, and 1 - exp(-Q(|x|)) up to 4, where it becomes 1.
  error_function: `fn error_function(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let a = abs(x);
  let z = x * x;
  if (a < 1.0) {
    return x * (1.128379225730896 + z * (-0.37612637877464294 + z * (0.11283782124519348 + z * (-0.026865430176258087
      + z * (0.005221031606197357 + z * (-0.0008484080317430198 + z * (0.00011265958892181516
      - z * 0.000009667045560490806)))))));
  }
  let t = min(a, 4.0);
  let q = -0.0003201367217116058 + t * (1.1302334070205688 + t * (0.6318260431289673 + t * (0.11008007079362869
    + t * (-0.026421131566166878 + t * (0.004759594332426786 + t * (-0.0005968052428215742
    + t * (0.0000460579976788722 - t * 0.0000016371491255995352)))))));
  return sign(x) * (1.0 - exp(-q));
}`,

  hyperbolic_tangent: `fn hyperbolic_tangent(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let a = abs(x);
  if (a < 0.625) {
    let z = x * x;
    return x + x * z * (-0.333333283662796 + z * (0.1333271861076355 + z * (-0.053843263536691666
      + z * (0.020961329340934753 - z * 0.006045165006071329))));
  }
  // exp stays finite; past 10 the quotient no longer changes a sum with 1.
  return sign(x) * (1.0 - 2.0 / (exp(2.0 * min(a, 10.0)) + 1.0));
}`,

  arc_tangent: `fn arc_tangent(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  var t = abs(x);
  var offset = 0.0;
  if (t > 2.414213562) {
    t = select(-1.0 / t, 0.0, t > 1e30);
    offset = 1.5707963705062866;
  } else if (t > 0.4142135624) {
    t = (t - 1.0) / (t + 1.0);
    offset = 0.7853981852531433;
  }
  let z = t * t;
  let angle = offset + (t + t * z * (-0.3333333134651184 + z * (0.19999539852142334 + z * (-0.14263945817947388
    + z * (0.10743631422519684 - z * 0.06451597064733505)))));
  return select(angle, -angle, x < 0.0);
}`,

  // The angle less the nearest multiple q of pi / 2, whose parts of 12 bits make the products exact for q below 4096.
  quarter: `fn quarter(x: f32) -> f32 { return round(x * 0.6366197466850281); }`,
  rest_of_quarter: `fn rest_of_quarter(x: f32, q: f32) -> f32 {
  return ((x - q * 1.5703125) - q * 0.0004837512969970703) - q * 0.00000007549790126404332;
}`,
  sine_near_zero: `fn sine_near_zero(r: f32) -> f32 {
  let z = r * r;
  return r + r * z * (-0.1666666716337204 + z * (0.008333331905305386 + z * (-0.00019840073946397752
    + z * 0.000002724836349443649)));
}`,
  cosine_near_zero: `fn cosine_near_zero(r: f32) -> f32 {
  let z = r * r;
  return (1.0 - 0.5 * z) + z * z * (0.0416666679084301 + z * (-0.00138888880610466 + z * (0.00002480059083609376
    - z * 0.0000002729967718551052)));
}`,
  turned_sine: `fn turned_sine(x: f32, turns: i32) -> f32 {
  if ((bitcast<u32>(x) & 0x7fffffffu) >= 0x7f800000u) { return float_bits(0x7fc00000u); }
  let q = quarter(x);
  let r = rest_of_quarter(x, q);
  let n = to_i32(q) + turns;
  let value = select(sine_near_zero(r), cosine_near_zero(r), (n & 1) == 1);
  return select(value, -value, (n & 2) == 2);
}`,

  // IEEE half bits of an f32, to nearest even; pack2x16float leaves overflow and rounding to the device.
  half_bits: `fn half_bits(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return sign | 0x7e00u; }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  if (magnitude < 0x38800000u) { return sign | u32(round(abs(x) * 16777216.0)); }
  return sign | ((magnitude + 0xfffu + ((magnitude >> 13u) & 1u) - 0x38000000u) >> 13u);
}`,

  // The number of half precision nearest to x, ties to even: quantizeToF16 leaves overflow and subnormals to the device.
  nearest_half: `fn nearest_half(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let sign = bits & 0x80000000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x477ff000u) { return float_bits(sign | max(magnitude, 0x7f800000u)); }
  if (magnitude < 0x38800000u) { return float_bits(sign | bitcast<u32>(round(abs(x) * 16777216.0) / 16777216.0)); }
  return float_bits(sign | ((magnitude + 0xfffu + ((magnitude >> 13u) & 1u)) & 0xffffe000u));
}`,
};

const names = Object.keys(functions);

/** The texts of the library functions that `body` calls, directly or through each other. */
export function libraryFor(body: string): string {
  const wanted = new Set<string>();
  const collect = (text: string): void => {
    for (const name of names) {
      if (wanted.has(name) || !new RegExp(`\\b${name}\\(`).test(text)) continue;
      wanted.add(name);
      collect(functions[name] as string);
    }
  };
  collect(body);
  return names
    .filter((name) => wanted.has(name))
    .map((name) => `${functions[name]}\n`)
    .join('');
}
