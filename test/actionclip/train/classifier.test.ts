// Clips classified by the frozen texts of all classes: the loss, its gradient, the step in parts, and a run.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gradients, type Tensor, tensor } from '@actionclip/tensor';
import { type ActionDataset, LOG_FILE, readRunLog, readTrainingCheckpoint, train } from 'actionclip';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { classifierLoss } from '../../../packages/actionclip/src/model/loss.ts';
import { classTextsOf, writeClassTexts } from '../../../packages/actionclip/src/train/class-texts.ts';
import { resolveConfig } from '../../../packages/actionclip/src/train/config-resolution.ts';
import { bytesOf, plainDatasets, tinyClips, tinyRun } from '../../end-to-end/tiny-run.ts';

/** Written out in numbers: the mean over rows of -sum of target times log softmax. */
function expectedLoss(rows: number[][], targets: number[][]): number {
  const losses = rows.map((row, i) => {
    const total = Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0));
    return -row.reduce((sum, value, k) => sum + (targets[i]?.[k] ?? 0) * (value - total), 0);
  });
  return losses.reduce((sum, value) => sum + value, 0) / rows.length;
}

describe('the loss of a classifier', () => {
  const cases = fc.integer({ min: 1, max: 5 }).chain((clips) =>
    fc.integer({ min: 2, max: 6 }).chain((classes) =>
      fc.record({
        rows: fc.array(fc.array(fc.integer({ min: -40, max: 40 }), { minLength: classes, maxLength: classes }), {
          minLength: clips,
          maxLength: clips,
        }),
        labels: fc.array(fc.nat(classes - 1), { minLength: clips, maxLength: clips }),
        smoothing: fc.constantFrom(0, 0.1, 0.5),
      }),
    ),
  );
  it('is the cross-entropy among all classes, of indices and of the same classes as members', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ rows: scaled, labels, smoothing }) => {
        const rows = scaled.map((row) => row.map((value) => value / 10));
        const classes = rows[0]?.length ?? 0;
        const members = labels.map((label) => Array.from({ length: classes }, (_, k) => (k === label ? 1 : 0)));
        const targets = members.map((row) => row.map((one) => one * (1 - smoothing) + smoothing / classes));
        const expected = expectedLoss(rows, targets);
        const logits = tensor(rows);
        expect(await classifierLoss(logits, tensor(Int32Array.from(labels)), smoothing).item()).toBeCloseTo(
          expected,
          4,
        );
        expect(await classifierLoss(logits, tensor(members), smoothing).item()).toBeCloseTo(expected, 4);
      }),
      { numRuns: 30 },
    );
  });

  it('shares the target evenly among several classes of a clip, and has the gradient of its differences', async () => {
    const rows = [
      [0.3, -1.2, 2],
      [1, 0.5, -0.25],
    ];
    const labels = tensor([
      [1, 0, 1],
      [0, 1, 0],
    ]);
    const targets = [
      [0.5, 0, 0.5],
      [0, 1, 0],
    ];
    const logits = tensor(rows, { requiresGrad: true });
    const loss = classifierLoss(logits, labels);
    const [gradient] = gradients(loss, [logits]) as [Tensor];
    expect(await loss.item()).toBeCloseTo(expectedLoss(rows, targets), 5);
    const found = await gradient.data();
    rows.flat().forEach((value, i) => {
      const moved = (by: number): number => {
        const copy = rows.map((row) => [...row]);
        (copy[Math.floor(i / 3)] as number[])[i % 3] = value + by;
        return expectedLoss(copy, targets);
      };
      expect(found[i]).toBeCloseTo((moved(1e-4) - moved(-1e-4)) / 2e-4, 4);
    });
  });

  it('has the mean over templates as the text of a class', async () => {
    const texts = classTextsOf(2, 3);
    const rows = Float32Array.of(1, 2, 3, 4, 5, 6, 3, 2, 1, 0, 1, 2);
    writeClassTexts(texts, { rows, width: 3, templates: 2, classes: 2 });
    expect([...(await texts.data())]).toEqual([2, 2, 2, 2, 3, 4]);
  });
});

describe('a run as a classifier', () => {
  let folder = '';
  let clips: ActionDataset;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'actionclip-classifier-'));
    clips = await tinyClips(join(folder, 'clips'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function run(name: string, solver: object = {}) {
    const changes = { network: { fix_text: true }, solver: { loss: 'classifier', epochs: 12, ...solver } };
    const tiny = await tinyRun(clips, join(folder, name), changes);
    const before = await tiny.opened.model.stateDict();
    const outcome = await train({ ...tiny, datasets: plainDatasets });
    const records = await readRunLog(join(folder, name, LOG_FILE));
    const steps = records.filter(({ kind }) => kind === 'step');
    const { parameters } = await readTrainingCheckpoint(outcome.lastCheckpoint);
    return { before, steps, parameters, losses: steps.map(({ loss }) => Number(loss)) };
  }

  it('learns, leaves the texts bit for bit as they were, and computes parts to the same losses', async () => {
    const whole = await run('whole');
    const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean(whole.losses.slice(-4))).toBeLessThan(mean(whole.losses.slice(0, 4)) - 0.1);
    // Before it learns anything it guesses among three classes, sharpened by the logit scale.
    expect(whole.losses[0]).toBeGreaterThan(0.5);
    expect(whole.steps[0]).not.toHaveProperty('videoToText');
    const [then, now] = [bytesOf(whole.before), bytesOf(whole.parameters)];
    const isText = (name: string): boolean => !/^(visual|fusion)\.|^logit_scale$/.test(name);
    const texts = Object.keys(then).filter(isText);
    expect(texts.length).toBeGreaterThan(5);
    for (const name of texts) expect(now[name], name).toBe(then[name]);
    expect(now['visual.proj']).not.toBe(then['visual.proj']);

    const parts = await run('parts', { accumulation: 2 });
    parts.losses.slice(0, 6).forEach((loss, i) => {
      expect(loss).toBeCloseTo(whole.losses[i] as number, 4);
    });
  });

  it('needs a text tower that stays as it is', () => {
    const result = resolveConfig({
      data: { label_list: 'l', train_list: 't', val_list: 'v' },
      solver: { loss: 'classifier' },
    });
    expect(result).toEqual({
      problems: [{ path: ['solver', 'loss'], message: expect.stringMatching(/set network.fix_text to true/) }],
    });
  });
});
