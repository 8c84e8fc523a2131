import fc from 'fast-check';
import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { History } from '../../../packages/actionclip/src/live/history.ts';
import { renderLivePage } from '../../../packages/actionclip/src/live/page.ts';
import { renderSections, type SectionName, titleOf } from '../../../packages/actionclip/src/live/view.ts';
import { SUBJECT, stepRecord, validationRecord } from './sample.ts';

/** The text that a reader sees in a section. */
const seen = (history: History, name: SectionName): string => {
  const { document } = parseHTML(`<!doctype html><body>${renderSections(history)[name]}</body>`);
  return (document.querySelector('body')?.textContent ?? '').replace(/\s+/g, ' ');
};

describe('what a live page keeps of a run', () => {
  it('is few records, whose mean is that of all steps and whose last one is as logged', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), (steps) => {
        const history = new History(16);
        for (let step = 0; step < steps; step++) history.add(stepRecord(step));
        const { records, lastStep } = history;
        expect(records.length).toBeLessThan(16 + steps / 8);
        expect(lastStep).toEqual(stepRecord(steps - 1));
        expect(records[0]?.step).toBeLessThan(steps / 8 + 1);
        const places = records.map(({ step }) => step);
        expect(places).toEqual([...places].sort((a, b) => a - b));
        for (const { step, loss } of records) expect(loss).toBeCloseTo(3 - step / 20, 9);
      }),
      { numRuns: 20 },
    );
  });

  it('is every validation', () => {
    const history = new History(4);
    for (let step = 0; step < 50; step++) history.add(stepRecord(step));
    for (let epoch = 0; epoch < 5; epoch++) history.add(validationRecord(epoch, epoch / 10));
    expect(history.validations).toHaveLength(5);
    expect(history.records.filter(({ kind }) => kind === 'validation')).toHaveLength(5);
  });
});

describe('a live page', () => {
  it('says that a run has only begun', () => {
    const history = new History();
    expect(seen(history, 'state')).toContain('The first step is on its way');
    expect(seen(history, 'charts')).toContain('No values yet');
    expect(seen(history, 'figures') + seen(history, 'progress')).toBe('');
  });

  it('tells place, loss, accuracy, time left, speed, data wait, rate and memory', () => {
    const history = new History();
    history.subject = SUBJECT;
    for (let step = 0; step < 25; step++) history.add(stepRecord(step));
    history.add(validationRecord(0, 0.5));
    history.add(validationRecord(1, 0.25));
    expect(seen(history, 'state')).toBe('Training.');
    expect(seen(history, 'progress')).toContain('epoch 3 of 5, step 5 of 10');
    expect(seen(history, 'progress')).toContain('50.0 %');
    const figures = seen(history, 'figures');
    for (const text of ['loss1.800', 'held-out top-125.0 %best 50.0 %, after epoch 1', 'time left2m 05s']) {
      expect(figures).toContain(text);
    }
    for (const text of ['clips a second40.0', 'waiting for data25 %', 'learning rate1.00e-3', '500.0 MB', '200.0 MB']) {
      expect(figures).toContain(text);
    }
    expect(seen(history, 'details')).toContain('devicereference');
  });

  it('measures clips of several classes by mAP', () => {
    const history = new History();
    history.add(stepRecord(0));
    history.add({ ...validationRecord(0, 0.5), meanAveragePrecision: 0.75 });
    expect(seen(history, 'figures')).toContain('held-out mAP75.0 %');
    expect(seen(history, 'charts')).toContain('mAP');
  });

  it('says when all steps are done, and how the run ended', () => {
    const history = new History();
    history.subject = SUBJECT;
    history.add(stepRecord(49));
    expect(seen(history, 'state')).toContain('All steps are done');
    history.end = 'The run has ended.';
    expect(seen(history, 'state')).toBe('The run has ended.');
  });

  it('stands alone, asks nobody but its server, and shows names as text', () => {
    const history = new History();
    history.subject = SUBJECT;
    const page = renderLivePage(titleOf(history), renderSections(history));
    const { document } = parseHTML(page);
    expect(document.querySelectorAll('link, iframe, img, script[src], main script')).toHaveLength(0);
    expect(page.replaceAll('http://www.w3.org/', '')).not.toMatch(/https?:\/\/|url\(|@import/);
    const policy = document.querySelector('meta[http-equiv="Content-Security-Policy"]')?.getAttribute('content');
    expect(policy).toMatch(/^default-src 'none'; .*script-src 'sha256-[\w+/]{43}='; connect-src 'self'$/);
    expect(document.querySelector('h1')?.textContent).toBe(SUBJECT.title);
    expect(document.querySelector('h1 b')).toBeNull();
  });
});
