/** The order in which a row kernel's reductions can be done: all that need no others' results in one pass over the row. */
import { walk } from '../expr/expr.ts';
import type { RowKernel } from './kernel.ts';

/** The stages of each pass: those whose bodies use the results of earlier passes alone. */
export function stagesByPass({ stages }: Pick<RowKernel, 'stages'>): number[][] {
  const passes: number[][] = [];
  const passOf: number[] = [];
  stages.forEach(({ body }, stage) => {
    let pass = 0;
    walk(body, (e) => {
      if (e.op === 'accumulator') pass = Math.max(pass, (passOf[e.value] as number) + 1);
    });
    passOf.push(pass);
    const list = passes[pass];
    if (list) list.push(stage);
    else passes[pass] = [stage];
  });
  return passes;
}
