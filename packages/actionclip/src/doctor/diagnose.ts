/** What a machine has for this program, what of it is taken, and what is missing, as plain data. */
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import type { AdapterSupport, WasmSupport } from '@actionclip/tensor';
import { type FfmpegPrograms, findFfmpeg } from '../data/video-ffmpeg.ts';
import { reasonOf } from '../hub/errors.ts';
import { namedWeights } from '../hub/names.ts';
import { hubSettings } from '../hub/settings.ts';
import { send } from '../hub/transport.ts';
import { type CacheReport, cacheReports } from './caches.ts';
import { packageVersion } from './packages.ts';
import type { Found, ProbeReport } from './probe.ts';
import { probeInProcess } from './probe-process.ts';

/** A decoder of videos, or another package: its version, or why it cannot be used. */
export type Part =
  | { readonly name: string; readonly version: string }
  | { readonly name: string; readonly problem: string };

export interface HostReport {
  readonly address: string;
  readonly reachable: boolean;
  /** The status that it answered, or why there was no answer. */
  readonly answer: string;
}

/** What `actionclip doctor --json` prints. Fields may be added; those that are here keep their meaning. */
export interface Diagnosis {
  /** Whether videos can be recognised here: a Node that is new enough, a device and a decoder. */
  readonly works: boolean;
  /** What is wrong or could be better, and what to do, in sentences. */
  readonly advice: readonly string[];
  readonly node: { readonly version: string; readonly supported: boolean };
  readonly system: {
    readonly platform: string;
    readonly release: string;
    readonly architecture: string;
    readonly processor: string;
    /** Threads that this process may use at once. */
    readonly cores: number;
    /** Bytes that this process may use, by the machine or by its container. */
    readonly memory: number;
  };
  readonly webgpu: Found<readonly AdapterSupport[]>;
  readonly wasm: Found<WasmSupport>;
  /** What `--device auto` takes. */
  readonly automatic: Found<{ readonly device: string; readonly description: string; readonly reason: string }>;
  /** In the order in which they are tried. */
  readonly decoders: readonly Part[];
  /** The name of the decoder that is taken. */
  readonly decoder: string | null;
  /** Reads and writes pictures: frame folders, filmstrips, reports. */
  readonly images: Part;
  /** Packages that are taken where they are there. */
  readonly packages: readonly Part[];
  readonly caches: readonly CacheReport[];
  /** Only where it was asked for. */
  readonly hosts?: readonly HostReport[];
}

export interface DiagnoseOptions {
  /** Whether the servers of weights are asked for an answer; no if absent. */
  readonly online?: boolean;
  readonly signal?: AbortSignal;
  /** default: `ffmpeg` and `ffprobe` on the search path */
  readonly programs?: FfmpegPrograms;
  /** How native libraries are looked at; in a process of their own if absent. */
  readonly probe?: (signal?: AbortSignal) => Promise<ProbeReport>;
}

/** The oldest Node that is tested. */
const OLDEST_NODE = [20, 19] as const;
const INSTALL_DECODER =
  'no video can be read: run "npm install node-av", or install ffmpeg (which brings ffprobe) and put it on the search path';
const INSTALL_SHARP = 'no pictures can be read or written: run "npm install sharp"';

/** Looks at everything. Nothing is installed, written or fetched. */
export async function diagnose({
  online = false,
  signal,
  programs,
  probe = probeInProcess,
}: DiagnoseOptions = {}): Promise<Diagnosis> {
  const [found, ffmpeg, caches, hosts, webgpu, gpujs, nodeAvVersion, sharpVersion] = await Promise.all([
    probe(signal),
    findFfmpeg(programs),
    cacheReports(),
    online ? askHosts(signal) : undefined,
    ...['webgpu', 'gpu.js', 'node-av', 'sharp'].map(packageVersion),
  ]);
  const decoders = [
    partOf('node-av', nodeAvVersion, found.nodeAv),
    'version' in ffmpeg ? { name: 'ffmpeg', version: ffmpeg.version } : { name: 'ffmpeg', problem: ffmpeg.reason },
  ];
  const decoder = decoders.find((part) => 'version' in part)?.name ?? null;
  const images = partOf('sharp', sharpVersion, found.sharp);
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const supported = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  const advice = [
    ...(supported ? [] : [`Node ${process.versions.node} is too old: install ${OLDEST_NODE.join('.')} or newer`]),
    ...('problem' in found.automatic ? [`nothing can be computed: ${found.automatic.problem}`] : []),
    ...(decoder === null ? [INSTALL_DECODER] : []),
    ...('problem' in images ? [INSTALL_SHARP] : []),
    ...hostAdvice((hosts ?? []).filter(({ reachable }) => !reachable)),
  ];
  return {
    works: supported && 'value' in found.automatic && decoder !== null,
    advice,
    node: { version: process.versions.node, supported },
    system: {
      platform: process.platform,
      release: release(),
      architecture: process.arch,
      processor: cpus()[0]?.model.trim() || 'unknown',
      cores: availableParallelism(),
      memory: usableMemory(),
    },
    webgpu: found.adapters,
    wasm: found.wasm,
    automatic: found.automatic,
    decoders,
    decoder,
    images,
    packages: [installed('webgpu', webgpu), installed('gpu.js', gpujs)],
    caches,
    ...(hosts && { hosts }),
  };
}

const installed = (name: string, version: string | undefined): Part =>
  version === undefined ? { name, problem: `${name} is not installed` } : { name, version };

const partOf = (name: string, version: string | undefined, loads: Found<true>): Part =>
  'problem' in loads && version !== undefined ? { name, problem: loads.problem } : installed(name, version);

/** A container may have less than its machine; without a limit Node says 0 or a number beyond all memory. */
function usableMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

function hostAdvice(unreachable: readonly HostReport[]): string[] {
  if (unreachable.length === 0) return [];
  const hosts = unreachable.map(({ address }) => new URL(address).host).join(', ');
  const advice = 'check the network, HTTPS_PROXY and HF_ENDPOINT, or bring weights by hand as actionclip fetch says';
  return [`weights cannot be fetched from ${hosts}: ${advice}`];
}

/** One small request to each server that the table of names knows. */
async function askHosts(signal: AbortSignal | undefined): Promise<HostReport[]> {
  const { endpoint } = hubSettings();
  const files = namedWeights.flatMap(({ source }) => (source.kind === 'file' ? [source.url] : []));
  const perHost = new Map(files.map((url) => [new URL(url).host, url]));
  return Promise.all(
    [`${endpoint}/api/models/openai/clip-vit-base-patch16/revision/main`, ...perHost.values()].map(async (address) => {
      try {
        const answer = await send(address, { headers: { range: 'bytes=0-0' }, signal, patience: 10_000 });
        answer.close();
        return { address, reachable: answer.status < 400, answer: String(answer.status) };
      } catch (error) {
        return { address, reachable: false, answer: reasonOf(error) };
      }
    }),
  );
}
