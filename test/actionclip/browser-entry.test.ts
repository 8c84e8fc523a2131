import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const packages = fileURLToPath(new URL('../../packages/', import.meta.url));

/** The module that an import means, from a file of ours or from a package of ours; undefined for others. */
function moduleOf(specifier: string, from: string): string | undefined {
  if (specifier.startsWith('.')) return path.resolve(path.dirname(from), specifier);
  const own = /^@actionclip\/([a-z]+)$/.exec(specifier);
  return own === null ? undefined : path.join(packages, own[1] ?? '', 'src/index.ts');
}

/** Every module that is loaded with this one, and the specifiers of those that are not ours. */
async function loadedWith(file: string, seen = new Map<string, string>()): Promise<Map<string, string>> {
  const source = await readFile(file, 'utf8');
  for (const match of source.matchAll(/^(?:import|export)\s(?!type\s)(?:[^'";]*\sfrom\s)?'([^']+)'/gm)) {
    const specifier = match[1] ?? '';
    const module = moduleOf(specifier, file);
    const key = module ?? specifier;
    if (seen.has(key)) continue;
    seen.set(key, file);
    if (module !== undefined) await loadedWith(module, seen);
  }
  return seen;
}

describe('the entry for pages', () => {
  it('loads nothing of Node and no library before it is needed', async () => {
    const loaded = await loadedWith(path.join(packages, 'actionclip/src/browser.ts'));
    expect([...loaded.keys()].some((module) => module.endsWith('action-clip.ts'))).toBe(true); // imports are found
    const foreign = [...loaded].filter(([module]) => !path.isAbsolute(module));
    expect(foreign.filter(([module]) => /^node:|^sharp|^mediabunny|^node-av/.test(module))).toEqual([]);
  });

  it('would be told from the entry for Node', async () => {
    const loaded = await loadedWith(path.join(packages, 'actionclip/src/index.ts'));
    expect([...loaded.keys()].filter((module) => module.startsWith('node:'))).not.toEqual([]);
  });
});
