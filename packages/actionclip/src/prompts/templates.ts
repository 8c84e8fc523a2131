/**
 * ActionCLIP's sixteen prompt templates and the cleaning of labels before they are put in (arXiv 2109.08472,
 * section 3.2; the texts are those of the released code, in its order).
 */

/** Where the label stands: in front, inside, at the end, or alone. */
export type TemplateKind = 'prefix' | 'cloze' | 'suffix' | 'bare';

export interface PromptTemplate {
  /** `{}` marks the place of the label. */
  readonly text: string;
  readonly kind: TemplateKind;
}

/** In the order of the released code, which the batching of evaluation follows. */
export const TEMPLATES: readonly PromptTemplate[] = [
  { text: 'a photo of action {}', kind: 'suffix' },
  { text: 'a picture of action {}', kind: 'suffix' },
  { text: 'Human action of {}', kind: 'suffix' },
  { text: '{}, an action', kind: 'prefix' },
  { text: '{} this is an action', kind: 'prefix' },
  { text: '{}, a video of action', kind: 'prefix' },
  { text: 'Playing action of {}', kind: 'suffix' },
  { text: '{}', kind: 'bare' },
  { text: 'Playing a kind of action, {}', kind: 'suffix' },
  { text: 'Doing a kind of action, {}', kind: 'suffix' },
  { text: 'Look, the human is {}', kind: 'suffix' },
  { text: 'Can you recognize the action of {}?', kind: 'cloze' },
  { text: 'Video classification of {}', kind: 'suffix' },
  { text: 'A video of {}', kind: 'suffix' },
  { text: 'The man is {}', kind: 'suffix' },
  { text: 'The woman is {}', kind: 'suffix' },
];

/** A label or a template that no prompt can be made of. */
export class PromptError extends Error {
  override readonly name = 'PromptError';
  readonly hint: string;

  constructor(problem: string, hint: string) {
    super(`${problem}; ${hint}`);
    this.hint = hint;
  }
}

const PLACE = '{}';

/** Reads the kind off a template's text. */
export function templateKind(text: string): TemplateKind {
  if (text === PLACE) return 'bare';
  if (text.startsWith(PLACE)) return 'prefix';
  return text.endsWith(PLACE) ? 'suffix' : 'cloze';
}

/**
 * The texts before and after a template's place.
 * @param where Put before the error's sentence.
 * @throws PromptError where there is not exactly one place.
 */
export function checkTemplate(template: string, where = ''): { readonly before: string; readonly after: string } {
  const [before = '', after, ...more] = template.split(PLACE);
  if (after === undefined || more.length > 0) {
    const places = after === undefined ? 0 : more.length + 1;
    throw new PromptError(`${where}Template "${template}" has ${places} places {}`, 'it needs exactly one');
  }
  return { before, after };
}

/**
 * Puts every label into every template.
 * @param templates Texts with one `{}` each; the sixteen of ActionCLIP unless told.
 * @returns templates x labels prompts, template-major as in the released code: prompt [t, n] is at t * labels + n.
 * @throws PromptError where a label is empty, or a template does not have exactly one `{}`.
 */
export function formatPrompts(
  labels: readonly string[],
  templates: readonly string[] = TEMPLATES.map(({ text }) => text),
): string[] {
  labels.forEach((label, index) => {
    if (label.trim() === '') {
      throw new PromptError(`Label ${index} is empty`, 'give every class a name in the label file');
    }
  });
  const halves = templates.map((template) => checkTemplate(template));
  // Concatenation rather than String.replace: labels may contain `$&` and the like.
  return halves.flatMap(({ before, after }) => labels.map((label) => before + label + after));
}

export interface LabelCleaning {
  /** `apply_eye_makeup` becomes `apply eye makeup`. */
  readonly underscores?: boolean;
  /** UCF101's `ApplyEyeMakeup` becomes `apply eye makeup`. */
  readonly camelCase?: boolean;
}

/** Applies the chosen cleaning; without options the label stays as it is, as in the released code. */
export function cleanLabel(label: string, { underscores = false, camelCase = false }: LabelCleaning = {}): string {
  const spaced = underscores ? replaceUnderscores(label) : label;
  return camelCase ? splitCamelCase(spaced) : spaced;
}

/** Underscores become blanks, runs of blanks one, none at the ends. */
export function replaceUnderscores(label: string): string {
  return label.replace(/[_\s]+/g, ' ').trim();
}

/**
 * Splits words where a capital follows a small letter or ends a run of capitals (`JumpingJack`, `ATVRide`), and
 * lower-cases words with only their first letter large. Runs of capitals stay.
 */
export function splitCamelCase(label: string): string {
  return label
    .replace(/(\p{Ll}|\p{N})(\p{Lu})/gu, '$1 $2')
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')
    .replace(/(?<![\p{L}\p{N}])\p{Lu}(?=\p{Ll})/gu, (letter) => letter.toLowerCase());
}
