/** Sets of prompt templates by name, as published evaluations use them, and texts that hold a set of one's own. */
import { checkTemplate, PromptError, TEMPLATES } from './templates.ts';

const media = ['photo', 'video', 'example', 'demonstration'] as const;
/** The ways in which CLIP's prompts lead from the person to the action. */
const verbs = ['', 'using ', 'doing ', 'during ', 'performing ', 'practicing '] as const;

/** CLIP's prompts for Kinetics-700: a medium of the action alone, then of a person at it. */
const clipKinetics = media.flatMap((medium) => [
  `a ${medium} of {}.`,
  ...verbs.map((verb) => `a ${medium} of a person ${verb}{}.`),
]);

/** CLIP's prompts for UCF101: a medium of a person, or of the person, at the action. */
const clipUcf101 = verbs.flatMap((verb) =>
  ['a', 'the'].flatMap((article) => media.map((medium) => `a ${medium} of ${article} person ${verb}{}.`)),
);

export interface TemplateSet {
  /** What the set is and where it is published. */
  readonly summary: string;
  /** Texts with one `{}` each. */
  readonly templates: readonly string[];
}

/**
 * The sets by name. CLIP's are in the order of `data/prompts.md` of github.com/openai/CLIP, with its grammar; the
 * single templates are those of `modules/text_prompt.py` of whwu95/Text4Vis and whwu95/BIKE, and of the configuration
 * of muzairkhattak/ViFi-CLIP.
 */
export const TEMPLATE_SETS = {
  actionclip: { summary: 'the 16 of ActionCLIP', templates: TEMPLATES.map(({ text }) => text) },
  bare: { summary: 'the label alone', templates: ['{}'] },
  'clip-kinetics': { summary: 'the 28 of CLIP for Kinetics', templates: clipKinetics },
  'clip-ucf101': { summary: 'the 48 of CLIP for UCF101', templates: clipUcf101 },
  text4vis: { summary: 'the one of Text4Vis', templates: ['a video of a person {}.'] },
  bike: { summary: 'the one of BIKE', templates: ['This is a video about {}'] },
  vificlip: { summary: 'the one of ViFi-CLIP', templates: ['a photo of a {}.'] },
} as const satisfies Readonly<Record<string, TemplateSet>>;

export type TemplateSetName = keyof typeof TEMPLATE_SETS;

export const templateSetNames = Object.keys(TEMPLATE_SETS) as readonly TemplateSetName[];

/** The templates of a set, or undefined where no set has this name. */
export function templateSet(name: string): readonly string[] | undefined {
  const found = templateSetNames.find((key) => key === name);
  return found === undefined ? undefined : TEMPLATE_SETS[found].templates;
}

/**
 * Templates from a text with one on each line, each with exactly one `{}`. Blank lines and lines that start with `#`
 * are dropped, and blanks at the ends of a line.
 * @param file Named in errors.
 * @throws PromptError that names file and line; also where two lines are the same, which would count one twice.
 */
export function parseTemplates(text: string, file: string): string[] {
  const lineOf = new Map<string, number>();
  const lines = (text.startsWith('\uFEFF') ? text.slice(1) : text).split(/\r\n|\n|\r/);
  for (const [index, raw] of lines.entries()) {
    const template = raw.trim();
    if (template === '' || template.startsWith('#')) continue;
    checkTemplate(template, `${file}:${index + 1}: `);
    const earlier = lineOf.get(template);
    if (earlier !== undefined) {
      throw new PromptError(`${file}:${index + 1}: "${template}" also stands on line ${earlier}`, 'remove one of them');
    }
    lineOf.set(template, index + 1);
  }
  if (lineOf.size === 0) {
    throw new PromptError(`${file}: no template inside`, 'write one on each line, such as: a video of {}');
  }
  return [...lineOf.keys()];
}
