/** The commands by name, each with its summary for the program's help and the module that defines it. */
import type { Command } from './command.ts';
import type { OptionTable } from './options.ts';

interface Entry {
  readonly summary: string;
  readonly load: () => Promise<Command<OptionTable>>;
}

/** A command's own table is stricter than what `main` needs to know of it. */
const widened = (command: unknown): Command<OptionTable> => command as Command<OptionTable>;

export const commands: ReadonlyMap<string, Entry> = new Map<string, Entry>([
  [
    'classify',
    {
      summary: 'Say which of your labels fits each video best',
      load: async () => widened((await import('./commands/classify.ts')).classify),
    },
  ],
  [
    'search',
    {
      summary: 'Find the videos of a folder that fit a text',
      load: async () => widened((await import('./commands/search.ts')).search),
    },
  ],
  [
    'embed',
    {
      summary: 'Write the features of videos into a file',
      load: async () => widened((await import('./commands/embed.ts')).embed),
    },
  ],
  [
    'train',
    {
      summary: "Train ActionCLIP: the built-in actions, the paper's runs, or your own clips",
      load: async () => widened((await import('./commands/train.ts')).train),
    },
  ],
  [
    'few-shot',
    {
      summary: 'Train on a few clips of each class, several times: mean and deviation',
      load: async () => widened((await import('./commands/few-shot.ts')).fewShot),
    },
  ],
  [
    'eval',
    {
      summary: 'Evaluate a model on clips, by the protocols of zero-shot evaluation',
      load: async () => widened((await import('./commands/eval.ts')).evaluation),
    },
  ],
  [
    'prepare',
    {
      summary: 'Make list files from a folder of clips, with a check of every clip',
      load: async () => widened((await import('./commands/prepare.ts')).prepare),
    },
  ],
  [
    'fetch',
    {
      summary: 'Fetch weights by name, and print where they are',
      load: async () => widened((await import('./commands/fetch.ts')).fetch),
    },
  ],
  [
    'inspect',
    {
      summary: 'Say what a checkpoint is: kind, sizes, temporal prompts, counts, what does not fit',
      load: async () => widened((await import('./commands/inspect.ts')).inspect),
    },
  ],
  [
    'convert',
    {
      summary: "Write a checkpoint's weights as safetensors, for this program or another",
      load: async () => widened((await import('./commands/convert.ts')).convert),
    },
  ],
  [
    'doctor',
    {
      summary: 'Say what this machine has for computing and decoding, and what is taken',
      load: async () => widened((await import('./commands/doctor.ts')).doctor),
    },
  ],
]);
