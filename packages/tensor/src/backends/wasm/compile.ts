/**
 * From kernels to WebAssembly functions: kernels of equal structure share one function within the process, and the
 * unseen kernels of a program are compiled together in one module.
 */
import type { Kernel, Program } from '../../compile/kernel.ts';
import { print } from '../../expr/expr.ts';
import { defineAttention } from './attention.ts';
import { loopNest } from './axes.ts';
import { defineContraction, isContraction, type Panels } from './gemm.ts';
import { Library } from './library.ts';
import type { Phase } from './loop.ts';
import { defineLoop } from './loop-kernel.ts';
import { defineMicroKernel, nameOf } from './micro-kernel.ts';
import { ModuleBuilder } from './module.ts';
import { defineRows } from './rows.ts';
import { defineScatter } from './scatter.ts';
import type { Target } from './target.ts';

export interface CompiledKernel {
  readonly module: Promise<WebAssembly.Module>;
  readonly names: readonly string[];
  readonly phases: readonly Phase[];
  /** Bytes of workspace that the phases share; its address is the last of their arguments. */
  readonly workspace: number;
  /** Bytes of private memory that a thread needs; 0 where what it has in any case is enough. */
  readonly scratch: number;
  /** Parts of the workspace with addresses of their own, which take the place of its address. */
  readonly panels: readonly Panels[];
}

/** Whether the code of any kernel depends on the target's micro-kernel. */
export const multiplies = (program: Program): boolean => program.kernels.some(usesMicroKernel);

const usesMicroKernel = (kernel: Kernel): boolean => kernel.kind === 'attention' || isContraction(kernel);

const cache = new Map<string, CompiledKernel>();
let nextName = 0;

/** Text that is equal for kernels that can share a function: everything but the buffers' positions and the name. */
function structure(kernel: Kernel): string {
  const uses = [...kernel.inputs, ...kernel.outputs].map((use) => use.dtype).join();
  if (kernel.kind === 'scatter') {
    const { outer, count, inner, size, indexStrides: s } = kernel;
    return `scatter ${[outer, count, inner, size, s.outer, s.count, s.inner].join()} ${uses}`;
  }
  if (kernel.kind === 'attention') {
    return JSON.stringify({ ...kernel, name: '', inputs: kernel.inputs.map(({ dtype }) => dtype), outputs: [] });
  }
  if (kernel.kind === 'rows') {
    const stages = kernel.stages.map(({ op, body }) => `${op} ${print(body)}`).join(' | ');
    const values = kernel.outputs.map(({ per, value }) => `${per} ${print(value)}`).join(' | ');
    return `rows ${kernel.rows} ${kernel.extent} | ${kernel.inputs.length} ${uses} | ${stages} | ${values}`;
  }
  const { shape, reduce } = kernel;
  const reduction = reduce
    ? `${reduce.op} ${reduce.extent} ${print(reduce.body)} ${reduce.factors?.map(print).join(' * ') ?? ''}`
    : '';
  const inputs = kernel.inputs.length;
  return `loop ${shape} | ${inputs} ${uses} | ${reduction} | ${kernel.outputs.map((o) => print(o.value)).join(' | ')}`;
}

/** The compiled kernels of `program`, in order, and the number of modules that had to be compiled. */
export function compileKernels(
  program: Program,
  target: Target,
): { readonly kernels: readonly CompiledKernel[]; readonly modules: number } {
  const builder = new ModuleBuilder({ shared: target.threads > 1 });
  const library = new Library(builder, target.relaxed);
  const names: string[] = [];
  const added: string[] = [];
  let bytes: Uint8Array<ArrayBuffer> | undefined;
  let release: (module: Promise<WebAssembly.Module>) => void = () => {};
  const module = new Promise<WebAssembly.Module>((resolve) => {
    release = resolve;
  });
  try {
    const kernels = program.kernels.map((kernel) => {
      const micro = usesMicroKernel(kernel) ? nameOf(target.micro) : '';
      const key = `${target.threads} ${target.relaxed} ${micro} ${structure(kernel)}`;
      const known = cache.get(key);
      if (known) return known;
      const defined = define(library, kernel, `k${nextName++}`, target);
      names.push(...defined.phases.map((phase) => phase.name));
      const compiled: CompiledKernel = { module, names, panels: [], workspace: 0, scratch: 0, ...defined };
      cache.set(key, compiled);
      added.push(key);
      return compiled;
    });
    if (names.length > 0) bytes = builder.encode();
    if (bytes) release(WebAssembly.compile(bytes));
    return { kernels, modules: bytes ? 1 : 0 };
  } catch (error) {
    for (const key of added) cache.delete(key);
    throw error;
  }
}

type Definition = Pick<CompiledKernel, 'phases'> & Partial<Pick<CompiledKernel, 'workspace' | 'scratch' | 'panels'>>;

function define(library: Library, kernel: Kernel, name: string, target: Target): Definition {
  if (kernel.kind === 'scatter') return { phases: [defineScatter(library, kernel, name)] };
  if (kernel.kind === 'rows') return { phases: [defineRows(library, kernel, name)] };
  if (kernel.kind === 'attention') {
    const { rows, columns } = target.micro;
    const tile = { rows, columns, multiply: defineMicroKernel(library, target.micro) };
    return defineAttention(library, kernel, name, tile);
  }
  if (isContraction(kernel)) return defineContraction(library, kernel, name, target);
  return defineLoop(library, loopNest(kernel), name);
}
