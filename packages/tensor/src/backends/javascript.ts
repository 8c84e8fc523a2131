/** JavaScript source from scalar terms: what the reference backend runs, one line for each distinct subterm. */
import { type Expr, type ScalarOp, walk } from '../expr/expr.ts';

type Spell = (args: readonly string[], e: Expr) => string;

const wrapped: Readonly<Record<string, (text: string) => string>> = {
  f32: (text) => text,
  i32: (text) => `(${text}) | 0`,
  u32: (text) => `(${text}) >>> 0`,
  bool: (text) => `(${text}) ? 1 : 0`,
};

const infix =
  (operator: string): Spell =>
  ([a, b]) =>
    `${a} ${operator} ${b}`;

const spellings: Readonly<Partial<Record<ScalarOp, Spell>>> = {
  add: infix('+'),
  sub: infix('-'),
  mul: ([a, b], e) => (e.type === 'f32' ? `${a} * ${b}` : `Math.imul(${a}, ${b})`),
  neg: ([a]) => `-${a}`,
  lt: infix('<'),
  le: infix('<='),
  eq: infix('==='),
  ne: infix('!=='),
  min: ([a, b]) => `Math.min(${a}, ${b})`,
  max: ([a, b]) => `Math.max(${a}, ${b})`,
  select: ([a, b, c]) => `${a} ? ${b} : ${c}`,
};

/** Lines of source that compute terms, and the names that hold them. */
export class JavaScriptWriter {
  readonly lines: string[] = [];
  private readonly names = new Map<Expr, string>();
  private readonly leaf: (e: Expr) => string;
  private readonly prefix: string;

  /** `leaf` spells loads, axes and accumulators (a load's index has been written: see `name`). */
  constructor(prefix: string, leaf: (e: Expr, name: (part: Expr) => string) => string) {
    this.prefix = prefix;
    this.leaf = (e) => leaf(e, (part) => this.names.get(part) as string);
  }

  /** Writes `expr` and returns the name or literal of its value. */
  write(expr: Expr): string {
    walk(
      expr,
      (e) => {
        if (this.names.has(e)) return;
        this.names.set(e, this.define(e));
      },
      new Set(this.names.keys()),
    );
    return this.names.get(expr) as string;
  }

  private define(e: Expr): string {
    if (e.op === 'constant') return literal(e.value);
    if (e.op === 'axis' || e.op === 'accumulator') return this.leaf(e);
    const name = `${this.prefix}${this.names.size}`;
    this.lines.push(`const ${name} = ${this.value(e)};`);
    return name;
  }

  private value(e: Expr): string {
    if (e.op === 'load') return this.leaf(e);
    const args = e.args.map((arg) => this.names.get(arg) as string);
    const spell = spellings[e.op];
    const from = (e.args[0] as Expr).type;
    if (spell) return wrapped[e.type]?.(spell(args, e)) ?? '';
    return `scalar('${e.op}', '${e.type}', '${from}', [${args}])`;
  }
}

function literal(value: number): string {
  if (Object.is(value, -0)) return '(-0)';
  return value < 0 ? `(${value})` : String(value);
}
