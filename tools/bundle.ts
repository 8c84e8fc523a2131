// What a page fetches of the packages: programs bundled and minified from the sources, as an application's bundler does it.

import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { type OutputChunk, rolldown } from 'rolldown';

const repository = fileURLToPath(new URL('..', import.meta.url));

/** What a page has not, or loads from packages of others when it is first needed. */
const OTHERS = [/^node:/, 'webgpu', 'gpu.js', 'mediabunny'];

/** Some of a bundle's files. */
export interface Fetched {
  /** Bytes of the files, each compressed by gzip for itself, as a server does it. */
  readonly gzip: number;
  /** The modules of which something is in them, by their paths inside the repository. */
  readonly modules: readonly string[];
}

export interface Bundle {
  /** What is fetched before the program starts. */
  readonly start: Fetched;
  /** What has been fetched once the program has imported a module dynamically, whose path ends so. */
  with(module: string): Fetched;
  /** All that may ever be fetched. */
  readonly all: Fetched;
}

/** Bundles the program that `code` is, in which packages are imported by their names. */
export async function bundle(code: string): Promise<Bundle> {
  const build = await rolldown({
    input: 'program',
    cwd: repository,
    platform: 'browser',
    external: OTHERS,
    resolve: { conditionNames: ['@actionclip/source', 'browser', 'import', 'default'] },
    preserveEntrySignatures: false, // nobody imports a page's program
    plugins: [
      {
        name: 'program',
        resolveId: (id) => (id === 'program' ? `${repository}program.js` : undefined),
        load: (id) => (id === `${repository}program.js` ? code : undefined),
      },
    ],
  });
  const { output } = await build.generate({ format: 'esm', minify: true });
  await build.close();
  const chunks = new Map(output.filter((file) => file.type === 'chunk').map((chunk) => [chunk.fileName, chunk]));
  const entry = [...chunks.values()].find(({ isEntry }) => isEntry);
  if (!entry) throw new Error('The bundler made no program');

  const reached = (from: readonly OutputChunk[]): Set<OutputChunk> => {
    const found = new Set(from);
    for (const { imports } of found) {
      for (const name of imports) {
        const chunk = chunks.get(name);
        if (chunk) found.add(chunk);
      }
    }
    return found;
  };
  const fetched = (files: readonly OutputChunk[]): Fetched => ({
    gzip: files.reduce((sum, file) => sum + gzipSync(file.code, { level: 9 }).length, 0),
    modules: files.flatMap(({ modules }) =>
      Object.entries(modules).flatMap(([id, { renderedLength }]) =>
        renderedLength > 0 ? [id.replace(repository, '').replaceAll('\\', '/')] : [],
      ),
    ),
  });
  return {
    start: fetched([...reached([entry])]),
    with(module) {
      const chunk = [...chunks.values()].find(({ facadeModuleId }) =>
        facadeModuleId?.replaceAll('\\', '/').endsWith(module),
      );
      if (!chunk) throw new Error(`The program imports no ${module} dynamically`);
      return fetched([...reached([entry, chunk])]);
    },
    all: fetched([...chunks.values()]),
  };
}
