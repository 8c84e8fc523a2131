import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTemplates } from '../../../packages/actionclip/src/prompts/template-files.ts';
import {
  parseTemplates,
  TEMPLATE_SETS,
  templateSet,
  templateSetNames,
} from '../../../packages/actionclip/src/prompts/template-sets.ts';
import { formatPrompts, PromptError, TEMPLATES } from '../../../packages/actionclip/src/prompts/templates.ts';

describe('the sets of templates', () => {
  it('have as many different templates as published, each with one place', () => {
    const counts = templateSetNames.map((name) => [name, new Set(TEMPLATE_SETS[name].templates).size]);
    expect(Object.fromEntries(counts)).toEqual({
      actionclip: 16,
      bare: 1,
      'clip-kinetics': 28,
      'clip-ucf101': 48,
      text4vis: 1,
      bike: 1,
      vificlip: 1,
    });
    for (const name of templateSetNames) {
      const { templates } = TEMPLATE_SETS[name];
      expect(formatPrompts(['yoga'], templates)).toHaveLength(new Set(templates).size);
    }
  });

  it('of CLIP have its texts at their places', () => {
    const kinetics = TEMPLATE_SETS['clip-kinetics'].templates;
    expect([0, 1, 2, 13, 14, 27].map((at) => kinetics[at])).toEqual([
      'a photo of {}.',
      'a photo of a person {}.',
      'a photo of a person using {}.',
      'a video of a person practicing {}.',
      'a example of {}.',
      'a demonstration of a person practicing {}.',
    ]);
    const ucf101 = TEMPLATE_SETS['clip-ucf101'].templates;
    expect([0, 3, 4, 8, 31, 47].map((at) => ucf101[at])).toEqual([
      'a photo of a person {}.',
      'a demonstration of a person {}.',
      'a photo of the person {}.',
      'a photo of a person using {}.',
      'a demonstration of the person during {}.',
      'a demonstration of the person practicing {}.',
    ]);
  });

  it('are found by name only', () => {
    expect(templateSet('actionclip')).toEqual(TEMPLATES.map(({ text }) => text));
    expect(templateSet('toString')).toBeUndefined();
  });
});

describe('templates of a text', () => {
  it('stand one on a line, between comments and blank lines', () => {
    expect(parseTemplates('\uFEFF# mine\r\n\r\n  a video of {} \n{}\n', 'f')).toEqual(['a video of {}', '{}']);
  });

  it.each([
    ['a video of {}\nno place\n', 'f:2: Template "no place" has 0 places {}; it needs exactly one'],
    ['{} and {}', 'f:1: Template "{} and {}" has 2 places {}; it needs exactly one'],
    ['{}\n#\n{}', 'f:3: "{}" also stands on line 1; remove one of them'],
    ['# nothing\n', 'f: no template inside; write one on each line, such as: a video of {}'],
  ])('of %j are refused in one sentence', (text, message) => {
    expect(() => parseTemplates(text, 'f')).toThrow(
      new PromptError(message.split('; ')[0] ?? '', message.split('; ')[1] ?? ''),
    );
  });

  it('either make prompts or are refused, whatever the text', () => {
    const pieces = fc.array(fc.constantFrom('{}', '{', '}', '#', ' ', '\n', '\r', 'a', '\uFEFF', '$&'), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(pieces, (parts) => {
        try {
          const templates = parseTemplates(parts.join(''), 'f');
          expect(formatPrompts(['yoga'], templates).every((prompt) => prompt.includes('yoga'))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(PromptError);
        }
      }),
    );
  });
});

describe('readTemplates', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'templates-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('takes the name of a set or a file', async () => {
    const file = path.join(folder, 'mine.txt');
    await writeFile(file, 'look: {}\n');
    expect(await readTemplates('bare')).toEqual(['{}']);
    expect(await readTemplates(file)).toEqual(['look: {}']);
  });

  it('says what is near a name that is neither', async () => {
    await expect(readTemplates('action-clip')).rejects.toThrow(
      '"action-clip" is neither a set of templates nor a file; did you mean actionclip?',
    );
    await expect(readTemplates('nothing at all like it')).rejects.toThrow('the sets are actionclip, bare');
    await expect(readTemplates(folder)).rejects.toThrow(PromptError);
  });

  it('refuses a file that is not text', async () => {
    const file = path.join(folder, 'binary');
    await writeFile(file, Uint8Array.of(0x80, 0xff));
    await expect(readTemplates(file)).rejects.toThrow('not text in UTF-8; convert it to UTF-8');
  });
});
