/**
 * How long a full-size checkpoint takes to become a model, and how much memory on the way: ViT-B/16 with the temporal
 * transformer, from random initialisation, in the layouts that this program writes, and whatever checkpoints are named.
 * Every load runs in a process of its own, with the file in the system's cache.
 *
 *     tsx --conditions=@actionclip/source benchmarks/load.ts [--runs 3] [CHECKPOINT...]
 *
 * Results go to benchmarks/results/load.json.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { Generator, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { presets } from '@actionclip/transformer';
import {
  ActionCLIP,
  convertCheckpoint,
  openCheckpointModel,
  writeFileAtomically,
  writeSafetensorsFile,
} from 'actionclip';
import { describeEnvironment } from './harness/environment.ts';

const script = fileURLToPath(import.meta.url);
const { values, positionals: named } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string', default: '3' }, one: { type: 'string' } },
});

interface Load {
  readonly layout: string;
  readonly temporal: string;
  readonly seconds: number;
  /** Of all threads. */
  readonly processorSeconds: number;
  readonly parameterBytes: number;
  /** The process at its fullest, less what it took before the file was opened. */
  readonly peakBytes: number;
  /** Of CLIP's own parameters: equal where the models are. */
  readonly digest: string;
}

const kibibytes = (status: string, field: string): number =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]);
const processStatus = (): Promise<string> => readFile('/proc/self/status', 'utf8');

async function load(path: string): Promise<Load> {
  const device = await openDevice('wasm');
  setDefaultDevice(device);
  const before = kibibytes(await processStatus(), 'VmRSS');
  const used = process.cpuUsage();
  const start = performance.now();
  const { model, layout, description } = await openCheckpointModel(path);
  const seconds = (performance.now() - start) / 1e3;
  const { user, system } = process.cpuUsage(used);
  const peakBytes = 1024 * (kibibytes(await processStatus(), 'VmHWM') - before);
  const digest = createHash('sha256');
  for (const [name, parameter] of model.clip.namedParameters()) {
    const { buffer } = await parameter.data();
    digest.update(name).update(new Uint8Array(buffer));
  }
  await device.close();
  return {
    layout,
    temporal: description.temporal ?? 'Transf',
    seconds,
    processorSeconds: (user + system) / 1e6,
    parameterBytes: 4 * model.parameterCount(),
    peakBytes,
    digest: digest.digest('hex').slice(0, 12),
  };
}

/** The model in every layout that is written, each with what it is called in the table. */
async function writeLayouts(folder: string): Promise<[string, string][]> {
  const device = await openDevice('wasm');
  setDefaultDevice(device);
  const sizes = presets['ViT-B/16'];
  const model = await new ActionCLIP({ sizes, frames: 8, generator: new Generator(1) }).initialize();
  const own = join(folder, 'own.safetensors');
  await writeSafetensorsFile(own, await model.stateDict());
  await device.close();
  const openai = join(folder, 'openai.safetensors');
  const huggingface = join(folder, 'model.safetensors');
  const half = join(folder, 'half.safetensors');
  await convertCheckpoint(own, openai, { to: 'openai', dropTemporal: true });
  await convertCheckpoint(own, huggingface, { to: 'huggingface', dropTemporal: true });
  await convertCheckpoint(own, half, { to: 'actionclip', dtype: 'f16' });
  return [
    ['ActionCLIP, f32', own],
    ['ActionCLIP, f16', half],
    ["OpenAI's names, f32", openai],
    ["Hugging Face's names, f32", huggingface],
  ];
}

async function loadApart(path: string): Promise<Load> {
  const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, script, '--one', path]);
  return JSON.parse(stdout) as Load;
}

const line = (name: string, { seconds, processorSeconds, parameterBytes, peakBytes, digest }: Load): string =>
  [
    name.padEnd(28),
    `${seconds.toFixed(2)} s`.padStart(8),
    `${processorSeconds.toFixed(2)} s of processors`.padStart(22),
    `${(peakBytes / 2 ** 20).toFixed(0)} MiB`.padStart(10),
    `${(peakBytes / parameterBytes).toFixed(2)} x the parameters`.padStart(24),
    `  ${digest}`,
  ].join('');

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'load-'));
  try {
    const files = [...(await writeLayouts(folder)), ...named.map((path): [string, string] => [path, path])];
    const results: Record<string, readonly Load[]> = {};
    for (const [name, path] of files) {
      await loadApart(path); // brings the file into the system's cache
      const loads: Load[] = [];
      for (let run = 0; run < Number(values.runs); run++) loads.push(await loadApart(path));
      loads.sort((a, b) => a.seconds - b.seconds);
      results[name] = loads;
      const [fastest] = loads;
      if (fastest) console.log(line(name, fastest));
    }
    const environment = await describeEnvironment([]);
    const path = fileURLToPath(new URL('results/load.json', import.meta.url));
    await writeFileAtomically(path, `${JSON.stringify({ environment, results }, undefined, 2)}\n`);
  } finally {
    await rm(folder, { recursive: true });
  }
}

if (values.one === undefined) await main();
else process.stdout.write(JSON.stringify(await load(values.one)));
