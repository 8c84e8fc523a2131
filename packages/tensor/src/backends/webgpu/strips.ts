/**
 * Four neighbouring elements at a time: a thread that owns a strip of them loads and stores them as one, wherever they
 * start at a multiple of four in their buffer.
 */
import type { BufferUse } from '../../compile/kernel.ts';
import type { DType } from '../../dtype.ts';
import { type Expr, walk } from '../../expr/expr.ts';
import { linear } from '../../expr/simplify.ts';
import { type Binding, bindingOf, bindingsOf, elementsPerWord, type StoredType, storedText } from './storage.ts';
import type { Target } from './target.ts';
import { Scope, type ShaderText } from './wgsl.ts';

/** Elements of a strip. */
export type Width = 1 | 4;

/** The array element that holds four elements of `dtype`. */
function vectorType(dtype: DType, stored: StoredType): string {
  if (dtype === 'u8') return 'u32';
  return dtype === 'f16' && stored === 'u32' ? 'vec2<u32>' : `vec4<${stored}>`;
}

/** WGSL for the four elements in `vector`, in the dtype's scalar type. */
function componentTexts(dtype: DType, stored: StoredType, vector: string): string[] {
  const components = ['x', 'y', 'z', 'w'].map((component) => `${vector}.${component}`);
  if (stored === 'f16') return components.map((text) => `f32(${text})`);
  if (dtype === 'u8') return [0, 8, 16, 24].map((bits) => `((${vector} >> ${bits}u) & 255u)`);
  if (dtype === 'f16') {
    return ['x', 'y'].flatMap((word) => ['x', 'y'].map((half) => `unpack2x16float(${vector}.${word}).${half}`));
  }
  if (dtype === 'bool') return components.map((text) => `(${text} != 0u)`);
  return stored === dtype ? components : components.map((text) => `bitcast<${dtype}>(${text})`);
}

/** WGSL for one array element of four values. */
function vectorText(dtype: DType, stored: StoredType, values: readonly string[]): string {
  const texts = values.map((value) => storedText(dtype, stored, value));
  if (dtype === 'u8')
    return texts
      .map((text, i) => `${text} << ${8 * i}u`)
      .map((text) => `(${text})`)
      .join(' | ');
  if (dtype === 'f16' && stored === 'u32') {
    const [a, b, c, d] = texts;
    return `vec2<u32>(${a} | (${b} << 16u), ${c} | (${d} << 16u))`;
  }
  return `vec4<${stored}>(${texts.join(', ')})`;
}

/** Whether a load's elements along `axis` are four neighbours from a multiple of four on, wherever its other axes stand. */
export function isVector(load: Expr, axis: number): boolean {
  const { terms, constant } = linear(load.args[0] as Expr);
  let along = false;
  for (const [part, factor] of terms) {
    if (part.op === 'axis' && part.value === axis) {
      if (factor !== 1) return false;
      along = true;
    } else if (factor % 4 !== 0 || dependsOn(part, axis)) return false;
  }
  return along && constant % 4 === 0;
}

/** Whether a term varies along an axis. */
export function dependsOn(e: Expr, axis: number): boolean {
  let found = false;
  walk(e, (part) => (found ||= part.op === 'axis' && part.value === axis));
  return found;
}

/** The loads in `terms` that vary along `axis`, each once. */
export function loadsAlong(terms: readonly Expr[], axis: number): Expr[] {
  const found: Expr[] = [];
  const seen = new Set<Expr>();
  for (const term of terms) walk(term, (e) => e.op === 'load' && dependsOn(e, axis) && found.push(e), seen);
  return found;
}

/**
 * The bindings of a kernel whose threads own strips of four along `axis`: buffers that are read and written by whole
 * strips alone are bound as such. `strips` are the outputs stored by strips.
 */
export function stripBindings(
  inputs: readonly BufferUse[],
  outputs: readonly BufferUse[],
  strips: ReadonlySet<BufferUse>,
  terms: readonly Expr[],
  axis: number,
  target: Target,
): Binding[] {
  const single = new Set<number>();
  const seen = new Set<Expr>();
  for (const term of terms) {
    walk(term, (e) => e.op === 'load' && !isVector(e, axis) && single.add((inputs[e.value] as BufferUse).buffer), seen);
  }
  for (const output of outputs) if (!strips.has(output)) single.add(output.buffer);
  return bindingsOf(inputs, outputs, target).map((binding): Binding => {
    if (single.has(binding.buffer)) return binding;
    const uses = [...inputs, ...outputs].filter(({ buffer }) => buffer === binding.buffer);
    const types = new Set(uses.map(({ dtype }) => vectorType(dtype, binding.stored)));
    const [strip] = types;
    return types.size === 1 && strip !== undefined ? { ...binding, strip } : binding;
  });
}

/** Neighbouring elements along one axis that a thread computes together, each with the names of its terms. */
export class Strip {
  readonly #shader: ShaderText;
  readonly #inputs: readonly BufferUse[];
  readonly #axis: number;
  readonly #elements: readonly Scope[];
  readonly #loaded = new Set<Expr>();

  /** @param first the position of its first element, a name; @param around the block that its lines go into. */
  constructor(
    shader: ShaderText,
    inputs: readonly BufferUse[],
    around: Scope,
    axis: number,
    first: string,
    width: Width,
  ) {
    this.#shader = shader;
    this.#inputs = inputs;
    this.#axis = axis;
    this.#elements = Array.from({ length: width }, (_, j) => {
      const scope = new Scope(shader, around, around.lines);
      scope.bindAxis(axis, j === 0 ? first : `(${first} + ${j})`);
      return scope;
    });
  }

  /** Says what a whole term, such as the element's linear index, is called at the first element and those after it. */
  bindTerm(e: Expr, first: string): void {
    for (const [j, scope] of this.#elements.entries()) scope.bindTerm(e, j === 0 ? first : `(${first} + ${j})`);
  }

  /** Says what a finished reduction is called at each element. */
  bindAccumulator(names: readonly string[], stage: number): void {
    for (const [j, scope] of this.#elements.entries()) scope.bindAccumulator(names[j] as string, stage);
  }

  /** The names of `term` at each element, after the lines that compute them. */
  values(term: Expr): string[] {
    if (this.#elements.length > 1) for (const load of loadsAlong([term], this.#axis)) this.#loadVector(load);
    return this.#elements.map((scope) => scope.emit(term));
  }

  #loadVector(load: Expr): void {
    const use = this.#inputs[load.value] as BufferUse;
    const binding = bindingOf(use, this.#shader.bindings);
    if (binding.strip === undefined || this.#loaded.has(load)) return;
    this.#loaded.add(load);
    const [first] = this.#elements as readonly [Scope];
    const index = first.emit(load.args[0] as Expr);
    const name = this.#shader.name();
    first.lines.push(`let ${name} = ${binding.name}[u32(${index}) >> 2u];`);
    componentTexts(use.dtype, binding.stored, name).forEach((text, j) => {
      this.#elements[j]?.bindTerm(load, text);
    });
  }
}

/** The statement that stores a strip's values at the elements of `dtype` from `index` (an i32 text) on. */
export function storeStrip(dtype: DType, binding: Binding, index: string, values: readonly string[]): string {
  if (binding.strip !== undefined) {
    return `${binding.name}[u32(${index}) >> 2u] = ${vectorText(dtype, binding.stored, values)};`;
  }
  return values.map((value, j) => storeElement(dtype, binding, j === 0 ? index : `${index} + ${j}`, value)).join(' ');
}

/**
 * The statement that stores one element. Where other threads store into the same word, only the element's own bits
 * are changed.
 */
export function storeElement(dtype: DType, binding: Binding, index: string, value: string): string {
  const element = storedText(dtype, binding.stored, value);
  const perWord = elementsPerWord(dtype, binding);
  if (perWord === 1) return `${binding.name}[${index}] = ${element};`;
  const bits = 32 / perWord;
  const word = `&${binding.name}[u32(${index}) / ${perWord}u]`;
  const shift = `((u32(${index}) % ${perWord}u) * ${bits}u)`;
  return `atomicAnd(${word}, ~(${2 ** bits - 1}u << ${shift})); atomicOr(${word}, ${element} << ${shift});`;
}

/** The bindings, with words that threads share made atomic: those of narrow outputs that are not stored by strips. */
export function withSharedWords(bindings: readonly Binding[], outputs: readonly BufferUse[]): Binding[] {
  return bindings.map((binding): Binding => {
    const output = outputs.find(({ buffer }) => buffer === binding.buffer);
    if (!output || binding.strip !== undefined || elementsPerWord(output.dtype, binding) === 1) return binding;
    return { ...binding, shared: true };
  });
}
