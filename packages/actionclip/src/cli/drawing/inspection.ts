/** What a checkpoint is, for people: one line for each fact. */
import { formatBytes } from '../../byte-size.ts';
import type { CheckpointInspection, InspectedModel } from '../../checkpoints/inspection.ts';
import { printAdapter } from '../../model/adapters.ts';
import { bold, type Canvas } from './canvas.ts';
import { padText, printable } from './text-width.ts';

const LAYOUT_WORDS: Readonly<Record<string, string>> = {
  openai: "OpenAI CLIP's names (those of ActionCLIP too)",
  huggingface: "the names of Hugging Face's CLIPModel",
  mmaction2: "mmaction2's names",
};
const SHOWN_LABELS = 5;
const SHOWN_PROBLEMS = 8;

const whole = (value: number): string => value.toLocaleString('en-US');
const several = (count: number, what: string): string => `${whole(count)} ${what}${count === 1 ? '' : 's'}`;

/** Facts without a value are left out. */
type Fact = readonly [name: string, ...lines: string[]];

/** The lines of an inspection; none is cut, since what does not fit must be read in full. */
export function drawInspection(canvas: Canvas, inspection: CheckpointInspection): string[] {
  const facts = factsOf(inspection).filter(([, ...lines]) => lines.length > 0);
  const width = Math.max(...facts.map(([name]) => name.length)) + 2;
  const lines = facts.flatMap(([name, ...texts]) =>
    texts.map((text, i) => `  ${padText(i === 0 ? name : '', width)}${printable(text)}`),
  );
  return [bold(canvas, printable(inspection.source)), ...lines];
}

function factsOf(inspection: CheckpointInspection): Fact[] {
  const { model, layout, bytes, container, files, dtypes, optimizer, run, labels, values, problems } = inspection;
  const { format, ...others } = values;
  return [
    ['container', `${container}${files > 1 ? ` in ${files} files` : ''}, ${formatBytes(bytes)}`],
    ['layout', layout === null ? 'unknown' : (LAYOUT_WORDS[layout] ?? layout)],
    ...(model === null ? [] : modelFacts(model)),
    [
      'dtypes',
      ...Object.entries(dtypes).map(
        ([dtype, { tensors, elements }]) => `${dtype}: ${several(tensors, 'tensor')}, ${whole(elements)} elements`,
      ),
    ],
    [
      'optimizer',
      optimizer === null
        ? 'no state'
        : `state of ${several(optimizer.tensors, 'tensor')}, ${formatBytes(optimizer.bytes)}`,
    ],
    ['run', ...(run === null ? [] : [`epoch ${run.epoch}, step ${whole(run.step)}`])],
    ['labels', ...(labels === null ? [] : [labelText(labels)])],
    ['format', ...(format === undefined ? [] : [String(format)])],
    ...Object.entries(others).map(([name, value]): Fact => [printable(name), String(value)]),
    ['ignored', ...(inspection.ignored.length === 0 ? [] : [inspection.ignored.join(', ')])],
    ['unknown classes', ...inspection.unknownClasses],
    [
      'does not fit',
      ...problems.slice(0, SHOWN_PROBLEMS),
      ...(problems.length > SHOWN_PROBLEMS ? [`and ${problems.length - SHOWN_PROBLEMS} more`] : []),
    ],
  ];
}

function modelFacts(model: InspectedModel): Fact[] {
  const { sizes, parameters, temporalHead, temporalLayers, frames } = model;
  const { vision, text, embedding } = sizes;
  const rows = [
    ['image tower', parameters.imageTower],
    ['text tower', parameters.textTower],
    ['logit scale', parameters.logitScale],
    ['temporal prompts', parameters.temporalPrompts],
    ...(model.adapter === null ? [] : [['adapters', parameters.adapters] as const]),
    ['together', parameters.total],
  ] as const;
  const width = Math.max(...rows.map(([, count]) => whole(count).length));
  const prompts = [
    `${temporalHead}${temporalLayers === null ? '' : ` of ${several(temporalLayers, 'layer')}`}`,
    ...(model.joint ? ['joint'] : []),
    ...(model.shift ? ['shift'] : []),
  ];
  return [
    ['model', `${model.preset ?? 'of its own sizes'}, embedding of ${embedding}`],
    [
      'images',
      `${vision.resolution} x ${vision.resolution} in patches of ${vision.patch}; ${vision.layers} layers of ${vision.width}, ${several(vision.heads, 'head')}`,
    ],
    [
      'texts',
      `${text.context} of ${whole(text.vocabulary)} tokens (${VOCABULARY_WORDS[model.vocabulary]}); ${text.layers} layers of ${text.width}, ${several(text.heads, 'head')}`,
    ],
    [
      'temporal prompts',
      `${prompts.join(', ')}; ${frames === null ? 'any number of frames' : several(frames, 'frame')}`,
    ],
    ['adapter', ...(model.adapter === null ? [] : [printAdapter(model.adapter)])],
    ['parameters', ...rows.map(([name, count]) => `${whole(count).padStart(width)}  ${name}`)],
  ];
}

const VOCABULARY_WORDS: Readonly<Record<InspectedModel['vocabulary'], string>> = {
  clip: "CLIP's vocabulary",
  own: 'a vocabulary of its own',
  unknown: 'an unknown vocabulary',
};

function labelText(labels: readonly string[]): string {
  const shown = labels.slice(0, SHOWN_LABELS).join(', ');
  return `${whole(labels.length)}: ${shown}${labels.length > SHOWN_LABELS ? ', ...' : ''}`;
}
