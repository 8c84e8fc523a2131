/** Operations of the user's own: a definition in other operations, and optionally a rule for the gradient. */
import { replay } from './autograd/replay.ts';
import { composite } from './ops/composite.ts';
import { Tensor } from './tensor.ts';

export interface OpDefinition<A> {
  /** What errors and statistics call it. */
  readonly name: string;
  /** The meaning: any function of the operands that builds its result from tensor operations. */
  readonly forward: (inputs: readonly Tensor[], attributes: A) => Tensor;
  /** Gradients of the operands (undefined: none) from the gradient of the output; derived from `forward` if absent. */
  readonly vjp?: (
    gradient: Tensor,
    inputs: readonly Tensor[],
    output: Tensor,
    attributes: A,
  ) => readonly (Tensor | undefined)[];
}

/** A function that applies the defined operation. `forward` is traced once for each call, to learn the output's shape. */
export function defineOp<A = undefined>(
  definition: OpDefinition<A>,
): (inputs: readonly Tensor[], attributes: A) => Tensor {
  const { vjp } = definition;
  return (inputs, attributes) => {
    const body = definition.forward(inputs, attributes);
    const apply = composite<A>({
      name: definition.name,
      shape: () => body.shape,
      dtype: () => body.dtype,
      define: (nodes) =>
        replay(
          body.node,
          inputs.map(({ node }) => node),
          nodes,
        ),
      ...(vjp
        ? {
            vjp: (node, gradient) =>
              vjp(
                new Tensor(gradient),
                node.inputs.map((input) => new Tensor(input)),
                new Tensor(node),
                attributes,
              ).map((result) => result?.node),
          }
        : {}),
    });
    return new Tensor(
      apply(
        inputs.map(({ node }) => node),
        attributes,
      ),
    );
  };
}
