/** HTML from template literals: everything interpolated is escaped unless it is HTML already. */

/** Markup that is safe to put into a page as it stands. */
export class Html {
  readonly markup: string;

  constructor(markup: string) {
    this.markup = markup;
  }

  toString(): string {
    return this.markup;
  }
}

type Interpolated = Html | string | number | undefined | readonly Html[];

/** Escapes every interpolated text; `undefined` becomes nothing, lists are joined. For text and quoted attributes. */
export function html(parts: TemplateStringsArray, ...values: readonly Interpolated[]): Html {
  const markup = parts.reduce((page, part, i) => page + markupOf(values[i - 1]) + part);
  return new Html(markup);
}

function markupOf(value: Interpolated): string {
  if (value === undefined) return '';
  if (value instanceof Html) return value.markup;
  if (typeof value === 'string' || typeof value === 'number') return escapeHtml(String(value));
  return value.map(({ markup }) => markup).join('');
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Also takes out what no HTML text may hold: control characters other than tab and line ends. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '').replace(/(?![\t\n\r])\p{Cc}/gu, '\ufffd');
}
