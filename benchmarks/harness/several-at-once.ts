/** Runs in processes of their own, several at once. */

export interface Several<Item, Outcome> {
  readonly items: readonly Item[];
  /** How many run at a time. */
  readonly jobs: number;
  readonly run: (item: Item) => Promise<Outcome>;
  /** Called after each run, never twice at a time. */
  readonly keep: (item: Item, outcome: Outcome) => Promise<void>;
}

/**
 * Starts the runs in order. After a failure no further one is started.
 * @throws what the first of the failed ones threw, when those under way have ended.
 */
export async function severalAtOnce<Item, Outcome>({ items, jobs, run, keep }: Several<Item, Outcome>): Promise<void> {
  const waiting = items.values();
  const failures: unknown[] = [];
  let kept = Promise.resolve();
  const worker = async (): Promise<void> => {
    for (const item of waiting) {
      if (failures.length > 0) return;
      try {
        const outcome = await run(item);
        kept = kept.then(() => keep(item, outcome));
        await kept;
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  if (failures.length > 0) throw failures[0];
}
