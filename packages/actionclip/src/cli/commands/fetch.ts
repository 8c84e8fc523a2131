/** `actionclip fetch`: brings weights into the cache by their name, and says where they are. */
import type { NamedWeights } from '../../hub/names.ts';
import { defineCommand } from '../command.ts';
import { OptionError } from '../options.ts';

export const fetch = defineCommand({
  summary: 'Fetch weights by name, and print where they are',
  positionals: { place: 'NAME', least: 0, most: 1 },
  options: {
    list: { help: 'the names that are known, with what they are, their sizes and licences' },
    json: { help: 'the list as JSON' },
  },
  examples: [
    'actionclip fetch --list',
    'actionclip fetch hub:ViT-B/16',
    'actionclip fetch hub:openai/clip-vit-base-patch32',
  ],
  notes: `Any other repository of Hugging Face is hub:OWNER/NAME, with @REVISION and /FILE behind it where they matter.
A download that was stopped goes on where it ended, and every byte is checked where a digest is known.
Caches: HF_HUB_CACHE or HF_HOME (shared with Python), ~/.cache/clip, ACTIONCLIP_CACHE (see actionclip doctor).
Also read: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HTTPS_PROXY, HTTP_PROXY, NO_PROXY.`,
  async run({ values: { list, json }, positionals: [name] }, terminal) {
    if (list || json) {
      if (name !== undefined) throw new OptionError('--list takes no name', 'give one of both');
      const { namedWeights } = await import('../../hub/names.ts');
      terminal.out(json ? JSON.stringify(namedWeights.map(described), null, 2) : listOf(namedWeights));
      return;
    }
    if (name === undefined) throw new OptionError('NAME is missing', 'see actionclip fetch --list');
    const [{ resolveWeights }, { weightsProgress }] = await Promise.all([
      import('../../hub/resolve.ts'),
      import('../fetch-progress.ts'),
    ]);
    terminal.out(await resolveWeights(name, weightsProgress(terminal)));
  },
});

const described = ({ name, what, size, licence, source }: NamedWeights): object => ({
  name,
  what,
  bytes: size ?? null,
  licence,
  ...source,
});

function listOf(rows: readonly NamedWeights[]): string {
  const width = Math.max(...rows.map(({ name }) => name.length));
  return rows
    .map(({ name, what, size, licence }) => {
      const length = size === undefined ? '?' : `${(size / 1e6).toFixed(0)} MB`;
      return `${name.padEnd(width)}  ${length.padStart(7)}  ${what}  (${licence})`;
    })
    .join('\n');
}
