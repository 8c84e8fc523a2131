/**
 * The optimizer: its update is nodes of the graph, like the loss and the gradients, so all of them make one program.
 * Rates and step counts are live values: a captured step sees each new one.
 */
import { leaf } from '../creation.ts';
import type { TypedArray } from '../dtype.ts';
import { CaptureError } from '../errors.ts';
import type { HostTensor, StateDict } from '../io/host-tensor.ts';
import { live } from '../runtime/live.ts';
import { activeTrace, forbidInTrace } from '../runtime/trace.ts';
import { realize, Tensor } from '../tensor.ts';
import type { ParameterGroup } from './groups.ts';
import { type PlannedLoad, planLoad, rateName, stepName } from './state.ts';

/** How one kind of optimizer moves a parameter. */
export interface UpdateRule {
  /** Names of the running averages kept for each parameter, as PyTorch calls them. */
  readonly moments: readonly string[];
  /** Host numbers of step `step` (the first is 1), of which the graph is given each as a scalar tensor. */
  scalars(group: ParameterGroup, step: number): readonly number[];
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

/** What is remembered of one parameter. */
export interface ParameterState {
  /** Steps taken. */
  step: number;
  readonly moments: readonly Tensor[];
}

/** Parameters of one group that have taken the same number of steps, and so share their scalars. */
interface Cohort {
  readonly group: ParameterGroup;
  readonly members: readonly {
    readonly parameter: Tensor;
    readonly gradient: Tensor;
    readonly state: ParameterState;
  }[];
  readonly scalars: readonly Tensor[];
}

export abstract class Optimizer {
  readonly groups: readonly ParameterGroup[];
  private readonly rule: UpdateRule;
  private readonly states = new Map<Tensor, ParameterState>();
  /** Live values of updates that have not been computed yet. */
  private pending: Tensor[] = [];

  constructor(rule: UpdateRule, groups: readonly ParameterGroup[]) {
    this.rule = rule;
    this.groups = groups;
  }

  /**
   * Gives every parameter that has a gradient its next value; the others stay as they are, weight decay included.
   * Inside a captured function the update is part of the program. Outside, nothing is computed before `step()` or
   * `realize` of all parameters together.
   */
  update(): void {
    const cohorts = this.groups.flatMap((group) => this.cohorts(group));
    // All averages before all parameters: gradients are then read before the first parameter is overwritten.
    for (const { group, members, scalars } of cohorts) {
      for (const { parameter, gradient, state } of members) {
        const averages = this.rule.average(parameter, gradient, state.moments, scalars, group);
        state.moments.forEach((moment, i) => {
          moment.assign(averages[i] as Tensor);
        });
      }
    }
    for (const { group, members, scalars } of cohorts) {
      for (const { parameter, gradient, state } of members) {
        parameter.assign(this.rule.move(parameter, gradient, state.moments, scalars, group));
      }
    }
  }

  /**
   * `update()`, computed at once together with the losses and norms that the gradients came from. The gradients
   * themselves are not kept: call `zeroGrad()` before the next `backward()`.
   */
  step(): Promise<void> {
    forbidInTrace('optimizer.step', 'use optimizer.update()');
    this.update();
    return this.settle();
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) {
      parameter.grad = undefined;
      parameter.gradientSources = [];
    }
  }

  /**
   * Everything that the next steps depend on beside the parameters: `NAME.step` and one tensor for each running
   * average of every parameter that has been moved, and the groups' rates. The arrays are copies.
   */
  async stateDict(): Promise<StateDict> {
    await this.settle();
    const entries: StateDict = new Map();
    for (const [name, parameter] of this.named()) {
      const state = this.states.get(parameter);
      if (!state) continue;
      entries.set(stepName(name), { dtype: 'i32', shape: [], data: Int32Array.of(state.step) });
      for (const [i, moment] of state.moments.entries()) {
        entries.set(`${name}.${this.rule.moments[i]}`, hostTensor(await moment.data(), parameter.shape));
      }
    }
    this.groups.forEach(({ learningRate }, i) => {
      entries.set(rateName(i), { dtype: 'f64', shape: [], data: Float64Array.of(learningRate) });
    });
    return entries;
  }

  /**
   * Continues from a state that `stateDict` gave. Parameters without entries start afresh. Throws OptimizerError naming
   * what is unexpected, incomplete or of another shape; then nothing has been changed.
   */
  loadStateDict(state: ReadonlyMap<string, HostTensor>): void {
    forbidInTrace('optimizer.loadStateDict', 'load before the first call');
    const plan: PlannedLoad = planLoad(state, this.groups, this.rule.moments);
    for (const [parameter, { step, moments }] of plan.parameters) {
      if (step === 0 && !this.states.has(parameter)) continue;
      const own = this.stateOf(parameter);
      own.step = step;
      own.moments.forEach((moment, i) => {
        moment.dispose();
        moment.commit(this.momentLeaf(parameter, i, moments[i]).node);
      });
    }
    plan.rates.forEach((rate, i) => {
      (this.groups[i] as ParameterGroup).learningRate = rate;
    });
  }

  private *named(): Iterable<[string, Tensor]> {
    for (const { parameters } of this.groups) yield* parameters;
  }

  private *parameters(): Iterable<Tensor> {
    for (const [, parameter] of this.named()) yield parameter;
  }

  /** Computes what is pending, in one program, so that the memory of replaced values is taken over. */
  private async settle(): Promise<void> {
    const parameters = [...this.parameters()];
    const moments = parameters.flatMap((parameter) => this.states.get(parameter)?.moments ?? []);
    const sources = parameters.flatMap(({ gradientSources }) => gradientSources);
    await realize([...sources, ...moments, ...parameters]);
    for (const scalars of this.pending) scalars.dispose();
    this.pending = [];
  }

  private cohorts(group: ParameterGroup): Cohort[] {
    const bySteps = new Map<number, Cohort['members'][number][]>();
    for (const parameter of group.parameters.values()) {
      const gradient = parameter.grad;
      if (!gradient) continue;
      const state = this.stateOf(parameter);
      const members = bySteps.get(state.step);
      if (members) members.push({ parameter, gradient, state });
      else bySteps.set(state.step, [{ parameter, gradient, state }]);
    }
    return [...bySteps.values()].map((members) => ({ group, members, scalars: this.scalars(group, members) }));
  }

  /** The rule's numbers for one cohort: asked for at each run, which is what counts the step. */
  private scalars(group: ParameterGroup, members: Cohort['members']): Tensor[] {
    const states = members.map(({ state }) => state);
    const source = (): readonly number[] => {
      const [first] = states as [ParameterState];
      if (states.some(({ step }) => step !== first.step)) {
        throw new CaptureError(
          'optimizer: parameters that a captured update moves together have taken different numbers of steps',
          'compile the step again',
        );
      }
      for (const state of states) state.step++;
      return this.rule.scalars(group, first.step);
    };
    const count = this.rule.scalars(group, 1).length;
    const values = live(source, [count], 'f32', members[0]?.parameter.device);
    if (!activeTrace()) this.pending.push(values);
    return Array.from({ length: count }, (_, i) => values.select(0, i));
  }

  private stateOf(parameter: Tensor): ParameterState {
    let state = this.states.get(parameter);
    if (!state) {
      state = { step: 0, moments: this.rule.moments.map((_, i) => this.momentLeaf(parameter, i)) };
      this.states.set(parameter, state);
    }
    return state;
  }

  /** A running average on the parameter's device: the elements given, or zeros. */
  private momentLeaf(parameter: Tensor, i: number, elements?: TypedArray): Tensor {
    const data = elements?.slice() ?? new Float32Array(parameter.size);
    return new Tensor(leaf(data, parameter.shape, 'f32', parameter.device, this.rule.moments[i]));
  }
}

/** Floats as they are: in 64 bits where the device computes in 64. */
const hostTensor = (data: TypedArray, shape: readonly number[]): HostTensor => ({
  dtype: data instanceof Float64Array ? 'f64' : 'f32',
  shape: [...shape],
  data,
});
