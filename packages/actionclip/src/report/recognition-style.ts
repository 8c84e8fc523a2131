/** Rules for the page of classified videos, beside those of every page. */

export const RECOGNITION_STYLE = `
.bars { list-style: none; margin: 16px 0; padding: 0; }
.bars li { display: grid; grid-template-columns: minmax(0, 220px) minmax(0, 1fr) 70px; gap: 12px; align-items: center; line-height: 1.8; }
.bars .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bars li:first-child .name { font-weight: 600; }
.bars .track { background: var(--line); border-radius: 4px; height: 12px; overflow: hidden; }
.bars .bar { display: block; height: 100%; }
.bars .percent { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.film { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 12px; }
.film figcaption { text-align: center; font-variant-numeric: tabular-nums; }
.timeline { display: flex; height: 22px; border-radius: 4px; overflow: hidden; background: var(--line); }
.ends { display: flex; justify-content: space-between; font-size: 13px; color: var(--muted); }
.windows { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 380px); gap: 24px; align-items: start; margin-top: 12px; }
@media (max-width: 720px) { .windows { grid-template-columns: 1fr; } }
@media print { .film, .bars { break-inside: avoid; } }
`;
