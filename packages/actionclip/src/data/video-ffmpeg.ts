/**
 * Frames of a video file through the programs ffmpeg and ffprobe, the second way where node-av is not installed. Same
 * numbering, colours and orientation as `video-node-av.ts`: the program only decodes.
 */

import { spawn } from 'node:child_process';
import { codeOf, DataError, messageOf } from './errors.ts';
import { countThenRead, type DamageHandling, type FrameSource } from './frame-source.ts';
import type { Image } from './image/image.ts';
import { type Orientation, orientationOf, upright } from './orientation.ts';
import {
  type ColourSpace,
  colourSpaceOf,
  frameBytes,
  type PixelPlan,
  planesToRgb,
  planPixels,
} from './video-colour.ts';

/** The programs to run: names on the search path, or paths. */
export interface FfmpegPrograms {
  readonly ffmpeg: string;
  readonly ffprobe: string;
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
      const output = await runProgram(program, ['-version']);
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
): FrameSource {
  let count: Promise<number> | undefined;
  let stream: Promise<VideoStream> | undefined;
  const probed = (): Promise<VideoStream> => {
    stream ??= probe(file, programs);
    return stream;
  };
  const source: FrameSource = {
    access: 'sequential',
    frameCount: () => {
      count ??= probed().then((video) => countFrames(file, video, damage, programs));
      return count;
    },
    read: async (indices) => (indices.length === 0 ? [] : readFrames(file, await probed(), damage, programs, indices)),
    readChosen: (choose) => countThenRead(source, choose),
    close: async () => {},
  };
  return source;
}

interface VideoStream {
  readonly index: number;
  readonly width: number;
  readonly height: number;
  readonly pixels: PixelPlan;
  readonly space: ColourSpace;
  readonly fullRange: boolean;
  readonly orientation: Orientation | undefined;
}

async function probe(file: string, programs: FfmpegPrograms): Promise<VideoStream> {
  const args = ['-v', 'error', '-select_streams', 'v', '-show_streams', '-of', 'json', localFile(file)];
  const { stdout, stderr, exitCode } = await runProgram(programs.ffprobe, args);
  if (exitCode !== 0) {
    throw new DataError(
      `${file}: the video cannot be opened (${lastLine(stderr) || `ffprobe ended with code ${exitCode}`})`,
      'expected a video file that is complete',
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
  return {
    index,
    width,
    height,
    pixels,
    space: colourSpaceOf(String(fieldOf(stream, 'color_space'))),
    fullRange: pixels.fullRange || fieldOf(stream, 'color_range') === 'pc',
    orientation: probedOrientation(stream, file),
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

async function countFrames(
  file: string,
  stream: VideoStream,
  damage: DamageHandling,
  programs: FfmpegPrograms,
): Promise<number> {
  const args = ['-v', 'error', '-threads', '1', '-select_streams', String(stream.index), '-count_frames'];
  args.push('-show_entries', 'stream=nb_read_frames', '-of', 'json', localFile(file));
  const { stdout, stderr } = await runProgram(programs.ffprobe, args);
  const streams = fieldOf(JSON.parse(stdout.toString() || '{}'), 'streams');
  const frames = Number(fieldOf(Array.isArray(streams) ? streams[0] : undefined, 'nb_read_frames')) || 0;
  if (stderr !== '' && damage === 'error') throw damaged(file, frames, stderr);
  if (frames === 0)
    throw new DataError(`${file}: no frame can be decoded`, 'the video is damaged or empty; replace it');
  return frames;
}

async function readFrames(
  file: string,
  stream: VideoStream,
  damage: DamageHandling,
  programs: FfmpegPrograms,
  indices: readonly number[],
): Promise<Image[]> {
  const { width, height, pixels } = stream;
  const last = Math.max(...indices);
  const program = await findFfmpeg(programs);
  const planeFormat = pixels.fullRange ? pixels.layout.replace('yuv', 'yuvj') : pixels.layout;
  const args = ['-v', 'error', '-nostdin', '-threads', '1', '-noautorotate', '-i', localFile(file)];
  args.push(
    '-map',
    `0:${stream.index}`,
    ...passthroughOption('version' in program ? program.version : ''),
    '-frames:v',
    String(last + 1),
  );
  args.push('-f', 'rawvideo', '-pix_fmt', planeFormat, 'pipe:1');

  const wanted = new Set(indices);
  const images = new Map<number, Image>();
  const frame = new Uint8Array(frameBytes(pixels.layout, width, height));
  let filled = 0;
  let frames = 0;
  const { stderr } = await runProgram(programs.ffmpeg, args, (chunk) => {
    for (let from = 0; from < chunk.length; ) {
      const taken = Math.min(frame.length - filled, chunk.length - from);
      frame.set(chunk.subarray(from, from + taken), filled);
      filled += taken;
      from += taken;
      if (filled === frame.length) {
        if (wanted.has(frames)) images.set(frames, toImage(frame, stream));
        frames += 1;
        filled = 0;
      }
    }
  });
  if (stderr !== '' && damage === 'error') throw damaged(file, frames, stderr);
  return indices.map((index) => {
    const image = images.get(index);
    if (image === undefined) {
      throw new DataError(
        `${file}: frame ${index + 1} was asked for, but only ${frames} can be decoded`,
        'the video is cut off, or the list gives too many frames for it',
      );
    }
    return image;
  });
}

function toImage(bytes: Uint8Array, stream: VideoStream): Image {
  const { width, height, pixels, space, fullRange, orientation } = stream;
  if (pixels.layout === 'rgb24') return upright({ width, height, data: bytes.slice() }, orientation);
  return upright(planesToRgb(bytes, width, height, pixels.layout, space, fullRange), orientation);
}

function damaged(file: string, frames: number, stderr: string): DataError {
  return new DataError(
    `${file}: the video is damaged or cut off: ${frames} frames could be decoded (${lastLine(stderr)})`,
    'replace the video',
  );
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
  return line.replace(/ @ 0x[0-9a-f]+/, ''); // the program names its parts by address
}

interface ProgramOutput {
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly exitCode: number | null;
}

/** Runs a program to its end; with `onData` its output goes there instead of into `stdout`. */
function runProgram(
  program: string,
  args: readonly string[],
  onData?: (chunk: Uint8Array) => void,
): Promise<ProgramOutput> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const stdout: Buffer[] = [];
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      if (onData === undefined) stdout.push(chunk);
      else onData(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      if (stderr.length < 10_000) stderr += chunk.toString();
    });
    child.on('error', reject);
    child.on('close', (exitCode) => resolve({ stdout: Buffer.concat(stdout), stderr: stderr.trim(), exitCode }));
  });
}
