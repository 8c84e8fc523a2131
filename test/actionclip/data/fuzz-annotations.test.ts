/** Whatever stands in annotations: clips of the folder with classes of the list, or one sentence that says where it is wrong. */

import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../../../packages/actionclip/src/data/errors.ts';
import { labelKey } from '../../../packages/actionclip/src/prepare/label-names.ts';
import type { DatasetLayoutName } from '../../../packages/actionclip/src/prepare/layout-names.ts';
import { requireInside, type Tree } from '../../../packages/actionclip/src/prepare/layouts/layout.ts';
import { chooseLayout } from '../../../packages/actionclip/src/prepare/layouts/layouts.ts';
import { treeOf } from '../prepare/folders.ts';

const runs = { numRuns: 10_000 };

/** Names that would lead out of the folder of the clips, if anything were opened by them. */
const escapes = ['../../etc/passwd', '/etc/passwd', 'run/../../x.mp4', 'C:\\x.mp4', '..\\x.mp4', 'a\0b', '..'];
const leadingOut = fc.constantFrom(...escapes);
const noise = fc.oneof(fc.string({ maxLength: 8 }), fc.string({ unit: 'binary', maxLength: 8 }), leadingOut);

/** Lines that mostly are as they should be, in a text that may be cut off anywhere. */
function textOf(good: fc.Arbitrary<string>, head: string, tail = ''): fc.Arbitrary<string> {
  const lines = fc.array(fc.oneof({ weight: 8, arbitrary: good }, { weight: 1, arbitrary: noise }), { maxLength: 4 });
  const whole = fc
    .tuple(lines, fc.constantFrom('\n', '\r\n'))
    .map(([all, end]) => head + all.map((one) => one + end).join('') + tail);
  const cut = fc.tuple(whole, fc.nat(200)).map(([text, at]) => text.slice(0, at));
  return fc.oneof({ weight: 6, arbitrary: whole }, { weight: 1, arbitrary: cut }, { weight: 1, arbitrary: noise });
}

const join = (separator: string, ...fields: fc.Arbitrary<string>[]): fc.Arbitrary<string> =>
  fc.tuple(...fields).map((values) => values.join(separator));
/** One of these, rarely something else. */
const mostly = (...names: string[]): fc.Arbitrary<string> =>
  fc.oneof({ weight: 10, arbitrary: fc.constantFrom(...names) }, { weight: 1, arbitrary: noise });

interface Fuzzed {
  readonly clips: readonly string[];
  readonly annotations: Readonly<Record<string, fc.Arbitrary<string>>>;
}

const clipNames = ['A', 'B', 'v_Run_g01_c01', '7', '8'];
const jsonEntry = fc
  .record({ id: mostly('7', '8', '9'), template: mostly('Holding [something]', 'Closing [it]') })
  .map((entry) => JSON.stringify(entry));
const jsonList = fc
  .tuple(fc.array(jsonEntry, { maxLength: 3 }), fc.constantFrom(']', ']', ']', ',]', ''))
  .map(([entries, end]) => `[${entries.join(',')}${end}`);

const fuzzed: Readonly<Record<Exclude<DatasetLayoutName, 'classes'>, Fuzzed>> = {
  kinetics: {
    clips: ['run/A_000001_000011.mp4', 'B.mp4', 'walk/A_000002_000012.mp4'],
    annotations: {
      'train.csv': textOf(
        join(
          ',',
          mostly('run', 'walk', ''),
          mostly('A', 'B', 'xA', 'C'),
          mostly('1', '2.0', ''),
          mostly('11', '12', ''),
          mostly('train', 'val'),
        ),
        'label,youtube_id,time_start,time_end,split\n',
      ),
    },
  },
  ucf101: {
    clips: clipNames.map((name) => `Run/${name}.avi`),
    annotations: {
      'classInd.txt': textOf(fc.constantFrom('3 Jump'), '1 Run\n2 Walk\n'),
      'trainlist01.txt': textOf(
        join(' ', mostly('Run/A.avi', 'Run/v_Run_g01_c01.avi', 'Walk/x.avi'), mostly('1', '2', '')),
        '',
      ),
      'testlist01.txt': textOf(mostly('Run/B.avi', 'Run/7.avi'), ''),
    },
  },
  hmdb51: {
    clips: clipNames.map((name) => `run/${name}.avi`),
    annotations: {
      'run_test_split1.txt': textOf(join(' ', mostly('A.avi', 'B.avi', 'gone.avi'), mostly('0', '1', '2')), ''),
      'kick_ball_test_split1.txt': textOf(join(' ', mostly('7.avi', '8.avi'), mostly('0', '1', '2')), ''),
    },
  },
  something: {
    clips: ['7.webm', '8'],
    annotations: {
      'labels.json': fc.oneof(
        { weight: 6, arbitrary: fc.constant('{"Holding something": "1", "Closing it": "0"}') },
        { weight: 1, arbitrary: fc.json() },
        { weight: 1, arbitrary: fc.dictionary(noise, mostly('0', '1')).map((value) => JSON.stringify(value)) },
      ),
      'train.json': fc.oneof({ weight: 6, arbitrary: jsonList }, { weight: 1, arbitrary: fc.json() }),
      'x-validation.csv': textOf(join(';', mostly('7', '8'), mostly('Closing it', 'Holding something')), ''),
    },
  },
  table: {
    clips: ['run/a.mp4', 'b c.mp4'],
    annotations: {
      'clips.csv': textOf(
        join(',', mostly('run/a.mp4', 'b c.mp4', '"b c.mp4"'), mostly('run', 'walk'), mostly('train', 'val', '')),
        'path,label,split\n',
      ),
    },
  },
};

const treeArbitrary = ({ clips, annotations }: Fuzzed): fc.Arbitrary<Tree> =>
  fc.record({ ...annotations }).map((texts) => treeOf(clips, texts));

describe.each(Object.entries(fuzzed))('10,000 annotations of the layout %s', (name, fuzz) => {
  it('give clips of the folder, each once, with a class of the list, or say which file is wrong', () => {
    const files = Object.keys(fuzz.annotations);
    let results = 0;
    fc.assert(
      fc.property(treeArbitrary(fuzz), (tree) => {
        try {
          const result = chooseLayout(name as DatasetLayoutName, tree, 'FOLDER').layout.read(tree, {});
          const paths = result.clips.map(({ path }) => path);
          expect(paths.every((path) => fuzz.clips.includes(path))).toBe(true);
          expect(new Set(paths).size).toBe(paths.length);
          expect(result.clips.every(({ label }) => result.labels.includes(label))).toBe(true);
          expect(new Set(result.labels).size).toBe(result.labels.length);
          expect(result.labels.every((label) => label !== '')).toBe(true);
          for (const line of result.missing) expect(escapes).not.toContain(line);
          results += 1;
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          expect(error.hint).not.toBe('');
          // a file that is not what its layout wants is missing to it
          const named =
            files.some((file) => error.message.includes(file)) || /^there is no |is missing/.test(error.message);
          expect([error.message, named]).toEqual([error.message, true]);
        }
      }),
      runs,
    );
    expect(results).toBeGreaterThan(runs.numRuns / 50); // the texts are not all noise
  });
});

describe('10,000 names', () => {
  it('of annotations lead out of the folder, and are refused by their line, or stay inside', () => {
    const part = fc.oneof(fc.constantFrom('..', '.', '', 'a', 'C:', '\\'), fc.string({ unit: 'binary', maxLength: 4 }));
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 5 }).map((parts) => parts.join('/')),
        (given) => {
          let refused = false;
          try {
            requireInside(given, 'l.txt:7');
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
            expect(String(error)).toContain('l.txt:7: ');
            refused = true;
          }
          const reached = `${path.posix.resolve('/data/folder', given)}/`;
          if (!refused) expect(reached.startsWith('/data/folder/')).toBe(true);
        },
      ),
      runs,
    );
  });

  it('of folders give classes, or one sentence', () => {
    const part = fc.oneof(fc.constantFrom('train', 'val', 'test', 'run', 'walk'), fc.string({ maxLength: 4 }));
    const clip = fc.array(
      part.map((name) => name.replaceAll('/', '_') || 'x'),
      { minLength: 1, maxLength: 4 },
    );
    const clips = fc.uniqueArray(
      clip.map((parts) => `${parts.join('/')}.mp4`),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(clips, (some) => {
        const tree = treeOf(some, {});
        try {
          const { layout } = chooseLayout('classes', tree, 'FOLDER');
          const { clips: labelled, labels } = layout.read(tree, {});
          expect(labelled.length).toBeGreaterThan(0);
          expect(labelled.every(({ path, label }) => labels.includes(label) && some.includes(path))).toBe(true);
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          expect(error.hint).not.toBe('');
        }
      }),
      runs,
    );
  });

  it('have a key that does not change when it is taken again', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (name) => {
        expect(labelKey(labelKey(name))).toBe(labelKey(name));
      }),
      runs,
    );
  });
});
