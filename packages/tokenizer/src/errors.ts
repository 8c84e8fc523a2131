/** The errors of this package: each message says what is wrong, where, and what to do about it. */

/** Any bad input to this package; `hint` is the sentence that says what to do. */
export class TokenizerError extends Error {
  override readonly name: string = 'TokenizerError';
  readonly hint: string;

  constructor(problem: string, hint: string, options?: ErrorOptions) {
    super(`${problem}. ${hint}`, options);
    this.hint = hint;
  }
}

const SHOWN_CHARACTERS = 200;

/** A text that needs more tokens than the context holds, with both counts including the start and end tokens. */
export class TextTooLongError extends TokenizerError {
  override readonly name: string = 'TextTooLongError';
  readonly text: string;
  readonly tokens: number;
  readonly contextLength: number;

  constructor(text: string, tokens: number, contextLength: number) {
    const characters = [...text];
    const shown = characters.slice(0, SHOWN_CHARACTERS).join('') + (characters.length > SHOWN_CHARACTERS ? '…' : '');
    super(
      `The text ${JSON.stringify(shown)} has ${tokens} tokens with start and end, but the context holds ${contextLength}`,
      'Shorten the text, or pass { truncate: true } to cut it',
    );
    this.text = text;
    this.tokens = tokens;
    this.contextLength = contextLength;
  }
}
