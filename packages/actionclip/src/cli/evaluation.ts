/** An evaluation as a person sees it: what is evaluated, a line of progress, the figures, the clips that are broken. */
import { availableParallelism } from 'node:os';
import { openCheckpointModel } from '../checkpoints/open-model.ts';
import { readClipList } from '../data/lists.ts';
import { type SelectedClips, selectFromLists, selectFromTable } from '../evaluate/clip-selection.ts';
import { frequentHalf } from '../evaluate/protocols.ts';
import { writeScores } from '../evaluate/scores-file.ts';
import { openFileTextCache, rememberedTextSpace } from '../evaluate/text-cache-files.ts';
import { evaluateZeroShot, type Protocol, type ZeroShotProgress } from '../evaluate/zero-shot.ts';
import { zeroShotReport } from '../evaluate/zero-shot-report.ts';
import { resolveWeights } from '../hub/resolve.ts';
import { cleanLabels } from '../prompts/label-cleaning.ts';
import { readTemplates } from '../prompts/template-files.ts';
import { writeReport } from '../report/report.ts';
import type { EvalValues } from './commands/eval.ts';
import { openDeviceFrom } from './device-options.ts';
import { evaluationJson } from './evaluation-json.ts';
import { evaluationLines } from './evaluation-lines.ts';
import { OptionError } from './options.ts';
import type { Terminal } from './terminal.ts';

/** Broken clips that are named; the others are counted. */
const namedBroken = 20;

export async function runEvaluation(values: EvalValues, terminal: Terminal): Promise<void> {
  const { weights: name = '', templates: templateName = 'actionclip' } = values;
  const templates = await readTemplates(templateName);
  const known = values.list === undefined || values.labelsFile !== undefined;
  const early = known ? await select(values, terminal) : undefined;
  const weights = await resolveWeights(name, {
    signal: terminal.signal,
    onProgress: ({ name: file, done, total }) =>
      terminal.progress(
        `Fetching ${file}: ${megabytes(done)}${total === undefined ? '' : ` of ${megabytes(total)}`} MB`,
      ),
    onNote: terminal.say,
  });
  const device = await openDeviceFrom(values, terminal);
  try {
    terminal.progress(`Opening ${weights}`);
    const { frames, clips: places = 1, crops } = values;
    const opened = await openCheckpointModel(weights, frames === undefined ? {} : { frames });
    const { model, tokenizer, description } = opened;
    const side = model.clip.sizes.vision.resolution;
    terminal.say(`Model: ${weights}, head ${description.temporal}, ${model.frames} frames of ${side} x ${side} pixels`);
    const selected = early ?? (await select(values, terminal, opened.labels));
    const { labels, explanation } = cleanLabels(selected.labels, known ? (values.labelCleaning ?? 'auto') : 'as-is');
    terminal.say(explanation);
    sayClips(selected, values, terminal);
    const { shortSide } = description;
    const views = { clips: places, crops: crops === '3' ? 3 : 1 } as const;
    const onProblem = terminal.say;
    const result = await evaluateZeroShot(model, {
      tokenizer,
      entries: selected.entries,
      labels,
      templates,
      protocol: await protocolOf(values, selected),
      ...(places === 1 && views.crops === 1 ? {} : { views }),
      ...(shortSide === undefined ? {} : { shortSide }),
      ...(values.imageTemplate === undefined ? {} : { source: { imageTemplate: values.imageTemplate } }),
      batchSize: values.batchSize ?? 8,
      workers: values.workers ?? Math.min(4, Math.max(1, availableParallelism() - 1), selected.entries.length),
      texts: {
        cache: openFileTextCache({ onProblem }),
        space: await rememberedTextSpace(model, weights, { onProblem }),
      },
      signal: terminal.signal,
      onProgress: progressLine(terminal),
    });
    terminal.progress('');
    const subject = { weights, labels, selected, templates, templateName, views, frames: model.frames, result };
    if (values.json) terminal.out(JSON.stringify(evaluationJson(subject)));
    else for (const line of evaluationLines(subject, terminal)) terminal.out(line);
    if (values.scores !== undefined) await writeScores(values.scores, result.full, labels, selected.entries);
    if (values.html !== undefined) {
      const facts: [string, string][] = [['device', (await device.backend()).description]];
      await writeReport(values.html, zeroShotReport(subject, facts));
    }
    if (result.broken.length > 0) {
      terminal.say(`${result.broken.length} of ${selected.entries.length} clips cannot be read and are in no figure:`);
      for (const { error } of result.broken.slice(0, namedBroken)) terminal.say(`  ${error.message}`);
      const rest = result.broken.length - namedBroken;
      if (rest > 0) terminal.say(`  and ${rest} more, which --json names`);
      process.exitCode = 1;
    }
  } finally {
    await device.close();
  }
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);

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
  if (repeats > 0) terminal.say(`${repeats} lines repeat a clip; every clip counts once`);
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
