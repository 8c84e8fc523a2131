/** Templates by the name of a set or from a file of the user. */
import { readFile } from 'node:fs/promises';
import { codeOf, messageOf } from '../data/errors.ts';
import { nearest } from '../nearest.ts';
import { parseTemplates, templateSet, templateSetNames } from './template-sets.ts';
import { PromptError } from './templates.ts';

/**
 * The templates of a set, or those of a file: see `parseTemplates`. A name of a set wins over a file of that name;
 * `./name` is always the file.
 * @throws PromptError where there is neither, or the file holds something else.
 */
export async function readTemplates(nameOrFile: string): Promise<readonly string[]> {
  const set = templateSet(nameOrFile);
  if (set !== undefined) return set;
  const bytes = await readFile(nameOrFile).catch((cause: unknown) => {
    if (codeOf(cause) !== 'ENOENT') {
      throw new PromptError(`${nameOrFile}: ${messageOf(cause)}`, 'check the path and its permissions');
    }
    const near = nearest(nameOrFile, templateSetNames);
    throw new PromptError(
      `"${nameOrFile}" is neither a set of templates nor a file`,
      near.length > 0 ? `did you mean ${near.join(' or ')}?` : `the sets are ${templateSetNames.join(', ')}`,
    );
  });
  try {
    return parseTemplates(new TextDecoder('utf-8', { fatal: true }).decode(bytes), nameOrFile);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new PromptError(`${nameOrFile}: not text in UTF-8`, 'convert it to UTF-8');
  }
}
