/** From graph to executable: describe, fuse, lower, plan, compile. */
import type { Backend, Executable } from '../backends/backend.ts';
import { placeParts } from '../compile/assemble.ts';
import { attributeText } from '../compile/attributes.ts';
import { mergeEpilogues } from '../compile/epilogues.ts';
import { mergeFactorSums } from '../compile/factor-sums.ts';
import { fuse } from '../compile/fuse.ts';
import { multipliesHalves } from '../compile/halves.ts';
import { lower } from '../compile/lower.ts';
import { type Plan, plan } from '../compile/plan.ts';
import { type Resolution, resolution } from '../compile/resolution.ts';
import { mergeRows } from '../compile/rows.ts';
import { share } from '../compile/share.ts';
import { mergeSiblings } from '../compile/siblings.ts';
import { type DType, dtypes } from '../dtype.ts';
import { DTypeError } from '../errors.ts';
import { type Node, topological } from '../graph.ts';
import { sizeOf } from '../shape.ts';

/** A graph made ready to run. It holds no nodes, so that it can serve every graph of the same text. */
export interface Prepared {
  readonly executable: Executable;
  readonly bytes: readonly number[];
  readonly bindings: number;
  /** For each binding, which leaf (in order of first visit) or which output it is. */
  readonly sources: readonly ({ readonly leaf: number } | { readonly output: number })[];
  /** For each output written over a donated leaf: the leaf. */
  readonly inPlace: ReadonlyMap<number, number>;
  readonly kernelNames: readonly string[];
  /** What does not run in its fastest form, with the reasons. */
  readonly fallbacks: readonly string[];
}

/** A graph with its stored leaves in order of first visit. */
export interface Described {
  readonly text: string;
  readonly leaves: readonly Node[];
}

/**
 * The graph as text: equal texts mean equal programs, whatever the leaves hold. Composites are described by their
 * definitions, since a name says nothing about what a user's own operation does or which tensors it closes over; those
 * that a template computes are the engine's own, and their names and attributes say it all.
 */
export function describe(
  outputs: readonly Node[],
  donations: ReadonlyMap<Node, Node>,
  { resolve, operandsOf }: Resolution,
): Described {
  const order = topological(outputs.map(resolve), operandsOf);
  const number = new Map<Node, number>();
  const leaves: Node[] = [];
  const lines: string[] = [];
  for (const node of order) {
    number.set(node, number.size);
    const type = `${node.dtype}[${node.shape}]`;
    if (node.storage !== undefined) {
      leaves.push(node);
      lines.push(`leaf ${type}`);
    } else {
      lines.push(
        `${node.op.name} ${type} ${operandsOf(node).map((input) => number.get(input))} ${attributeText(node.attributes)}`,
      );
    }
  }
  const donated = [...donations].map(([result, old]) => `${number.get(resolve(result))}<${number.get(old) ?? '-'}`);
  lines.push(`outputs ${outputs.map((output) => number.get(resolve(output)))} ${donated}`);
  return { text: lines.join('\n'), leaves };
}

/** Compiles the graph of `outputs` for `backend`. */
export async function prepare(
  backend: Backend,
  outputs: readonly Node[],
  leaves: readonly Node[],
  donations: ReadonlyMap<Node, Node>,
): Promise<Prepared> {
  const computed = outputs.filter((output) => sizeOf(output.shape) > 0);
  checkDTypes(backend, [...leaves, ...outputs]);
  const seen = resolution(backend.limits.templates);
  const { resolve } = seen;
  const shared = share(computed, seen);
  const target = (output: Node): Node => shared.get(resolve(output)) as Node;
  const fusion = fuse(computed.map(target), backend.limits, seen);
  const { buffersPerKernel, templates, epilogues } = backend.limits;
  const loops = lower(fusion, seen);
  const read = new Set(loops.nodes);
  const replaced = new Map(
    [...donations]
      // What no kernel reads has no place in the program that could be written over.
      .filter(([result, old]) => shared.has(resolve(result)) && read.has(old))
      .map(([result, old]) => [target(result), old] as const),
  );
  const kept = new Set(computed.map(target));
  const updates = new Set(replaced.keys());
  const sums = templates.has('factorSums') ? mergeFactorSums(loops, kept, updates, buffersPerKernel) : loops;
  const rows = templates.has('rows')
    ? mergeRows(sums, kept, updates, buffersPerKernel, templates.has('columns'))
    : sums;
  const siblings = mergeSiblings(rows, kept, updates, buffersPerKernel);
  const lowered = epilogues ? mergeEpilogues(siblings, kept, updates, buffersPerKernel) : siblings;
  const used = leaves.filter((leaf) => read.has(leaf));
  const kernels = placeParts(lowered.kernels, lowered.nodes, kept);
  const planned: Plan = plan({ kernels, nodes: lowered.nodes }, used, computed.map(target), replaced);
  const leafNumber = new Map(leaves.map((leaf, i) => [leaf, i] as const));
  const outputNumber = new Map<Node, number>();
  outputs.forEach((output, i) => {
    if (sizeOf(output.shape) > 0 && !outputNumber.has(target(output))) outputNumber.set(target(output), i);
  });
  const executable = await backend.compile(planned.program);
  return {
    executable,
    bytes: planned.program.buffers.map(({ bytes }) => bytes),
    bindings: planned.program.bindings,
    sources: planned.bindings.map((node) => {
      const leaf = leafNumber.get(node);
      return leaf !== undefined ? { leaf } : { output: outputNumber.get(node) as number };
    }),
    inPlace: new Map(
      [...planned.inPlace].map(
        ([result, old]) => [outputNumber.get(result) as number, leafNumber.get(old) as number] as const,
      ),
    ),
    kernelNames: planned.program.kernels.map(({ name }) => name),
    fallbacks: [...seen.undone, ...slowHalves(backend, planned.program), ...(executable.stats.fallbacks ?? [])],
  };
}

/** Says it where factors are of half precision, and multiplied no faster for it. */
function slowHalves({ limits }: Backend, { kernels }: Plan['program']): string[] {
  if (limits.slowHalves === undefined || !kernels.some(multipliesHalves)) return [];
  return [`matrix products of half precision are computed in 32 bits, since ${limits.slowHalves}`];
}

function checkDTypes(backend: Backend, nodes: readonly Node[]): void {
  for (const { dtype, op } of nodes) {
    if (!backend.limits.dtypes.has(dtype)) {
      const known = [...backend.limits.dtypes].sort((a: DType, b: DType) => dtypes[a].rank - dtypes[b].rank).join(', ');
      throw new DTypeError(`${op.name}: ${backend.name} cannot hold dtype ${dtype}`, `it holds ${known}; cast first`);
    }
  }
}
