/** An evaluation as a person sees it: what is evaluated, a line of progress, the figures, the clips that are broken. */
import { availableParallelism } from 'node:os';
import { openMixture } from '../checkpoints/open-mixture.ts';
import { openCheckpointModel } from '../checkpoints/open-model.ts';
import { hasLabelSets } from '../data/label-sets.ts';
import { readClipList } from '../data/lists.ts';
import { type SelectedClips, selectFromLists, selectFromTable } from '../evaluate/clip-selection.ts';
import { frequentHalf } from '../evaluate/protocols.ts';
import { writeScores } from '../evaluate/scores-file.ts';
import type { EvaluationSubject } from '../evaluate/subject.ts';
import { textSpace } from '../evaluate/text-cache.ts';
import { nodeDigest, openFileTextCache, rememberedTextSpace } from '../evaluate/text-cache-files.ts';
import { evaluateZeroShot, type Protocol, type ZeroShotProgress, zeroShotDataset } from '../evaluate/zero-shot.ts';
import { zeroShotReport } from '../evaluate/zero-shot-report.ts';
import { resolveWeights } from '../hub/resolve.ts';
import { cleanLabels } from '../prompts/label-cleaning.ts';
import { readTemplates } from '../prompts/template-files.ts';
import { TEMPLATE_SETS } from '../prompts/template-sets.ts';
import { writeReport } from '../report/report.ts';
import { filmstrips } from '../runs/filmstrips.ts';
import type { EvalValues } from './commands/eval.ts';
import { openDeviceFrom } from './device-options.ts';
import { evaluationJson } from './evaluation-json.ts';
import { evaluationLines, mixtureLines } from './evaluation-lines.ts';
import { weightsProgress } from './fetch-progress.ts';
import { OptionError } from './options.ts';
import type { Terminal } from './terminal.ts';

/** Broken clips that are named; the others are counted. */
const namedBroken = 20;

export async function runEvaluation(values: EvalValues, terminal: Terminal): Promise<void> {
  const { weights: name = '', interpolate, alpha, json, scores, html } = values;
  const asked = values.templates === undefined ? undefined : await readTemplates(values.templates);
  const needsModel = values.list !== undefined && values.labelsFile === undefined;
  const early = needsModel ? undefined : await select(values, terminal);
  const weights = await resolveWeights(name, weightsProgress(terminal));
  const pretrained = interpolate && (await resolveWeights(interpolate, weightsProgress(terminal)));
  const device = await openDeviceFrom(values, terminal);
  try {
    const subjects: EvaluationSubject[] = [];
    for (const share of pretrained === undefined ? [undefined] : (alpha ?? [0.5])) {
      const mixture = pretrained === undefined || share === undefined ? undefined : { pretrained, alpha: share };
      subjects.push(await evaluateOne({ values, weights, mixture, asked, early }, terminal));
    }
    const [first] = subjects;
    if (first === undefined) return;
    const [single] = subjects.length === 1 ? subjects : [];
    // The files come first: a reader of the output that leaves early ends the program.
    if (scores !== undefined) await writeScores(scores, first.result.full, first.labels, first.selected.entries);
    if (html !== undefined) {
      await writeReport(html, zeroShotReport(first, [['device', (await device.backend()).description]]));
    }
    if (json) terminal.out(JSON.stringify(single ? evaluationJson(single) : subjects.map(evaluationJson)));
    else
      for (const line of single ? evaluationLines(single, terminal) : mixtureLines(subjects, terminal))
        terminal.out(line);
    sayBroken(first, terminal);
  } finally {
    await device.close();
  }
}

interface OneEvaluation {
  readonly values: EvalValues;
  readonly weights: string;
  readonly mixture: EvaluationSubject['mixture'];
  /** Templates, where the options name some. */
  readonly asked: readonly string[] | undefined;
  /** Clips, where their classes do not depend on the model. */
  readonly early: SelectedClips | undefined;
}

async function evaluateOne(
  { values, weights, mixture, asked, early }: OneEvaluation,
  terminal: Terminal,
): Promise<EvaluationSubject> {
  const { frames, clips: places = 1, crops } = values;
  const shape = frames === undefined ? {} : { frames };
  terminal.progress(`Opening ${weights}`);
  const {
    model,
    tokenizer,
    description,
    labels: ofModel,
  } = mixture === undefined
    ? await openCheckpointModel(weights, shape)
    : await openMixture(weights, mixture.pretrained, mixture.alpha, shape);
  const side = model.clip.sizes.vision.resolution;
  const mixed = mixture === undefined ? '' : ` mixed with ${mixture.alpha} of ${mixture.pretrained}`;
  terminal.say(
    `Model: ${weights}${mixed}, head ${description.temporal}, ${model.frames} frames of ${side} x ${side} pixels`,
  );
  const selected = early ?? (await select(values, terminal, ofModel));
  const cleaning = early === undefined ? 'as-is' : values.labelCleaning;
  const { labels, explanation } = cleanLabels(selected.labels, cleaning);
  // Of several mixtures the first one says it for all.
  if (mixture === undefined || mixture.alpha === (values.alpha ?? [0.5])[0]) {
    terminal.say(explanation);
    sayClips(selected, values, terminal);
  }
  const views = { clips: places, crops: crops === '3' ? 3 : 1 } as const;
  const { shortSide, templates: trained = 'actionclip' } = description;
  const templateName = values.templates ?? trained;
  const templates = asked ?? TEMPLATE_SETS[trained].templates;
  const kept = { onProblem: terminal.say };
  const space = mixture === undefined ? rememberedTextSpace(model, weights, kept) : textSpace(model, nodeDigest);
  const shown = {
    entries: selected.entries,
    ...(shortSide === undefined ? {} : { shortSide }),
    ...(values.imageTemplate === undefined ? {} : { source: { imageTemplate: values.imageTemplate } }),
  };
  const result = await evaluateZeroShot(model, {
    tokenizer,
    ...shown,
    labels,
    templates,
    protocol: await protocolOf(values, selected),
    ...(places === 1 && views.crops === 1 ? {} : { views }),
    ...(values.batchSize === undefined ? {} : { batchSize: values.batchSize }),
    workers: values.workers ?? Math.min(4, Math.max(1, availableParallelism() - 1), selected.entries.length),
    texts: { cache: openFileTextCache(kept), space: await space },
    signal: terminal.signal,
    onProgress: progressLine(terminal),
  });
  const page =
    values.html === undefined
      ? {}
      : {
          clips: await filmstrips({
            model,
            evaluation: result.full,
            labels,
            dataset: zeroShotDataset(model, shown),
            prompts: async () => result.prompts,
            root: values.root,
          }),
        };
  terminal.progress('');
  for (const parameter of model.parameters()) parameter.dispose();
  return { weights, mixture, labels, selected, templates, templateName, views, frames: model.frames, result, ...page };
}

function sayBroken({ result, selected }: EvaluationSubject, terminal: Terminal): void {
  const { broken } = result;
  if (broken.length === 0) return;
  terminal.say(`${broken.length} of ${selected.entries.length} clips cannot be read and are in no figure:`);
  for (const { error } of broken.slice(0, namedBroken)) terminal.say(`  ${error.message}`);
  if (broken.length > namedBroken) terminal.say(`  and ${broken.length - namedBroken} more, which --json names`);
  process.exitCode = 1;
}

async function select(values: EvalValues, terminal: Terminal, ofModel?: readonly string[]): Promise<SelectedClips> {
  const { list, clipsTable, labelsFile, root, split, labelOrder } = values;
  const common = {
    ...(root === undefined ? {} : { root }),
    ...(labelsFile === undefined ? {} : { labelsFile }),
    onWarning: terminal.say,
  };
  if (clipsTable !== undefined) {
    return selectFromTable({ table: clipsTable, ...(split === undefined ? {} : { split }), ...common });
  }
  if (labelsFile === undefined && ofModel === undefined) {
    throw new OptionError(
      '--labels-file is missing',
      'the checkpoint has no class names of its own: give the file of them',
    );
  }
  return selectFromLists({
    lists: list ?? [],
    ...common,
    ...(ofModel === undefined ? {} : { labels: ofModel }),
    mapOrder: labelOrder === 'paths',
  });
}

function sayClips(
  { entries, labels, repeats, order, splits }: SelectedClips,
  values: EvalValues,
  terminal: Terminal,
): void {
  const of = values.clipsTable === undefined ? '' : ` (${splits[0]?.name})`;
  terminal.say(`${entries.length} clips${of} of ${labels.length} classes`);
  if (repeats > 0) {
    terminal.say(`${repeats === 1 ? 'A line repeats' : `${repeats} lines repeat`} a clip; every clip counts once`);
  }
  if (order === undefined) return;
  const advice: Partial<Record<typeof order.kind, string>> = {
    moved: values.labelOrder === 'paths' ? '; they are mapped' : '; --label-order paths maps them',
  };
  terminal.say(`${order.explanation}${advice[order.kind] ?? ''}`);
}

async function protocolOf(
  { protocol = 'full', trainList, root }: EvalValues,
  selected: SelectedClips,
): Promise<Protocol> {
  if (protocol !== 'full' && hasLabelSets(selected.entries)) {
    throw new OptionError(
      `Clips have several classes, for which there is no --protocol ${protocol}`,
      'leave --protocol out: the full evaluation gives their mAP',
    );
  }
  if (protocol === 'splits') return { kind: protocol, splits: selected.splits.map(({ places }) => places) };
  if (protocol !== 'base-to-novel') return { kind: protocol };
  const classCount = selected.labels.length;
  const options = { classCount, ...(root === undefined ? {} : { root }) };
  const counted = trainList === undefined ? selected.entries : await readClipList(trainList, options);
  return {
    kind: protocol,
    ...frequentHalf(
      counted.map(({ label }) => label),
      classCount,
    ),
  };
}

/** `Clips 24 of 100, 3.1 a second` */
function progressLine(terminal: Terminal): (progress: ZeroShotProgress) => void {
  const started = new Map<string, number>();
  return ({ stage, done, total }) => {
    const first = started.get(stage) ?? performance.now();
    started.set(stage, first);
    const seconds = (performance.now() - first) / 1000;
    const rate = seconds > 0 ? `, ${(done / seconds).toFixed(1)} a second` : '';
    terminal.progress(`${stage === 'clips' ? 'Clips' : 'Prompts'} ${done} of ${total}${rate}`);
  };
}
