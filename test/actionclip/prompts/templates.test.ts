import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cleanLabel,
  formatPrompts,
  PromptError,
  replaceUnderscores,
  splitCamelCase,
  TEMPLATES,
  templateKind,
} from '../../../packages/actionclip/src/prompts/templates.ts';

describe('the sixteen templates', () => {
  it('are sixteen different texts with one place each, and their kinds follow from the place', () => {
    expect(TEMPLATES).toHaveLength(16);
    expect(new Set(TEMPLATES.map(({ text }) => text)).size).toBe(16);
    for (const { text, kind } of TEMPLATES) {
      expect(text.split('{}')).toHaveLength(2);
      expect(templateKind(text)).toBe(kind);
    }
    const kinds = TEMPLATES.map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'suffix')).toHaveLength(11);
    expect(kinds.filter((kind) => kind === 'prefix')).toHaveLength(3);
    expect(kinds.indexOf('bare')).toBe(7);
    expect(kinds.indexOf('cloze')).toBe(11);
  });
});

describe('formatPrompts', () => {
  it('puts every label into every template, template by template', () => {
    const prompts = formatPrompts(['yoga', 'ski jumping']);
    expect(prompts).toHaveLength(32);
    expect(prompts.slice(0, 2)).toEqual(['a photo of action yoga', 'a photo of action ski jumping']);
    expect(prompts[2 * 11]).toBe('Can you recognize the action of yoga?');
    expect(prompts[31]).toBe('The woman is ski jumping');
  });

  it('keeps every label letter by letter, whatever its characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (label) => {
        fc.pre(label.trim() !== '');
        expect(formatPrompts([label], ['<{}>'])).toEqual([`<${label}>`]);
      }),
    );
  });

  it('names the empty label by its place', () => {
    expect(() => formatPrompts(['run', ' \t'])).toThrow(PromptError);
    expect(() => formatPrompts(['run', ' \t'])).toThrow('Label 1 is empty');
  });

  it('refuses a template without a place and one with two', () => {
    expect(() => formatPrompts(['run'], ['a video'])).toThrow('Template "a video" has 0 places');
    expect(() => formatPrompts(['run'], ['{} {}'])).toThrow('has 2 places');
  });
});

describe('label cleaning', () => {
  it.each([
    ['ApplyEyeMakeup', 'apply eye makeup'],
    ['YoYo', 'yo yo'],
    ['TaiChi', 'tai chi'],
    ['BasketballDunk', 'basketball dunk'],
    ['CleanAndJerk', 'clean and jerk'],
    ['ATVRide', 'ATV ride'],
    ['watching TV', 'watching TV'],
    ["playing 'Go'", "playing 'go'"],
    ['riding a bike', 'riding a bike'],
  ])('splits %s into words', (label, words) => {
    expect(splitCamelCase(label)).toBe(words);
  });

  it('turns underscores into single blanks', () => {
    expect(replaceUnderscores('_brush__hair ')).toBe('brush hair');
  });

  it('does nothing unless asked', () => {
    expect(cleanLabel('Brush_Hair')).toBe('Brush_Hair');
    expect(cleanLabel('Brush_Hair', { underscores: true })).toBe('Brush Hair');
    expect(cleanLabel('Brush_HairFast', { underscores: true, camelCase: true })).toBe('brush hair fast');
  });

  it('changes nothing when done twice', () => {
    const both = { underscores: true, camelCase: true };
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z_ ]{0,20}$/), (label) => {
        const once = cleanLabel(label, both);
        expect(cleanLabel(once, both)).toBe(once);
      }),
    );
  });
});
