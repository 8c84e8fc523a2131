/** The frame of a page that stands alone: nothing is loaded, images and styles are inside. */
import { Html, html } from './html.ts';
import { STYLE } from './style.ts';

/** The one script of a page; no other runs there. */
export interface PageScript {
  readonly code: string;
  /** SHA-256 of the code in base64. */
  readonly digest: string;
}

/**
 * @param style More rules than those of every page.
 * @param script May ask whoever served the page, and nobody else. Without it the page runs nothing and asks nobody.
 */
export function renderPage(title: string, body: Html, style = '', script?: PageScript): string {
  const scripts = script === undefined ? '' : `; script-src 'sha256-${script.digest}'; connect-src 'self'`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'${new Html(scripts)}">
<title>${title}</title>
<style>${new Html(STYLE + style)}</style>
</head>
<body><main>
${body}
</main>${script === undefined ? undefined : new Html(`<script>${script.code}</script>`)}</body>
</html>
`.markup;
}
