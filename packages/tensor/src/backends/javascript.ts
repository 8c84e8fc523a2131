/** JavaScript source from scalar terms, one line for each distinct subterm; and the dialect that the reference backend runs. */
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
  half: ([a]) => `half(${a})`,
  select: ([a, b, c]) => `${a} ? ${b} : ${c}`,
};

/** How operations and constants are written. */
export interface Dialect {
  /** The value of an operation on operands that are already names or literals. */
  readonly value: (e: Expr, args: readonly string[]) => string;
  readonly literal: (e: Expr) => string;
}

/** All of JavaScript, with `scalar` for the operations that it has no operator for. */
const plain: Dialect = {
  value(e, args) {
    const spell = spellings[e.op];
    if (spell) return wrapped[e.type]?.(spell(args, e)) ?? '';
    return `scalar('${e.op}', '${e.type}', '${(e.args[0] as Expr).type}', [${args}])`;
  },
  literal: ({ value }) => {
    if (Object.is(value, -0)) return '(-0)';
    return value < 0 ? `(${value})` : String(value);
  },
};

/** Lines of source that compute terms, and the names that hold them. */
export class JavaScriptWriter {
  readonly lines: string[] = [];
  private readonly names = new Map<Expr, string>();
  private readonly leaf: (e: Expr) => string;
  private readonly prefix: string;
  private readonly dialect: Dialect;

  /** `leaf` spells loads, axes and accumulators (a load's index has been written: see `name`). */
  constructor(prefix: string, leaf: (e: Expr, name: (part: Expr) => string) => string, dialect: Dialect = plain) {
    this.prefix = prefix;
    this.leaf = (e) => leaf(e, (part) => this.names.get(part) as string);
    this.dialect = dialect;
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
    if (e.op === 'constant') return this.dialect.literal(e);
    if (e.op === 'axis' || e.op === 'accumulator') return this.leaf(e);
    const name = `${this.prefix}${this.names.size}`;
    const args = e.args.map((arg) => this.names.get(arg) as string);
    this.lines.push(`const ${name} = ${e.op === 'load' ? this.leaf(e) : this.dialect.value(e, args)};`);
    return name;
  }
}
