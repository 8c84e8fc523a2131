/** Random classifications of videos, for tests of what is drawn and printed of them. */
import type { Classification } from 'actionclip';
import fc from 'fast-check';

/** Labels in any script, with emoji, combining marks, control characters and escape sequences. */
export const anyLabel: fc.Arbitrary<string> = fc.oneof(
  fc.string({ minLength: 1, maxLength: 24 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 24 }),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 24 }),
  fc.constantFrom(
    '化粧をする',
    '👩‍🚀 walking',
    'नमस्ते',
    '\x1b[31mred\x1b[2J',
    'e\u0301\u0301',
    'two\nlines',
    '\u202eturned',
    '한국어',
  ),
);

const probabilitiesOf = (count: number): fc.Arbitrary<Float64Array> =>
  fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: count, maxLength: count }).map((weights) => {
    const sum = weights.reduce((a, b) => a + b, 0);
    return Float64Array.from(weights, (weight) => (sum > 0 ? weight / sum : 1 / count));
  });

/** At most 40 labels, 40 frames of 4 x 6 pixels and 12 windows. */
export const anyClassification: fc.Arbitrary<Classification> = fc
  .record({
    labels: fc.array(anyLabel, { minLength: 1, maxLength: 40 }),
    duration: fc.double({ min: 0, max: 20_000, noNaN: true }),
    frames: fc.integer({ min: 1, max: 1_000_000 }),
    sampled: fc.integer({ min: 0, max: 40 }),
    windows: fc.integer({ min: 1, max: 12 }),
  })
  .chain(({ labels, duration, frames, sampled, windows }) =>
    fc.record({
      labels: fc.constant(labels),
      probabilities: probabilitiesOf(labels.length),
      frames: fc.constant(frames),
      duration: fc.constant(duration),
      sampled: fc.array(
        fc.record({
          index: fc.nat(),
          time: fc.double({ min: 0, max: duration, noNaN: true }),
          image: fc
            .uint8Array({ minLength: 72, maxLength: 72 })
            .map((data) => ({ width: 4, height: 6, data: new Uint8Array(data) })),
          similarities: fc.float32Array({
            minLength: labels.length,
            maxLength: labels.length,
            min: -1,
            max: 1,
            noNaN: true,
          }),
        }),
        { minLength: sampled, maxLength: sampled },
      ),
      windows: fc.tuple(...Array.from({ length: windows }, () => probabilitiesOf(labels.length))).map((all) =>
        all.map((probabilities, at) => ({
          start: (at * duration) / (windows + 1),
          end: ((at + 2) * duration) / (windows + 1),
          probabilities,
        })),
      ),
    }),
  );
