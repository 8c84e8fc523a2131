// Class names of the three data sets as texts for prompts, and back from folder names.

import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readLabels } from '../../../packages/actionclip/src/data/lists.ts';
import { classFinder, classKey } from '../../../packages/actionclip/src/prompts/class-names.ts';
import { cleanLabels, isCamelCase } from '../../../packages/actionclip/src/prompts/label-cleaning.ts';

const labelsOf = (name: string): Promise<string[]> =>
  readLabels(fileURLToPath(new URL(`../../../../shared/data/labels/${name}.csv`, import.meta.url)));
const ucf101 = await labelsOf('ucf_labels');
const hmdb51 = await labelsOf('hmdb51_labels');
const kinetics = await labelsOf('kinetics_400_labels');

describe('cleaning of class names', () => {
  it('splits UCF101 into words, each of them whole', () => {
    const { labels, explanation } = cleanLabels(ucf101);
    expect(explanation).toBe(
      'Class names are split into words, as the names are in CamelCase: "ApplyEyeMakeup" is "apply eye makeup"',
    );
    const cleaned = new Map(ucf101.map((name, row) => [name, labels[row]]));
    expect(
      ['YoYo', 'TaiChi', 'HandstandPushups', 'TennisSwing', 'Archery', 'CleanAndJerk', 'TableTennisShot'].map((name) =>
        cleaned.get(name),
      ),
    ).toEqual([
      'yo yo',
      'tai chi',
      'handstand pushups',
      'tennis swing',
      'archery',
      'clean and jerk',
      'table tennis shot',
    ]);
    for (const [row, name] of ucf101.entries()) {
      expect(labels[row]).toMatch(/^[a-z]{2,}( [a-z]{2,})*$/);
      expect(classKey(labels[row] ?? '')).toBe(classKey(name));
      expect(labels[row]?.split(' ')).toHaveLength(name.match(/[A-Z]/g)?.length ?? 0);
    }
  });

  it.each([
    ['Kinetics-400', kinetics],
    ['HMDB51', hmdb51],
  ])('leaves %s as it stands unless told', (_, names) => {
    expect(cleanLabels(names)).toEqual({ labels: names, explanation: 'Class names are taken as they stand' });
    expect(cleanLabels(names, 'as-is').labels).toEqual(names);
  });

  it('turns underscores into blanks, and keeps capitals that are no CamelCase', () => {
    expect(cleanLabels(['brush_hair', 'watching TV'])).toEqual({
      labels: ['brush hair', 'watching TV'],
      explanation:
        'Class names are split into words, as the names are in words with underscores: "brush_hair" is "brush hair"',
    });
    expect(cleanLabels(['brush_hair', 'YoYo'], 'split').labels).toEqual(['brush hair', 'yo yo']);
    expect(cleanLabels(ucf101, 'as-is').labels).toEqual(ucf101);
  });

  it('takes single words that start large for names, not for CamelCase', () => {
    expect(isCamelCase(['Archery', 'Biking'])).toBe(false);
    expect(isCamelCase(['Archery', 'YoYo'])).toBe(true);
    expect(isCamelCase(['playing McDonald', 'YoYo'])).toBe(false);
  });

  it('changes nothing more when done twice', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[A-Za-z_ ]{1,12}$/), { minLength: 1, maxLength: 5 }), (names) => {
        const once = cleanLabels(names, 'split').labels;
        expect(cleanLabels(once, 'split').labels).toEqual(once);
      }),
    );
  });
});

describe('finding a class by its spelling', () => {
  const folder = (name: string): string => name.replaceAll(' ', '_').replaceAll(/[()]/g, '-');

  it('gives every folder of Kinetics, UCF101 and HMDB51 its own row', () => {
    for (const names of [kinetics, ucf101, hmdb51]) {
      const find = classFinder(names);
      expect(names.map((name) => find(folder(name)))).toEqual([...names.keys()]);
    }
    const find = classFinder(kinetics);
    expect(kinetics[find('passing_American_football_-not_in_game-') ?? -1]).toBe(
      'passing American football (not in game)',
    );
    expect(kinetics[find("massaging_person's_head") ?? -1]).toBe("massaging person's head");
  });

  it('does not choose between classes that are spelled alike, and knows no others', () => {
    const find = classFinder(['Pull Ups', 'pullups', 'run', '!']);
    expect([find('pull_ups'), find('Run'), find('walk'), find('?')]).toEqual([undefined, 2, undefined, undefined]);
  });
});
