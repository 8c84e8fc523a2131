/** Shapes, axes and dtypes that do not fit: the messages name the operation, the shapes, the axis and a way out. */
import * as engine from '@actionclip/tensor';
import { DTypeError, ShapeError, type Tensor, tensor, zeros } from '@actionclip/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reference, use } from './devices.ts';

/** Zeros of a shape that the compiler does not know. */
const of = (...shape: number[]): Tensor => zeros(shape) as unknown as Tensor;
const index = (...values: number[]): Tensor => tensor(values, { dtype: 'i32' });

const cases: readonly (readonly [string, () => unknown, string])[] = [
  ['add', () => of(2, 3).add(of(2, 4)), 'add: [2, 3] and [2, 4] do not broadcast: sizes 3 and 4 differ (axis -1)'],
  ['add', () => of(5, 3).add(of(4, 1)), 'add: [5, 3] and [4, 1] do not broadcast: sizes 5 and 4 differ (axis -2)'],
  [
    'where',
    () => engine.where(of(2).ne(0), of(1), of(3)),
    'where: [2] and [3] do not broadcast: sizes 2 and 3 differ (axis -1)',
  ],
  [
    'matmul',
    () => of(2, 3).matmul(of(4, 5)),
    'matmul: [2, 3] x [4, 5]: inner sizes 3 and 4 differ (axis 1 of the left, axis 0 of the right)',
  ],
  ['matmul', () => of(2, 3, 4).matmul(of(5, 4, 1)), 'matmul: [2] and [5] do not broadcast: sizes 2 and 5 differ'],
  ['matmul', () => of().matmul(of(2, 2)), 'matmul: [] x [2, 2]: a scalar has no rows; use mul'],
  ['reshape', () => of(2, 3).reshape([4, -1]), 'reshape: [2, 3] to [4, -1]: 6 elements do not divide by 4'],
  ['reshape', () => of(2, 3).reshape([5]), 'reshape: [2, 3] to [5]: 6 elements cannot become 5'],
  ['permute', () => of(2, 3).permute(0, 0), 'permute: [0, 0] is not an order of the 2 axes of [2, 3]'],
  ['permute', () => of(2, 3).permute(0, 2), 'permute: axis 2 is out of range for rank 2; axes run from -2 to 1'],
  ['expand', () => of(2, 3).expand(2, 4), 'expand: [2, 3] does not expand to [2, 4]; only axes of size 1 can grow'],
  ['sum', () => of(2, 3).sum(2), 'sum: axis 2 is out of range for rank 2; axes run from -2 to 1'],
  ['sum', () => of(2, 3).sum([0, -2]), 'sum: axes [0, 0] name one axis twice'],
  ['max', () => of(2, 0).max(1), 'max: [2, 0] has no elements along axes [1]'],
  ['argmax', () => of(0).argmax(0), 'argmax: [0] has no elements along axis 0'],
  ['softmax', () => of(2).softmax(1), 'softmax: axis 1 is out of range for rank 1'],
  ['concat', () => engine.concat([of(2, 3), of(2, 4)]), 'concat: operand 1 has shape [2, 4], operand 0 [2, 3]'],
  ['split', () => of(2, 5).split([2, 2], 1), 'split: sizes [2, 2] do not add up to 5, axis 1 of [2, 5]'],
  ['select', () => of(2, 3).select(1, 3), 'select: index 3 is outside of axis 1 of [2, 3]'],
  ['topk', () => of(2, 3).topk(4), 'topk: k = 4 of 3 elements along axis 1 of [2, 3]'],
  ['gather', () => of(2, 3).gather(1, index(0)), 'gather: the index [1] does not fit into [2, 3] (axis 1)'],
  [
    'indexSelect',
    () => of(2, 3).indexSelect(1, index(0, 3)),
    'indexSelect: index 3 at position 1 is outside of axis 1 with size 3',
  ],
  [
    'scatterAdd',
    () => of(4).scatterAdd(0, index(0, 1), of(3)),
    'scatterAdd: the source [3] and the index [2] differ (along axis 0 of [4])',
  ],
  [
    'scatterAdd',
    () => of(4).scatterAdd(0, index(0, 4), of(2)),
    'scatterAdd: index 4 at position 1 is outside of axis 0',
  ],
  [
    'unfold',
    () => of(2, 3).unfold(1, 4),
    'unfold: a window of 4 with dilation 1 and step 1 does not fit axis 1 of [2, 3]',
  ],
  ['repeat', () => of(2, 3).repeat(2), 'repeat: 1 counts for [2, 3]; give one for each axis'],
  ['zeros', () => of(1, 1, 1, 1, 1, 1, 1, 1, 1), 'rank 9 of [1, 1, 1, 1, 1, 1, 1, 1, 1] is above 8'],
  ['zeros', () => of(2, -1), 'size -1 of axis 1 in [2, -1] is not a whole number of at least 0'],
  [
    'einsum',
    () => engine.einsum('ij,jk->ik', of(2, 3), of(4, 5)),
    "einsum 'ij,jk->ik': 'j' has size 3 in operand 0 [2, 3] (axis 1) and 4 in operand 1 [4, 5] (axis 0)",
  ],
  ['einsum', () => engine.einsum('ij->ik', of(2, 3)), "einsum 'ij->ik': the output's 'k' is in no operand"],
  ['einsum', () => engine.einsum('ijk', of(2, 3)), "einsum 'ijk': 'ijk' names 3 axes, operand 0 [2, 3] has 2"],
  ['einsum', () => engine.einsum('ii', of(2, 3)), "einsum 'ii': axes 0 and 1 of operand 0 [2, 3] have no diagonal"],
  ['einsum', () => engine.einsum('i,j', of(2)), "einsum 'i,j': 2 terms for 1 operands"],
  [
    'conv1d',
    () => engine.conv1d(of(1, 3, 8), of(4, 2, 3)),
    'conv1d: [1, 3, 8] by [4, 2, 3]: the weight takes 2 channels (axis 1), the input has 3 in 1 groups (axis 1)',
  ],
  [
    'conv2d',
    () => engine.conv2d(of(1, 3, 2, 2), of(4, 3, 3, 3)),
    'conv2d: a window of 3 (kernel [3, 3]) does not fit the 2 elements of axis 2 of [1, 3, 2, 2]',
  ],
  ['conv2d', () => engine.conv2d(of(3, 4), of(4, 3, 3, 3)), 'conv2d: [3, 4] by [4, 3, 3, 3]: both need 4 axes'],
  [
    'maxPool2d',
    () => engine.maxPool2d(of(1, 4, 4), [2, 2, 2]),
    'maxPool2d: kernel [2, 2, 2] has 3 entries for 2 spatial axes',
  ],
  [
    'interpolate',
    () => engine.interpolate(of(1, 1, 4), { size: 2, mode: 'bilinear' }),
    'interpolate: bilinear takes 2 spatial axes, and [1, 1, 4] has 1',
  ],
  ['layerNorm', () => engine.layerNorm(of(2, 3), [4]), 'layerNorm: the last axes of [2, 3] are not [4] (axis 1)'],
  [
    'layerNorm',
    () => engine.layerNorm(of(2, 3), [3], of(2)),
    'layerNorm: the weight [2] does not fit the input [2, 3]; [3] was expected',
  ],
  [
    'groupNorm',
    () => engine.groupNorm(of(1, 4, 2), 3),
    'groupNorm: 4 channels (axis 1 of [1, 4, 2]) do not divide into 3 groups',
  ],
  [
    'crossEntropy',
    () => engine.crossEntropy(of(2, 3), index(1, 2, 0)),
    'crossEntropy: the input [2, 3] has classes along axis 1, and the target is [3]; class indices have shape [2]',
  ],
  [
    'crossEntropy',
    () => engine.crossEntropy(of(2, 3), index(1, 3)),
    'index 3 at position 1 is outside of axis 1 with size 3',
  ],
  [
    'mseLoss',
    () => engine.mseLoss(of(2, 3), of(2, 1)),
    'mseLoss: the input [2, 3] and the target [2, 1] differ (axis 1); losses do not broadcast',
  ],
  [
    'attention',
    () => engine.scaledDotProductAttention(of(2, 3), of(4, 5), of(4, 5)),
    'scaledDotProductAttention: query [2, 3], key [4, 5], value [4, 5]: the widths of query and key, 3 and 5, differ (axis -1)',
  ],
  [
    'attention',
    () => engine.scaledDotProductAttention(of(2, 3), of(4, 3), of(4, 3), { mask: of(4, 2) }),
    'do not broadcast',
  ],
  [
    'packedAttention',
    () => engine.packedAttention(of(2, 5, 2, 4, 8)),
    'packedAttention: [2, 5, 2, 4, 8]: axis -3 must hold queries, keys and values',
  ],
  ['bmm', () => engine.bmm(of(2, 3, 4), of(3, 4, 5)), 'bmm: [2, 3, 4] x [3, 4, 5]: batches 2 and 3 differ (axis 0)'],
  ['outer', () => engine.outer(of(2, 2), of(2)), 'outer: [2, 2] has rank 2, not 1'],
  [
    'tensor',
    () => tensor([[1, 2], [3]]),
    'tensor: the lists are ragged: one at depth 1 has 1 entries, the first has 2',
  ],
  [
    'tensor',
    () => tensor(new Float32Array(5), { shape: [2, 3] }),
    'tensor: 5 elements for shape [2, 3]; 6 were expected',
  ],
  ['backward', () => of(2).backward(), 'backward: [2] is not a scalar'],
];

describe('shape errors', () => {
  let close = async (): Promise<void> => undefined;
  beforeAll(async () => {
    const opened = await use(reference);
    close = () => opened.close();
  });
  afterAll(() => close());

  it.each(cases)('%s says what does not fit: case %#', (_, act, message) => {
    expect(act).toThrow(ShapeError);
    expect(act).toThrow(message);
  });

  it('dtypes that do not fit are named', () => {
    const act = (): unknown => engine.where(of(2), of(2), of(2));
    expect(act).toThrow(DTypeError);
    expect(act).toThrow('where: the condition has dtype f32, not bool; compare first');
    expect(() => engine.embedding(of(2), of(3, 4))).toThrow('the index has dtype f32; use i32, u32 or u8');
    expect(() => engine.crossEntropy(of(2, 3), tensor([true, false]))).toThrow('the target has dtype bool');
    expect(() => {
      index(1).requiresGrad = true;
    }).toThrow('requiresGrad: dtype i32 has no gradient; use f32');
  });

  it('errors carry their hint apart', () => {
    try {
      of(2, 3).sum(2);
    } catch (error) {
      expect(error).toBeInstanceOf(ShapeError);
      expect((error as ShapeError).hint).toBe('axes run from -2 to 1');
      return;
    }
    throw new Error('an axis out of range went unnoticed');
  });
});
