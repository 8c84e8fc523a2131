/**
 * The figures of an evaluation as one JSON object. Accuracies are parts from 0 to 1; what has no value (the deviation
 * of one value, the accuracy of a class without clips) is null.
 */
import { calibrationOf } from '../evaluate/calibration.ts';
import type { Evaluation } from '../evaluate/evaluate.ts';
import { clipsPerSecond } from '../evaluate/figures.ts';
import { confusionPairs } from '../evaluate/metrics.ts';
import type { RepeatedEvaluation, Spread } from '../evaluate/protocols.ts';
import type { EvaluationSubject } from '../evaluate/subject.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export function evaluationJson(subject: EvaluationSubject): Json {
  const { weights, mixture, labels, selected, templates, views, frames, result } = subject;
  const { full, halves, splits, baseToNovel, broken } = result;
  return {
    weights,
    mixture: mixture === undefined ? null : { pretrained: mixture.pretrained, alpha: mixture.alpha },
    frames,
    views: { clips: views.clips, crops: views.crops },
    templates,
    labels,
    labelOrder: selected.order === undefined ? null : orderJson(selected.order),
    labelsMapped: selected.mapped === true,
    clips: { listed: selected.entries.length, counted: full.labels.length, repeatedLines: selected.repeats },
    broken: broken.map(({ path, error }) => ({ path, problem: error.message })),
    clipsPerSecond: clipsPerSecond(subject),
    ...accuracies(full),
    ...(full.meanAveragePrecision === undefined ? {} : { meanAveragePrecision: full.meanAveragePrecision }),
    classes: full.classes.map(({ index, clips, correct, accuracy }) => ({
      label: labels[index] ?? '',
      clips,
      correct,
      accuracy: value(accuracy),
    })),
    mistakes: confusionPairs(full.confusion, Number.POSITIVE_INFINITY).map(({ label, predicted, count }) => ({
      label: labels[label] ?? '',
      predicted: labels[predicted] ?? '',
      clips: count,
    })),
    calibration: calibrationJson(full),
    ...(halves === undefined
      ? {}
      : {
          halfClasses: repeatedJson(halves, (at) => ({
            seed: halves.parts[at]?.seed ?? null,
            classes: halves.parts[at]?.chosen ?? [],
          })),
        }),
    ...(splits === undefined
      ? {}
      : { splits: repeatedJson(splits, (at) => ({ list: selected.splits[at]?.name ?? '' })) }),
    ...(baseToNovel === undefined
      ? {}
      : {
          baseToNovel: {
            base: partJson(baseToNovel.base),
            novel: partJson(baseToNovel.novel),
            harmonicMean: baseToNovel.harmonicMean,
          },
        }),
  };
}

const value = (given: number): number | null => (Number.isFinite(given) ? given : null);

const orderJson = ({ kind, told, moved, explanation }: NonNullable<EvaluationSubject['selected']['order']>): Json => ({
  kind,
  clipsThatTell: told,
  moved: moved.map(({ index, row }) => ({ index, row })),
  explanation,
});

const accuracies = ({ top1, top5, meanClassAccuracy }: Evaluation) => ({ top1, top5, meanClassAccuracy });

function calibrationJson({ scores, labels }: Evaluation): Json {
  const { equalWidth, equalCount, ...figures } = calibrationOf(scores, labels);
  return {
    expectedCalibrationError: equalWidth.expectedCalibrationError,
    equalCountCalibrationError: equalCount.expectedCalibrationError,
    negativeLogLikelihood: figures.negativeLogLikelihood,
    brierScore: figures.brierScore,
    bestTemperature: value(figures.bestTemperature),
    bestNegativeLogLikelihood: value(figures.bestNegativeLogLikelihood),
    reliability: equalWidth.bins.map(({ from, to, clips, confidence, accuracy }) => ({
      from,
      to,
      clips,
      confidence: value(confidence),
      accuracy: value(accuracy),
    })),
  };
}

const partJson = (part: Evaluation) => ({ clips: part.labels.length, ...accuracies(part) });

const spreadJson = ({ mean, deviation }: Spread) => ({ mean, deviation: value(deviation) });

const repeatedJson = (repeated: RepeatedEvaluation, named: (at: number) => { readonly [key: string]: Json }): Json => ({
  top1: spreadJson(repeated.top1),
  top5: spreadJson(repeated.top5),
  meanClassAccuracy: spreadJson(repeated.meanClassAccuracy),
  parts: repeated.parts.map((part, at) => ({ ...named(at), ...partJson(part) })),
});
