/** The frame of a page that stands alone: nothing is loaded or run, images and styles are inside. */
import { Html, html } from './html.ts';
import { STYLE } from './style.ts';

/** @param style More rules than those of every page. */
export function renderPage(title: string, body: Html, style = ''): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${new Html(STYLE + style)}</style>
</head>
<body><main>
${body}
</main></body>
</html>
`.markup;
}
