/**
 * Loop kernels as compute shaders: a thread for every element (or for the few elements that share a word); a reduction
 * is folded by the element's thread when it is short, by a whole workgroup when it is long.
 */
import type { LoopKernel } from '../../compile/kernel.ts';
import { reduction } from './spellings.ts';
import { bindingsOf, elementsPerThread, storeAll, wordDeclarations } from './storage.ts';
import type { Target } from './target.ts';
import { axesOf, bindCoordinates, indented, product, rowMajor, Scope, type Shader, ShaderText } from './wgsl.ts';

/** How a loop kernel is spread over threads. */
export interface LoopSchedule {
  readonly threads: number;
  /** 'thread': each element's own thread folds its reduction; 'workgroup': all threads of a workgroup fold one at a time. */
  readonly reduceBy: 'thread' | 'workgroup';
}

/** The schedule for a kernel's sizes: long sums are split, which also keeps their rounding errors small. */
export function loopSchedule(kernel: LoopKernel): LoopSchedule {
  const steps = kernel.reduce ? product(kernel.reduce.extent) : 1;
  const elements = product(kernel.shape);
  if (steps >= 1024) return { threads: 256, reduceBy: 'workgroup' };
  if (steps > 128 || (steps >= 64 && elements < 256)) return { threads: 64, reduceBy: 'workgroup' };
  return { threads: 256, reduceBy: 'thread' };
}

/** The shader of a loop kernel. */
export function loopShader(kernel: LoopKernel, target: Target, schedule: LoopSchedule = loopSchedule(kernel)): Shader {
  const bindings = bindingsOf(kernel.inputs, kernel.outputs, target);
  const shader = new ShaderText(kernel.inputs, bindings);
  const { lines, workgroups } = loopLines(kernel, shader, schedule);
  const { parameters } = shader;
  return { name: kernel.name, code: shader.module(lines, schedule.threads), bindings, parameters, workgroups };
}

/**
 * One shader of several loop kernels with the same inputs, of which none reads what another one writes: the workgroups
 * of one follow those of the other. Elements' own threads fold their reductions.
 */
export function loopsShader(kernels: readonly [LoopKernel, ...LoopKernel[]], target: Target, threads: number): Shader {
  const [{ name, inputs }] = kernels;
  const bindings = bindingsOf(
    inputs,
    kernels.flatMap(({ outputs }) => outputs),
    target,
  );
  const shader = new ShaderText(inputs, bindings);
  const body: string[] = [];
  let total = 0;
  for (const kernel of kernels) {
    const first = total;
    const member = first === 0 ? 'group' : `(group - ${shader.parameter(first)})`;
    const { lines, workgroups } = loopLines(kernel, shader, { threads, reduceBy: 'thread' }, member);
    total += workgroups;
    body.push(`if (group < ${shader.parameter(total)}) {`, ...indented([...lines, 'return;']), '}');
  }
  return shader.shader(name, body, threads, total);
}

/** The lines of a loop kernel, for workgroups that `member` numbers, and how many of those there are. */
function loopLines(
  kernel: LoopKernel,
  shader: ShaderText,
  schedule: LoopSchedule,
  member = 'group',
): { lines: string[]; workgroups: number } {
  const { bindings } = shader;
  const elements = product(kernel.shape);
  const perThread = elementsPerThread(kernel.outputs, bindings);
  const byWorkgroup = kernel.reduce !== undefined && schedule.reduceBy === 'workgroup';
  const { threads } = schedule;

  const total = shader.parameter(elements);
  const owner = byWorkgroup ? member : `${member} * ${threads} + lane`;
  const root = new Scope(shader);
  root.lines.push(`let first = ${perThread === 1 ? owner : `(${owner}) * ${perThread}`};`);
  root.lines.push(`if (first >= ${total}) { return; }`);
  root.lines.push(...wordDeclarations(kernel.outputs, bindings));

  const element = new Scope(shader, root);
  if (perThread === 1) element.lines.push('let index = first;');
  else element.lines.push(`let index = min(first + step, ${total} - 1);`);
  const whole = rowMajor(kernel.shape);
  element.bindTerm(whole, 'index');
  const terms = kernel.outputs.map((output) => output.value);
  if (kernel.reduce) terms.push(kernel.reduce.body);
  bindCoordinates(shader, element, 'index', kernel.shape, axesOf(terms, whole));

  const result = new Scope(shader, element);
  if (kernel.reduce) {
    const fold = byWorkgroup ? foldByWorkgroup : foldByThread;
    element.lines.push(...fold(kernel, kernel.reduce, shader, element, threads));
    result.bindAccumulator('folded');
  }
  // All values come before the first store: an output may overwrite what another one's value loads.
  const values = kernel.outputs.map((output) => result.emit(output.value));
  const place = perThread === 1 ? { position: 'index', step: '0' } : { position: 'first + step', step: 'step', total };
  result.lines.push(...storeAll(kernel.outputs, bindings, values, place));
  if (byWorkgroup) element.nest('if (lane == 0)', result);
  else element.lines.push(...result.lines);
  if (perThread === 1) root.lines.push(...element.lines);
  else root.nest(`for (var step = 0; step < ${perThread}; step++)`, element);

  return { lines: root.lines, workgroups: Math.ceil(elements / (perThread * (byWorkgroup ? 1 : threads))) };
}

type Reduce = NonNullable<LoopKernel['reduce']>;

/** Nested loops over the reduction axes; the result is the variable `folded`. */
function foldByThread(kernel: LoopKernel, reduce: Reduce, shader: ShaderText, around: Scope): string[] {
  const { start, join } = reduction(reduce.op, reduce.body.type);
  const scopes = [around];
  const openings: string[] = [];
  reduce.extent.forEach((extent, k) => {
    if (extent === 1) return;
    const scope = new Scope(shader, scopes[scopes.length - 1]);
    const name = shader.name();
    scope.bindAxis(kernel.shape.length + k, name);
    openings.push(`for (var ${name} = 0; ${name} < ${shader.parameter(extent)}; ${name}++)`);
    scopes.push(scope);
  });
  const innermost = scopes[scopes.length - 1] as Scope;
  const value = innermost.emit(reduce.body);
  // A reduction over no axes folds its body once, in the block around it.
  if (innermost === around) return [`var folded = ${join(start, value)};`];
  innermost.lines.push(`folded = ${join('folded', value)};`);
  let lines = innermost.lines;
  for (let k = openings.length - 1; k >= 0; k--) {
    lines = [`${openings[k]} {`, ...indented(lines), '}'];
    if (k > 0) lines = [...(scopes[k] as Scope).lines, ...lines];
  }
  return [`var folded = ${start};`, ...lines];
}

/** Every thread folds each `threads`-th step, then halves of the workgroup are joined; the result is `folded`. */
function foldByWorkgroup(
  kernel: LoopKernel,
  reduce: Reduce,
  shader: ShaderText,
  around: Scope,
  threads: number,
): string[] {
  const type = reduce.body.type;
  const { start, join } = reduction(reduce.op, type);
  shader.declare(`var<workgroup> partial: array<${type}, ${threads}>;`);
  const scope = new Scope(shader, around);
  const whole = rowMajor([...kernel.shape.map(() => 1), ...reduce.extent]);
  scope.bindTerm(whole, 'k');
  bindCoordinates(shader, scope, 'k', reduce.extent, axesOf([reduce.body], whole), kernel.shape.length);
  const value = scope.emit(reduce.body);
  scope.lines.push(`part = ${join('part', value)};`);
  return [
    `var part = ${start};`,
    `for (var k = lane; k < ${shader.parameter(product(reduce.extent))}; k += ${threads}) {`,
    ...indented(scope.lines),
    '}',
    'partial[lane] = part;',
    'workgroupBarrier();',
    `for (var width = ${threads / 2}; width > 0; width >>= 1u) {`,
    `  if (lane < width) { partial[lane] = ${join('partial[lane]', 'partial[lane + width]')}; }`,
    '  workgroupBarrier();',
    '}',
    'let folded = partial[0];',
    'workgroupBarrier();',
  ];
}
