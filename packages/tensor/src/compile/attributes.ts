/** A node's attributes as text: equal texts mean equal attributes. */
import { type Expr, print } from '../expr/expr.ts';

export function attributeText(attributes: unknown): string {
  if (attributes === undefined) return '';
  if (typeof attributes === 'number') return Object.is(attributes, -0) ? '-0' : String(attributes);
  return JSON.stringify(attributes, (key, value: unknown) => {
    if (key === 'expr') return print(value as Expr);
    return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
  });
}
