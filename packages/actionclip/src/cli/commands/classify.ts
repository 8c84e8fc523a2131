/** `actionclip classify`: which of the labels given fits each video best, for people, as JSON, and as a page. */
import type { Classification, ClassifyOptions, VideoOutcome } from '../../recognize/types.ts';
import type { RecognizedVideo } from '../../report/recognition.ts';
import { defineCommand } from '../command.ts';
import { deviceOptions, openDeviceFrom } from '../device-options.ts';
import { OptionError, type OptionTable, oneOf, positive, text, type Values, wholeFrom } from '../options.ts';
import type { Terminal } from '../terminal.ts';

const classifyOptions = {
  labels: { place: 'LIST', kind: text, help: 'the actions to choose from: "archery, juggling balls"' },
  labelsFile: { place: 'FILE', kind: text, help: 'or a file of them: CSV with the header "id,name", or one on a line' },
  weights: { place: 'WEIGHTS', kind: text, help: 'the model: a file or a name, see below' },
  templates: { place: 'SET|FILE', kind: text, help: 'sentences around the labels: the name of a set, or a file' },
  clips: { place: 'N', kind: wholeFrom(1), help: 'looks over time at each video or window; 1 unless told' },
  crops: { place: '1|3', kind: oneOf('1', '3'), help: 'squares of each frame: the centre, or three; 1 unless told' },
  window: { place: 'SECONDS', kind: positive, help: 'slide a window of this length over the video' },
  stride: { place: 'SECONDS', kind: positive, help: 'from one window to the next; half a window unless told' },
  top: { place: 'N', kind: wholeFrom(1), help: 'how many labels to show; 5 unless told' },
  json: { help: 'one JSON object a line for each video, see docs/classify-json.md' },
  html: { place: 'FILE', kind: text, help: 'also write a page with pictures, bars, curves and timelines' },
  noFilmstrip: { help: 'draw no frames on the terminal' },
  ...deviceOptions,
} as const satisfies OptionTable;

type ClassifyValues = Values<typeof classifyOptions>;

const DEFAULT_TOP = 5;

export const classify = defineCommand({
  summary: 'Say which of your labels fits each video best',
  positionals: { place: 'VIDEO...', least: 1, most: Number.POSITIVE_INFINITY },
  options: classifyOptions,
  examples: [
    'actionclip classify clip.mp4 --labels "archery, juggling balls, yoga" --weights runs/train-k400/best.safetensors',
    'actionclip classify *.mp4 --labels-file labels.csv --weights vit-b-16-8f.pt --json > results.jsonl',
    'actionclip classify match.mkv --labels "goal, foul, crowd" --weights vit-b-16-8f.pt --window 4 --html match.html',
  ],
  notes: `A VIDEO is a video file or a folder of frames. A label that holds a comma stands in double quotes:
--labels '"clean and jerk, heavy", yoga'.

WEIGHTS are a file of "actionclip train", such as runs/train-k400/best.safetensors.`,
  async run({ values, positionals: paths }, terminal) {
    if (values.stride !== undefined && values.window === undefined) {
      throw new OptionError('--stride is of sliding windows', 'give --window too');
    }
    const weights = weightsFrom(values);
    const { labelsFrom, templatesFrom } = await import('../lists.ts');
    const { refuseFoldersOfVideos } = await import('../videos.ts');
    const labels = await labelsFrom(values);
    const templates = await templatesFrom(values.templates);
    await refuseFoldersOfVideos(paths);
    const device = await openDeviceFrom(values, terminal);
    try {
      await classifyVideos({ paths, labels, weights, values, templates }, terminal);
    } finally {
      await device.close();
    }
  },
});

function weightsFrom({ weights }: ClassifyValues): string {
  if (weights !== undefined) return weights;
  throw new OptionError(
    'There is no model',
    'give --weights FILE: the best.safetensors of a run of "actionclip train"',
  );
}

interface Request {
  readonly paths: readonly string[];
  readonly labels: readonly string[];
  readonly weights: string;
  readonly templates: readonly string[];
  readonly values: ClassifyValues;
}

async function classifyVideos(request: Request, terminal: Terminal): Promise<void> {
  const { paths, labels, weights, values } = request;
  const [{ openRecognizer, videoFiles }, { DataError }, show] = await Promise.all([
    import('../../recognize/index.ts'),
    import('../../data/errors.ts'),
    presenter(request, terminal),
  ]);
  terminal.progress(`Opening ${weights}`);
  const recognizer = await openRecognizer(weights, { signal: terminal.signal });
  const { model } = recognizer;
  const { resolution } = model.clip.sizes.vision;
  terminal.say(`Model: ${weights}, ${model.frames} frames of ${resolution} x ${resolution} pixels`);
  let doing = '';
  const videos = videoFiles(paths).map(({ path, open }, index) => ({
    path,
    open: () => {
      doing = `${paths.length > 1 ? `${index + 1}/${paths.length} ` : ''}${path}`;
      terminal.progress(`${doing}: decoding`);
      return open();
    },
  }));
  const options: ClassifyOptions = {
    ...viewsFrom(values),
    templates: request.templates,
    signal: terminal.signal,
    onEncoded: ({ pictures, totalPictures }) =>
      terminal.progress(`${doing}: ${pictures} of ${totalPictures} frames encoded`),
  };
  terminal.progress(`Encoding ${labels.length} labels`);
  const broken: string[] = [];
  for await (const outcome of recognizer.classifyAll(videos, labels, options)) {
    terminal.progress('');
    if ('error' in outcome) broken.push(outcome.path);
    await show.outcome(outcome);
  }
  await show.end();
  if (broken.length > 0) {
    throw new DataError(
      `${broken.length} of ${paths.length} videos could not be classified: ${broken.join(', ')}`,
      'see above why',
    );
  }
}

function viewsFrom({
  clips,
  crops,
  window,
  stride,
}: ClassifyValues): Pick<ClassifyOptions, 'clips' | 'crops' | 'window' | 'stride'> {
  return {
    ...(clips === undefined ? {} : { clips }),
    ...(crops === undefined ? {} : { crops: crops === '3' ? 3 : 1 }),
    ...(window === undefined ? {} : { window }),
    ...(stride === undefined ? {} : { stride }),
  };
}

/** Shows each outcome as it comes, and writes the page at the end. */
interface Presenter {
  readonly outcome: (outcome: VideoOutcome) => Promise<void>;
  readonly end: () => Promise<void>;
}

async function presenter(request: Request, terminal: Terminal): Promise<Presenter> {
  const { values, weights, labels, templates } = request;
  const { top = DEFAULT_TOP, html: file } = values;
  const [{ drawClassification }, { outcomeJson }, page] = await Promise.all([
    import('../drawing/classification.ts'),
    import('../classify-json.ts'),
    file === undefined ? undefined : import('../../report/recognition.ts'),
  ]);
  const videos: RecognizedVideo[] = [];
  let isFirst = true;
  const draw = (path: string, classification: Classification): void => {
    if (!isFirst) terminal.out('');
    isFirst = false;
    drawClassification(terminal, path, classification, { top, filmstrip: !values.noFilmstrip }).forEach(terminal.out);
  };
  return {
    outcome: async (outcome) => {
      if ('error' in outcome) terminal.say(outcome.error.message);
      if (values.json) terminal.out(outcomeJson(outcome, top));
      else if ('classification' in outcome) draw(outcome.path, outcome.classification);
      if (page !== undefined) videos.push(await page.recognizedVideo(outcome, top));
    },
    end: async () => {
      if (page === undefined || file === undefined) return;
      await page.writeRecognition(file, videos, [
        ['Weights', weights],
        ['Labels', `${labels.length}`],
        ['Templates', templates.length === 1 ? `${templates[0]}` : `${templates.length}`],
        [values.window === undefined ? 'Clips of each video' : 'Clips of each window', `${values.clips ?? 1}`],
        ['Crops of each frame', values.crops ?? '1'],
      ]);
      terminal.say(`Wrote ${file}`);
    },
  };
}
