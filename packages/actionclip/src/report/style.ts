/** The page's style sheet: one calm column, in light and in dark as the reader's system is set. */

export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #fbfbf9; --panel: #ffffff; --ink: #22262b; --muted: #5f6770; --line: #dfe2e4;
  --accent: #2a6591; --miss: #b4552d; --on-accent: #ffffff;
  --series-1: #2a6591; --series-2: #b4552d; --series-3: #3d7a4e; --series-4: #7a5298;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #16191c; --panel: #1d2125; --ink: #e3e6e8; --muted: #9aa3ab; --line: #343a40;
    --accent: #74b3e0; --miss: #e39a6f; --on-accent: #10161b;
    --series-1: #74b3e0; --series-2: #e39a6f; --series-3: #86c795; --series-4: #c3a0dd;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Open Sans", sans-serif; }
main { max-width: 980px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 44px 0 12px; overflow-wrap: anywhere; }
h3 { font-size: 15px; margin: 24px 0 8px; }
p { margin: 0 0 8px; }
.subtitle, .note, figcaption, small { color: var(--muted); }
.note, figcaption { font-size: 13px; }
.summary { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 24px 0 0; }
.summary div { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.summary dt { font-size: 13px; color: var(--muted); }
.summary dd { margin: 0; }
.summary .value { font-size: 26px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 290px), 1fr)); gap: 14px; }
figure { margin: 0; }
.chart { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.chart figcaption { color: var(--ink); font-size: 14px; font-weight: 600; margin-bottom: 4px; }
.chart [role=img] svg { width: 100%; max-width: 440px; height: auto; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; list-style: none; margin: 4px 0 0; padding: 0; font-size: 13px; }
.legend svg { margin-right: 6px; vertical-align: middle; }
.scroll { overflow-x: auto; margin-bottom: 8px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 18px 6px 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: baseline; }
th { font-weight: 600; font-size: 13px; color: var(--muted); }
td.number, th.number { text-align: right; white-space: nowrap; }
.confusion { overflow-x: auto; }
.confusion svg { display: block; height: auto; fill: var(--ink); }
.confusion .frame { fill: var(--panel); stroke: var(--line); }
.confusion .hit { fill: var(--accent); }
.confusion .miss { fill: var(--miss); }
.confusion g g text { text-anchor: middle; font-size: 10.5px; }
.confusion .on-dark { fill: var(--on-accent); }
.strips { display: grid; gap: 14px; }
.strip { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 10px; display: grid; grid-template-columns: minmax(0, 1fr) 310px; gap: 16px; align-items: center; }
.frames { display: grid; gap: 3px; }
.frames + .frames { margin-top: 3px; }
.strip .similarities { margin-top: 6px; }
.frames img { width: 100%; height: auto; display: block; border-radius: 3px; background: var(--line); }
.similarities svg { display: block; width: 100%; height: auto; }
.swatch { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 7px; vertical-align: -1px; }
.verdict { font-size: 12px; line-height: 1; border: 1px solid; border-radius: 9px; padding: 1px 8px 2px; margin-right: 4px; }
.right { color: var(--accent); }
.wrong { color: var(--miss); }
.strip p { margin-bottom: 6px; overflow-wrap: anywhere; }
.strip ol { list-style: none; margin: 0; padding: 0; font-size: 13px; }
.strip ol li { display: grid; grid-template-columns: minmax(0, 1fr) 76px 58px; gap: 8px; align-items: center; line-height: 1.55; }
.strip .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.strip .track { background: var(--line); border-radius: 3px; height: 7px; overflow: hidden; }
.strip .bar { display: block; height: 100%; background: var(--muted); }
.strip .true-label .bar { background: var(--accent); }
.strip .true-label .name { font-weight: 600; }
.strip .percent { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; overflow-x: auto; font: 12.5px/1.5 ui-monospace, "SF Mono", Consolas, "Open Sans", monospace; }
summary { cursor: pointer; }
details { margin-top: 16px; }
@media (max-width: 720px) { .strip { grid-template-columns: 1fr; } main { padding: 24px 14px 48px; } }
@media print { .strip, .chart, table { break-inside: avoid; } }
`;
