/** `actionclip search`: videos of a folder by a text, through an index that is kept up to date. */
import { defineCommand } from '../command.ts';
import { OptionError, type OptionTable, text, wholeFrom } from '../options.ts';
import { openRecognizerFrom, recognizerOptions, viewOptionsOf } from '../recognizer-options.ts';

const searchOptions = {
  in: { place: 'FOLDER', kind: text, help: 'where the videos are, at any depth' },
  ...recognizerOptions,
  templates: {
    place: 'NAME|FILE',
    kind: text,
    help: "texts around what is searched for; those of the training, or actionclip, the paper's 16",
  },
  top: { place: 'N', kind: wholeFrom(1), help: 'how many videos are shown; 10' },
  index: { place: 'FILE', kind: text, help: 'where the index is; one for each folder in the cache folder unless told' },
  json: { help: 'one JSON object a video: path, start and end in seconds, similarity' },
} as const satisfies OptionTable;

export const search = defineCommand({
  summary: 'Find the videos of a folder that fit a text',
  positionals: { place: 'TEXT', least: 1, most: 1 },
  options: searchOptions,
  examples: [
    'actionclip search "riding a bike" --in videos --weights runs/train-k400/best.safetensors',
    'actionclip search "a dog catching a frisbee" --in videos --weights hub:ViT-B/16 --window 4 --json',
  ],
  notes: `Each video is read once; its features stay in the index until the file changes. The similarity is the cosine of
video and text, which only its order in one search gives a meaning.`,
  async run({ values, positionals: [wanted = ''] }, terminal) {
    const { in: folder, top = 10, json } = values;
    if (folder === undefined) throw new OptionError('--in is missing', 'name the folder of the videos');
    const { runSearch } = await import('../search.ts');
    const { readTemplates } = await import('../../prompts/template-files.ts');
    const asked = values.templates === undefined ? undefined : await readTemplates(values.templates);
    const views = viewOptionsOf(values);
    const { recognizer, weights, close } = await openRecognizerFrom(values, terminal);
    try {
      const given = values.index === undefined ? {} : { index: values.index };
      await runSearch(
        {
          wanted,
          folder,
          templates: asked ?? recognizer.templates,
          top,
          views,
          recognizer,
          weights,
          json: json === true,
          ...given,
        },
        terminal,
      );
    } finally {
      await close();
    }
  },
});
