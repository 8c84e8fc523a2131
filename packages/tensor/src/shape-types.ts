/**
 * Shapes at compile time: literal tuples are checked and computed, anything else falls back to `number[]`, whose check
 * happens when the operation is called.
 */
import type { Shape } from './shape.ts';

/** A message in the place of a type: what the editor shows where shapes do not fit. */
export interface ShapeMismatch<Message extends string> {
  readonly shapeMismatch: Message;
}

/** Whether every size and the rank are known. */
export type IsKnown<S extends Shape> = number extends S['length'] ? false : number extends S[number] ? false : true;

type Both<A extends Shape, B extends Shape> = IsKnown<A> extends true ? IsKnown<B> : false;

type Last<S extends Shape> = S extends readonly [...Shape, infer L extends number] ? L : never;
type Init<S extends Shape> = S extends readonly [...infer I extends Shape, number] ? I : [];

/** One axis of two broadcast shapes; never where they clash. */
type BroadcastSize<A extends number, B extends number> = A extends B ? A : A extends 1 ? B : B extends 1 ? A : never;

type BroadcastTuple<A extends Shape, B extends Shape, Tail extends Shape = []> = A extends readonly []
  ? [...B, ...Tail]
  : B extends readonly []
    ? [...A, ...Tail]
    : [BroadcastSize<Last<A>, Last<B>>] extends [never]
      ? never
      : BroadcastTuple<Init<A>, Init<B>, [BroadcastSize<Last<A>, Last<B>>, ...Tail]>;

/** The shape to which A and B broadcast. */
export type Broadcast<A extends Shape, B extends Shape> =
  Both<A, B> extends true ? ([BroadcastTuple<A, B>] extends [never] ? never : BroadcastTuple<A, B>) : Shape;

/** `unknown` where A and B broadcast, a mismatch where they do not. */
export type CheckBroadcast<A extends Shape, B extends Shape> =
  Both<A, B> extends true
    ? [BroadcastTuple<A, B>] extends [never]
      ? ShapeMismatch<'the shapes do not broadcast'>
      : unknown
    : unknown;

type Rank2Plus = readonly [...Shape, number, number];

/** `unknown` where the inner sizes of a matrix product agree. */
export type CheckMatMul<A extends Shape, B extends Shape> =
  Both<A, B> extends true
    ? A extends Rank2Plus
      ? B extends Rank2Plus
        ? Last<A> extends Last<Init<B>>
          ? unknown
          : ShapeMismatch<'the inner sizes of the matrix product differ'>
        : unknown
      : unknown
    : unknown;

/** The shape of a matrix product. */
export type MatMul<A extends Shape, B extends Shape> =
  Both<A, B> extends true
    ? A extends Rank2Plus
      ? B extends Rank2Plus
        ? [BroadcastTuple<Init<Init<A>>, Init<Init<B>>>] extends [never]
          ? Shape
          : [...BroadcastTuple<Init<Init<A>>, Init<Init<B>>>, Last<Init<A>>, Last<B>]
        : Shape
      : Shape
    : Shape;

// Products are computed by counting tuples, which the compiler bears up to a few hundred elements; larger ones pass.
type Repeat<
  N extends number,
  Unit extends readonly unknown[],
  Count extends readonly unknown[] = [],
  Out extends readonly unknown[] = [],
> = Count['length'] extends N ? Out : Repeat<N, Unit, [...Count, 0], [...Out, ...Unit]>;
type IsSmall<N extends number> = `${N}` extends `${infer A}${infer B}${infer C}`
  ? C extends ''
    ? A extends '-'
      ? false
      : B extends ''
        ? true
        : true
    : false
  : true;
type AllSmall<S extends Shape> = S extends readonly [infer H extends number, ...infer T extends Shape]
  ? IsSmall<H> extends true
    ? AllSmall<T>
    : false
  : true;
type Product<S extends Shape, Out extends readonly unknown[] = [0]> = S extends readonly [
  infer H extends number,
  ...infer T extends Shape,
]
  ? Product<T, Repeat<H, Out>>
  : Out['length'];
type Short<S extends Shape> = S extends readonly [number?, number?, number?] ? AllSmall<S> : false;
type ElementCount<S extends Shape> = Short<S> extends true ? Product<S> : number;

/** `unknown` unless both element counts are known, small and different. */
export type CheckReshape<A extends Shape, B extends Shape> =
  Both<A, B> extends true
    ? number extends ElementCount<A> | ElementCount<B>
      ? unknown
      : ElementCount<A> extends ElementCount<B>
        ? unknown
        : ShapeMismatch<'the numbers of elements differ'>
    : unknown;

/** The shape with its last two axes exchanged. */
export type Transpose<S extends Shape> =
  IsKnown<S> extends true
    ? S extends readonly [...infer Batch extends Shape, infer M extends number, infer N extends number]
      ? [...Batch, N, M]
      : Shape
    : Shape;
