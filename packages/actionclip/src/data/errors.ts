/** The error of everything that reads clips: which file, where in it, what was expected and what to do. */

/** Bad input data. `message` is one complete sentence for a user; `hint` is the part of it that says what to do. */
export class DataError extends Error {
  override readonly name = 'DataError';
  readonly hint: string;

  /**
   * @param problem what is wrong and where: names the file, and the line if there is one
   * @param hint what was expected, or what to do about it
   */
  constructor(problem: string, hint: string, options?: ErrorOptions) {
    super(hint === '' ? problem : `${problem}; ${hint}`, options);
    this.hint = hint;
  }
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node system error ('ENOENT', ...), or an empty string. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
