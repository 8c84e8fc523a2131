/** Scatter kernels: adds elements of a source where an index array says. */
import type { ScatterKernel } from '../../compile/kernel.ts';
import { type Code, fillMemory, get, i32, type Local, load, op } from './assembler.ts';
import type { Library } from './library.ts';
import { kernelParameters, loadArguments, type Phase, parameter } from './loop.ts';

/** Columns of one unit of work: units never write the same element, so the order of additions is fixed. */
const columns = 64;

export function defineScatter(library: Library, kernel: ScatterKernel, name: string): Phase {
  const { outer, count, inner, size, indexStrides } = kernel;
  const block = Math.min(columns, inner);
  const blocks = Math.ceil(inner / block);
  const dtype = kernel.inputs[1].dtype;
  const [indexLoad, indexBytes] = dtype === 'u8' ? ['i32.load8_u', 1] : ['i32.load', 4];
  library.module.define(
    kernelParameters,
    [],
    (f) => {
      const [source, indices, output] = loadArguments(f, 3) as [Local, Local, Local];
      const [o, first, width, i, d, index] = Array.from({ length: 6 }, () => f.local('i32')) as [
        Local,
        Local,
        Local,
        Local,
        Local,
        Local,
      ];
      const [to, from] = [f.local('i32'), f.local('i32')];
      const outputRow = (at: Code): Code =>
        op(
          'i32.add',
          get(output),
          op(
            'i32.mul',
            op('i32.add', op('i32.mul', op('i32.add', op('i32.mul', get(o), i32(size)), at), i32(inner)), get(first)),
            i32(4),
          ),
        );
      const step = (stride: number, variable: Local): Code => op('i32.mul', get(variable), i32(stride * indexBytes));
      const indexAt = (column: Code): Code => {
        const row = op('i32.add', step(indexStrides.outer, o), step(indexStrides.count, i));
        const across = op('i32.mul', column, i32(indexStrides.inner * indexBytes));
        return load(indexLoad, op('i32.add', get(indices), op('i32.add', row, across)));
      };
      const valid = op('i32.lt_u', get(index), i32(size));
      const addElement = (): void => {
        const at = op('i32.add', get(to), op('i32.mul', get(d), i32(4)));
        const value = load('f32.load', op('i32.add', get(from), op('i32.mul', get(d), i32(4))));
        f.store('f32.store', at, op('f32.add', load('f32.load', at), value));
      };
      f.count(parameter.start, get(parameter.end), 1, () => {
        f.set(o, op('i32.div_u', get(parameter.start), i32(blocks)));
        f.set(first, op('i32.mul', op('i32.rem_u', get(parameter.start), i32(blocks)), i32(block)));
        f.set(width, op('i32.sub', i32(inner), get(first)));
        f.when(op('i32.gt_s', get(width), i32(block)), () => f.set(width, i32(block)));
        f.set(i, i32(0));
        if (blocks === 1) fillMemory(f, outputRow(i32(0)), i32(0), i32(size * inner * 4));
        else {
          f.count(i, i32(size), 1, () => fillMemory(f, outputRow(get(i)), i32(0), op('i32.mul', get(width), i32(4))));
          f.set(i, i32(0));
        }
        f.count(i, i32(count), 1, () => {
          const row = op('i32.add', op('i32.mul', get(o), i32(count)), get(i));
          const element = op('i32.add', op('i32.mul', row, i32(inner)), get(first));
          f.set(from, op('i32.add', get(source), op('i32.mul', element, i32(4))));
          f.set(d, i32(0));
          if (indexStrides.inner === 0) {
            f.set(index, indexAt(i32(0)));
            f.when(valid, () => {
              f.set(to, outputRow(get(index)));
              f.count(d, op('i32.sub', get(width), i32(3)), 4, () => {
                const at = op('i32.add', get(to), op('i32.mul', get(d), i32(4)));
                const value = load('v128.load', op('i32.add', get(from), op('i32.mul', get(d), i32(4))));
                f.store('v128.store', at, op('f32x4.add', load('v128.load', at), value));
              });
              f.count(d, get(width), 1, addElement);
            });
            return;
          }
          f.count(d, get(width), 1, () => {
            f.set(index, indexAt(op('i32.add', get(first), get(d))));
            f.when(valid, () => {
              f.set(to, outputRow(get(index)));
              addElement();
            });
          });
        });
      });
    },
    name,
  );
  const additions = (count * block) / (indexStrides.inner === 0 ? 4 : 1);
  return { name, units: outer * blocks, cost: additions + (size * block) / 16 + 10 };
}
