/** `actionclip classify`: which of the labels given fits each video best, for people, as JSON, and as a page. */
import { templateSetNames } from '../../prompts/template-sets.ts';
import type { NamedVideo, Recognizer } from '../../recognize/recognizer.ts';
import type { Classification, ClassifyOptions, VideoOutcome, ViewOptions } from '../../recognize/types.ts';
import type { RecognizedVideo } from '../../report/recognition.ts';
import { defineCommand } from '../command.ts';
import { type OptionTable, text, type Values, wholeFrom } from '../options.ts';
import { openRecognizerFrom, recognizerOptions, viewOptionsOf } from '../recognizer-options.ts';
import { type Terminal, untilInterrupted } from '../terminal.ts';

const classifyOptions = {
  labels: { place: 'LIST', kind: text, help: 'the actions to choose from: "archery, juggling balls"' },
  labelsFile: { place: 'FILE', kind: text, help: 'or a file of them: CSV with the header "id,name", or one on a line' },
  ...recognizerOptions,
  templates: {
    place: 'SET|FILE',
    kind: text,
    help: "texts around the labels; those of the training, or actionclip, the paper's 16",
  },
  top: { place: 'N', kind: wholeFrom(1), help: 'how many labels are shown; 5' },
  json: { help: 'one JSON object a line for each video, as in docs/classify-json.md' },
  html: { place: 'FILE', kind: text, help: 'also write a page with pictures, bars, curves and timelines' },
  tolerateDamage: { help: 'take of a damaged video the frames that can be decoded' },
  noFilmstrip: { help: 'draw no frames on the terminal' },
} as const satisfies OptionTable;

const DEFAULT_TOP = 5;

export const classify = defineCommand({
  summary: 'Say which of your labels fits each video best',
  positionals: { place: 'VIDEO...', least: 1, most: Number.POSITIVE_INFINITY },
  options: classifyOptions,
  examples: [
    'actionclip classify clip.mp4 --labels "archery, juggling balls, yoga" --weights runs/train-k400/best.safetensors',
    'actionclip classify *.mp4 --labels-file labels.csv --weights hub:ViT-B/16 --json > results.jsonl',
    'actionclip classify match.mkv --labels "goal, foul, crowd" --weights hub:ViT-B/16 --window 4 --html match.html',
  ],
  notes: `A VIDEO is a video file or a folder of frames. A label that holds a comma stands in double quotes:
--labels '"clean and jerk, heavy", yoga'. Videos that cannot be read are named at the end, and the exit code is 1.

Sets of templates: ${templateSetNames.join(', ')}; a FILE has one on each line, with {} for the label.`,
  async run({ values, positionals: paths }, terminal) {
    const views = viewOptionsOf(values);
    const { labelsFrom } = await import('../lists.ts');
    const { readTemplates } = await import('../../prompts/template-files.ts');
    const { videosAt } = await import('../videos.ts');
    const labels = await labelsFrom(values);
    const asked = values.templates === undefined ? undefined : await readTemplates(values.templates);
    const videos = await videosAt(paths, values.tolerateDamage ? 'tolerate' : 'error');
    const { recognizer, weights, close } = await openRecognizerFrom(values, terminal);
    const templates = asked ?? recognizer.templates;
    const request = { videos, labels, templates, views, weights, values, recognizer };
    const show = await presenter(request, terminal);
    const broken = await untilInterrupted(terminal.signal, classifyVideos(request, show, terminal).finally(close));
    await show.end();
    if (broken.length > 0) {
      const { DataError } = await import('../../data/errors.ts');
      throw new DataError(
        `${broken.length} of ${paths.length} videos could not be classified: ${broken.join(', ')}`,
        'see above why',
      );
    }
  },
});

interface Request {
  readonly videos: readonly NamedVideo[];
  readonly labels: readonly string[];
  readonly templates: readonly string[];
  readonly views: ViewOptions;
  readonly recognizer: Recognizer;
  /** The file of the recognizer's model. */
  readonly weights: string;
  readonly values: Values<typeof classifyOptions>;
}

/** Shows each video as it is ready, and gives the paths of those that could not be read. */
async function classifyVideos(request: Request, show: Presenter, terminal: Terminal): Promise<string[]> {
  const { videos, labels, templates, views, recognizer } = request;
  let name = '';
  const announced = videos.map(({ path, open }, index) => ({
    path,
    open: () => {
      name = `${videos.length > 1 ? `${index + 1}/${videos.length} ` : ''}${path}`;
      terminal.progress(`${name}: decoding`);
      return open();
    },
  }));
  const options: ClassifyOptions = {
    ...views,
    templates,
    signal: terminal.signal,
    onEncoded: ({ pictures, totalPictures }) =>
      terminal.progress(`${name}: ${pictures} of ${totalPictures} frames encoded`),
  };
  terminal.progress(`Encoding ${labels.length} labels`);
  const broken: string[] = [];
  for await (const outcome of recognizer.classifyAll(announced, labels, options)) {
    terminal.progress('');
    if ('error' in outcome) broken.push(outcome.path);
    await show.outcome(outcome);
  }
  return broken;
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
