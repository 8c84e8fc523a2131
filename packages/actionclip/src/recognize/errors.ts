/** The error of recognition: an option or a video that makes no sense. */

export class RecognitionError extends Error {
  override readonly name = 'RecognitionError';
  readonly hint: string;

  constructor(problem: string, hint: string) {
    super(`${problem}; ${hint}`);
    this.hint = hint;
  }
}
