/**
 * From terms to WGSL: a fold that names every distinct term once. Integers of index arithmetic (extents, strides,
 * offsets) are read from a parameter block, so that one shader text serves all shapes of the same structure.
 */
import type { BufferUse } from '../../compile/kernel.ts';
import { add, axis, constant, type Expr, mul, walk } from '../../expr/expr.ts';
import { libraryFor } from './library.ts';
import { literal, spell } from './spellings.ts';
import { arrayType, type Binding, bindingOf, loadText } from './storage.ts';

/** A compute shader with all that its dispatch needs beside the buffers themselves. */
export interface Shader {
  readonly name: string;
  readonly code: string;
  readonly bindings: readonly Binding[];
  /** The words of the parameter block. */
  readonly parameters: readonly number[];
  /** Workgroups to start, in one dimension. */
  readonly workgroups: number;
}

/** Uniform blocks may have 64 KiB everywhere; integers beyond that many stay in the text. */
const parameterLimit = 16_384;

/** The text of one shader as it grows: its parameters, its names and its module-level declarations. */
export class ShaderText {
  readonly parameters: number[] = [];
  readonly bindings: readonly Binding[];
  private readonly inputs: readonly BufferUse[];
  private readonly constants = new Map<Expr, string>();
  private readonly declarations: string[] = [];
  private readonly extensions = new Set<string>();
  private readonly directives: string[] = [];
  private readonly attributes: string[] = [];
  private names = 0;

  constructor(inputs: readonly BufferUse[], bindings: readonly Binding[]) {
    this.inputs = inputs;
    this.bindings = bindings;
    if (bindings.some(({ stored }) => stored.includes('f16'))) this.enable('f16');
  }

  /** The text that reads `value` from the parameter block. */
  parameter(value: number): string {
    if (this.parameters.length >= parameterLimit) return literal(value, 'i32');
    const position = this.parameters.push(value) - 1;
    return `sizes[${position >> 2}].${'xyzw'[position & 3]}`;
  }

  /** A constant's text. Integers other than -1, 0 and 1 are parameters, each distinct one once. */
  constantText(e: Expr): string {
    if (e.type !== 'i32' || Math.abs(e.value) <= 1) return literal(e.value, e.type);
    let text = this.constants.get(e);
    if (text === undefined) {
      text = this.parameter(e.value);
      this.constants.set(e, text);
    }
    return text;
  }

  /** A name that this shader has not used before. */
  name(): string {
    return `v${this.names++}`;
  }

  loadText(slot: number, index: string): string {
    const use = this.inputs[slot];
    if (!use) throw new Error(`webgpu: a term loads from input ${slot} of ${this.inputs.length}`);
    return loadText(use, bindingOf(use, this.bindings), index);
  }

  /** Asks for an extension of the language, such as `subgroups`. */
  enable(extension: string): void {
    this.extensions.add(extension);
  }

  /** Adds a directive at the start of the module. */
  directive(text: string): void {
    this.directives.push(`${text};`);
  }

  /** Adds an attribute of the entry point. */
  attribute(text: string): void {
    this.attributes.push(text);
  }

  /** Adds a declaration before the entry point, such as workgroup memory. */
  declare(text: string): void {
    this.declarations.push(text);
  }

  /** The shader whose entry point has this `body`: see `module`. */
  shader(name: string, body: readonly string[], threads: number, workgroups: number): Shader {
    const code = this.module(body, threads);
    return { name, code, bindings: this.bindings, parameters: this.parameters, workgroups };
  }

  /**
   * The whole module around the entry point's `body`, in which `group` (the flat number of the workgroup, i32) and
   * `lane` (the thread's number within it, i32) are known.
   */
  module(body: readonly string[], threads: number): string {
    const lines = this.bindings.map(
      (binding, i) =>
        `@group(0) @binding(${i + 1}) var<storage, ${binding.writable ? 'read_write' : 'read'}> ${binding.name}: array<${arrayType(binding)}>;`,
    );
    const blocks = Math.max(1, Math.ceil(this.parameters.length / 4));
    const main = [
      ['@compute', `@workgroup_size(${threads})`, ...this.attributes].join(' '),
      'fn main(@builtin(workgroup_id) group_id: vec3u, @builtin(num_workgroups) groups: vec3u,',
      '    @builtin(local_invocation_index) lane_index: u32) {',
      '  let group = i32(group_id.y * groups.x + group_id.x);',
      '  let lane = i32(lane_index);',
      ...indented(body),
      '}',
    ];
    const head = [
      ...Array.from(this.extensions, (extension) => `enable ${extension};`),
      ...this.directives,
      `@group(0) @binding(0) var<uniform> sizes: array<vec4i, ${blocks}>;`,
      ...lines,
      ...this.declarations,
    ].join('\n');
    const text = `${this.declarations.join('\n')}\n${main.join('\n')}\n`;
    return `${head}\n${libraryFor(text)}${main.join('\n')}\n`;
  }
}

export const indented = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);

/**
 * A block of WGSL in which terms have names. A term that depends on nothing bound in a block is named in the block
 * around it, so loop-invariant terms leave their loops.
 */
export class Scope {
  readonly lines: string[];
  private readonly shader: ShaderText;
  private readonly parent: Scope | undefined;
  private readonly names = new Map<Expr, string>();
  private readonly axes = new Map<number, string>();
  private readonly accumulators = new Map<number, string>();
  private readonly local = new Map<Expr, boolean>();

  /** @param lines where its lines go: several scopes may write into one block in turn. */
  constructor(shader: ShaderText, parent?: Scope, lines: string[] = []) {
    this.shader = shader;
    this.parent = parent;
    this.lines = lines;
  }

  /** Says what loop variable `position` is called in this block. */
  bindAxis(position: number, name: string): void {
    this.axes.set(position, name);
  }

  /** Says what the finished reduction, or that of a stage, is called in this block. */
  bindAccumulator(name: string, stage = 0): void {
    this.accumulators.set(stage, name);
  }

  /** Says what a whole term is called in this block. Constants keep their own text. */
  bindTerm(e: Expr, name: string): void {
    if (e.op !== 'constant') this.names.set(e, name);
  }

  /** Adds `block`'s lines as a nested block that opens with `opening`. */
  nest(opening: string, block: Scope): void {
    this.lines.push(`${opening} {`, ...indented(block.lines), '}');
  }

  /** The name or literal of `e`, after the lines that compute it. */
  emit(e: Expr): string {
    if (e.op === 'constant') return this.shader.constantText(e);
    const known = this.lookUp(e);
    if (known !== undefined) return known;
    if (this.parent && !this.isLocal(e)) return this.parent.emit(e);
    const text = this.text(e);
    const name = this.shader.name();
    this.lines.push(`let ${name} = ${text};`);
    this.names.set(e, name);
    return name;
  }

  private text(e: Expr): string {
    if (e.op === 'axis' || e.op === 'accumulator' || e.op === 'input') {
      throw new Error(`webgpu: the term '${e.op} ${e.value}' has no value here`);
    }
    const args = e.args.map((arg) => this.emit(arg));
    if (e.op === 'load') return this.shader.loadText(e.value, args[0] as string);
    const divisor = e.args[1];
    // A literal divisor of 0 would not compile; the meaning is x / 0 = x, x % 0 = 0.
    if (divisor?.op === 'constant' && divisor.value === 0 && e.type !== 'f32') {
      if (e.op === 'div') return args[0] as string;
      if (e.op === 'mod') return literal(0, e.type);
    }
    return spell(e, args);
  }

  private ownName(e: Expr): string | undefined {
    const name = this.names.get(e);
    if (name !== undefined) return name;
    if (e.op === 'axis') return this.axes.get(e.value);
    return e.op === 'accumulator' ? this.accumulators.get(e.value) : undefined;
  }

  private lookUp(e: Expr): string | undefined {
    return this.ownName(e) ?? this.parent?.lookUp(e);
  }

  /** Whether `e` depends on a name that this very block has bound or made. */
  private isLocal(e: Expr): boolean {
    let result = this.local.get(e);
    if (result === undefined) {
      result = this.ownName(e) !== undefined || (!this.parent?.lookUp(e) && e.args.some((arg) => this.isLocal(arg)));
      this.local.set(e, result);
    }
    return result;
  }
}

/** The row-major linear index of `shape`'s axes, as the simplifier writes it. */
export function rowMajor(shape: readonly number[]): Expr {
  let index: Expr = constant(0, 'i32');
  let stride = 1;
  for (let k = shape.length - 1; k >= 0; k--) {
    const extent = shape[k] as number;
    index = add(index, mul(axis(k, extent), constant(stride, 'i32')));
    stride *= extent;
  }
  return index;
}

/** The positions of the loop variables that `terms` depend on other than through `whole`. */
export function axesOf(terms: readonly Expr[], whole?: Expr): Set<number> {
  const axes = new Set<number>();
  const seen = new Set<Expr>(whole ? [whole] : []);
  for (const e of terms) walk(e, (part) => part.op === 'axis' && axes.add(part.value), seen);
  return axes;
}

/**
 * Binds, in `scope`, those of the loop variables `first`, `first` + 1, ... (of the given extents) that are in `wanted`
 * to the coordinates of the row-major `index`.
 */
export function bindCoordinates(
  shader: ShaderText,
  scope: Scope,
  index: string,
  extents: readonly number[],
  wanted: ReadonlySet<number>,
  first = 0,
): void {
  let stride = 1;
  const outermost = extents.findIndex((extent) => extent > 1);
  for (let k = extents.length - 1; k >= 0; k--) {
    const extent = extents[k] as number;
    if (extent > 1 && wanted.has(first + k)) {
      const quotient = stride === 1 ? index : `(${index} / ${shader.parameter(stride)})`;
      const name = shader.name();
      scope.lines.push(`let ${name} = ${k === outermost ? quotient : `${quotient} % ${shader.parameter(extent)}`};`);
      scope.bindAxis(first + k, name);
    }
    stride *= extent;
  }
}

export const product = (extents: readonly number[]): number => extents.reduce((a, b) => a * b, 1);
