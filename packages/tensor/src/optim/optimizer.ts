/**
 * The optimizer: its update is nodes of the graph, like the loss and the gradients, so all of them make one program.
 * Rates are live values, and step counts are data: a captured step sees each new one.
 */
import { concat, full, leaf, stack, where, zeros } from '../creation.ts';
import type { TypedArray } from '../dtype.ts';
import type { HostTensor, StateDict } from '../io/host-tensor.ts';
import { live } from '../runtime/live.ts';
import { activeTrace, forbidInTrace } from '../runtime/trace.ts';
import { realize, Tensor } from '../tensor.ts';
import { checkBound, clipFactor } from './clip.ts';
import { flatUnits } from './flat.ts';
import type { ParameterGroup } from './groups.ts';
import type { LossScale } from './loss-scale.ts';
import { type PlannedLoad, planLoad, rateName, stepName } from './state.ts';
import { laidOut, type Member, separateUnit, type Unit } from './unit.ts';

/** How one kind of optimizer moves values. */
export interface UpdateRule {
  /** Names of the running averages kept for each parameter, as PyTorch calls them. */
  readonly moments: readonly string[];
  /** What `average` and `move` need of the rates, the decays and the steps with this one (the first is 1): all [n]. */
  scalars(rate: Tensor, decay: Tensor, step: Tensor): readonly Tensor[];
  /** The next running averages. */
  average(
    parameter: Tensor,
    gradient: Tensor,
    moments: readonly Tensor[],
    scalars: readonly Tensor[],
    group: ParameterGroup,
  ): readonly Tensor[];
  /** The next value, from the averages that already include this gradient. */
  move(
    parameter: Tensor,
    gradient: Tensor,
    moments: readonly Tensor[],
    scalars: readonly Tensor[],
    group: ParameterGroup,
  ): Tensor;
}

/** What every kind of optimizer can be told. */
export interface OptimizerOptions {
  /**
   * 'flat' moves the parameters of a group into few large tensors, so that an update is one kernel for each of these:
   * `realize` the parameters before the first captured step, and give the same ones gradients in every step. Programs
   * captured before that read the parameters must be captured again. 'separate', which leaves every parameter by
   * itself, if absent. States are the same for both.
   */
  readonly layout?: 'flat' | 'separate';
  /**
   * Scales the loss and skips the steps whose gradients are not finite: give `scaleLoss(loss)` the gradients. Such a
   * step changes no parameter, no average and no step count.
   */
  readonly lossScale?: LossScale;
}

export interface UpdateOptions {
  /** Scales the gradients so that the norm of all of them together, as one vector, is at most this. */
  readonly maxNorm?: number;
  /** A scalar, such as the loss: where it is not finite, the step changes nothing. */
  readonly onlyIfFinite?: Tensor;
}

/** What is moved on one device, and the steps that each unit has taken. */
interface Track {
  readonly units: readonly Unit[];
  /** The group of each unit. */
  readonly groups: readonly ParameterGroup[];
  steps: Tensor | undefined;
}

interface Move {
  readonly group: ParameterGroup;
  readonly values: Tensor;
  /** Where the values move, if not everywhere. */
  readonly mask: Tensor | undefined;
  readonly gradient: Tensor;
  readonly moments: readonly Tensor[];
  readonly scalars: readonly Tensor[];
  /** Whether the step counts (bool), where that is not certain. */
  readonly finite: Tensor | undefined;
}

/** What the gradients of a step have in common: a factor, and whether all of them are numbers. */
interface Common {
  readonly factor: Tensor | undefined;
  readonly finite: Tensor | undefined;
}

export abstract class Optimizer {
  readonly groups: readonly ParameterGroup[];
  readonly lossScale: LossScale | undefined;
  private readonly rule: UpdateRule;
  private readonly tracks: readonly Track[];
  private readonly moments = new Map<Unit, readonly Tensor[]>();
  /** Live values of updates that have not been computed yet. */
  private pending: Tensor[] = [];
  /** Losses and norms of updates that have not been computed yet: they need the old values. */
  private sources: Tensor[] = [];

  constructor(
    rule: UpdateRule,
    groups: readonly ParameterGroup[],
    { lossScale, layout = 'separate' }: OptimizerOptions = {},
  ) {
    this.rule = rule;
    this.groups = groups;
    this.lossScale = lossScale;
    const placed = groups.flatMap((group) => {
      const units =
        layout === 'flat'
          ? flatUnits(group.parameters)
          : [...group.parameters].map(([name, parameter]) => separateUnit(name, parameter));
      return units.map((unit) => ({ unit, group, device: unit.values.device }));
    });
    this.tracks = [...new Set(placed.map(({ device }) => device))].map((device) => {
      const own = placed.filter((entry) => entry.device === device);
      return { units: own.map(({ unit }) => unit), groups: own.map(({ group }) => group), steps: undefined };
    });
  }

  /** The loss to differentiate: `loss` times the scale where losses are scaled, otherwise `loss` itself. */
  scaleLoss(loss: Tensor): Tensor {
    if (!this.lossScale) return loss;
    if (!activeTrace()) this.sources.push(loss);
    return loss.mul(this.lossScale.scale);
  }

  /**
   * Gives every parameter that has a gradient its next value; the others stay as they are, weight decay included.
   * Inside a captured function the update is part of the program. Outside, nothing is computed before `step()`.
   * Returns the norm of all gradients together (scalar), before clipping and without the loss scale, where `maxNorm` or
   * the loss scale need it.
   */
  update({ maxNorm, onlyIfFinite }: UpdateOptions = {}): Tensor | undefined {
    if (maxNorm !== undefined) checkBound('update', maxNorm);
    const { lossScale } = this;
    const gradients = new Map(
      this.units().flatMap((unit) => {
        const gradient = unit.gradient();
        return gradient ? [[unit, gradient] as const] : [];
      }),
    );
    const square =
      maxNorm === undefined && !lossScale
        ? undefined
        : total([...gradients].map(([unit, gradient]) => unit.squares(gradient)));
    const inverse = lossScale?.scale.reciprocal();
    const norm = square && (inverse ? square.sqrt().mul(inverse) : square.sqrt());
    const checked = [lossScale && square, onlyIfFinite].flatMap((value) => value?.isfinite() ?? []);
    const finite = checked.length > 0 ? checked.reduce((all, one) => all.logicalAnd(one)) : undefined;
    const clip = norm && maxNorm !== undefined ? clipFactor(norm, maxNorm) : undefined;
    const factor = clip && inverse ? clip.mul(inverse) : (clip ?? inverse);
    this.apply(this.tracks.flatMap((track) => this.moves(track, gradients, { factor, finite })));
    if (finite) lossScale?.advance(finite);
    if (!activeTrace()) this.sources.push(...[norm, onlyIfFinite].filter((source) => source !== undefined));
    return norm;
  }

  /**
   * `update()`, computed at once together with the losses and norms that the gradients came from. The gradients
   * themselves are not kept: call `zeroGrad()` before the next `backward()`.
   */
  step(options: UpdateOptions = {}): Promise<Tensor | undefined> {
    forbidInTrace('optimizer.step', 'use optimizer.update()');
    const norm = this.update(options);
    return this.settle().then(() => norm);
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const { parameter } of this.members()) {
      parameter.grad = undefined;
      parameter.gradientSources = [];
    }
  }

  /**
   * Everything that the next steps depend on beside the parameters: `NAME.step` and one tensor for each running
   * average of every parameter that has been moved, the groups' rates and the loss scale. The arrays are copies.
   */
  async stateDict(): Promise<StateDict> {
    await this.settle();
    const entries: StateDict = new Map();
    for (const { units, steps } of this.tracks) {
      const counts = await steps?.data();
      for (const [i, unit] of units.entries()) {
        const step = counts?.[i] ?? 0;
        if (step === 0) continue;
        const moments = await Promise.all((this.moments.get(unit) ?? []).map((moment) => moment.data()));
        for (const { name, parameter, offset } of unit.members) {
          if (!unit.moves(parameter)) continue;
          entries.set(stepName(name), { dtype: 'i32', shape: [], data: Int32Array.of(step) });
          moments.forEach((moment, k) => {
            const own = moment.slice(offset, offset + parameter.size);
            entries.set(`${name}.${this.rule.moments[k]}`, hostTensor(own, parameter.shape));
          });
        }
      }
    }
    this.groups.forEach(({ learningRate }, i) => {
      entries.set(rateName(i), { dtype: 'f64', shape: [], data: Float64Array.of(learningRate) });
    });
    for (const [name, value] of (await this.lossScale?.state()) ?? []) entries.set(name, value);
    return entries;
  }

  /**
   * Continues from a state that `stateDict` gave. Parameters without entries start afresh. Throws OptimizerError naming
   * what is unexpected, incomplete or of another shape; then nothing has been changed.
   */
  loadStateDict(state: ReadonlyMap<string, HostTensor>): void {
    forbidInTrace('optimizer.loadStateDict', 'load before the first call');
    const plan: PlannedLoad = planLoad(state, this.groups, this.rule.moments, this.lossScale !== undefined);
    const counts = this.tracks.map(({ units }) => units.map((unit) => stepsIn(plan, unit)));
    this.tracks.forEach((track, i) => {
      this.load(track, plan, counts[i] as number[]);
    });
    plan.rates.forEach((rate, i) => {
      (this.groups[i] as ParameterGroup).learningRate = rate;
    });
    if (plan.lossScale) this.lossScale?.load(plan.lossScale.scale, plan.lossScale.goodSteps);
  }

  private load(track: Track, { parameters }: PlannedLoad, counts: readonly number[]): void {
    if (track.steps || counts.some((count) => count > 0)) {
      replace(this.stepsOf(track), vector(counts, track));
    }
    track.units.forEach((unit, i) => {
      unit.load(new Set([...parameters].flatMap(([parameter, { step }]) => (step > 0 ? [parameter] : []))));
      if (counts[i] === 0 && !this.moments.has(unit)) return;
      this.momentsOf(unit).forEach((moment, k) => {
        const elements = laidOut(unit, ({ parameter }) => parameters.get(parameter)?.moments[k]);
        replace(moment, this.momentLeaf(unit, k, elements));
      });
    });
  }

  private units(): Unit[] {
    return this.tracks.flatMap(({ units }) => units);
  }

  private members(): Member[] {
    return this.units().flatMap(({ members }) => members);
  }

  /** Computes what is pending, in one program, so that the memory of replaced values is taken over. */
  private async settle(): Promise<void> {
    const values = this.members().map(({ parameter }) => parameter);
    const counts = this.tracks.flatMap(({ steps }) => steps ?? []);
    const scales = this.lossScale ? [this.lossScale.scale, this.lossScale.goodSteps] : [];
    const losses = this.members().flatMap(({ parameter }) => parameter.gradientSources);
    const moments = [...this.moments.values()].flat();
    await realize([...this.sources, ...losses, ...moments, ...values, ...counts, ...scales]);
    for (const scalars of this.pending) scalars.dispose();
    this.pending = [];
    this.sources = [];
  }

  /** The moves of the units that have gradients; their steps are counted where the step is finite. */
  private moves(track: Track, gradients: ReadonlyMap<Unit, Tensor>, { factor, finite }: Common): Move[] {
    const { units, groups } = track;
    const moving = units.map((unit) => gradients.has(unit));
    if (!moving.includes(true)) return [];
    const taken = this.stepsOf(track);
    const settings = live(
      () => [...groups.map(({ learningRate }) => learningRate), ...groups.map(({ weightDecay }) => weightDecay)],
      [2, units.length],
      'f32',
      deviceOf(track),
    );
    if (!activeTrace()) this.pending.push(settings);
    const scalars = this.rule.scalars(settings.select(0, 0), settings.select(0, 1), taken.add(1));
    const one = full([units.length], 1);
    const counted = finite ? where(finite, one, 0) : one;
    const next = moving.includes(false) ? counted.mul(this.constant(moving.map(Number), track)) : counted;
    taken.assign(taken.add(next));
    // All numbers of an update lie in one tensor: kernels can read few buffers.
    const common = [...(factor ? [factor.mul(one)] : []), ...(finite ? [where(finite, one, 0)] : [])];
    const numbers = stack([...common, ...scalars]);
    return units.flatMap((unit, i) => {
      const gradient = gradients.get(unit);
      if (!gradient) return [];
      const row = (k: number): Tensor => numbers.select(0, k).select(0, i);
      return {
        group: groups[i] as ParameterGroup,
        values: unit.values,
        mask: unit.mask(),
        gradient: factor ? gradient.mul(row(0)) : gradient,
        moments: this.momentsOf(unit),
        scalars: scalars.map((_, k) => row(common.length + k)),
        finite: finite && row(common.length - 1).gt(0),
      };
    });
  }

  private apply(moves: readonly Move[]): void {
    const guarded = (next: Tensor, old: Tensor, { mask, finite }: Move): Tensor => {
      const moved = mask ? where(mask, next, old) : next;
      return finite ? where(finite, moved, old) : moved;
    };
    // All averages before all parameters: gradients are then read before the first parameter is overwritten.
    for (const move of moves) {
      const { group, values, gradient, moments, scalars } = move;
      const averages = this.rule.average(values, gradient, moments, scalars, group);
      moments.forEach((moment, i) => {
        moment.assign(guarded(averages[i] as Tensor, moment, move));
      });
    }
    for (const move of moves) {
      const { group, values, gradient, moments, scalars } = move;
      const next = this.rule.move(values, gradient, moments, scalars, group);
      values.assign(guarded(group.rounding === 'f16' ? next.to('f16').to('f32') : next, values, move));
    }
  }

  private stepsOf(track: Track): Tensor {
    track.steps ??= vector(
      track.units.map(() => 0),
      track,
    );
    return track.steps;
  }

  /** Numbers that stay as they are, one for each unit. */
  private constant(values: readonly number[], track: Track): Tensor {
    const constant = vector(values, track);
    if (!activeTrace()) this.pending.push(constant);
    return constant;
  }

  private momentsOf(unit: Unit): readonly Tensor[] {
    let moments = this.moments.get(unit);
    if (!moments) {
      moments = this.rule.moments.map((_, i) => this.momentLeaf(unit, i, new Float32Array(unit.values.size)));
      this.moments.set(unit, moments);
    }
    return moments;
  }

  /** A running average on the device of its values. */
  private momentLeaf({ values }: Unit, i: number, elements: TypedArray): Tensor {
    return new Tensor(leaf(elements, values.shape, 'f32', values.device, this.rule.moments[i]));
  }
}

/** The sum of everything in `parts`: those with an axis are joined first. */
function total(parts: readonly Tensor[]): Tensor {
  const rows = parts.filter(({ rank }) => rank > 0);
  const sums = [...(rows.length > 0 ? [concat(rows).sum()] : []), ...parts.filter(({ rank }) => rank === 0)];
  const [first, ...others] = sums;
  return first ? others.reduce((sum, part) => sum.add(part), first) : zeros([]);
}

const stepsIn = ({ parameters }: PlannedLoad, unit: Unit): number =>
  unit.commonSteps((parameter) => parameters.get(parameter)?.step ?? 0);

const deviceOf = ({ units }: Track): Tensor['device'] => units[0]?.values.device;

const vector = (values: readonly number[], track: Track): Tensor =>
  new Tensor(leaf(Float32Array.from(values), [values.length], 'f32', deviceOf(track)));

/** Gives a stored tensor the elements of another one, which is given up. */
function replace(tensor: Tensor, { node }: Tensor): void {
  tensor.dispose();
  tensor.commit(node);
}

/** Floats as they are: in 64 bits where the device computes in 64. */
const hostTensor = (data: TypedArray, shape: readonly number[]): HostTensor => ({
  dtype: data instanceof Float64Array ? 'f64' : 'f32',
  shape: [...shape],
  data,
});
