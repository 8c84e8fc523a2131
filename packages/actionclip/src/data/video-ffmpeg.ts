/**
 * Decoding of a video file by the programs ffmpeg and ffprobe, the second way where node-av is not installed. Same
 * numbering, colours and orientation as `video-node-av.ts`: the program only decodes.
 */

import { codeOf, DataError, messageOf } from './errors.ts';
import type { DamageHandling, FrameSource } from './frame-source.ts';
import { type FrameStamps, rateOf } from './frame-times.ts';
import type { Image } from './image/image.ts';
import { type Orientation, orientationOf, upright } from './orientation.ts';
import { type ProgramOutput, ProgramStalled, runProgram } from './program.ts';
import {
  type ColourSpace,
  colourSpaceOf,
  eightBitPlanes,
  frameBytes,
  type PixelPlan,
  planesToRgb,
  planPixels,
} from './video-colour.ts';
import { type FrameDecoded, openVideoSource, type VideoPass } from './video-source.ts';

/** The programs to run: names on the search path, or paths. */
export interface FfmpegPrograms {
  readonly ffmpeg: string;
  readonly ffprobe: string;
  /** seconds that they may go without any output before the file is given up; default 60 */
  readonly patience?: number;
}

export const defaultPrograms: FfmpegPrograms = { ffmpeg: 'ffmpeg', ffprobe: 'ffprobe' };

/** Either the program's own version text or the reason why it cannot be used. */
export type FfmpegResult = { readonly version: string } | { readonly reason: string };

const found = new Map<string, Promise<FfmpegResult>>();

/** Asks both programs, once, whether they are there. */
export function findFfmpeg(programs: FfmpegPrograms = defaultPrograms): Promise<FfmpegResult> {
  const key = `${programs.ffmpeg}\n${programs.ffprobe}`;
  let result = found.get(key);
  if (result === undefined) {
    result = askVersions(programs);
    found.set(key, result);
  }
  return result;
}

async function askVersions(programs: FfmpegPrograms): Promise<FfmpegResult> {
  let version = '';
  for (const program of [programs.ffprobe, programs.ffmpeg]) {
    try {
      const output = await runProgram(program, ['-version'], { patience: patienceOf(programs) });
      version = /^\S+ version (\S+)/.exec(output.stdout.toString())?.[1] ?? '';
    } catch (error) {
      const missing = codeOf(error) === 'ENOENT';
      return {
        reason: missing ? `the program ${program} is not there` : `${program} does not run (${messageOf(error)})`,
      };
    }
  }
  return { version };
}

/** Opens a video file. Nothing is read before it is asked for. */
export function openVideoWithFfmpeg(
  file: string,
  damage: DamageHandling = 'error',
  programs: FfmpegPrograms = defaultPrograms,
  threads = 1,
): FrameSource {
  let probed: Promise<VideoStream> | undefined;
  const stream = (): Promise<VideoStream> => {
    probed ??= probe(file, programs);
    return probed;
  };
  return openVideoSource(file, damage, {
    container: async () => containerStamps(file, await stream(), programs),
    scan: async () => scan(file, await stream(), programs, threads),
    decode: async (visit, last) => decode(file, await stream(), programs, threads, visit, last),
  });
}

interface VideoStream {
  readonly index: number;
  readonly width: number;
  readonly height: number;
  readonly pixels: PixelPlan;
  readonly space: ColourSpace;
  readonly fullRange: boolean;
  readonly orientation: Orientation | undefined;
  /** of the timestamps, in seconds */
  readonly timeBase: Fraction;
  readonly framesPerSecond: number;
}

interface Fraction {
  readonly num: number;
  readonly den: number;
}

async function probe(file: string, programs: FfmpegPrograms): Promise<VideoStream> {
  const args = ['-v', 'error', '-select_streams', 'v', '-show_streams', '-of', 'json', localFile(file)];
  const { stdout, stderr, exitCode } = await runOn(file, programs, 'ffprobe', args);
  if (exitCode !== 0) {
    throw new DataError(
      `${file}: it cannot be opened as a video (${lastLine(stderr) || `ffprobe ended with code ${exitCode}`})`,
      'expected a whole video file: it may be cut off, or be something else',
    );
  }
  const streams = fieldOf(JSON.parse(stdout.toString()), 'streams');
  const stream = (Array.isArray(streams) ? streams : []).find(
    (candidate: unknown) => fieldOf(fieldOf(candidate, 'disposition'), 'attached_pic') !== 1,
  );
  if (stream === undefined) throw new DataError(`${file}: there is no video stream in it`, 'expected a video file');
  const [index, width, height] = ['index', 'width', 'height'].map((name) => Number(fieldOf(stream, name)));
  if (index === undefined || !width || !height) {
    throw new DataError(`${file}: the size of the video is not known`, 'the video is damaged; replace it');
  }
  const pixels = planPixels(String(fieldOf(stream, 'pix_fmt')));
  const rate = fractionOf(fieldOf(stream, 'avg_frame_rate'));
  return {
    index,
    width,
    height,
    pixels,
    space: colourSpaceOf(String(fieldOf(stream, 'color_space'))),
    fullRange: pixels.fullRange || fieldOf(stream, 'color_range') === 'pc',
    orientation: probedOrientation(stream, file),
    timeBase: fractionOf(fieldOf(stream, 'time_base')),
    framesPerSecond: rateOf(rate.num, rate.den),
  };
}

/** ffprobe prints the display matrix as three rows of an address and three integers. */
function probedOrientation(stream: unknown, file: string): Orientation | undefined {
  const list = fieldOf(stream, 'side_data_list');
  for (const data of Array.isArray(list) ? list : []) {
    const text = fieldOf(data, 'displaymatrix');
    if (typeof text !== 'string') continue;
    const rows = [...text.matchAll(/^\s*[0-9a-f]+:((?:\s+-?\d+){3})/gim)];
    return orientationOf(
      rows.flatMap((row) => (row[1] ?? '').trim().split(/\s+/).map(Number)),
      file,
    );
  }
  return undefined;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).find(([key]) => key === name)?.[1]
    : undefined;
}

/** A fraction as ffprobe prints it: "30000/1001". */
function fractionOf(text: unknown): Fraction {
  const [num = Number.NaN, den = Number.NaN] = String(text).split('/').map(Number);
  return { num, den };
}

/** The times of the packets that hold frames, in the order in which they are shown; the file is read, not decoded. */
async function containerStamps(file: string, stream: VideoStream, programs: FfmpegPrograms): Promise<FrameStamps> {
  const { rows } = await probeRows(file, stream, programs, 'packet', 'pts,flags');
  const shown = rows.filter((packet) => !String(fieldOf(packet, 'flags')).includes('D')); // D: to be discarded
  const stamps = shown.map((packet) => secondsOf(fieldOf(packet, 'pts'), stream));
  stamps.sort((a, b) => Number(a) - Number(b)); // undefined comes last
  return { stamps, framesPerSecond: stream.framesPerSecond };
}

/** Decodes all frames without giving out their pixels. */
async function scan(
  file: string,
  stream: VideoStream,
  programs: FfmpegPrograms,
  threads: number,
): Promise<VideoPass & { readonly shown: FrameStamps }> {
  const decoding = ['-threads', String(threads)];
  const { rows, stderr } = await probeRows(file, stream, programs, 'frame', 'best_effort_timestamp', decoding);
  const stamps = rows.map((frame) => secondsOf(fieldOf(frame, 'best_effort_timestamp'), stream));
  return {
    frames: stamps.length,
    damage: damageOf(stderr),
    shown: { stamps, framesPerSecond: stream.framesPerSecond },
  };
}

/** What ffprobe says of each packet or frame of the stream. */
async function probeRows(
  file: string,
  stream: VideoStream,
  programs: FfmpegPrograms,
  section: 'packet' | 'frame',
  fields: string,
  options: readonly string[] = [],
): Promise<{ rows: readonly unknown[]; stderr: string }> {
  const args = ['-v', 'error', ...options, '-select_streams', String(stream.index)];
  args.push('-show_entries', `${section}=${fields}`, '-of', 'json', localFile(file));
  const { stdout, stderr } = await runOn(file, programs, 'ffprobe', args);
  const rows = fieldOf(JSON.parse(stdout.toString() || '{}'), `${section}s`);
  return { rows: Array.isArray(rows) ? rows : [], stderr };
}

function secondsOf(stamp: unknown, { timeBase }: VideoStream): number | undefined {
  return typeof stamp === 'number' ? (stamp * timeBase.num) / timeBase.den : undefined;
}

/** Decodes from the first frame to frame `last`, or to the end. Its times are not told. */
async function decode(
  file: string,
  stream: VideoStream,
  programs: FfmpegPrograms,
  threads: number,
  visit: FrameDecoded,
  last?: number,
): Promise<VideoPass> {
  const { width, height, pixels } = stream;
  const program = await findFfmpeg(programs);
  const named = pixels.fullRange ? pixels.layout.replace('yuv', 'yuvj') : pixels.layout;
  const planeFormat = pixels.depth > 8 ? `${named}${pixels.depth}le` : named;
  const args = ['-v', 'error', '-nostdin', '-threads', String(threads), '-noautorotate', '-i', localFile(file)];
  args.push('-map', `0:${stream.index}`, ...passthroughOption('version' in program ? program.version : ''));
  if (last !== undefined) args.push('-frames:v', String(last + 1));
  args.push('-f', 'rawvideo', '-pix_fmt', planeFormat, 'pipe:1');

  const bytes = new Uint8Array(frameBytes(pixels.layout, width, height, pixels.depth));
  const decoded = { damaged: false, image: () => toImage(bytes, stream) };
  let filled = 0;
  let frames = 0;
  const { stderr } = await runOn(file, programs, 'ffmpeg', args, async (chunk) => {
    for (let from = 0; from < chunk.length; ) {
      const taken = Math.min(bytes.length - filled, chunk.length - from);
      bytes.set(chunk.subarray(from, from + taken), filled);
      filled += taken;
      from += taken;
      if (filled === bytes.length) {
        await visit(decoded, frames);
        frames += 1;
        filled = 0;
      }
    }
  });
  return { frames, damage: damageOf(stderr) };
}

function toImage(bytes: Uint8Array, stream: VideoStream): Image {
  const { width, height, pixels, space, fullRange, orientation } = stream;
  if (pixels.layout === 'rgb24') return upright({ width, height, data: bytes.slice() }, orientation);
  const planes = pixels.depth > 8 ? eightBitPlanes(bytes, pixels.depth) : bytes;
  return upright(planesToRgb(planes, width, height, pixels.layout, space, fullRange), orientation);
}

/** The program complains of damage on stderr alone; it still ends well. */
function damageOf(stderr: string): string | undefined {
  return stderr === '' ? undefined : `the decoder says: ${lastLine(stderr)}`;
}

/** The option of this version that keeps ffmpeg from repeating or dropping frames: `-fps_mode` came with 5.1. */
export function passthroughOption(version: string): string[] {
  const [major, minor] = /^n?(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number) ?? []; // else built from a repository
  const before = major !== undefined && (major < 5 || (major === 5 && (minor ?? 0) < 1));
  return [before ? '-vsync' : '-fps_mode', 'passthrough'];
}

/** Keeps ffmpeg from reading a name with a colon as a protocol. */
function localFile(file: string): string {
  return `file:${file}`;
}

function lastLine(text: string): string {
  const line = text.trim().split('\n').at(-1) ?? '';
  return line.replace(/ @ 0x[0-9a-f]+/, '').replace(/^file:.*: /, ''); // its parts are named by address, the file is known
}

function patienceOf({ patience = 60 }: FfmpegPrograms): number {
  return 1000 * patience;
}

/** Runs one of the programs on a file; a program that stalls is the file's fault. */
async function runOn(
  file: string,
  programs: FfmpegPrograms,
  program: 'ffmpeg' | 'ffprobe',
  args: readonly string[],
  onData?: (chunk: Uint8Array) => Promise<void>,
): Promise<ProgramOutput> {
  const patience = patienceOf(programs);
  try {
    return await runProgram(programs[program], args, onData === undefined ? { patience } : { patience, onData });
  } catch (error) {
    if (!(error instanceof ProgramStalled)) throw error;
    throw new DataError(`${file}: the video cannot be read (${error.message})`, 'the video is damaged; replace it', {
      cause: error,
    });
  }
}
