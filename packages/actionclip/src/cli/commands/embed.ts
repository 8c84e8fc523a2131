/** `actionclip embed`: features of videos and of labels, for other programs. */
import { defineCommand } from '../command.ts';
import { OptionError, type OptionTable, text } from '../options.ts';
import { openRecognizerFrom, recognizerOptions, viewOptionsOf } from '../recognizer-options.ts';

const embedOptions = {
  out: { place: 'FILE', kind: text, help: 'the .safetensors file to write' },
  ...recognizerOptions,
} as const satisfies OptionTable;

export const embed = defineCommand({
  summary: 'Write the features of videos into a safetensors file',
  positionals: { place: 'VIDEO|FOLDER...', least: 1, most: Number.POSITIVE_INFINITY },
  options: embedOptions,
  examples: [
    'actionclip embed clips --weights runs/train-k400/best.safetensors --out features.safetensors',
    'actionclip embed talk.mp4 --window 4 --stride 2 --weights hub:ViT-B/16 --out talk.safetensors',
  ],
  notes: `The tensor "features" has one row of unit length for each window of each video, [windows, embedding]; the key
"index" of the metadata says, as JSON, which videos and which seconds they are of. A file that is there already is
brought up to date: videos that have not changed are not read again.`,
  async run({ values, positionals }, terminal) {
    const { out } = values;
    if (out === undefined) throw new OptionError('--out is missing', 'name the .safetensors file to write');
    const views = viewOptionsOf(values);
    const { recipeOf } = await import('../../search/recipe.ts');
    const { bringUpToDate } = await import('../video-indexing.ts');
    const { listVideos } = await import('../../search/video-files.ts');
    const found = await listVideos(positionals);
    const { recognizer, weights, close } = await openRecognizerFrom(values, terminal);
    try {
      const recipe = await recipeOf(weights, recognizer, views);
      const index = await bringUpToDate({ file: out, root: '', found, recognizer, recipe, views }, terminal);
      const broken = index.videos.filter((video) => 'broken' in video).length;
      if (broken > 0) process.exitCode = 1;
    } finally {
      await close();
    }
  },
});
