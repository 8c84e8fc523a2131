import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { fetch } from '../../../packages/actionclip/src/cli/commands/fetch.ts';
import { weightsProgress } from '../../../packages/actionclip/src/cli/fetch-progress.ts';
import type { Terminal } from '../../../packages/actionclip/src/cli/terminal.ts';
import { namedWeights } from '../../../packages/actionclip/src/hub/names.ts';
import { filesBelow, withHubAndHome } from './folders.ts';
import { commitLike, sha256, someBytes } from './mock-hub.ts';

const place = withHubAndHome();
const commit = commitLike('b');

interface Recorded extends Terminal {
  readonly results: string[];
  readonly said: string[];
  readonly drawn: string[];
}

function recordingTerminal(interactive: boolean): Recorded {
  const results: string[] = [];
  const said: string[] = [];
  const drawn: string[] = [];
  return {
    results,
    said,
    drawn,
    out: (line) => results.push(line),
    say: (line) => said.push(line),
    progress: (line) => drawn.push(line),
    columns: 100,
    color: false,
    blocks: false,
    interactive,
    signal: new AbortController().signal,
  };
}

test('prints the path of what it fetched as its only result, and what a branch is to the person', async () => {
  const files = new Map([['model.safetensors', someBytes(2000)]]);
  place().hub.repositories.set('someone/model', { commit, files });
  const terminal = recordingTerminal(false);
  await fetch.run({ values: {}, positionals: ['hub:someone/model'] }, terminal);
  const [path = ''] = terminal.results;
  expect(terminal.results).toHaveLength(1);
  expect(sha256(await readFile(path))).toBe(sha256(someBytes(2000)));
  expect(terminal.said).toEqual([`someone/model@main is commit ${commit}`]);
});

test('lists every name with what it is, its size and its licence', async () => {
  const terminal = recordingTerminal(false);
  await fetch.run({ values: { list: true }, positionals: [] }, terminal);
  const lines = terminal.results.join('\n').split('\n');
  expect(lines).toHaveLength(namedWeights.length);
  expect(lines.find((line) => line.startsWith('hub:ViT-B/16 '))).toMatch(/ 351 MB .*\(MIT\)$/);
  await fetch.run({ values: { json: true }, positionals: [] }, terminal);
  const parsed = JSON.parse(terminal.results.at(-1) ?? '') as { name: string; bytes: number | null }[];
  expect(parsed.map(({ name }) => name)).toEqual(namedWeights.map(({ name }) => name));
});

test('every name of the table is a name, and each has its own place and digest', () => {
  const sources = namedWeights.map(({ source }) => JSON.stringify(source));
  expect(new Set(sources).size).toBe(namedWeights.length);
  for (const { source } of namedWeights) {
    if (source.sha256 !== undefined) expect(source.sha256).toMatch(/^[0-9a-f]{64}$/);
    if (source.kind === 'repository') expect(source.revision).toMatch(/^[0-9a-f]{40}$/);
  }
});

test('draws a bar on a terminal, and writes few lines in a pipe', () => {
  for (const [interactive, drawn, said] of [
    [true, 11, 1],
    [false, 0, 3],
  ] as const) {
    const terminal = recordingTerminal(interactive);
    let time = 0;
    const { onProgress } = weightsProgress(terminal, () => time);
    // 20 s of a download of 40 MB, looked at every 20 ms.
    for (let step = 0; step < 1000; step++) {
      time = step * 20;
      onProgress({ name: 'w.pt', done: step * 40_000, total: 40_000_000, rate: 2_000_000 });
    }
    time = 20_000;
    onProgress({ name: 'w.pt', done: 39_999_999, total: 40_000_000, rate: 2_000_000 });
    onProgress({ name: 'w.pt', done: 40_000_000, total: 40_000_000, rate: 2_000_000 });
    expect(terminal.said.at(-1)).toBe('Fetched w.pt (40.0 MB)');
    expect(terminal.said).toHaveLength(said);
    if (interactive) {
      expect(terminal.drawn.length).toBeGreaterThan(drawn);
      expect(terminal.drawn.at(-1)).toBe('');
      expect(terminal.drawn[100]).toMatch(/^w\.pt ━{12}─{12} 20\.0 MB of 40\.0 MB {2}2\.00 MB\/s {2}left 10s$/);
    } else {
      expect(terminal.drawn.filter((line) => line !== '')).toEqual([]);
      expect(terminal.said[0]).toBe('Fetching w.pt 20.0 MB of 40.0 MB  2.00 MB/s  left 10s');
    }
  }
});

test('stopped by SIGINT leaves what came, ends with 130, and goes on the next time', async () => {
  const bytes = someBytes(50_000, 3);
  place().hub.repositories.set('someone/model', { commit, files: new Map([['model.safetensors', bytes]]) });
  place().hub.faults.push({ on: '/resolve/', stallAfter: 20_000 });
  const program = fileURLToPath(new URL('../../../packages/actionclip/src/cli/program.ts', import.meta.url));
  const start = (): ReturnType<typeof spawn> =>
    spawn(
      process.execPath,
      ['--import', 'tsx', '--conditions=@actionclip/source', program, 'fetch', `hub:someone/model@${commit}`],
      { env: process.env, stdio: ['ignore', 'pipe', 'pipe'] },
    );
  const blobs = join(place().folder, 'huggingface', 'hub', 'models--someone--model', 'blobs');
  const incomplete = join(blobs, `${sha256(bytes)}.incomplete`);
  const stopped = start();
  let said = '';
  stopped.stderr?.on('data', (text: Buffer) => {
    said += text.toString();
  });
  await expect.poll(() => existsSync(incomplete) && statSync(incomplete).size, { timeout: 50_000 }).toBe(20_000);
  stopped.kill('SIGINT');
  expect(await once(stopped, 'close')).toEqual([130, null]);
  expect(said).toBe('The download was stopped; the same command goes on where it ended\n');
  expect(await filesBelow(blobs)).toEqual([`${sha256(bytes)}.incomplete`]);
  const [code] = (await once(start(), 'close')) as [number];
  expect(code).toBe(0);
  expect(place().hub.asked.at(-1)?.headers.range).toBe('bytes=20000-');
  expect(sha256(await readFile(join(blobs, sha256(bytes))))).toBe(sha256(bytes));
});
