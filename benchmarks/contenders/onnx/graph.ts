/** ONNX models written by hand (field numbers as in onnx.proto3): a graph is built node by node and joined to a file. */
import { bytes, float, integer, join, type Message, text } from './protobuf.ts';

type Attribute = number | readonly number[] | { readonly float: number };

/** ONNX's numbers for element types. */
const elementTypes = { float: 1, int64: 7 } as const;

const attributeKinds = { float: 1, integer: 2, integers: 7 } as const;

function attribute(name: string, value: Attribute): Message {
  if (typeof value === 'number')
    return [...text(1, name), ...integer(3, value), ...integer(20, attributeKinds.integer)];
  if ('float' in value) return [...text(1, name), ...float(2, value.float), ...integer(20, attributeKinds.float)];
  return [...text(1, name), ...value.flatMap((entry) => integer(8, entry)), ...integer(20, attributeKinds.integers)];
}

function valueInfo(name: string, shape: readonly number[]): Message {
  const dimensions = shape.flatMap((extent) => bytes(1, integer(1, extent)));
  const type = bytes(1, [...integer(1, elementTypes.float), ...bytes(2, dimensions)]);
  return [...text(1, name), ...bytes(2, type)];
}

/** A graph under construction. Values are named; every method gives the name of what it adds. */
export class GraphBuilder {
  readonly #nodes: Message[] = [];
  readonly #initializers: Message[] = [];
  readonly #inputs: Message[] = [];
  #count = 0;

  /** An input of 32-bit floats. */
  input(name: string, shape: readonly number[]): string {
    this.#inputs.push(bytes(11, valueInfo(name, shape)));
    return name;
  }

  /** A parameter of 32-bit floats. */
  parameter(values: Float32Array, shape: readonly number[]): string {
    return this.#initializer(elementTypes.float, values, shape);
  }

  /** Whole numbers: a shape, or positions. */
  integers(...values: number[]): string {
    return this.#initializer(elementTypes.int64, BigInt64Array.from(values, BigInt), [values.length]);
  }

  /** One node with one output. */
  node(type: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    return this.nodes(type, inputs, 1, attributes)[0] as string;
  }

  /** One node with several outputs. */
  nodes(
    type: string,
    inputs: readonly string[],
    outputs: number,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): string[] {
    const names = Array.from({ length: outputs }, () => this.#name(type));
    this.#nodes.push(
      bytes(1, [
        ...inputs.flatMap((name) => text(1, name)),
        ...names.flatMap((name) => text(2, name)),
        ...text(4, type),
        ...Object.entries(attributes).flatMap(([name, value]) => bytes(5, attribute(name, value))),
      ]),
    );
    return names;
  }

  /** The file, opset 17, whose only output is the value `output` of the given shape. */
  model(output: string, shape: readonly number[]): Uint8Array {
    const graph = [
      ...this.#nodes.flat(),
      ...text(2, 'graph'),
      ...this.#initializers.flat(),
      ...this.#inputs.flat(),
      ...bytes(12, valueInfo(output, shape)),
    ];
    return join([...integer(1, 8), ...bytes(8, integer(2, 17)), ...bytes(7, graph)]);
  }

  #initializer(type: number, values: Float32Array | BigInt64Array, shape: readonly number[]): string {
    const name = this.#name('parameter');
    const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const dimensions = shape.flatMap((extent) => integer(1, extent));
    this.#initializers.push(bytes(5, [...dimensions, ...integer(2, type), ...text(8, name), ...bytes(9, [raw])]));
    return name;
  }

  #name(stem: string): string {
    this.#count++;
    return `${stem}_${this.#count}`;
  }
}
