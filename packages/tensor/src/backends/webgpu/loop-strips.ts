/**
 * Elementwise kernels by strips: a thread computes four neighbouring elements, which it loads and stores as one. What
 * moves much memory and computes little, such as an optimizer's update, then runs at the speed of memory.
 */
import type { LoopKernel } from '../../compile/kernel.ts';
import { type Expr, walk } from '../../expr/expr.ts';
import { bindingOf } from './storage.ts';
import { isVector, loadsAlong, Strip, storeStrip, stripBindings } from './strips.ts';
import type { Target } from './target.ts';
import { axesOf, bindCoordinates, product, rowMajor, Scope, type Shader, ShaderText } from './wgsl.ts';

/** Fewer elements than these leave a device mostly idle, however they are dealt out. */
const fewElements = 1 << 14;
/** Larger terms than this, four times side by side, need more registers than there are. */
const mostTerms = 128;
const threads = 256;
const width = 4;

/**
 * The shader of an elementwise kernel by strips; undefined where there are none: where rows do not divide into strips,
 * or where a load is neither one element for the whole strip nor four neighbours.
 */
export function stripLoopShader(kernel: LoopKernel, target: Target): Shader | undefined {
  const { shape, inputs, outputs } = kernel;
  const last = shape.length - 1;
  const elements = product(shape);
  if (kernel.reduce || last < 0 || (shape[last] as number) % width !== 0 || elements < fewElements) return undefined;
  const terms = outputs.map(({ value }) => value);
  if (sizeOfTerms(terms) > mostTerms || !loadsAlong(terms, last).every((load) => isVector(load, last)))
    return undefined;
  const bindings = stripBindings(inputs, outputs, new Set(outputs), terms, last, target);
  if (outputs.some((output) => bindingOf(output, bindings).strip === undefined)) return undefined;

  const shader = new ShaderText(inputs, bindings);
  const root = new Scope(shader);
  root.lines.push(
    `let first = (group * ${threads} + lane) * ${width};`,
    `if (first >= ${shader.parameter(elements)}) { return; }`,
    `let along = ${last === 0 ? 'first' : `first % ${shader.parameter(shape[last] as number)}`};`,
  );
  const whole = rowMajor(shape);
  const outer = axesOf(terms, whole);
  outer.delete(last);
  bindCoordinates(shader, root, 'first', shape, outer);
  const strip = new Strip(shader, inputs, root, last, 'along', width);
  strip.bindTerm(whole, 'first');
  // All values come before the first store: an output may overwrite what another one's value loads.
  const values = terms.map((term) => strip.values(term));
  outputs.forEach((output, i) => {
    root.lines.push(storeStrip(output.dtype, bindingOf(output, bindings), 'first', values[i] as string[]));
  });
  return shader.shader(kernel.name, root.lines, threads, Math.ceil(elements / (threads * width)));
}

function sizeOfTerms(terms: readonly Expr[]): number {
  const seen = new Set<Expr>();
  for (const term of terms) walk(term, () => {}, seen);
  return seen.size;
}
