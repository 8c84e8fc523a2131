/**
 * Folded columns: threads along the rows, so that neighbours read neighbouring elements, and the rows dealt out to
 * workgroups. Every workgroup leaves its part of each fold in scratch memory; a second shader joins the parts in the
 * order of the workgroups and computes the values per column.
 */
import type { Fold, RowKernel } from '../../compile/kernel.ts';
import type { Expr } from '../../expr/expr.ts';
import { walk } from '../../expr/expr.ts';
import { reduction } from './spellings.ts';
import { type Binding, bindingOf, bindingsOf, loadText } from './storage.ts';
import { storeElement, storeStrip, type Width, withSharedWords } from './strips.ts';
import type { Target } from './target.ts';
import type { Team } from './team.ts';
import { Scope, type Shader, ShaderText } from './wgsl.ts';

/** The second shader's workgroups: neighbouring columns, and threads that share the parts of one column. */
const ends = { columns: 32, parts: 8 };

/** Where the parts lie: [folds, groups, extent] words. */
export interface ColumnParts {
  readonly folds: readonly Fold[];
  /** Number of the first fold's accumulator. */
  readonly first: number;
  readonly extent: number;
  readonly groups: number;
}

export const partsOf = ({ columns, stages, extent }: RowKernel, groups: number): ColumnParts => ({
  folds: columns,
  first: stages.length,
  extent,
  groups,
});

export const partBytes = ({ folds, groups, extent }: ColumnParts): number => 4 * folds.length * groups * extent;

/** The scratch buffer as a shader binds it: by strips for those who write strips, by words for those who read. */
export function partBinding(writable: boolean, width: Width): Binding {
  const strip = width === 4 ? { strip: 'vec4<u32>' } : {};
  return { buffer: 0, scratch: true, writable, stored: 'u32', name: 'parts', ...strip };
}

/** Names of what a thread has folded of its columns: fold `f`, its strip `c`, element `j` of that. */
const folded = (f: number, c: number, j: number): string => `column${f}_${c}_${j}`;

/** The lines that declare what a thread folds of `strips` strips of columns. */
export function declareColumns(folds: readonly Fold[], strips: number, width: Width): string[] {
  return folds.flatMap(({ op, body }, f) =>
    Array.from({ length: strips * width }, (_, i) => {
      return `var ${folded(f, Math.floor(i / width), i % width)} = ${reduction(op, body.type).start};`;
    }),
  );
}

/** The lines that fold one row's values of strip `c`, where `taken` is true. */
export function takeColumns(
  { op, body }: Fold,
  f: number,
  c: number,
  values: readonly string[],
  taken: string,
): string[] {
  const { start, join } = reduction(op, body.type);
  return values.map((value, j) => {
    const name = folded(f, c, j);
    return `${name} = ${join(name, `select(${start}, ${value}, ${taken})`)};`;
  });
}

/**
 * The lines after which the first team of a workgroup has folded what all its teams have. Strips pass through
 * workgroup memory one by one; teams are joined in their order.
 */
export function joinTeams(
  shader: ShaderText,
  folds: readonly Fold[],
  strips: number,
  width: Width,
  { size, threads }: Team,
): string[] {
  if (size === threads) return [];
  const lines: string[] = [];
  const declared = new Set<string>();
  folds.forEach(({ op, body: { type } }, f) => {
    const memory = `columns_${type}`;
    if (!declared.has(type)) shader.declare(`var<workgroup> ${memory}: array<${type}, ${threads * width}>;`);
    declared.add(type);
    const { join } = reduction(op, type);
    for (let c = 0; c < strips; c++) {
      const names = Array.from({ length: width }, (_, j) => folded(f, c, j));
      lines.push(
        ...names.map((name, j) => `${memory}[lane + ${j * threads}] = ${name};`),
        'workgroupBarrier();',
        'if (lane == member) {',
        `  for (var other = lane + ${size}; other < ${threads}; other += ${size}) {`,
        ...names.map((name, j) => `    ${name} = ${join(name, `${memory}[other + ${j * threads}]`)};`),
        '  }',
        '}',
        'workgroupBarrier();',
      );
    }
  });
  return lines;
}

/** The statements that leave strip `c`, at column `position`, in scratch memory as the part number `part`. */
export function storeParts(
  shader: ShaderText,
  { folds, groups, extent }: ColumnParts,
  c: number,
  position: string,
  part: string,
  width: Width,
): string[] {
  const binding = partBinding(true, width);
  return folds.map(({ body: { type } }, f) => {
    const row = f === 0 ? part : `(${part} + ${shader.parameter(f * groups)})`;
    const values = Array.from({ length: width }, (_, j) => folded(f, c, j));
    return storeStrip(type, binding, `(${row} * ${shader.parameter(extent)} + ${position})`, values);
  });
}

/** The names of a strip's results, for each fold one for each element. */
export const columnResults = (folds: number, c: number, width: Width): string[][] =>
  Array.from({ length: folds }, (_, f) => Array.from({ length: width }, (_, j) => folded(f, c, j)));

/** The second shader: joins the parts of every column and stores the kernel's values per column. */
export function columnEnds(kernel: RowKernel, target: Target, parts: ColumnParts): Shader {
  const { extent, groups, folds, first } = parts;
  const outputs = kernel.outputs.filter(({ per }) => per === 'column');
  const slots = slotsIn(outputs.map(({ value }) => value));
  const used = kernel.inputs.filter((_, slot) => slots.has(slot));
  const scratch = partBinding(false, 1);
  const bindings = [...withSharedWords(bindingsOf(used, outputs, target), outputs), scratch];
  const shader = new ShaderText(kernel.inputs, bindings);
  const size = { extent: shader.parameter(extent), groups: shader.parameter(groups) };
  const threads = ends.columns * ends.parts;
  const root = new Scope(shader);
  root.lines.push(
    `let column = group * ${ends.columns} + lane % ${ends.columns};`,
    `let place = min(column, ${size.extent} - 1);`,
  );
  folds.forEach(({ op, body: { type } }, f) => {
    const { start, join } = reduction(op, type);
    const row = f === 0 ? 'g' : `(g + ${shader.parameter(f * groups)})`;
    const part = loadText({ buffer: 0, dtype: type }, scratch, `${row} * ${size.extent} + place`);
    shader.declare(`var<workgroup> ends${f}: array<${type}, ${threads}>;`);
    root.lines.push(
      `var end${f} = ${start};`,
      `for (var g = lane / ${ends.columns}; g < ${size.groups}; g += ${ends.parts}) {`,
      `  end${f} = ${join(`end${f}`, type === 'bool' ? `(${part})` : part)};`,
      '}',
      `ends${f}[lane] = end${f};`,
    );
  });
  root.lines.push('workgroupBarrier();', `if (lane >= ${ends.columns} || column >= ${size.extent}) { return; }`);
  folds.forEach(({ op, body: { type } }, f) => {
    const { join } = reduction(op, type);
    for (let part = 1; part < ends.parts; part++) {
      root.lines.push(`end${f} = ${join(`end${f}`, `ends${f}[lane + ${part * ends.columns}]`)};`);
    }
    root.bindAccumulator(`end${f}`, first + f);
  });
  root.bindAxis(1, 'column');
  const values = outputs.map(({ value }) => root.emit(value));
  outputs.forEach((output, i) => {
    root.lines.push(storeElement(output.dtype, bindingOf(output, bindings), 'column', values[i] as string));
  });
  return shader.shader(kernel.name, root.lines, threads, Math.ceil(extent / ends.columns));
}

/** The inputs that terms load from. */
function slotsIn(terms: readonly Expr[]): Set<number> {
  const slots = new Set<number>();
  const seen = new Set<Expr>();
  for (const term of terms) walk(term, (e) => e.op === 'load' && slots.add(e.value), seen);
  return slots;
}
