import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** The examples of the README files are compiled and run as they stand, inside the repository, where packages resolve. */
const repository = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(repository, 'node_modules', '.cache', `readme-${process.pid}`);
const packages = ['@actionclip/tensor', '@actionclip/tokenizer', '@actionclip/transformer', 'actionclip'];
const pages = ['README.md', ...packages.map((name) => `packages/${name.replace('@actionclip/', '')}/README.md`)];

interface Example {
  readonly name: string;
  readonly page: string;
  readonly code: string;
  /** Where it is written to. */
  readonly file: string;
}

async function examplesIn(page: string): Promise<Example[]> {
  const text = await readFile(join(repository, page), 'utf8');
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ''], i) => {
    return { name: `${page}, number ${i}`, page, code, file: join(folder, dirname(page), `example-${i}.mts`) };
  });
}

const examples = (await Promise.all(pages.map(examplesIn))).flat();

/** What the compiler says of the examples, by the options of the repository and the declarations that it last built. */
function compilerMessages(): string[] {
  const { config } = ts.readConfigFile(join(repository, 'tsconfig.base.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [] }, ts.sys, repository);
  const noOutput = { noEmit: true, composite: false, declaration: false, declarationMap: false };
  const program = ts.createProgram(
    examples.map(({ file }) => file),
    { ...options, ...noOutput, customConditions: [] },
  );
  return ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    return `${file?.fileName ?? 'options'}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
}

describe('an example of a README', () => {
  beforeAll(async () => {
    for (const { file, code } of examples) {
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, code);
    }
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('stands on the first page for each package', () => {
    const first = examples.filter(({ page }) => page === 'README.md');
    for (const name of packages) expect(first.some(({ code }) => code.includes(`from '${name}'`))).toBe(true);
  });

  it('stands on the page of every package', async () => {
    expect((await readdir(join(repository, 'packages'))).length).toBe(packages.length);
    for (const page of pages) expect(examples.some((example) => example.page === page)).toBe(true);
  });

  it('is sound by its types', () => {
    expect(compilerMessages()).toEqual([]);
  });

  it.each(examples)('runs as it stands ($name)', async ({ file }) => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--conditions=@actionclip/source', '--import', 'tsx', file],
      { cwd: repository },
    );
    expect(stdout).toMatch(/\S/);
    expect(stdout).not.toMatch(/NaN|undefined/);
  });
});
