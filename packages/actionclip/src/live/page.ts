/** The live page: the sections as they stand, and a script that puts those in their place which the run sends later. */
import { createHash } from 'node:crypto';
import { Html, html } from '../report/html.ts';
import { renderPage } from '../report/page.ts';
import { SECTIONS, type Sections } from './view.ts';

/** Where the page listens for what has changed, relative to itself. */
export const EVENTS_PATH = 'events';

/**
 * Follows the run. An event holds the markup of the sections that have changed, which the server has escaped; `ended`
 * says that the run closes the connection by itself. A lost connection is tried again until a run answers.
 */
const FOLLOW = `
const state = document.getElementById('state');
const say = (kind, text) => {
  const light = document.createElement('span');
  light.className = 'light ' + kind;
  state.replaceChildren(light, text);
};
let ended = false;
const follow = () => {
  const source = new EventSource('${EVENTS_PATH}');
  source.onopen = () => { ended = false; };
  source.onmessage = ({ data }) => {
    const { title, sections } = JSON.parse(data);
    document.title = title;
    for (const [id, markup] of Object.entries(sections)) document.getElementById(id).innerHTML = markup;
  };
  source.addEventListener('ended', () => { ended = true; });
  source.onerror = () => {
    if (!ended) say('lost', 'No connection to the run: it was stopped, or cannot be reached. Trying again.');
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 1000);
  };
};
follow();
`;

const script = { code: FOLLOW, digest: createHash('sha256').update(FOLLOW).digest('base64') };

/** Rules beside those of every page. */
const LIVE_STYLE = `
#state { margin: 20px 0 0; font-weight: 600; overflow-wrap: anywhere; }
.light { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin-right: 9px; }
.light.going { background: var(--accent); animation: breathe 2s ease-in-out infinite; }
.light.ended { background: var(--muted); }
.light.lost { background: var(--miss); }
@keyframes breathe { 50% { opacity: .25; } }
@media (prefers-reduced-motion: reduce) { .light.going { animation: none; } }
.whole { background: var(--line); border-radius: 5px; height: 10px; overflow: hidden; margin: 14px 0 5px; }
.whole span { display: block; height: 100%; background: var(--accent); }
.ends { display: flex; justify-content: space-between; gap: 16px; color: var(--muted); font-size: 13px; font-variant-numeric: tabular-nums; }
#figures .summary { grid-template-columns: repeat(4, minmax(0, 1fr)); }
#charts { margin-top: 24px; }
@media (max-width: 720px) { #figures .summary { grid-template-columns: repeat(2, minmax(0, 1fr)); } .summary .value { font-size: 21px; } }
`;

/** The whole page as it stands now; it says as much without its script. */
export function renderLivePage(title: string, sections: Sections): string {
  const places = SECTIONS.map((name) => {
    const kind = name === 'charts' ? new Html(' class="charts"') : undefined;
    return html`<section id="${name}"${kind}${name === 'state' ? new Html(' role="status"') : undefined}>${sections[name]}</section>
`;
  });
  return renderPage(title, html`${places}`, LIVE_STYLE, script);
}
