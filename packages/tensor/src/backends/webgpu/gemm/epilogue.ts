/**
 * What becomes of finished sums: a function of one row and four neighbouring columns that computes the outputs' values
 * and stores them, or that stores the sums themselves as parts of larger ones.
 */
import type { Contraction, Output } from '../../../compile/kernel.ts';
import { axis, type Expr, input, substitute } from '../../../expr/expr.ts';
import { type Binding, bindingOf, elementsPerWord, storeAll, wordDeclarations } from '../storage.ts';
import type { Target } from '../target.ts';
import { components, elementOf, lanes, vectorBindingOf, vectorForm, vectorPosition } from '../vectors.ts';
import { axesOf, bindCoordinates, indented, Scope, type ShaderText } from '../wgsl.ts';
import type { Access } from './access.ts';
import { sizesOf } from './contraction.ts';

/** Texts of the product's sizes. */
export interface SizeTexts {
  readonly m: string;
  readonly n: string;
}

/** The variable of a column that is stored by itself. */
const columnPosition = 192;

/** Declares `fn finish(batch, m, n, sums)`, which does nothing for rows and columns past the end. */
export function declareFinish(
  kernel: Contraction,
  shader: ShaderText,
  target: Target,
  access: Access,
  size: SizeTexts,
): void {
  const scope = new Scope(shader);
  const { batch, n } = sizesOf(kernel);
  scope.lines.push(
    `if (m >= ${size.m} || n >= ${size.n}) { return; }`,
    `let index = (batch * ${size.m} + m) * ${size.n} + n;`,
  );
  const rank = kernel.shape.length;
  scope.bindAxis(rank - 2, 'm');
  const terms = kernel.outputs.map(({ value }) => value);
  bindCoordinates(shader, scope, 'batch', batch, axesOf(terms));
  if (n % lanes === 0) storeVectors(kernel, scope, shader, target, access);
  else storeElements(kernel, scope, shader, size);
  declare(shader, scope);
}

/** Declares `finish` such that it stores the sums in `binding`, part after part, each as large as the whole output. */
export function declarePartial(shader: ShaderText, binding: Binding, size: SizeTexts): void {
  const scope = new Scope(shader);
  scope.lines.push(
    `if (m >= ${size.m} || n >= ${size.n}) { return; }`,
    `let index = (batch * ${size.m} + m) * ${size.n} + n;`,
  );
  if (binding.vector) scope.lines.push(`${binding.name}[index / ${lanes}] = sums;`);
  else
    components.forEach((component, j) => {
      scope.lines.push(`if (n + ${j} < ${size.n}) { ${binding.name}[index + ${j}] = sums.${component}; }`);
    });
  declare(shader, scope);
}

function declare(shader: ShaderText, scope: Scope): void {
  const head = 'fn finish(batch: i32, m: i32, n: i32, sums: vec4f) {';
  shader.declare([head, ...indented(scope.lines), '}'].join('\n'));
}

/** `value` at the column `column`, over the sum of lane `lane`. Loads in `vectors` become what `found` says. */
function valueAt(
  { value }: Output,
  lane: number,
  columnAxis: number,
  column: Expr,
  found: (load: Expr) => Expr | undefined,
): Expr {
  return substitute(value, (leaf) => {
    if (leaf.op === 'accumulator') return input(lane);
    if (leaf.op === 'load') return found(leaf);
    return leaf.op === 'axis' && leaf.value === columnAxis ? column : undefined;
  });
}

/** Loads and stores of four columns at once, wherever they are vectors. */
function storeVectors(kernel: Contraction, scope: Scope, shader: ShaderText, target: Target, access: Access): void {
  const { outputs, inputs } = kernel;
  const { n } = sizesOf(kernel);
  const along = kernel.shape.length - 1;
  scope.lines.push(`let vector_n = n / ${lanes};`);
  scope.bindAxis(vectorPosition(along), 'vector_n');
  components.forEach((component, lane) => {
    scope.bindTerm(input(lane), `sums.${component}`);
  });
  let inputsUsed = lanes;
  const loaded = new Map<Expr, readonly Expr[]>();
  for (const [load, number] of access.values) {
    const use = inputs[load.value];
    if (!use) continue;
    const name = shader.name();
    scope.lines.push(`let ${name} = ${vectorBindingOf(use, shader.bindings).name}[${scope.emit(number)}];`);
    const parts = vectorForm(use.dtype, target).unpack(name);
    loaded.set(
      load,
      parts.map((part) => {
        const known = input(inputsUsed++, load.type);
        scope.bindTerm(known, part);
        return known;
      }),
    );
  }
  // All values come before the first store: an output may overwrite what another one's value loads.
  const values = outputs.map((output) =>
    components.map((_, lane) =>
      scope.emit(valueAt(output, lane, along, elementOf(along, n, lane), (load) => loaded.get(load)?.[lane])),
    ),
  );
  outputs.forEach((output, i) => {
    const own = values[i] as readonly string[];
    if (access.vectorOutputs[i]) {
      const { name } = vectorBindingOf(output, shader.bindings);
      scope.lines.push(`${name}[index / ${lanes}] = ${vectorForm(output.dtype, target).pack(own)};`);
      return;
    }
    // One output at a time: words that are shared are collected in variables of their own.
    const block = new Scope(shader, scope);
    block.lines.push(...wordDeclarations([output], shader.bindings));
    own.forEach((value, lane) => {
      block.lines.push(
        ...storeAll([output], shader.bindings, [value], { position: `(index + ${lane})`, step: `${lane}` }),
      );
    });
    scope.nest('', block);
  });
}

/** Loads and stores column by column, those past the end left out. */
function storeElements(kernel: Contraction, scope: Scope, shader: ShaderText, size: SizeTexts): void {
  const { outputs } = kernel;
  const { n } = sizesOf(kernel);
  const along = kernel.shape.length - 1;
  const shared = outputs.some((output) => elementsPerWord(output.dtype, bindingOf(output, shader.bindings)) > 1);
  if (shared) scope.lines.push(...wordDeclarations(outputs, shader.bindings));
  components.forEach((component, lane) => {
    const column = new Scope(shader, scope);
    const position = columnPosition + lane;
    column.lines.push(`let column = n + ${lane};`);
    column.bindAxis(position, 'column');
    column.bindTerm(input(lane), `sums.${component}`);
    const values = outputs.map((output) =>
      column.emit(valueAt(output, lane, along, axis(position, n), () => undefined)),
    );
    column.lines.push(
      ...storeAll(outputs, shader.bindings, values, { position: `(index + ${lane})`, step: `${lane}` }),
    );
    scope.nest(lane === 0 ? '' : `if (n + ${lane} < ${size.n})`, column);
  });
}
