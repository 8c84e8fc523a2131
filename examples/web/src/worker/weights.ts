/** Weights and CLIP's vocabulary, from a file that a person picked, from the hub, or from beside the page. */

import { createClipTokenizer } from '@actionclip/tokenizer';
import {
  blobSource,
  type CheckpointContents,
  contentsOf,
  isShardIndex,
  modelOf,
  type OpenedCheckpoint,
  type OpenModelOptions,
  openCheckpoint,
  openShards,
  readHuggingFaceConfig,
  readShardIndex,
} from 'actionclip/browser';
import type { WeightsChoice } from '../protocol.ts';
import { type HubWeights, hubWeights } from './hub.ts';
import type { Turn } from './turn.ts';

/** Opens the model of the weights on the default device. */
export async function openWeights(weights: WeightsChoice, clipMerges: string, turn: Turn): Promise<OpenedCheckpoint> {
  const { name } = weights;
  const files = await filesOf(weights, turn);
  turn.reportReading(`Opening ${name}`);
  const contents = await openFiles(files);
  turn.report(`Opening ${name}`);
  await turn.breathe();
  return modelOf(contents, {
    ...(await headsBeside(files, contents)),
    clipTokenizer: async () => createClipTokenizer(await (await fetched(clipMerges, 'the vocabulary of CLIP')).text()),
  });
}

async function filesOf(weights: WeightsChoice, turn: Turn): Promise<HubWeights> {
  const { name } = weights;
  if ('hub' in weights) return hubWeights(weights.hub, turn);
  const blob = 'blob' in weights ? weights.blob : await download(weights.address, name, turn);
  return { chosen: name, blobs: new Map([[name, blob]]) };
}

async function openFiles({ chosen, blobs }: HubWeights): Promise<CheckpointContents> {
  const sources = new Map([...blobs].map(([name, blob]) => [name, blobSource(blob, name)]));
  const bytes = sources.get(chosen) ?? blobSource(new Blob(), chosen);
  if (!isShardIndex(chosen)) return openCheckpoint(bytes);
  const folder = chosen.slice(0, chosen.lastIndexOf('/') + 1);
  const beside = new Map([...sources].map(([name, source]) => [name.slice(folder.length), source]));
  return contentsOf(await openShards(await readShardIndex(bytes), beside));
}

/** The attention heads that the `config.json` of a repository tells. */
async function headsBeside(
  { blobs }: HubWeights,
  { layout }: CheckpointContents,
): Promise<Pick<OpenModelOptions, 'heads'>> {
  const config = layout === 'huggingface' ? blobs.get('config.json') : undefined;
  const heads = config && readHuggingFaceConfig(await config.text(), 'config.json');
  return heads === undefined ? {} : { heads };
}

async function fetched(address: string, name: string, signal?: AbortSignal): Promise<Response> {
  const hint = 'check that the whole folder of this page is served';
  const response = await fetch(address, signal === undefined ? {} : { signal }).catch((cause: unknown) => {
    if (signal?.aborted) throw cause;
    throw new DownloadError(`${name} cannot be fetched; ${hint}`, { cause });
  });
  if (!response.ok) throw new DownloadError(`${name} cannot be fetched (status ${response.status}); ${hint}`);
  return response;
}

async function download(address: string, name: string, turn: Turn): Promise<Blob> {
  turn.report(`Fetching ${name}`);
  const response = await fetched(address, name, turn.signal);
  const total = Number(response.headers.get('content-length') ?? 0);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let done = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const part = await reader?.read();
    if (part === undefined || part.done) break;
    parts.push(part.value);
    done += part.value.length;
    if (total >= done) turn.report(`Fetching ${name}`, done, total);
    else turn.report(`Fetching ${name}`);
  }
  return new Blob(parts);
}

/** A file that belongs to the page and is not there. */
export class DownloadError extends Error {
  override readonly name = 'DownloadError';
}
