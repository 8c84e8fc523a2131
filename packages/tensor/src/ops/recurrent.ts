/** Long short-term memory, unrolled over time in the graph. Gates lie in PyTorch's order: input, forget, cell, output. */
import { printShape, ShapeError } from '../errors.ts';
import type { Node } from '../graph.ts';
import { composite } from './composite.ts';
import { matmul, transpose } from './contract.ts';
import { apply } from './elementwise.ts';
import { fill } from './generate.ts';
import { select, sliceAxis } from './rearrange.ts';
import { concat, reshape } from './view.ts';

const mul = (a: Node, b: Node): Node => apply('mul', a, b);
const sigmoid = (x: Node): Node => apply('sigmoid', x);

/** One of the four gates in [batch, 4 · hidden]. */
function gate(gates: Node, which: 0 | 1 | 2 | 3): Node {
  const hidden = (gates.shape[1] as number) / 4;
  return sliceAxis(gates, 1, which * hidden, (which + 1) * hidden, 1);
}

/** σ(forget) · cell + σ(input) · tanh(cell gate), from gates [batch, 4 · hidden] and the cell [batch, hidden]. */
const lstmState = composite<undefined>({
  name: 'lstmState',
  shape: ([, cell]) => (cell as Node).shape,
  define: (inputs) => {
    const [gates, cell] = inputs as [Node, Node];
    const kept = mul(sigmoid(gate(gates, 1)), cell);
    return apply('add', kept, mul(sigmoid(gate(gates, 0)), apply('tanh', gate(gates, 2))));
  },
});

/** σ(output) · tanh(cell), from gates [batch, 4 · hidden] and the updated cell [batch, hidden]. */
const lstmOutput = composite<undefined>({
  name: 'lstmOutput',
  shape: ([, cell]) => (cell as Node).shape,
  define: (inputs) => {
    const [gates, cell] = inputs as [Node, Node];
    return mul(sigmoid(gate(gates, 3)), apply('tanh', cell));
  },
});

/** Of one layer and direction, by PyTorch's names. */
export interface LstmWeights<T> {
  /** [4 · hidden, input] */
  readonly weightIh: T;
  /** [4 · hidden, hidden] */
  readonly weightHh: T;
  /** [4 · hidden] */
  readonly biasIh?: T | undefined;
  /** [4 · hidden] */
  readonly biasHh?: T | undefined;
}

export interface LstmState<T> {
  readonly hidden: T;
  readonly cell: T;
}

function checkWeights({ weightIh, weightHh, biasIh, biasHh }: LstmWeights<Node>, input: number): number {
  const hidden = weightHh.shape[1] ?? 0;
  const shapes = [
    ['weightIh', weightIh, [4 * hidden, input]],
    ['weightHh', weightHh, [4 * hidden, hidden]],
    ['biasIh', biasIh, [4 * hidden]],
    ['biasHh', biasHh, [4 * hidden]],
  ] as const;
  for (const [name, given, wanted] of shapes) {
    if (given && printShape(given.shape) !== printShape(wanted)) {
      throw new ShapeError(
        `lstm: ${name} ${printShape(given.shape)} does not fit inputs of size ${input} and ${hidden} hidden units`,
        `${printShape(wanted)} was expected`,
      );
    }
  }
  return hidden;
}

/** x Wᵀ + both biases, for any number of leading axes: what the gates get from the input. */
function inputGates(x: Node, { weightIh, biasIh, biasHh }: LstmWeights<Node>): Node {
  let gates = matmul(x, transpose(weightIh));
  if (biasIh) gates = apply('add', gates, biasIh);
  return biasHh ? apply('add', gates, biasHh) : gates;
}

function advance(fromInput: Node, weightHh: Node, { hidden, cell }: LstmState<Node>): LstmState<Node> {
  const gates = apply('add', fromInput, matmul(hidden, transpose(weightHh))); // [batch, 4 · hidden]
  const next = lstmState([gates, cell], undefined);
  return { hidden: lstmOutput([gates, next], undefined), cell: next };
}

/** One step: x [batch, input], hidden and cell [batch, hidden]. */
export function lstmCell(x: Node, state: LstmState<Node>, weights: LstmWeights<Node>): LstmState<Node> {
  if (x.shape.length !== 2) throw new ShapeError(`lstmCell: ${printShape(x.shape)} is not [batch, input]`);
  const hidden = checkWeights(weights, x.shape[1] as number);
  for (const part of [state.hidden, state.cell]) {
    if (printShape(part.shape) !== printShape([x.shape[0] as number, hidden]))
      throw new ShapeError(
        `lstmCell: a state of ${printShape(part.shape)} for the input ${printShape(x.shape)}`,
        `${printShape([x.shape[0] as number, hidden])} was expected`,
      );
  }
  return advance(inputGates(x, weights), weights.weightHh, state);
}

/** A layer over time, forwards or backwards: x [time, batch, input] to [time, batch, hidden] and the last state. */
export function lstmLayer(
  x: Node,
  weights: LstmWeights<Node>,
  initial: LstmState<Node> | undefined,
  backwards: boolean,
): { output: Node; state: LstmState<Node> } {
  const [time, batch, input] = x.shape as [number, number, number];
  if (x.shape.length !== 3 || time === 0)
    throw new ShapeError(`lstm: ${printShape(x.shape)} is not [time, batch, input] with at least one step`);
  const hidden = checkWeights(weights, input);
  const zeros = fill([batch, hidden], 0, x.dtype);
  let state: LstmState<Node> = initial ?? { hidden: zeros, cell: zeros };
  // The products with the inputs of all steps are one product.
  const all = inputGates(x, weights);
  const outputs = new Array<Node>(time);
  for (let step = 0; step < time; step++) {
    const t = backwards ? time - 1 - step : step;
    state = advance(select(all, 0, t), weights.weightHh, state);
    outputs[t] = reshape(state.hidden, [1, batch, hidden]);
  }
  return { output: concat(outputs, 0), state };
}
