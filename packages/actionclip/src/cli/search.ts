/** Searching as a person sees it: the index brought up to date with a line of progress, then the videos found. */
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { cacheFolder } from '../cache-folder.ts';
import { DataError } from '../data/errors.ts';
import type { Recognizer } from '../recognize/recognizer.ts';
import type { ViewOptions } from '../recognize/types.ts';
import { recipeOf } from '../search/recipe.ts';
import { type SearchHit, searchIndex } from '../search/search.ts';
import { findVideos } from '../search/video-files.ts';
import type { Terminal } from './terminal.ts';
import { bringUpToDate } from './video-indexing.ts';

export interface SearchRequest {
  readonly wanted: string;
  readonly folder: string;
  readonly templates: readonly string[];
  readonly top: number;
  readonly views: ViewOptions;
  readonly recognizer: Recognizer;
  /** The file of the recognizer's model. */
  readonly weights: string;
  readonly index?: string;
  readonly json: boolean;
}

export async function runSearch(request: SearchRequest, terminal: Terminal): Promise<void> {
  const { wanted, folder, templates, top, views, recognizer, weights, json } = request;
  const found = await findVideos(folder);
  if (found.length === 0) throw new DataError(`${folder}: no video is in this folder`, 'check the path');
  const recipe = await recipeOf(weights, recognizer, views);
  const file = request.index ?? path.join(cacheFolder(), 'indexes', `${await nameOf(folder, recipe)}.safetensors`);
  const index = await bringUpToDate({ file, root: folder, found, recognizer, recipe, views }, terminal);
  const text = await recognizer.embedLabels([wanted], { templates, signal: terminal.signal });
  const hits = searchIndex(index, text, top);
  for (const line of json ? hits.map((hit) => JSON.stringify(hit)) : listing(hits)) terminal.out(line);
}

/** One name for a folder and what its features depend on. */
async function nameOf(folder: string, recipe: string): Promise<string> {
  return createHash('sha256')
    .update(`${await realpath(folder)}\n${recipe}`)
    .digest('hex')
    .slice(0, 32);
}

/** `0.2871  0:12-0:16  sports/ride.mp4` */
function listing(hits: readonly SearchHit[]): string[] {
  const times = hits.map(({ start, end }) => `${clock(start)}-${clock(end)}`);
  const width = Math.max(0, ...times.map(({ length }) => length));
  return hits.map(
    ({ similarity, path: name }, at) => `${similarity.toFixed(4)}  ${(times[at] ?? '').padEnd(width)}  ${name}`,
  );
}

/** `1:02:03`, `0:07` */
function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  const two = (value: number): string => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
