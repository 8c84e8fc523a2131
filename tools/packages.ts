// `npm run packages`: packs each package as it would be published and looks at the result: the files in the archive,
// publint, "are the types wrong", and a program outside the repository that imports every entry point and is type-checked.
// Takes what `npm run build` has compiled.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

interface Manifest {
  readonly name: string;
  readonly exports: Readonly<Record<string, unknown>>;
}

const repository = fileURLToPath(new URL('..', import.meta.url));
const binaries = join(repository, 'node_modules', '.bin');
const shell = process.platform === 'win32'; // where programs of npm are scripts of the shell

/** Everything that an archive may hold. */
const EXPECTED = [
  /^(package\.json|README\.md|CHANGELOG\.md|LICENSE)$/,
  /^bin\/\w+\.js$/,
  /^src\/[\w/-]+\.ts$/,
  /^dist\/[\w/-]+(\.js|\.d\.ts)(\.map)?$/,
] as const;

/** Deletes what an earlier build made of sources that are gone, which the compiler leaves behind. */
function removeStaleOutputs(folder: string): void {
  for (const file of readdirSync(join(folder, 'dist'), { recursive: true, encoding: 'utf8' })) {
    const name = /^(.*?)\.(?:d\.ts|js)(?:\.map)?$/.exec(file)?.[1];
    if (name !== undefined && !existsSync(join(folder, 'src', `${name}.ts`))) rmSync(join(folder, 'dist', file));
  }
}

/** What is wrong with the files of an archive: strangers, and sources that are not compiled. */
function faultsOfFiles(files: readonly string[]): string[] {
  const all = new Set(files);
  const missing = (file: string): string[] => (all.has(file) ? [] : [`${file} is missing`]);
  return files.flatMap((file) => {
    if (!EXPECTED.some((pattern) => pattern.test(file))) return [`${file} does not belong there`];
    const source = /^src\/(.*)\.ts$/.exec(file)?.[1];
    return source === undefined ? [] : [`dist/${source}.js`, `dist/${source}.d.ts`].flatMap(missing);
  });
}

/** Packs the package in `folder`; the archive's path and the files in it. */
function pack(folder: string, destination: string): { archive: string; files: string[] } {
  const printed = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', destination], {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    shell,
  });
  const [packed] = JSON.parse(printed) as { filename: string; files: { path: string }[] }[];
  if (!packed) throw new Error(`npm pack said nothing of ${folder}`);
  return { archive: join(destination, packed.filename), files: packed.files.map(({ path }) => path) };
}

/** What a program prints, and whether it succeeded. */
function outcome(program: string, args: readonly string[], cwd: string): { succeeded: boolean; text: string } {
  try {
    const text = execFileSync(program, [...args], { cwd, encoding: 'utf8', stdio: 'pipe', shell });
    return { succeeded: true, text };
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return { succeeded: false, text: `${stdout}${stderr}` };
  }
}

const faultsOf = (program: string, args: readonly string[], cwd: string): string[] => {
  const { succeeded, text } = outcome(program, args, cwd);
  return succeeded ? [] : [text];
};

async function faultsByPublint(archive: string, manifest: Manifest): Promise<string[]> {
  const tarball = Uint8Array.from(readFileSync(archive)).buffer;
  const { messages } = await publint({ pack: { tarball }, strict: true });
  return messages.map((message) => formatMessage(message, manifest, { color: false }) ?? message.code);
}

/** What happens to a program that has only the unpacked archives and imports all of their entry points. */
function faultsOfConsumer(folder: string, entries: readonly string[]): string[] {
  const imports = entries.map((entry, i) => `import * as entry${i} from '${entry}';`);
  const names = entries.map((_, i) => `entry${i}`).join(', ');
  const code = `${imports.join('\n')}\nfor (const entry of [${names}]) if (Object.keys(entry).length === 0) process.exitCode = 1;\n`;
  const options = { module: 'NodeNext', strict: true, noEmit: true, types: ['node'], skipLibCheck: true };
  writeFileSync(join(folder, 'program.mjs'), code);
  writeFileSync(join(folder, 'program.mts'), code);
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['program.mts'] }));
  return [
    ...faultsOf(process.execPath, ['program.mjs'], folder),
    ...faultsOf(join(binaries, 'tsc'), ['-p', 'tsconfig.json'], folder),
  ];
}

// Inside node_modules, where the dependencies of others are found, but the packages' own archives first.
const cache = join(repository, 'node_modules', '.cache');
mkdirSync(cache, { recursive: true });
const folder = mkdtempSync(join(cache, 'packages-'));
let failed = false;
const report = (subject: string, faults: readonly string[]): void => {
  failed ||= faults.length > 0;
  console.log([`${faults.length === 0 ? 'good' : 'FAULT'}  ${subject}`, ...faults].join('\n    '));
};

try {
  const entries: string[] = [];
  for (const name of readdirSync(join(repository, 'packages'))) {
    const source = join(repository, 'packages', name);
    const manifest = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as Manifest;
    entries.push(...Object.keys(manifest.exports).map((entry) => manifest.name + entry.slice(1)));
    removeStaleOutputs(source);
    const { archive, files } = pack(source, folder);
    report(`${manifest.name}: ${files.length} files`, faultsOfFiles(files));
    report(`${manifest.name}: publint`, await faultsByPublint(archive, manifest));
    report(
      `${manifest.name}: are the types wrong`,
      faultsOf(join(binaries, 'attw'), [archive, '--profile', 'esm-only'], folder),
    );
    const place = join(folder, 'node_modules', manifest.name);
    mkdirSync(place, { recursive: true });
    execFileSync('tar', ['-xzf', archive, '--strip-components=1', '-C', place]);
  }
  report(`a program that imports ${entries.join(', ')}`, faultsOfConsumer(folder, entries));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (failed) process.exitCode = 1;
