/** The error of a training run that cannot begin or cannot go on. */

/** One sentence for a user: what happened, where, and what to do. */
export class TrainingError extends Error {
  override readonly name = 'TrainingError';
  readonly hint: string;

  constructor(problem: string, hint: string, options?: ErrorOptions) {
    super(`${problem}; ${hint}`, options);
    this.hint = hint;
  }
}
