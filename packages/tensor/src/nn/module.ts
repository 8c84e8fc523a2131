/** Modules: objects whose tensors are parameters and whose modules are children, named by the properties that hold them. */
import { fromNumbers, leaf, unwrittenLeaf } from '../creation.ts';
import type { TypedArray } from '../dtype.ts';
import { printShape, ShapeError, TensorError } from '../errors.ts';
import { elementCount, type HostTensor, type StateDict, toFloat32 } from '../io/host-tensor.ts';
import { defaultDevice } from '../runtime/devices.ts';
import { realize, Tensor } from '../tensor.ts';

/** A parameter name that is missing, unexpected or of another shape. */
export class StateDictError extends TensorError {}

/** The value of a parameter that is not in memory yet: floats in row-major order, in pieces. */
export interface StreamedValue {
  readonly shape: readonly number[];
  /** Each piece is valid until the next one is asked for. */
  pieces(): AsyncIterable<Float32Array>;
  /** Writes all of it to memory of its size, in the byte order of this machine; absent where it takes more than that. */
  readonly readInto?: (memory: Uint8Array) => Promise<void>;
}

/** Values that are read at once straight into memory of a device: as many as keep the threads busy that read files. */
const parallelReads = 4;

export abstract class Module {
  /** Whether dropout and the like are active. */
  training = true;

  /** Direct children: modules held by properties, and by lists in properties (`resblocks.0`). */
  private *children(): Iterable<[string, Module]> {
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Module) yield [name, value];
      else if (Array.isArray(value)) {
        for (const [i, entry] of value.entries()) if (entry instanceof Module) yield [`${name}.${i}`, entry];
      }
    }
  }

  /** Every parameter with its dotted name, in order of definition. Tensors that want no gradient are not parameters. */
  *namedParameters(prefix = ''): Iterable<[string, Tensor]> {
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Tensor && value.requiresGrad) yield [prefix + name, value];
    }
    for (const [name, child] of this.children()) yield* child.namedParameters(`${prefix}${name}.`);
  }

  parameters(): Tensor[] {
    return [...this.namedParameters()].map(([, parameter]) => parameter);
  }

  /** Number of parameter elements. */
  parameterCount(): number {
    return this.parameters().reduce((sum, { size }) => sum + size, 0);
  }

  /** Switches this module and all below it to training. */
  train(training = true): this {
    this.training = training;
    for (const [, child] of this.children()) child.train(training);
    return this;
  }

  /** Switches this module and all below it to evaluation. */
  eval(): this {
    return this.train(false);
  }

  /** Computes the initial values of all parameters, together. */
  async initialize(): Promise<this> {
    await realize(this.parameters());
    return this;
  }

  /** The parameters as host tensors. */
  async stateDict(): Promise<StateDict> {
    await this.initialize();
    const entries: StateDict = new Map();
    for (const [name, parameter] of this.namedParameters()) {
      const data = await parameter.data();
      entries.set(name, { dtype: 'f32', shape: [...parameter.shape], data: Float32Array.from(data as Float32Array) });
    }
    return entries;
  }

  /**
   * Replaces every parameter. Throws StateDictError naming what is missing, unexpected or of another shape; then
   * nothing has been changed.
   */
  loadStateDict(state: ReadonlyMap<string, HostTensor>): void {
    const parameters = new Map(this.namedParameters());
    refuse(
      list(
        'missing',
        [...parameters.keys()].filter((name) => !state.has(name)),
      ),
      list('unexpected', unexpectedIn(state, parameters)),
      list('of another shape', misshapenIn(state, parameters)),
    );
    for (const [name, parameter] of parameters) setValue(parameter, toFloat32(state.get(name) as HostTensor).data);
  }

  /**
   * Replaces the parameters that `values` names. A value that can be read into place goes straight into the memory of
   * a device that has its own within reach, a few of them at once; the others are written to their devices one after
   * the other, piece by piece. There is never more than a piece of them in host memory, and what a parameter was to
   * start from is not computed.
   * @throws StateDictError naming what is unexpected or of another shape; then nothing has been changed.
   */
  async streamParameters(values: ReadonlyMap<string, StreamedValue>): Promise<void> {
    const parameters = new Map(this.namedParameters());
    refuse(
      list('unexpected', unexpectedIn(values, parameters)),
      list('of another shape', misshapenIn(values, parameters)),
    );
    const waiting = [...values].map(([name, value]) => ({ parameter: parameters.get(name) as Tensor, value }));
    const inPieces: typeof waiting = [];
    const failures: unknown[] = [];
    const readNext = async (): Promise<void> => {
      for (let next = waiting.shift(); next && failures.length === 0; next = waiting.shift()) {
        if (!(await readIntoPlace(next.parameter, next.value))) inPieces.push(next);
      }
    };
    // After a failure the reads under way are waited for: until they end, their memory is not free.
    await Promise.all(Array.from({ length: parallelReads }, () => readNext().catch((error) => failures.push(error))));
    if (failures.length > 0) throw failures[0];
    for (const { parameter, value } of inPieces) await streamValue(parameter, value);
  }
}

type Shaped = ReadonlyMap<string, { readonly shape: readonly number[] }>;

const unexpectedIn = (given: Shaped, parameters: Shaped): string[] =>
  [...given.keys()].filter((name) => !parameters.has(name));

const misshapenIn = (given: Shaped, parameters: Shaped): string[] =>
  [...parameters].flatMap(([name, { shape }]) => {
    const other = given.get(name)?.shape;
    return other && printShape(other) !== printShape(shape)
      ? [`${name} is ${printShape(other)}, not ${printShape(shape)}`]
      : [];
  });

function refuse(...problems: readonly string[]): void {
  const found = problems.filter((text) => text !== '');
  if (found.length === 0) return;
  throw new StateDictError(
    `the weights do not fit the model: ${found.join('; ')}`,
    'choose the model that they were made for',
  );
}

function list(what: string, names: readonly string[]): string {
  if (names.length === 0) return '';
  return `${names.length} ${what} (${names.slice(0, 3).join(', ')}${names.length > 3 ? ', ...' : ''})`;
}

/** Gives a parameter host elements, on the device where it is. */
export function setValue(parameter: Tensor, elements: Float32Array): void {
  if (parameter.holder() !== parameter) {
    parameter.write(elements);
    return;
  }
  const node = leaf(elements, parameter.shape, parameter.dtype, parameter.device);
  if (parameter.node.storage) parameter.dispose();
  parameter.commit(node);
}

/** Memory of a parameter's own on the device where it will be. */
async function unwritten({ shape, dtype, device }: Tensor): Promise<Tensor> {
  return new Tensor(await unwrittenLeaf(shape, dtype, device ?? (await defaultDevice())));
}

function replaceBy(parameter: Tensor, target: Tensor): void {
  if (parameter.node.storage) parameter.dispose();
  parameter.commit(target.node);
}

/** Has a value read into memory of the device; false, with nothing changed, where that cannot be. */
async function readIntoPlace(parameter: Tensor, { readInto }: StreamedValue): Promise<boolean> {
  const fits = readInto !== undefined && parameter.dtype === 'f32' && parameter.holder() === parameter;
  if (!fits || (await (parameter.device ?? (await defaultDevice())).backend()).memoryOf === undefined) return false;
  const target = await unwritten(parameter);
  const memory = await target.node.storage?.memory();
  if (memory === undefined) {
    target.dispose();
    return false;
  }
  try {
    await readInto(memory);
  } catch (error) {
    target.dispose();
    throw error;
  }
  replaceBy(parameter, target);
  return true;
}

/** Writes a value to the device where the parameter is, or else to memory of its own on the device where it will be. */
async function streamValue(parameter: Tensor, value: StreamedValue): Promise<void> {
  const shared = parameter.holder() !== parameter;
  const target = shared ? parameter : await unwritten(parameter);
  try {
    let written = 0;
    for await (const piece of value.pieces()) {
      target.writePiece(piece, written);
      written += piece.length;
    }
    if (written !== parameter.size)
      throw new ShapeError(`streamParameters: ${written} elements for ${printShape(parameter.shape)}`);
  } catch (error) {
    if (!shared) target.dispose();
    throw error;
  }
  if (!shared) replaceBy(parameter, target);
}

/** A parameter with the values of `initial`, which may still be a pending computation. */
export function parameter(initial: Tensor): Tensor {
  const result = new Tensor(initial.node);
  result.requiresGrad = true;
  return result;
}

/** A parameter of host elements. */
export function parameterOf(elements: TypedArray | readonly number[], shape: readonly number[]): Tensor {
  const typed = ArrayBuffer.isView(elements)
    ? (elements as TypedArray)
    : fromNumbers(elements as readonly number[], 'f32');
  if (typed.length !== elementCount(shape))
    throw new ShapeError(`parameter: ${typed.length} elements for ${printShape(shape)}`);
  return parameter(new Tensor(leaf(typed, shape, 'f32', undefined)));
}
