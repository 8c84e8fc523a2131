/**
 * Row kernels: a team of threads for every row, several teams in a workgroup. Members take strips of the row in turn,
 * join what they have folded after every pass, and hold their strips in registers until the outputs are stored, unless
 * the row is too long for that. Where columns are folded, a workgroup goes over many rows and keeps what it has folded.
 */
import type { RowKernel, RowOutput } from '../../compile/kernel.ts';
import { stagesByPass } from '../../compile/stages.ts';
import {
  type ColumnParts,
  columnEnds,
  columnResults,
  declareColumns,
  joinTeams,
  partBinding,
  partBytes,
  partsOf,
  storeParts,
  takeColumns,
} from './columns.ts';
import type { KernelShaders } from './kernels.ts';
import { elementTerms, type RowSchedule, rowSchedule } from './row-schedule.ts';
import { reduction } from './spellings.ts';
import { bindingOf, bindingsOf } from './storage.ts';
import { Strip, storeElement, storeStrip, stripBindings, withSharedWords } from './strips.ts';
import type { Target } from './target.ts';
import { TeamJoin } from './team.ts';
import { Scope, type Shader, ShaderText } from './wgsl.ts';

/** The shaders of a row kernel. */
export function rowShaders(
  kernel: RowKernel,
  target: Target,
  schedule: RowSchedule = rowSchedule(kernel, target),
): KernelShaders {
  const shader = new RowWriter(kernel, target, schedule).shader();
  if (kernel.columns.length === 0 || schedule.groups === 1) return { shaders: [shader] };
  const parts = partsOf(kernel, schedule.groups);
  return { shaders: [shader, columnEnds(kernel, target, parts)], scratch: [partBytes(parts)] };
}

/** A strip of the row: where it starts, and the name of whether it exists, where it may lie past the end. */
interface Place {
  readonly position: string;
  readonly inside: string | undefined;
}

interface HeldStrip extends Place {
  readonly strip: Strip;
}

class RowWriter {
  readonly #kernel: RowKernel;
  readonly #schedule: RowSchedule;
  readonly #outputs: readonly RowOutput[];
  readonly #shader: ShaderText;
  readonly #steps: string;
  readonly #join: TeamJoin;
  readonly #root: Scope;
  /** The block in which one row is computed. */
  readonly #row: Scope;
  readonly #parts: ColumnParts | undefined;
  #held: readonly HeldStrip[] = [];

  constructor(kernel: RowKernel, target: Target, schedule: RowSchedule) {
    this.#kernel = kernel;
    this.#schedule = schedule;
    const { inputs, columns } = kernel;
    const { width, groups } = schedule;
    this.#parts = columns.length > 0 ? partsOf(kernel, groups) : undefined;
    // The columns of several workgroups are stored by the second shader.
    const outputs = kernel.outputs.filter(({ per }) => per !== 'column' || groups === 1);
    this.#outputs = outputs;
    const strips = new Set(outputs.filter(({ per }) => per !== 'row'));
    const terms = [...elementTerms(kernel), ...outputs.map(({ value }) => value)];
    const own =
      width === 4 ? stripBindings(inputs, outputs, strips, terms, 1, target) : bindingsOf(inputs, outputs, target);
    const bindings = withSharedWords(own, outputs);
    if (this.#parts && groups > 1) bindings.push(partBinding(true, width));
    this.#shader = new ShaderText(inputs, bindings);
    this.#steps = this.#shader.parameter(kernel.extent / width);
    this.#join = new TeamJoin(this.#shader, schedule.team);
    this.#root = new Scope(this.#shader);
    this.#row = this.#parts ? new Scope(this.#shader, this.#root) : this.#root;
  }

  get #teams(): number {
    const { threads, size } = this.#schedule.team;
    return threads / size;
  }

  /** Whether workgroups stand side by side along the columns. */
  get #tiled(): boolean {
    return this.#kernel.stages.length === 0;
  }

  shader(): Shader {
    const { rows, columns, name } = this.#kernel;
    const { team, held, width, groups, tiles } = this.#schedule;
    const [root, row] = [this.#root, this.#row];
    const count = this.#shader.parameter(rows);
    root.lines.push(`let member = lane % ${team.size};`);
    if (this.#tiled) {
      const across = this.#shader.parameter(tiles);
      root.lines.push(`let tile = group % ${across};`, `let part = group / ${across};`);
    } else root.lines.push('let part = group;');
    const places = this.#places();
    root.lines.push(...declareColumns(columns, held, width));
    row.lines.push(
      // Teams without a row compute the last one again, so that all threads come to every barrier.
      `let place = ${this.#parts ? 'base' : `part * ${this.#teams}`} + lane / ${team.size};`,
      `let row = min(place, ${count} - 1);`,
      `let live = place < ${count};`,
    );
    row.bindAxis(0, 'row');
    this.#held = places.map((place) => ({ ...place, strip: this.#strip(row, place.position) }));
    for (const stages of stagesByPass(this.#kernel)) this.#fold(stages);
    this.#store();
    if (this.#parts) {
      this.#foldColumns();
      const stride = this.#shader.parameter(groups * this.#teams);
      root.nest(`for (var base = part * ${this.#teams}; base < ${count}; base += ${stride})`, row);
      this.#storeColumns(this.#parts, places);
    }
    return {
      name,
      code: this.#shader.module(root.lines, team.threads),
      bindings: this.#shader.bindings,
      parameters: this.#shader.parameters,
      workgroups: this.#parts ? groups * tiles : Math.ceil(rows / this.#teams),
    };
  }

  #strip(around: Scope, position: string): Strip {
    return new Strip(this.#shader, this.#kernel.inputs, around, 1, position, this.#schedule.width);
  }

  /** Where the strips lie that a member holds. Those past the end of the row are the last one again. */
  #places(): Place[] {
    const { held, width, team } = this.#schedule;
    const tile = this.#tiled ? ` + tile * ${held * team.size}` : '';
    return Array.from({ length: held }, (_, c) => {
      const whole = c < this.#schedule.whole;
      const step = `member${c === 0 ? '' : ` + ${c * team.size}`}${tile}`;
      const [position, inside] = [`at${c}`, `inside${c}`];
      if (!whole) this.#root.lines.push(`let ${inside} = ${step} < ${this.#steps};`);
      const index = whole ? `(${step})` : `min(${step}, ${this.#steps} - 1)`;
      this.#root.lines.push(`let ${position} = ${index}${width === 1 ? '' : ` * ${width}`};`);
      return { position, inside: whole ? undefined : inside };
    });
  }

  /** Calls `visit` with every strip of the member, within the block in which it is computed. */
  #eachStrip(visit: (part: HeldStrip, block: Scope) => void): void {
    const { width, team, held } = this.#schedule;
    if (held > 0) {
      for (const part of this.#held) visit(part, this.#row);
      return;
    }
    const block = new Scope(this.#shader, this.#row);
    const position = width === 1 ? 'step' : 'at';
    if (width > 1) block.lines.push(`let at = step * ${width};`);
    visit({ strip: this.#strip(block, position), position, inside: undefined }, block);
    this.#row.nest(`for (var step = member; step < ${this.#steps}; step += ${team.size})`, block);
  }

  /** One pass over the row, after which the results of `stages` are known. */
  #fold(stages: readonly number[]): void {
    const { width } = this.#schedule;
    const folds = stages.map((stage) => {
      const { op, body } = this.#kernel.stages[stage] as RowKernel['stages'][number];
      return { stage, op, body, type: body.type, name: `stage${stage}`, ...reduction(op, body.type) };
    });
    // Each element of a strip has a chain of its own: shorter ones run side by side and round less.
    for (const { name, start } of folds) {
      for (let j = 0; j < width; j++) this.#row.lines.push(`var ${name}_${j} = ${start};`);
    }
    this.#eachStrip(({ strip, inside }, block) => {
      for (const { name, body, start, join } of folds) {
        strip.values(body).forEach((value, j) => {
          const taken = inside === undefined ? value : `select(${start}, ${value}, ${inside})`;
          block.lines.push(`${name}_${j} = ${join(`${name}_${j}`, taken)};`);
        });
      }
    });
    for (const { name, join } of folds) {
      const pair = (j: number): string => join(`${name}_${j}`, `${name}_${j + 1}`);
      this.#row.lines.push(`var ${name} = ${width === 1 ? `${name}_0` : join(`(${pair(0)})`, `(${pair(2)})`)};`);
    }
    this.#row.lines.push(...this.#join.lines(folds));
    for (const { stage, name } of folds) this.#row.bindAccumulator(name, stage);
  }

  #per(kind: RowOutput['per']): RowOutput[] {
    return this.#outputs.filter(({ per }) => per === kind);
  }

  #store(): void {
    const { bindings } = this.#shader;
    const stores = this.#per('row').map((output) =>
      storeElement(output.dtype, bindingOf(output, bindings), 'row', this.#row.emit(output.value)),
    );
    const first = this.#tiled ? 'live && member == 0 && tile == 0' : 'live && member == 0';
    if (stores.length > 0) this.#row.lines.push(`if (${first}) { ${stores.join(' ')} }`);
    const elements = this.#per('element');
    if (elements.length === 0) return;
    const extent = this.#shader.parameter(this.#kernel.extent);
    this.#eachStrip(({ strip, position, inside }, block) => {
      const index = `(row * ${extent} + ${position})`;
      const values = elements.map(({ value }) => strip.values(value));
      const texts = elements.map((output, i) =>
        storeStrip(output.dtype, bindingOf(output, bindings), index, values[i] as string[]),
      );
      block.lines.push(`if (${inside ? `live && ${inside}` : 'live'}) { ${texts.join(' ')} }`);
    });
  }

  #foldColumns(): void {
    this.#kernel.columns.forEach((fold, f) => {
      this.#held.forEach(({ strip }, c) => {
        this.#row.lines.push(...takeColumns(fold, f, c, strip.values(fold.body), 'live'));
      });
    });
  }

  /** Stores what the workgroup has folded of its columns, as results where there is no other workgroup, or as parts. */
  #storeColumns(parts: ColumnParts, places: readonly Place[]): void {
    const { team, held, width, groups } = this.#schedule;
    const { bindings } = this.#shader;
    const root = this.#root;
    root.lines.push(...joinTeams(this.#shader, parts.folds, held, width, team));
    const owner = `lane == member && part < ${this.#shader.parameter(groups)}`;
    places.forEach(({ position, inside }, c) => {
      const block = new Scope(this.#shader, root);
      if (groups > 1) block.lines.push(...storeParts(this.#shader, parts, c, position, 'part', width));
      else {
        const strip = this.#strip(block, position);
        columnResults(parts.folds.length, c, width).forEach((names, f) => {
          strip.bindAccumulator(names, parts.first + f);
        });
        const outputs = this.#per('column');
        const values = outputs.map(({ value }) => strip.values(value));
        outputs.forEach((output, i) => {
          const binding = bindingOf(output, bindings);
          block.lines.push(storeStrip(output.dtype, binding, position, values[i] as string[]));
        });
      }
      root.nest(`if (${inside ? `${owner} && ${inside}` : owner})`, block);
    });
  }
}
