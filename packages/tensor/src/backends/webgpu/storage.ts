/**
 * How elements lie in storage buffers. WGSL addresses 32-bit words, so elements of one or two bytes share words, unless
 * the device has 16-bit storage; and a buffer that a kernel uses in two ways is bound once, as bare words.
 */
import type { BufferUse, Output } from '../../compile/kernel.ts';
import { type DType, dtypes } from '../../dtype.ts';
import type { Target } from './target.ts';

/** The vectors hold neighbouring elements: as a vector form says, or eight of f16 two to a word. */
export type StoredType =
  | 'f32'
  | 'i32'
  | 'u32'
  | 'f16'
  | 'vec4<f32>'
  | 'vec4<i32>'
  | 'vec4<u32>'
  | 'vec4<f16>'
  | 'vec2<u32>';

/** One storage binding of a shader. */
export interface Binding {
  /** Position in the program's buffers, or in the kernel's scratch buffers. */
  readonly buffer: number;
  /** Memory of the kernel alone, which its shaders pass on from one to the next. */
  readonly scratch?: true;
  /** The bytes bound, where it is a part of the buffer that a kernel writes. */
  readonly range?: { readonly offset: number; readonly bytes: number };
  readonly writable: boolean;
  readonly stored: StoredType;
  readonly name: string;
  /** The type of an array element that holds four neighbouring elements, where the kernel touches no single ones. */
  readonly strip?: string;
  /** Elements are bound four at a time, as a vector form says. */
  readonly vector?: true;
  /** Whether threads that do not know of each other store into the same words. */
  readonly shared?: true;
}

/** The declared type of the bound array's elements. */
export const arrayType = ({ strip, shared, stored }: Binding): string => strip ?? (shared ? 'atomic<u32>' : stored);

const storedTypes: Readonly<Record<DType, StoredType>> = {
  f32: 'f32',
  f16: 'f16',
  i32: 'i32',
  u32: 'u32',
  bool: 'u32',
  u8: 'u32',
};

/** Where in its buffer a use begins, in bytes. */
export const startOf = ({ dtype, part }: BufferUse): number => (part?.offset ?? 0) * dtypes[dtype].bytes;

/**
 * The bindings of a kernel: every buffer once, in the order of first use, writable when it is an output. Parts of a
 * buffer, which are only written, are bound one by one.
 */
export function bindingsOf(inputs: readonly BufferUse[], outputs: readonly BufferUse[], { f16 }: Target): Binding[] {
  const uses = [...inputs, ...outputs];
  const bound = new Map<string, BufferUse[]>();
  for (const use of uses) {
    const key = `${use.buffer} ${startOf(use)}`;
    bound.set(key, [...(bound.get(key) ?? []), use]);
  }
  return [...bound.values()].map((same, i) => {
    const [{ buffer, dtype, part }] = same as [BufferUse];
    const types = new Set(same.map((use) => storedTypes[use.dtype]));
    const [only = 'u32'] = types;
    const stored = types.size > 1 || (only === 'f16' && !f16) ? 'u32' : only;
    const writable = same.some((use) => outputs.includes(use as Output));
    const range = part && { offset: startOf({ buffer, dtype, part }), bytes: part.length * dtypes[dtype].bytes };
    return { buffer, writable, stored, name: `buffer${i}`, ...(range && { range }) };
  });
}

/** Elements of `dtype` in one element of the bound array: more than 1 only where small elements share words. */
export function elementsPerWord(dtype: DType, binding: Binding): number {
  return binding.stored === 'f16' ? 1 : 4 / dtypes[dtype].bytes;
}

/** The most elements that share one word in any of the outputs: so many does one thread have to own. */
export function elementsPerThread(outputs: readonly BufferUse[], bindings: readonly Binding[]): number {
  return Math.max(...outputs.map((output) => elementsPerWord(output.dtype, bindingOf(output, bindings))));
}

export function bindingOf(use: BufferUse, bindings: readonly Binding[]): Binding {
  const start = startOf(use);
  return bindings.find(
    ({ buffer, scratch, vector, range }) =>
      !scratch && !vector && buffer === use.buffer && (range?.offset ?? 0) === start,
  ) as Binding;
}

/** WGSL for the element of `use` at `index` (an i32 text), in the dtype's scalar type. */
export function loadText(use: BufferUse, binding: Binding, index: string): string {
  const { name, stored } = binding;
  if (stored === 'f16') return `f32(${name}[${index}])`;
  if (stored === 'vec4<f32>') return `${name}[u32(${index}) >> 2u][u32(${index}) & 3u]`;
  if (stored === 'vec4<u32>') {
    const word = `${name}[u32(${index}) >> 3u][(u32(${index}) >> 1u) & 3u]`;
    return `unpack2x16float(${word} >> ((u32(${index}) & 1u) * 16u)).x`;
  }
  switch (use.dtype) {
    case 'f16':
      return `unpack2x16float(${name}[u32(${index}) >> 1u] >> ((u32(${index}) & 1u) * 16u)).x`;
    case 'u8':
      return `(${name}[u32(${index}) >> 2u] >> ((u32(${index}) & 3u) * 8u)) & 255u`;
    case 'bool':
      return `${name}[${index}] != 0u`;
    default:
      return stored === use.dtype ? `${name}[${index}]` : `bitcast<${use.dtype}>(${name}[${index}])`;
  }
}

/** WGSL that makes `value` an element of the bound array, or the low bits of a shared word. */
export function storedText(dtype: DType, stored: StoredType, value: string): string {
  if (stored === 'f16') return `f16(${value})`;
  if (dtype === 'f16') return `half_bits(${value})`;
  if (dtype === 'u8') return `(${value} & 255u)`;
  if (dtype === 'bool') return `select(0u, 1u, ${value})`;
  return stored === dtype ? value : `bitcast<u32>(${value})`;
}

/** The variables that a thread collects shared words in; they stand before the loop over its elements. */
export function wordDeclarations(outputs: readonly Output[], bindings: readonly Binding[]): string[] {
  return outputs.flatMap((output, i) =>
    elementsPerWord(output.dtype, bindingOf(output, bindings)) > 1 ? [`var word${i} = 0u;`] : [],
  );
}

/** Where a thread stores an element. */
export interface Place {
  /** The element's number in the output, an i32 text. */
  readonly position: string;
  /** Its number within the thread's elements. */
  readonly step: string;
  /** The number of elements of the output, where the thread may have elements past the end. */
  readonly total?: string;
}

/** Stores output number `i` of a kernel. A shared word is stored with its last element. */
function storeText(
  output: Output,
  i: number,
  bindings: readonly Binding[],
  value: string,
  { position, step, total }: Place,
): string[] {
  const binding = bindingOf(output, bindings);
  const shared = elementsPerWord(output.dtype, binding);
  const element = storedText(output.dtype, binding.stored, value);
  if (shared === 1) {
    const store = `${binding.name}[${position}] = ${element};`;
    return [total === undefined ? store : `if (${position} < ${total}) { ${store} }`];
  }
  const last = shared - 1;
  const store = `${binding.name}[u32(${position}) / ${shared}u] = word${i};`;
  return [
    `word${i} |= ${element} << ((u32(${step}) & ${last}u) * ${32 / shared}u);`,
    `if ((${step} & ${last}) == ${last}) {`,
    `  ${total === undefined ? store : `if (${position} - ${last} < ${total}) { ${store} }`}`,
    `  word${i} = 0u;`,
    '}',
  ];
}

/** The lines that store all outputs of a kernel, of the given values. */
export function storeAll(
  outputs: readonly Output[],
  bindings: readonly Binding[],
  values: readonly string[],
  place: Place,
): string[] {
  return outputs.flatMap((output, i) => storeText(output, i, bindings, values[i] as string, place));
}
