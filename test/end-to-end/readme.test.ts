import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** The README's examples are run as they stand, from a folder inside the repository, where the packages resolve. */
const repository = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(repository, 'node_modules', '.cache', `readme-${process.pid}`);
const examples = [...(await readFile(join(repository, 'README.md'), 'utf8')).matchAll(/```ts\n([\s\S]*?)```/g)].map(
  ([, code]) => code as string,
);

describe('an example of the README', () => {
  beforeAll(() => mkdir(folder, { recursive: true }));
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('stands there for each package', () => {
    const packages = ['@actionclip/tensor', '@actionclip/tokenizer', '@actionclip/transformer', 'actionclip'];
    for (const name of packages) expect(examples.some((code) => code.includes(`from '${name}'`))).toBe(true);
  });

  it.each(examples.map((code, i) => [i, code] as const))('runs as it stands (number %i)', async (i, code) => {
    const file = join(folder, `example-${i}.mts`);
    await writeFile(file, code);
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--conditions=@actionclip/source', '--import', 'tsx', file],
      { cwd: repository },
    );
    expect(stdout).toMatch(/\S/);
    expect(stdout).not.toMatch(/NaN|undefined/);
  });
});
