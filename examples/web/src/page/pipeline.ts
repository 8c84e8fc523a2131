/**
 * From what a person has chosen to what is shown: a device, weights, and then a video and labels or labels for the
 * webcam. Each stage needs others before it. A change starts the work over from there; work that it makes useless is
 * cancelled.
 */
import type { Answer, Ask, Progress } from '../protocol.ts';
import { CallError, type WorkerClient } from './worker-client.ts';

export type Stage = 'open' | 'load' | 'watch' | 'score' | 'follow';

/** The stages in their order, each named after its call, and those that each needs. */
const needs: Readonly<Record<Stage, readonly Stage[]>> = {
  open: [],
  load: ['open'],
  watch: ['open', 'load'],
  score: ['open', 'load', 'watch'],
  follow: ['open', 'load'],
};
const order = Object.keys(needs) as readonly Stage[];

/** What the page does about a stage. */
export interface StageEvents {
  readonly started: (stage: Stage) => void;
  readonly progress: (progress: Progress) => void;
  readonly done: { readonly [K in Stage]: (answer: Answer<K>, ask: Ask<K>) => void };
  readonly failed: (stage: Stage, error: CallError) => void;
  readonly cancelled: (stage: Stage) => void;
  /** There is nothing to do, or nothing that can be done. */
  readonly idle: () => void;
}

export class Pipeline {
  readonly #client: WorkerClient;
  readonly #events: StageEvents;
  readonly #wanted: { [K in Stage]?: Ask<K> } = {};
  /** What the worker holds. */
  readonly #held: { [K in Stage]?: Ask<K> } = {};
  /** The stage that failed or was cancelled: nothing goes on until it, or one before it, is changed. */
  #blocked: Stage | undefined;
  #running: { readonly stage: Stage; readonly controller: AbortController } | undefined;

  constructor(client: WorkerClient, events: StageEvents) {
    this.#client = client;
    this.#events = events;
  }

  /** Changes what is asked of a stage; undefined takes it back. */
  set<K extends Stage>(stage: K, ask: Ask<K> | undefined): void {
    if (ask === undefined) delete this.#wanted[stage];
    else Object.assign(this.#wanted, { [stage]: ask });
    this.#forgetFrom(stage);
    if (this.#blocked !== undefined && isBefore(stage, this.#blocked)) this.#blocked = undefined;
    if (this.#running !== undefined && isBefore(stage, this.#running.stage)) this.#running.controller.abort();
    void this.#goOn();
  }

  /**
   * Looks at a frame beside the stages.
   * @returns Nothing where labels cannot be followed now, or others have taken their place meanwhile.
   */
  async look(ask: Ask<'look'>, signal: AbortSignal): Promise<Answer<'look'> | undefined> {
    const following = this.#held.follow;
    if (following === undefined || this.#running !== undefined) return undefined;
    try {
      const answer = await this.#client.call('look', ask, { signal, transfer: [ask.frame] });
      return this.#held.follow === following ? answer : undefined;
    } catch (error) {
      this.#stopped('follow', callError(error));
      void this.#goOn();
      return undefined;
    }
  }

  /** Starts over with the device: a call that is none of the stages has lost the worker. */
  reopen(): void {
    this.#forgetFrom('open');
    void this.#goOn();
  }

  /** Stops what is under way. */
  cancel(): void {
    if (this.#running === undefined) return;
    this.#blocked = this.#running.stage;
    this.#running.controller.abort();
  }

  /** Tries again what failed or was cancelled. */
  retry(): void {
    this.#blocked = undefined;
    void this.#goOn();
  }

  async #goOn(): Promise<void> {
    if (this.#running !== undefined) return;
    for (let stage = this.#next(); stage !== undefined; stage = this.#next()) await this.#run(stage);
    this.#events.idle();
  }

  /** The first stage that is not done, if it can be. */
  #next(): Stage | undefined {
    if (this.#blocked !== undefined) return undefined;
    return order.find(
      (name) => this.#wanted[name] !== undefined && !this.#has(name) && needs[name].every((other) => this.#has(other)),
    );
  }

  /** Whether the worker holds what is asked of a stage. */
  #has(stage: Stage): boolean {
    return this.#wanted[stage] !== undefined && this.#held[stage] === this.#wanted[stage];
  }

  async #run<K extends Stage>(stage: K): Promise<void> {
    const ask = this.#wanted[stage] as Ask<K>;
    const controller = new AbortController();
    this.#running = { stage, controller };
    this.#events.started(stage);
    try {
      const { signal } = controller;
      const answer = await this.#client.call(stage, ask, { signal, onProgress: this.#events.progress });
      if (this.#wanted[stage] === ask && !signal.aborted) {
        Object.assign(this.#held, { [stage]: ask });
        this.#events.done[stage](answer, ask);
      }
    } catch (error) {
      this.#stopped(stage, callError(error));
    } finally {
      this.#running = undefined;
    }
  }

  #stopped(stage: Stage, error: CallError): void {
    this.#forgetFrom(error.lost ? 'open' : stage);
    if (!error.cancelled) {
      this.#blocked = stage;
      this.#events.failed(stage, error);
    } else if (this.#blocked === stage) this.#events.cancelled(stage);
  }

  #forgetFrom(stage: Stage): void {
    for (const name of order) if (isBefore(stage, name)) delete this.#held[name];
  }
}

/** Whether a stage is the other one, or needed by it. */
const isBefore = (stage: Stage, other: Stage): boolean => stage === other || needs[other].includes(stage);

const callError = (error: unknown): CallError => (error instanceof CallError ? error : new CallError(String(error)));
