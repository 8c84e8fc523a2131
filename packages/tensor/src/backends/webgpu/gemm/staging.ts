/**
 * The way of one factor into workgroup memory: a strip is fetched into registers while the one before it is multiplied,
 * then staged as vectors of four neighbours along the factor's own axis, step by step of the sum: staged[k][free / 4].
 * What is fetched are the loads alone; the rest of the factor's term is computed while staging.
 */
import type { BufferUse } from '../../../compile/kernel.ts';
import { add, axis, constant, type Expr, input, mul, substitute, walk } from '../../../expr/expr.ts';
import type { Target } from '../target.ts';
import { components, lanes, vectorBindingOf, vectorForm, vectorPosition } from '../vectors.ts';
import { Scope, type ShaderText } from '../wgsl.ts';
import type { FactorAccess } from './access.ts';

export interface Side {
  readonly name: 'a' | 'b';
  readonly factor: Expr;
  readonly inputs: readonly BufferUse[];
  readonly access: FactorAccess;
  /** The factor's own axis, its extent, and the text of the extent and of the tile's first element. */
  readonly free: number;
  readonly extent: number;
  readonly size: string;
  readonly origin: string;
  /** Elements of the tile along that axis, and steps of a strip. */
  readonly width: number;
  readonly depth: number;
  /** The axis of the sum, its extent and the text of its extent. */
  readonly sum: number;
  readonly steps: number;
  readonly stepsText: string;
  /** Whether all strips are whole, so that no step is past the end. */
  readonly whole: boolean;
}

/** The threads that load a side: `count` of them (a power of two), from `first` on. */
export interface Crew {
  readonly first: number;
  readonly count: number;
  readonly all: boolean;
}

/** One thread's share of a strip in one round: `lanes` neighbours at one step, or at `lanes` steps where vectors lie along the sum. */
interface Share {
  readonly guard: string | undefined;
  /** The number of the share's step, or of its vector of steps, within the strip. */
  readonly step: string;
  /** Where its first vector goes in workgroup memory. */
  readonly place: string;
  /** Variables for the element of each neighbour, or for the vector that holds all. */
  readonly own: readonly Expr[];
  readonly registers: readonly (readonly string[])[];
}

/** Names for registers that hold fetched elements, by type: crews of different threads share them. */
export type Registers = (type: string) => string;

/** Units of work in one strip of a side, each for one thread. */
export function unitsOf({ access, width, depth }: Pick<Side, 'access' | 'width' | 'depth'>): number {
  return (width / lanes) * (access.vectors === 'k' ? depth / lanes : depth);
}

export class Loader {
  private readonly shader: ShaderText;
  private readonly target: Target;
  private readonly side: Side;
  private readonly crew: Crew;
  private readonly fetched: readonly Expr[];
  private readonly shares: readonly Share[];

  /** Adds to `root` what a thread knows of its shares before the first strip. `position` numbers variables of its own. */
  constructor(
    shader: ShaderText,
    target: Target,
    root: Scope,
    side: Side,
    crew: Crew,
    register: Registers,
    position: number,
  ) {
    this.shader = shader;
    this.target = target;
    this.side = side;
    this.crew = crew;
    this.fetched = fetchedLoads(side);
    const rounds = Math.ceil(unitsOf(side) / crew.count);
    const { name } = side;
    const item = `${name}_item`;
    root.lines.push(`let ${item} = ${crew.all ? 'lane' : `lane & ${crew.count - 1}`};`);
    this.shares = Array.from({ length: rounds }, (_, r) =>
      this.share(root, `${item} + ${r * crew.count}`, r, register, position + r * (lanes + 1)),
    );
  }

  private share(root: Scope, item: string, round: number, register: Registers, position: number): Share {
    const { name, access, width, depth, origin, size, extent } = this.side;
    const across = width / lanes;
    const deep = access.vectors === 'k' ? depth / lanes : depth;
    const [unit, block, step, place] = ['unit', 'block', 'step', 'place'].map((n) => `${name}_${n}${round}`);
    const near = Math.min(8, across);
    root.lines.push(
      `let ${unit} = ${item};`,
      // Eight neighbouring threads store eight neighbouring vectors, whichever way they load.
      access.alongK
        ? `let ${block} = ${unit} % ${near} + ${near} * (${unit} / ${near * deep});`
        : `let ${block} = ${unit} % ${across};`,
      access.alongK ? `let ${step} = (${unit} / ${near}) % ${deep};` : `let ${step} = ${unit} / ${across};`,
      `let ${place} = ${step} * ${access.vectors === 'k' ? lanes * across : across} + ${block};`,
    );
    const own: Expr[] = [];
    const count = access.vectors === 'free' ? 1 : lanes;
    for (let i = 0; i < count; i++) {
      const variable = `${name}_at${round}_${i}`;
      const value =
        access.vectors === 'free'
          ? `min(${origin} / ${lanes} + ${block}, ${size} / ${lanes} - 1)`
          : `min(${origin} + ${block} * ${lanes} + ${i}, ${size} - 1)`;
      root.lines.push(`let ${variable} = ${value};`);
      root.bindAxis(position + i, variable);
      own.push(axis(position + i, access.vectors === 'free' ? extent / lanes : extent));
    }
    const registers = this.fetched.map((load) =>
      Array.from({ length: access.vectors === 'k' ? lanes : 1 }, () => register(this.registerType(load))),
    );
    const units = unitsOf(this.side);
    const guard = (round + 1) * this.crew.count > units ? `${unit} < ${units}` : undefined;
    return { guard, step: step as string, place: place as string, own, registers };
  }

  private use(load: Expr): BufferUse {
    return this.side.inputs[load.value] as BufferUse;
  }

  private registerType(load: Expr): string {
    if (this.side.access.vectors === 'none') return `vec4<${load.type}>`;
    return vectorForm(this.use(load).dtype, this.target).type;
  }

  /** Adds to `around` what fetches the strip that starts at step `strip`. */
  fetch(around: Scope, strip: string): void {
    this.forEachShare(around, strip, (scope, share) => {
      const { vectors, loads } = this.side.access;
      this.fetched.forEach((load, f) => {
        const registers = share.registers[f] as readonly string[];
        if (vectors === 'none') {
          const elements = share.own.map((own) => scope.emit(this.at(load, own)));
          scope.lines.push(`${registers[0]} = ${this.registerType(load)}(${elements.join(', ')});`);
          return;
        }
        const { name } = vectorBindingOf(this.use(load), this.shader.bindings);
        registers.forEach((register, i) => {
          const number = this.at(loads.get(load) as Expr, share.own[i] as Expr);
          scope.lines.push(`${register} = ${name}[${scope.emit(number)}];`);
        });
      });
    });
  }

  /** Adds to `around` what computes the fetched strip's elements and stages them. */
  stage(around: Scope, strip: string): void {
    const { name, access, width, whole, stepsText } = this.side;
    const across = width / lanes;
    this.forEachShare(around, strip, (scope, share) => {
      const vectors = access.vectors === 'k' ? this.turned(scope, share) : [this.plain(scope, share)];
      vectors.forEach((vector, j) => {
        const value = whole ? vector : `select(vec4f(), ${vector}, ${name}_k < ${stepsText})`;
        scope.lines.push(`staged_${name}[${share.place}${j === 0 ? '' : ` + ${j * across}`}] = ${value};`);
      });
    });
  }

  /** The vector of the share's neighbours at its step. */
  private plain(scope: Scope, share: Share): string {
    const { vectors } = this.side.access;
    const parts = components.map((_, lane) => {
      const own =
        vectors === 'free'
          ? add(mul(share.own[0] as Expr, constant(lanes, 'i32')), constant(lane, 'i32'))
          : (share.own[lane] as Expr);
      return this.element(scope, share, 0, lane, own, undefined);
    });
    return joined(parts);
  }

  /** The vectors of the share's neighbours at each of its steps. */
  private turned(scope: Scope, share: Share): string[] {
    const { sum, steps } = this.side;
    const vector = axis(vectorPosition(sum), steps / lanes);
    const rows = share.own.map((own, row) =>
      components.map((_, lane) => {
        const k = add(mul(vector, constant(lanes, 'i32')), constant(lane, 'i32'));
        return this.element(scope, share, row, lane, own, k);
      }),
    );
    return components.map((_, lane) => joined(rows.map((row) => row[lane] as string)));
  }

  /** The factor's element at `own` (and at step `k`, where that is a lane), of which `lane` of the registers `row` has the loads. */
  private element(scope: Scope, share: Share, row: number, lane: number, own: Expr, k: Expr | undefined): string {
    const { factor, free, sum, access } = this.side;
    const term = substitute(factor, (leaf) => {
      const f = leaf.op === 'load' ? this.fetched.indexOf(leaf) : -1;
      if (f >= 0) {
        const known = input((f * lanes + row) * lanes + lane, leaf.type);
        const register = share.registers[f]?.[row] as string;
        const unpacked =
          access.vectors === 'none'
            ? `${register}.${components[lane]}`
            : vectorForm(this.use(leaf).dtype, this.target).unpack(register)[lane];
        scope.bindTerm(known, unpacked as string);
        return known;
      }
      if (leaf.op !== 'axis') return undefined;
      return leaf.value === free ? own : leaf.value === sum ? k : undefined;
    });
    return scope.emit(term);
  }

  /** `term` with the factor's own axis, or the variable for its vectors, replaced. */
  private at(term: Expr, own: Expr): Expr {
    const { free, access } = this.side;
    const position = access.vectors === 'free' ? vectorPosition(free) : free;
    return substitute(term, (leaf) => (leaf.op === 'axis' && leaf.value === position ? own : undefined));
  }

  /** Calls `body` for every share, in a block of its own in which the step of the sum is bound. */
  private forEachShare(around: Scope, strip: string, body: (scope: Scope, share: Share) => void): void {
    const { name, access, sum, whole, stepsText } = this.side;
    const crewScope = new Scope(this.shader, around);
    for (const share of this.shares) {
      const scope = new Scope(this.shader, crewScope);
      const scale = access.vectors === 'k' ? lanes : 1;
      const first = scale === 1 ? `${strip} + ${share.step}` : `${strip} + ${share.step} * ${scale}`;
      scope.lines.push(`let ${name}_k = ${first};`);
      const inside = whole ? `${name}_k` : `min(${name}_k, ${stepsText} - ${scale})`;
      scope.lines.push(`let ${name}_step = ${scale === 1 ? inside : `(${inside}) / ${scale}`};`);
      scope.bindAxis(scale === 1 ? sum : vectorPosition(sum), `${name}_step`);
      body(scope, share);
      crewScope.nest(share.guard === undefined ? '' : `if (${share.guard})`, scope);
    }
    const { first, count, all } = this.crew;
    around.nest(all ? '' : first === 0 ? `if (lane < ${count})` : `if (lane >= ${first})`, crewScope);
  }
}

/** A vector from the texts of its components. */
function joined(parts: readonly string[]): string {
  const [register] = (parts[0] as string).split('.');
  if (parts.every((part, i) => part === `${register}.${components[i]}`)) return register as string;
  return `vec4f(${parts.join(', ')})`;
}

/** Loads that are fetched ahead: those that take vectors; without any, those that vary along the factor and follow no data. */
function fetchedLoads({ factor, access, free }: Side): readonly Expr[] {
  if (access.vectors !== 'none') return [...access.loads.keys()];
  const found: Expr[] = [];
  walk(factor, (e) => {
    if (e.op !== 'load') return;
    let varies = false;
    let plain = true;
    walk(e.args[0] as Expr, (part) => {
      if (part.op === 'axis' && part.value === free) varies = true;
      if (part.op === 'load') plain = false;
    });
    if (varies && plain) found.push(e);
  });
  return found;
}
