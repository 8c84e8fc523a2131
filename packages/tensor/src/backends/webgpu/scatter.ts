/**
 * The adjoint of indexing without atomics: one thread for every column (outer, inner) of the output walks the counts
 * in rising order, so that sums have one order and results are the same on every run.
 */
import type { LoopKernel, ScatterKernel } from '../../compile/kernel.ts';
import { constant } from '../../expr/expr.ts';
import { loopShader } from './loop.ts';
import { bindingOf, bindingsOf, loadText } from './storage.ts';
import type { Target } from './target.ts';
import { type Shader, ShaderText } from './wgsl.ts';

const threads = 64;

/** The shaders of a scatter, to run one after the other: zeros everywhere, then the sums. */
export function scatterShaders(kernel: ScatterKernel, target: Target): Shader[] {
  const [output] = kernel.outputs;
  const zeros: LoopKernel = {
    kind: 'loop',
    name: `${kernel.name} zeros`,
    shape: [kernel.outer * kernel.size * kernel.inner],
    inputs: [],
    outputs: [{ ...output, value: constant(0) }],
  };
  return [loopShader(zeros, target), sumsShader(kernel, target)];
}

function sumsShader(kernel: ScatterKernel, target: Target): Shader {
  const [source, indices] = kernel.inputs;
  const bindings = bindingsOf(kernel.inputs, kernel.outputs, target);
  const shader = new ShaderText(kernel.inputs, bindings);
  const { outer, count, inner, size, indexStrides } = kernel;
  const p = {
    columns: shader.parameter(outer * inner),
    count: shader.parameter(count),
    inner: shader.parameter(inner),
    size: shader.parameter(size),
    outerStride: shader.parameter(indexStrides.outer),
    countStride: shader.parameter(indexStrides.count),
    innerStride: shader.parameter(indexStrides.inner),
  };
  const index = loadText(indices, bindingOf(indices, bindings), 'at');
  const term = loadText(source, bindingOf(source, bindings), `((o * ${p.count} + i) * ${p.inner} + d)`);
  const output = bindingOf(kernel.outputs[0], bindings).name;
  const body = [
    `let column = group * ${threads} + lane;`,
    `if (column >= ${p.columns}) { return; }`,
    `let o = column / ${p.inner};`,
    `let d = column % ${p.inner};`,
    `for (var i = 0; i < ${p.count}; i++) {`,
    `  let at = o * ${p.outerStride} + i * ${p.countStride} + d * ${p.innerStride};`,
    `  let target_row = i32(${index});`,
    `  if (target_row >= 0 && target_row < ${p.size}) {`,
    `    let place = (o * ${p.size} + target_row) * ${p.inner} + d;`,
    `    ${output}[place] += ${term};`,
    '  }',
    '}',
  ];
  return shader.shader(kernel.name, body, threads, Math.ceil((outer * inner) / threads));
}
