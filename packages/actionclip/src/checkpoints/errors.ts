/** The error of everything in this folder: a checkpoint that cannot be read, or that does not fit the model. */

/** What is wrong with which checkpoint, and what to do about it; one sentence, fit to be shown to a user. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
  readonly hint: string;

  constructor(problem: string, hint: string, options?: ErrorOptions) {
    super(`${problem}; ${hint}`, options);
    this.hint = hint;
  }
}
