/**
 * What a backend sees of composites: those that it has a template for stay whole, and the others stand for their
 * definitions.
 */
import type { Template } from '../backends/backend.ts';
import type { Node } from '../graph.ts';

export interface Resolution {
  /** The node that is computed for `node`: the end of its definitions, or a composite that a template computes. */
  readonly resolve: (node: Node) => Node;
  /** The nodes whose values `node` is computed from, resolved; none where it is stored. */
  readonly operandsOf: (node: Node) => readonly Node[];
  /** Those of them whose elements it reads. */
  readonly readBy: (node: Node) => readonly Node[];
  /** Composites with a template that stood for their definitions all the same so far, each with the reason. */
  readonly undone: ReadonlySet<string>;
}

/** Whether `node` is a composite that is not computed yet. After resolution only those are left that a template computes. */
export function isComposite({ op, storage }: Node): boolean {
  return op.kind === 'composite' && storage === undefined;
}

/** The resolution for a backend with `templates`. */
export function resolution(templates: ReadonlySet<Template>): Resolution {
  const undone = new Set<string>();
  const whole = (node: Node): boolean => {
    const { name, template } = node.op;
    if (template === undefined) return false;
    const reason = !templates.has(template.kind)
      ? 'the backend has no kernel for it'
      : template.takes(node)
        ? undefined
        : 'its kernel does not take these shapes';
    if (reason !== undefined) undone.add(`${name} is computed step by step, since ${reason}`);
    return reason === undefined;
  };
  const resolve = (node: Node): Node => {
    let current = node;
    while (isComposite(current) && !whole(current)) current = current.define();
    return current;
  };
  const operandsOf = (node: Node): readonly Node[] => (node.storage !== undefined ? [] : node.inputs.map(resolve));
  return {
    resolve,
    operandsOf,
    readBy: (node) => (node.op.waits ? operandsOf(node).slice(0, 1) : operandsOf(node)),
    undone,
  };
}
