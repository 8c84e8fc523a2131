import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { wasmSupport, webgpuAdapters } from '@actionclip/tensor';
import { describe, expect, test, vi } from 'vitest';
import { type Diagnosis, diagnose } from '../../../packages/actionclip/src/doctor/diagnose.ts';
import { packageVersion } from '../../../packages/actionclip/src/doctor/packages.ts';
import { printDiagnosis } from '../../../packages/actionclip/src/doctor/print.ts';
import type { ProbeReport } from '../../../packages/actionclip/src/doctor/probe.ts';
import { withHubAndHome } from '../hub/folders.ts';
import { commitLike } from '../hub/mock-hub.ts';

const place = withHubAndHome();

const graphics = {
  description: 'Example GPU',
  software: false,
  features: ['shader-f16', 'subgroups'],
  bufferBytes: 4_000_000_000,
  workgroupBytes: 32_768,
};
const healthy: ProbeReport = {
  adapters: { value: [graphics, { ...graphics, description: 'Example in software', software: true, features: [] }] },
  wasm: { value: { threads: 8, relaxedSimd: true, vectorBits: 256 } },
  automatic: { value: { device: 'webgpu', description: 'Example GPU', reason: 'WebGPU on Example GPU' } },
  nodeAv: { value: true },
  sharp: { value: true },
};
const broken: ProbeReport = {
  adapters: { problem: 'no WebGPU' },
  wasm: { problem: 'no SIMD' },
  automatic: { problem: 'no device at all' },
  nodeAv: { problem: 'node-av does not load (no such library)' },
  sharp: { problem: 'no such library' },
};
const probing = (report: ProbeReport) => ({ probe: () => Promise.resolve(report) });

describe('a diagnosis', () => {
  test('of a machine with all that is needed says so, and what is taken', async () => {
    const diagnosis = await diagnose(probing(healthy));
    expect(diagnosis).toMatchObject({ works: true, advice: [], decoder: 'node-av' });
    const text = printDiagnosis(diagnosis);
    expect(text).toContain('webgpu      Example GPU; shader-f16, subgroups; buffers up to 4.00 GB');
    expect(text).toContain('webgpu      Example in software (software: taken only when asked for); buffers');
    expect(text).toContain('joined to 256 bits where the processor has them, relaxed multiply-add, 8 threads');
    expect(text).toContain('auto takes  WebGPU on Example GPU');
    expect(text).toMatch(/node-av {2}\d+\.\d+\.\d+, taken/);
    expect(text.endsWith('Videos can be recognised here.')).toBe(true);
  });

  test('of one without says what is wrong and what to install', async () => {
    const programs = { ffmpeg: '/nowhere/ffmpeg', ffprobe: '/nowhere/ffprobe' };
    const diagnosis = await diagnose({ ...probing(broken), programs });
    expect(diagnosis).toMatchObject({ works: false, decoder: null });
    const text = printDiagnosis(diagnosis);
    expect(text).toContain('Videos cannot be recognised here.\n- nothing can be computed: no device at all');
    expect(text).toMatch(/- no video can be read: run "npm install node-av", or install ffmpeg/);
    expect(text).toContain('npm install sharp');
    expect(text).toContain('node-av does not load (no such library)');
  });

  test('takes ffmpeg where node-av does not load', async () => {
    const folder = place().folder;
    const programs = { ffmpeg: join(folder, 'ffmpeg'), ffprobe: join(folder, 'ffprobe') };
    for (const [name, path] of Object.entries(programs)) {
      await writeFile(path, `#!/bin/sh\necho "${name} version 9.9 of a test"\n`, { mode: 0o755 });
    }
    const diagnosis = await diagnose({ ...probing({ ...healthy, nodeAv: broken.nodeAv }), programs });
    expect(diagnosis).toMatchObject({ works: true, decoder: 'ffmpeg' });
    expect(printDiagnosis(diagnosis)).toContain('ffmpeg   9.9, taken');
  });

  test('measures the caches, a linked file once', async () => {
    const clip = join(place().folder, 'home', '.cache', 'clip');
    await mkdir(clip, { recursive: true });
    await writeFile(join(clip, 'ViT-B-16.pt'), Buffer.alloc(12_345));
    const { caches } = await diagnose(probing(healthy));
    expect(caches.find(({ path }) => path === clip)).toMatchObject({ bytes: 12_345, files: 1 });
    expect(caches.map(({ variable }) => variable)).toEqual(['ACTIONCLIP_CACHE', 'HF_HUB_CACHE', null]);
    expect(printDiagnosis(await diagnose(probing(healthy)))).toContain(`12.3 kB  ${clip}: OpenAI's files`);
  });

  test('asks the servers of weights only when told to, through the proxy', async () => {
    const { hub } = place();
    // A proxy that refuses, so that no test ever leaves this machine.
    vi.stubEnv('HTTPS_PROXY', hub.address);
    hub.repositories.set('openai/clip-vit-base-patch16', { commit: commitLike('c'), files: new Map() });
    expect((await diagnose(probing(healthy))).hosts).toBeUndefined();
    expect(hub.asked).toEqual([]);
    const { hosts = [], works, advice } = await diagnose({ ...probing(healthy), online: true });
    expect(hosts.map(({ reachable }) => reachable)).toEqual([true, false, false]);
    expect(works).toBe(true);
    expect(advice).toHaveLength(1);
    expect(advice[0]).toContain('cannot be fetched from download.openmmlab.com, openaipublic.azureedge.net');
  });
});

test('the program prints the diagnosis of this machine as JSON, and no noise of drivers', async () => {
  const program = fileURLToPath(new URL('../../../packages/actionclip/src/cli/program.ts', import.meta.url));
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--conditions=@actionclip/source', program, 'doctor', '--json'],
    { env: process.env, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  let printed = '';
  child.stderr.on('data', (text: Buffer) => {
    said += text.toString();
  });
  child.stdout.on('data', (text: Buffer) => {
    printed += text.toString();
  });
  const [code] = (await once(child, 'close')) as [number];
  expect(said).toBe('');
  const diagnosis = JSON.parse(printed) as Diagnosis;
  expect(code).toBe(diagnosis.works ? 0 : 1);
  expect(diagnosis).toMatchObject({ works: true, wasm: { value: {} }, automatic: { value: {} } });
  expect(Object.keys(diagnosis)).toEqual([
    ...['works', 'advice', 'node', 'system', 'webgpu', 'wasm', 'automatic'],
    ...['decoders', 'decoder', 'images', 'packages', 'caches'],
  ]);
});

test('the adapters of WebGPU are told apart from software', async () => {
  const adapters = await webgpuAdapters();
  expect(adapters.length).toBeGreaterThan(0);
  for (const { description, software, bufferBytes } of adapters) {
    expect(software).toBe(/swiftshader|llvmpipe/i.test(description));
    expect(bufferBytes).toBeGreaterThanOrEqual(2 ** 27);
  }
  expect((await wasmSupport()).threads).toBeGreaterThan(0);
});

test('the version of a package is found without its package.json being exported', async () => {
  expect(await packageVersion('sharp')).toMatch(/^\d+\.\d+\.\d+/);
  expect(await packageVersion('no-such-package-here')).toBeUndefined();
});
