import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { parseHTML } from 'linkedom';
import { beforeAll, describe, expect, it } from 'vitest';
import { renderCurves, thin } from '../../../packages/actionclip/src/report/curves.ts';
import { type ReportData, ReportError } from '../../../packages/actionclip/src/report/data.ts';
import { escapeHtml, html } from '../../../packages/actionclip/src/report/html.ts';
import { renderReport, writeReport } from '../../../packages/actionclip/src/report/report.ts';
import { LABELS, sampleReport } from './sample.ts';

const EMPTY: ReportData = { title: 'Empty', summary: [], curves: [], tables: [], clips: [], run: { facts: [] } };
const textOf = (node: { textContent: string | null } | null): string =>
  (node?.textContent ?? '').replace(/\s+/g, ' ').trim();

describe('the report of a run', () => {
  let data: ReportData;
  let page: string;
  let document: Document;
  beforeAll(async () => {
    data = await sampleReport();
    page = renderReport(data);
    document = parseHTML(page).document as unknown as Document;
  });

  it('stands alone: no scripts, and nothing to fetch', () => {
    expect(document.querySelectorAll('script, link, iframe')).toHaveLength(0);
    for (const element of document.querySelectorAll('[src], [href]')) {
      expect(element.getAttribute('src') ?? element.getAttribute('href')).toMatch(/^(data:image\/jpeg;base64,|#)/);
    }
    expect(page.replaceAll('http://www.w3.org/', '')).not.toMatch(/https?:\/\/|url\(|@import/);
    expect(document.querySelector('meta[http-equiv="Content-Security-Policy"]')).not.toBeNull();
  });

  it('opens with the numbers that matter', () => {
    const figures = [...document.querySelectorAll('.summary > div')].map(textOf);
    expect(figures[0]).toBe('Top-1, held-out clips93.8 %chance 4.2 %');
    expect(figures).toHaveLength(4);
  });

  it('draws a line for every series and names each in the legend', () => {
    const charts = [...document.querySelectorAll('.chart')];
    expect(charts.map((chart) => chart.querySelectorAll('g[aria-label="line"] path').length)).toEqual([2, 2, 1]);
    expect([...(charts[0]?.querySelectorAll('.legend li') ?? [])].map(textOf)).toEqual(['training', 'validation']);
    expect(charts[2]?.querySelector('.legend')).toBeNull();
  });

  it('has a cell for every count of the confusion matrix, with the class names on both axes', () => {
    const matrix = document.querySelector('.confusion svg');
    const counts = Array.from(data.confusion?.counts ?? []);
    expect(matrix?.querySelectorAll('rect.hit')).toHaveLength(24);
    expect(matrix?.querySelectorAll('rect.miss')).toHaveLength(counts.filter((n) => n > 0).length - 24);
    const texts = [...(matrix?.querySelectorAll('text') ?? [])].map(textOf);
    for (const name of LABELS) expect(texts.filter((text) => text === name)).toHaveLength(2);
    expect(matrix?.querySelector('title')?.textContent).toMatch(/^raising the left arm → raising the left arm: 18 of/);
  });

  it('shows right and wrong clips apart, eight frames each, with the three best guesses', () => {
    const strips = [...document.querySelectorAll('.strip')];
    expect(strips.map((strip) => strip.querySelectorAll('img').length)).toEqual([8, 8, 8, 8]);
    expect(strips.map((strip) => textOf(strip.querySelector('.verdict')))).toEqual([
      'right',
      'right',
      'wrong',
      'wrong',
    ]);
    expect([...(strips[2]?.querySelectorAll('.percent') ?? [])].map(textOf)).toEqual(['87.1 %', '9.4 %', '2.1 %']);
    expect(strips[2]?.querySelectorAll('.true-label')).toHaveLength(1);
    expect(strips[2]?.querySelector('.bar')?.getAttribute('style')).toBe('width:87.1%');
  });

  it('takes a clip of several classes for right where any of them is guessed first, and marks each', () => {
    const [right] = data.clips;
    if (right === undefined) throw new Error('the sample has clips');
    const several = { ...right, label: 'some other class', otherLabels: [right.label] };
    const { document: own } = parseHTML(renderReport({ ...EMPTY, clips: [several] }));
    expect(textOf(own.querySelector('.verdict'))).toBe('right');
    expect(textOf(own.querySelector('.strip strong'))).toBe(`some other class, ${right.label}`);
    expect(own.querySelectorAll('.true-label')).toHaveLength(1);
  });

  it('explains the darkened frames where there are any', () => {
    expect(page).not.toContain('class token');
    const lit = data.clips.map((clip) => ({ ...clip, attention: clip.frames }));
    expect(renderReport({ ...data, clips: lit })).toContain('lit where the class token');
  });

  it('sets numbers right and words left', () => {
    const table = document.querySelector('table');
    expect([...(table?.querySelectorAll('th') ?? [])].map((cell) => cell.getAttribute('class'))).toEqual([
      'text',
      'number',
      'number',
      'text',
    ]);
  });

  it('says what was run and on what', () => {
    expect(textOf(document.querySelector('main'))).toContain('Devicewasm (SIMD, 2 threads)');
    expect(document.querySelector('details pre')?.textContent).toContain('sim_header: Transf');
  });

  it('is written in one piece', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'report-test-'));
    await writeReport(join(folder, 'run/report.html'), data);
    expect(readdirSync(join(folder, 'run'))).toEqual(['report.html']);
    expect(readFileSync(join(folder, 'run/report.html'), 'utf8')).toBe(page);
    rmSync(folder, { recursive: true });
  });
});

describe('a report of a run that has shown little yet', () => {
  it('leaves out what there is not', () => {
    expect(renderReport(EMPTY)).not.toMatch(/<h2>(Training|Confusion|Clips)/);
  });

  it('says that a curve has no values, instead of failing', () => {
    const chart = { title: 'Loss', xLabel: 'step', yLabel: 'loss' };
    expect(renderCurves({ ...chart, series: [] }).markup).toContain('No values yet');
    const broken = { name: 'a', points: [{ x: 0, y: Number.NaN }] };
    expect(renderCurves({ ...chart, series: [broken] }).markup).toContain('No values yet');
    const zero = { name: 'a', points: [{ x: 0, y: 0 }] };
    expect(renderCurves({ ...chart, logarithmic: true, series: [zero] }).markup).toContain('No values yet');
    expect(renderCurves({ ...chart, series: [zero] }).markup).toContain('<svg');
  });

  it('draws a matrix of 400 classes without names', () => {
    const labels = Array.from({ length: 400 }, (_, i) => `class ${i}`);
    const counts = new Uint32Array(400 * 400);
    for (let i = 0; i < 400; i++) counts[i * 401] = 5;
    const page = renderReport({ ...EMPTY, confusion: { labels, counts } });
    expect(page.match(/<rect class="hit"/g)).toHaveLength(400);
    expect(page).not.toContain('>class 7</text>');
  });
});

describe('whatever a report is given', () => {
  it('is shown as text, never as markup', () => {
    const evil = "\"><script>alert(1)</script><img src=x onerror='x'>";
    const page = renderReport({
      title: evil,
      subtitle: evil,
      summary: [{ label: evil, value: evil, note: evil }],
      curves: [1, 2].map(() => ({
        title: evil,
        xLabel: evil,
        yLabel: evil,
        series: [1, 2].map((y) => ({ name: evil, points: [{ x: 0, y }] })),
      })),
      tables: [{ title: evil, note: evil, columns: [evil], rows: [[evil]] }],
      confusion: { labels: [evil], counts: [3], note: evil },
      clips: [{ frames: [], label: evil, source: evil, predictions: [{ label: evil, probability: 0.5 }] }],
      run: { facts: [[evil, evil]], configuration: evil },
    });
    expect(page).not.toContain('<script');
    expect(page).not.toContain('<img');
    expect(page.split('&lt;script&gt;').length).toBeGreaterThan(20);
  });

  it('survives escaping letter by letter', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        fc.pre(!/(?![\t\n])\p{Cc}/u.test(text));
        const { document } = parseHTML(`<!doctype html><p title="${escapeHtml(text)}">${html`${text}`}</p>`);
        expect(document.querySelector('p')?.textContent).toBe(text);
        expect(document.querySelector('p')?.getAttribute('title')).toBe(text);
      }),
    );
  });

  it('is refused where rows or counts do not fit their headings', () => {
    const table = { title: 'T', columns: ['a', 'b'], rows: [['x']] };
    expect(() => renderReport({ ...EMPTY, tables: [table] })).toThrow(ReportError);
    expect(() => renderReport({ ...EMPTY, tables: [table] })).toThrow(
      'Row 0 of the table "T" has 1 cells for 2 columns',
    );
    expect(() => renderReport({ ...EMPTY, confusion: { labels: ['a'], counts: [1, 2] } })).toThrow(
      '2 counts for 1 classes',
    );
  });
});

describe('thinning a long curve', () => {
  it('keeps short ones, and of long ones at most 400 points with the same mean', () => {
    const points = Array.from({ length: 10_000 }, (_, x) => ({ x, y: Math.sin(x) }));
    expect(thin(points.slice(0, 400))).toEqual(points.slice(0, 400));
    const few = thin(points);
    expect(few.length).toBeLessThanOrEqual(400);
    const mean = (list: { y: number }[]) => list.reduce((sum, { y }) => sum + y, 0) / list.length;
    expect(mean(few)).toBeCloseTo(mean(points), 6);
  });
});
