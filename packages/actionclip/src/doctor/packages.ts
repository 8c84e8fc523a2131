/** Which version of a package is installed. */
import { readFile } from 'node:fs/promises';

/** The version that an import of `name` here would load; undefined where it is not installed. */
export async function packageVersion(name: string): Promise<string | undefined> {
  let folder: URL;
  try {
    folder = new URL('./', import.meta.resolve(name));
  } catch {
    return undefined;
  }
  // Most packages do not export their package.json, so it is looked for above the file that they do export.
  for (;;) {
    const text = await readFile(new URL('package.json', folder), 'utf8').catch(() => '{}');
    const { name: found, version } = JSON.parse(text) as { name?: string; version?: string };
    if (found === name) return version;
    const above = new URL('../', folder);
    if (above.href === folder.href) return undefined;
    folder = above;
  }
}
