/** `actionclip prepare`: list files from the folders in which data sets come, with a check of every clip. */
import { counted } from '../../prepare/counted.ts';
import { datasetLayoutNames } from '../../prepare/layout-names.ts';
import type { CheckProgress } from '../../prepare/prepare.ts';
import type { PrepareReport } from '../../prepare/report.ts';
import { defineCommand } from '../command.ts';
import { fraction, OptionError, oneOf, positive, text, wholeFrom } from '../options.ts';

export const prepare = defineCommand({
  summary:
    'Make list files from a folder of clips: Kinetics, UCF101, HMDB51, Something-Something, or a folder for each class',
  positionals: { place: 'FOLDER', least: 1, most: 1 },
  options: {
    out: { place: 'FOLDER', kind: text, help: 'where lists, tables and the journal of checks go' },
    layout: {
      place: 'NAME',
      kind: oneOf('auto', ...datasetLayoutNames),
      help: 'auto (told by what is there), classes, kinetics, ucf101, hmdb51, something, table',
    },
    annotations: { place: 'PATH', kind: text, help: 'file or folder of annotations, if not in FOLDER' },
    split: { place: 'N', kind: oneOf('1', '2', '3'), help: 'which split of UCF101 or HMDB51; 1 unless told' },
    labels: { place: 'FILE', kind: text, help: 'label file "id,name" that gives names and order of the classes' },
    check: {
      place: 'HOW',
      kind: oneOf('full', 'quick', 'none'),
      help: 'full: decode every frame; quick: the first and last ones; none: only list',
    },
    workers: { place: 'N', kind: wholeFrom(1), help: 'processes that check; one for each processor unless told' },
    timeout: { place: 'SECONDS', kind: positive, help: 'give a clip up after this time; 300 unless told' },
    valFraction: {
      place: 'X',
      kind: fraction,
      help: 'share to validate on, where nothing gives splits; 0.2 unless told',
    },
    seed: { place: 'N', kind: wholeFrom(0), help: 'seed of that division; 0 unless told' },
    imageTemplate: { place: 'NAME', kind: text, help: 'names of frames in folders, such as img_{:05d}.jpg' },
    decoder: { place: 'NAME', kind: oneOf('auto', 'node-av', 'ffmpeg'), help: 'decoder of videos' },
    keepBroken: { help: 'keep broken clips in the lists' },
    recheck: { help: 'check all clips again, whatever earlier runs found' },
    json: { help: 'print the summary as JSON, as it is in prepare.json' },
  },
  examples: [
    'actionclip prepare my-clips --out lists',
    'actionclip prepare UCF-101 --annotations ucfTrainTestlist --split 2 --out lists/ucf101-2',
    'actionclip prepare kinetics --labels kinetics_400_labels.csv --check quick --out lists/k400',
  ],
  notes: `Layouts
  classes    FOLDER/CLASS/CLIP, or FOLDER/train/CLASS/CLIP and FOLDER/val/CLASS/CLIP
  kinetics   CSV files label,youtube_id,time_start,time_end,split
  ucf101     classInd.txt, trainlist0N.txt, testlist0N.txt
  hmdb51     CLASS_test_splitN.txt
  something  the JSON lists of version 2, the CSV lists of version 1
  table      a CSV file path,label,text,group,split
  A clip is a video file, or a folder of numbered images.

Written into --out: train.txt and val.txt ("path frames label"), labels.csv, clips.csv, broken.csv, missing.txt and
prepare.json. Paths in them start from FOLDER. A run that was stopped goes on when it is started again.`,
  async run({ positionals: [folder = ''], values }, terminal) {
    const { out, split, valFraction, timeout, json, ...rest } = values;
    if (out === undefined) throw new OptionError('--out is missing', 'name a folder for the lists');
    const { prepareDataset } = await import('../../prepare/prepare.ts');
    let last: CheckProgress | undefined;
    const onProgress = (progress: CheckProgress): void => {
      last = progress;
      terminal.progress(progressLine(progress));
    };
    const options = {
      ...rest,
      out,
      ...(split === undefined ? {} : { split: Number(split) }),
      ...(valFraction === undefined ? {} : { validationFraction: valFraction }),
      ...(timeout === undefined ? {} : { timeoutSeconds: timeout }),
    };
    const report = await prepareDataset(folder, { ...options, onProgress, signal: terminal.signal });
    terminal.progress('');
    terminal.out(json === true ? JSON.stringify(report, undefined, 2) : summary(report, last).join('\n'));
  },
});

function progressLine({ done, total, broken, perSecond, secondsLeft }: CheckProgress): string {
  const parts = [`${done} of ${total} clips`];
  if (perSecond > 0) parts.push(`${perSecond.toFixed(perSecond < 10 ? 1 : 0)} per second`);
  if (broken > 0) parts.push(`${broken} broken`);
  if (secondsLeft !== undefined) parts.push(`${duration(secondsLeft)} left`);
  return parts.join(', ');
}

function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

function summary(report: PrepareReport, progress: CheckProgress | undefined): string[] {
  const { listed, frameNumbering, check, out, folder } = report;
  const sound = listed.train + listed.val + listed.test;
  const known = progress === undefined || progress.known === 0 ? '' : ` (${progress.known} clips known from before)`;
  const checks = check === 'none' ? 'not checked' : `${check} check: ${report.broken} broken${known}`;
  return [
    `Layout ${report.layout}${report.split === undefined ? '' : `, split ${report.split}`}: ${report.reason}`,
    `${counted(report.clips, 'clip')} of ${counted(report.classes, 'class', 'classes')}; ${checks}`,
    `Listed ${sound}: ${listed.train} train, ${listed.val} val${listed.test > 0 ? `, ${listed.test} test` : ''}${report.frames > 0 ? `; ${counted(report.frames, 'frame')}` : ''}`,
    ...(report.missing > 0 ? [`Annotated, but not there: ${counted(report.missing, 'clip')}, see missing.txt`] : []),
    ...(report.broken > 0 ? [`Broken clips and why: see broken.csv`] : []),
    ...(frameNumbering === undefined
      ? []
      : [`Folders of frames: image_tmpl ${frameNumbering.imageTemplate}, first number ${frameNumbering.indexBias}`]),
    ...report.notes.map((note) => `Note: ${note}`),
    `Written to ${out}: ${report.files.join(', ')}, prepare.json`,
    ...(listed.train > 0 && listed.val > 0
      ? [`Train on them: actionclip train --clips-table ${quoted(`${out}/clips.csv`)} --root ${quoted(folder)}`]
      : []),
  ];
}

/** An argument as a shell takes it. */
const quoted = (argument: string): string =>
  /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
