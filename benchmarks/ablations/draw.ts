/**
 * Draws what the ablations reached in their longest runs: a panel for each study in benchmarks/results/ablations, a bar
 * for each variant with its mean over the seeds, a whisker of one deviation to either side, and a dot for every seed.
 *
 *     npx tsx --conditions=@actionclip/source benchmarks/ablations/draw.ts [docs/ablations.svg]
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { spreadOf, writeFileAtomically } from 'actionclip';
import { studies } from './studies.ts';

interface Results {
  readonly question: string;
  readonly runs: readonly {
    readonly variant: string;
    readonly seed: number;
    readonly epochs: number;
    readonly top1: number;
  }[];
}

const width = 860;
const names = 190;
const row = 24;
const heading = 46;
const scale = width - names - 110;
const style = `text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600 } .quiet { fill: #59636e }
.bar { fill: #4a7fb5 } .whisker { stroke: #1f2328; stroke-width: 1.5 } .dot { fill: #1f2328; fill-opacity: 0.55 } .axis { stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) { text { fill: #f0f6fc } .quiet { fill: #9198a1 } .bar { fill: #3f6f9f } .whisker { stroke: #f0f6fc } .dot { fill: #f0f6fc } .axis { stroke: #3d444d } }`;

const escaped = (text: string): string => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const at = (part: number): string => (names + part * scale).toFixed(1);

/** Those of the most epochs, where there are shorter ones too. */
function longest({ question, runs }: Results): Results {
  const epochs = Math.max(...runs.map((run) => run.epochs));
  return { question, runs: runs.filter((run) => run.epochs === epochs) };
}

/** The part of a question that stands before its remark in parentheses, and what the runs of a study share. */
function headingOf({ question, runs }: Results): readonly [title: string, shared: string] {
  const seeds = new Set(runs.map(({ seed }) => seed)).size;
  const epochs = runs[0]?.epochs;
  return [question.replace(/ \(.*\)$/, ''), `top-1 of held-out clips; ${epochs} epochs, ${seeds} seeds`];
}

function panel(name: string, results: Results, top: number): { readonly svg: string; readonly bottom: number } {
  const [title, shared] = headingOf(results);
  const variants =
    studies[name]?.variants.filter((each) => results.runs.some(({ variant }) => variant === each.name)) ?? [];
  const bottom = top + heading + variants.length * row;
  const lines = [0, 0.25, 0.5, 0.75, 1].map(
    (part) => `<line class="axis" x1="${at(part)}" x2="${at(part)}" y1="${top + heading - 6}" y2="${bottom}"/>`,
  );
  const bars = variants.map((variant, i) => {
    const values = results.runs.filter((run) => run.variant === variant.name).map(({ top1 }) => top1);
    const { mean, deviation } = spreadOf(values);
    const y = top + heading + i * row + row / 2;
    const spread = values.length > 1 ? ` ± ${(100 * deviation).toFixed(1)}` : '';
    return [
      `<text x="${names - 10}" y="${y + 4}" text-anchor="end">${escaped(variant.name)}</text>`,
      `<rect class="bar" x="${names}" y="${y - 8}" width="${(mean * scale).toFixed(1)}" height="16" rx="2"/>`,
      `<line class="whisker" x1="${at(Math.max(0, mean - deviation))}" x2="${at(Math.min(1, mean + deviation))}" y1="${y}" y2="${y}"/>`,
      ...values.map((value) => `<circle class="dot" cx="${at(value)}" cy="${y}" r="3"/>`),
      `<text x="${width - 4}" y="${y + 4}" text-anchor="end">${(100 * mean).toFixed(1)}${spread} %</text>`,
    ].join('');
  });
  const words = [
    `<text class="title" x="0" y="${top + 14}">${escaped(title)}</text>`,
    `<text class="quiet" x="0" y="${top + 32}">${escaped(shared)}</text>`,
  ];
  return { svg: [...words, ...lines, ...bars].join('\n'), bottom: bottom + 26 };
}

const target = process.argv[2] ?? fileURLToPath(new URL('../../docs/ablations.svg', import.meta.url));
const panels: string[] = [];
let height = 6;
for (const name of Object.keys(studies)) {
  const file = new URL(`../results/ablations/${name}.json`, import.meta.url);
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) continue;
  const { svg, bottom } = panel(name, longest(JSON.parse(text) as Results), height);
  panels.push(svg);
  height = bottom;
}
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="Ablations: top-1 by variant"><style>${style}</style>
${panels.join('\n')}
</svg>
`;
await writeFileAtomically(target, svg);
console.log(`${panels.length} studies: ${target}`);
