/** Where the time of a run goes, and how fast it is at the moment. */

export const ACTIVITIES = ['dataWait', 'step', 'validation', 'checkpoint'] as const;

export type Activity = (typeof ACTIVITIES)[number];

/** Seconds spent on each activity. */
export type TimeSplit = Readonly<Record<Activity, number>>;

/** How fast a run is at the moment. */
export interface Pace {
  readonly clipsPerSecond: number;
  /** The part of a step, 0 to 1, in which the trainer waits for data. */
  readonly dataWait: number;
  /** Of steps alone: validations and checkpoints come on top. Not a number before the first step. */
  readonly secondsLeft: number;
}

/** The weight of the newest step in the running averages. */
const newestWeight = 0.1;

/** Adds up times, and averages the latest steps. */
export class Timing {
  readonly #seconds: Record<Activity, number> = { dataWait: 0, step: 0, validation: 0, checkpoint: 0 };
  #wait = 0;
  #total = 0;
  #steps = 0;

  get split(): TimeSplit {
    return { ...this.#seconds };
  }

  /** Does `work` and books its time. */
  async measure<T>(activity: Activity, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await work();
    } finally {
      this.#seconds[activity] += (performance.now() - start) / 1000;
    }
  }

  /** Books one step that began with a wait for its batch. */
  step(waitMilliseconds: number, totalMilliseconds: number): void {
    this.#seconds.dataWait += waitMilliseconds / 1000;
    this.#seconds.step += Math.max(0, totalMilliseconds - waitMilliseconds) / 1000;
    // The first step traces and compiles, and says nothing about those that follow.
    const weight = this.#steps < 2 ? 1 : newestWeight;
    this.#wait += weight * (waitMilliseconds - this.#wait);
    this.#total += weight * (totalMilliseconds - this.#total);
    this.#steps++;
  }

  /** How fast steps of so many clips are at the moment, and how long as many as remain will take. */
  pace(clips: number, remainingSteps: number): Pace {
    const seconds = this.#total / 1000;
    return {
      clipsPerSecond: seconds === 0 ? 0 : clips / seconds,
      dataWait: this.#total === 0 ? 0 : this.#wait / this.#total,
      secondsLeft: seconds === 0 ? Number.NaN : remainingSteps * seconds,
    };
  }
}
