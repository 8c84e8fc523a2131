/** Shapes at compile time: checked by `tsc`, not run. */
import { ones, type Shape, type Tensor, zeros } from '@actionclip/tensor';
import { expectTypeOf } from 'vitest';

const rows = zeros([2, 3]);
const columns = ones([3, 4]);
const batch = ones([5, 1, 2, 3]);
const unknown: Tensor = rows as Tensor;

expectTypeOf(rows).toEqualTypeOf<Tensor<readonly [2, 3]>>();
expectTypeOf(rows.matmul(columns)).toEqualTypeOf<Tensor<[2, 4]>>();
expectTypeOf(batch.matmul(columns)).toEqualTypeOf<Tensor<[5, 1, 2, 4]>>();
expectTypeOf(batch.matmul(ones([7, 3, 6]))).toEqualTypeOf<Tensor<[5, 7, 2, 6]>>();
// @ts-expect-error the inner sizes 3 and 2 differ
rows.matmul(rows);
// @ts-expect-error the inner sizes 4 and 2 differ
rows.matmul(columns).matmul(rows);

expectTypeOf(rows.add(ones([3]))).toEqualTypeOf<Tensor<[2, 3]>>();
expectTypeOf(rows.mul(ones([4, 1, 3]))).toEqualTypeOf<Tensor<[4, 2, 3]>>();
expectTypeOf(rows.sub(1).shape.length).toEqualTypeOf<number>();
// @ts-expect-error 3 and 4 do not broadcast
rows.add(ones([4]));
// @ts-expect-error 2 and 5 do not broadcast
rows.div(ones([5, 3]));

expectTypeOf(rows.reshape([6]).shape).toEqualTypeOf<readonly [6]>();
expectTypeOf(rows.reshape([3, 2]).shape).toEqualTypeOf<readonly [3, 2]>();
// @ts-expect-error 6 elements cannot become 7
rows.reshape([7]);
// @ts-expect-error 6 elements cannot become 8
rows.reshape([2, 4]);

expectTypeOf(rows.T).toEqualTypeOf<Tensor<[3, 2]>>();
expectTypeOf(batch.T).toEqualTypeOf<Tensor<[5, 1, 3, 2]>>();
expectTypeOf(rows.exp().T.matmul(rows)).toEqualTypeOf<Tensor<[3, 3]>>();
expectTypeOf(rows.relu()).toEqualTypeOf<Tensor<readonly [2, 3]>>();

// Where a shape is not known, everything is allowed, and checked when it runs.
expectTypeOf(unknown.matmul(rows).shape).toEqualTypeOf<Shape>();
expectTypeOf(unknown.add(columns).shape).toEqualTypeOf<Shape>();
unknown.reshape([7, 11]);
