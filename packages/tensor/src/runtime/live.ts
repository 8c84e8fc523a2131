/**
 * Values that the host asks for afresh at every run: learning rates, step numbers, the counters of random generators.
 * They are data of the graph, so a captured function sees each new one.
 */
import { type DType, dtypes, type TypedArray } from '../dtype.ts';
import { Node, type Op } from '../graph.ts';
import { type Shape, sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import type { Device } from './device.ts';
import { presetDevice } from './devices.ts';
import { Storage } from './storage.ts';
import { activeTrace } from './trace.ts';

const liveOp: Op = { name: 'live', kind: 'leaf' };

/** A value source attached to a leaf: asked for again at every run of a captured function. */
const sources = new WeakMap<Node, () => readonly number[]>();

export const liveSource = (node: Node): (() => readonly number[]) | undefined => sources.get(node);

/**
 * A tensor whose elements `source` gives. Outside of captured functions it is asked once, now; inside, at every run,
 * in the order in which the live values were made.
 */
export function live<const S extends Shape>(
  source: () => readonly number[],
  shape: S,
  dtype: DType = 'f32',
  device?: Device,
): Tensor<S> {
  const node = new Node(liveOp, [], undefined, shape, dtype, device ?? presetDevice());
  const trace = activeTrace();
  const elements = trace ? dtypes[dtype].array(sizeOf(shape)) : elementsOf(source, shape, dtype);
  node.storage = new Storage(dtype, elements.length, 'live', elements);
  if (trace) {
    sources.set(node, source);
    trace.live.push(node);
  }
  return new Tensor(node);
}

/** What a source says now, as elements. */
export function elementsOf(source: () => readonly number[], shape: Shape, dtype: DType): TypedArray {
  const values = source();
  if (values.length !== sizeOf(shape)) throw new Error(`live: the source gave ${values.length} values for [${shape}]`);
  const elements = dtypes[dtype].array(values.length);
  elements.set(values);
  return elements;
}
