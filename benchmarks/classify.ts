/**
 * What `actionclip classify` takes from the start of its process to the answer, beside the forward time of its model:
 * a full-size ViT-B/16 with 8 frames and the head Transf, random weights in 32 bits, on WebAssembly.
 *
 *     npx tsc -b && npx tsx --conditions=@actionclip/source benchmarks/classify.ts [--rounds 5] [--weights FILE] VIDEO
 *
 * Rounds of the command and of the forward pass alternate, each in a process of its own. Results go to
 * benchmarks/results/classify.json.
 */
import { execFile, spawn } from 'node:child_process';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { Generator, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { presets } from '@actionclip/transformer';
import { ActionCLIP, TEMPLATES, writeFileAtomically, writeSafetensorsFile } from 'actionclip';
import { describeEnvironment } from './harness/environment.ts';
import { medianOf, spreadOf } from './harness/statistics.ts';

const repository = fileURLToPath(new URL('..', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    weights: { type: 'string', default: join(tmpdir(), 'actionclip-vit-b-16-transf-8-random.safetensors') },
  },
});
const { weights } = values;
const [video] = positionals;
if (video === undefined) throw new Error('classify: name a video');
const labels = ['archery', 'yoga', 'riding a bike', 'playing tennis', 'surfing water'];

/** The aim: the command may take so much of the forward time, and so many seconds. */
const allowance = { factor: 1.3, seconds: 1.5 };
/** Forward passes of each round. */
const forwardRuns = 3;

async function makeWeights(path: string): Promise<void> {
  setDefaultDevice(await openDevice('wasm'));
  const model = new ActionCLIP({
    sizes: presets['ViT-B/16'],
    frames: 8,
    temporal: 'Transf',
    generator: new Generator(1),
  });
  await writeSafetensorsFile(path, await model.stateDict());
}

interface Measured {
  readonly seconds: number;
  /** Of all threads: what a busy machine disturbs less than the wall clock. */
  readonly cpuSeconds: number;
}

/** Tells at its end what a process has computed. */
const usage = `data:text/javascript,process.on('exit',()=>{const{user,system}=process.cpuUsage();process.stderr.write('cpu '+(user+system)/1e6)})`;

/** Runs the command as a person would the first time, with no text features kept, from start to end of the process. */
async function command(path: string): Promise<Measured> {
  const cache = await mkdtemp(join(tmpdir(), 'actionclip-cache-'));
  try {
    return await runCommand(path, { ...process.env, ACTIONCLIP_CACHE: cache });
  } finally {
    await rm(cache, { recursive: true });
  }
}

function runCommand(path: string, env: NodeJS.ProcessEnv): Promise<Measured> {
  const program = join(repository, 'packages/actionclip/bin/actionclip.js');
  const args = ['classify', path, '--labels', labels.join(', '), '--weights', weights, '--device', 'wasm'];
  const start = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', usage, program, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env,
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    child.on('error', reject);
    child.on('exit', (code) => {
      const seconds = (performance.now() - start) / 1000;
      const cpuSeconds = Number(/cpu (\S+)$/.exec(said)?.[1]);
      if (code === 0) resolve({ seconds, cpuSeconds });
      else reject(new Error(`classify ended with ${code}: ${said}`));
    });
  });
}

async function forward(): Promise<Measured[]> {
  const script = join(repository, 'benchmarks/classify/forward.ts');
  const options = ['--conditions=@actionclip/source', '--import', 'tsx'];
  const args = [...options, script, weights, String(forwardRuns), ...labels];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: repository });
  return JSON.parse(stdout) as Measured[];
}

await access(weights).catch(() => makeWeights(weights));
const commands: Measured[] = [];
const forwards: Measured[] = [];
for (let round = 0; round < Number(values.rounds); round++) {
  commands.push(await command(video));
  forwards.push(...(await forward()));
}

const median = (runs: readonly Measured[], key: keyof Measured): number => medianOf(runs.map((run) => run[key]));
const taken = median(commands, 'seconds');
const own = median(forwards, 'seconds');
const allowed = allowance.factor * own + allowance.seconds;
const record = {
  model: 'ViT-B/16, 8 frames, Transf, random weights in f32',
  video: basename(video),
  labels: labels.length,
  prompts: labels.length * TEMPLATES.length,
  device: 'wasm',
  command: { ...spreadOf(commands.map(({ seconds }) => seconds)), cpu: median(commands, 'cpuSeconds'), runs: commands },
  forward: { ...spreadOf(forwards.map(({ seconds }) => seconds)), cpu: median(forwards, 'cpuSeconds'), runs: forwards },
  allowed,
  reached: taken <= allowed,
  environment: await describeEnvironment([]),
};
console.log(
  `classify: ${taken.toFixed(2)} s (cpu ${record.command.cpu.toFixed(2)} s); forward: ${own.toFixed(2)} s (cpu ${record.forward.cpu.toFixed(2)} s)`,
);
console.log(
  `${(taken / own).toFixed(2)} times the forward time; allowed are ${allowance.factor} x ${own.toFixed(2)} + ${allowance.seconds} = ${allowed.toFixed(2)} s: ${record.reached ? 'reached' : 'not reached'}`,
);
await writeFileAtomically(join(repository, 'benchmarks/results/classify.json'), `${JSON.stringify(record, null, 2)}\n`);
process.exit(0);
