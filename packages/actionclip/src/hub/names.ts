/**
 * Weights by name: one row for each that is known, and the grammar of the names.
 *
 * Hugging Face's rows are pinned to full commits. Commits, files, lengths and digests were compared between several
 * public projects that pin and verify the same ones; the hub's own list of the commit is asked all the same, and a
 * digest that differs is an error. OpenAI's addresses carry their digests, as its Python package uses them. The ports
 * of the released ActionCLIP weights are at the addresses that mmaction2 gives; nobody publishes their lengths and
 * digests, so what comes is held only to what the server says of it.
 */
import { nearest } from '../nearest.ts';
import { HubError } from './errors.ts';

/** A file at an address. */
export interface FileSource {
  readonly kind: 'file';
  readonly url: string;
  /** Which cache it lies in: the one that OpenAI's Python package uses, or our own. */
  readonly cache: 'clip' | 'own';
  /** Its name there, without folders. */
  readonly file: string;
  readonly sha256?: string;
}

/** A repository of Hugging Face. */
export interface RepositorySource {
  readonly kind: 'repository';
  /** `owner/name` */
  readonly repository: string;
  /** A branch, a tag or a full commit. */
  readonly revision: string;
  /** What is wanted of it; the weights, in the best form that is there, if absent. */
  readonly file?: string;
  readonly sha256?: string;
}

export type WeightsSource = FileSource | RepositorySource;

export interface NamedWeights {
  /** With `hub:` before it. */
  readonly name: string;
  readonly source: WeightsSource;
  /** Bytes, where they are known. */
  readonly size?: number;
  /** What it is, in a few words. */
  readonly what: string;
  readonly licence: string;
}

const PREFIX = 'hub:';
const OPENAI = 'https://openaipublic.azureedge.net/clip/models';
const OPENMMLAB = 'https://download.openmmlab.com/mmaction/v1.0/projects/actionclip';

const openai = (name: string, file: string, sha256: string, size: number): NamedWeights => ({
  name: `${PREFIX}${name}`,
  source: { kind: 'file', url: `${OPENAI}/${sha256}/${file}`, cache: 'clip', file, sha256 },
  size,
  what: `CLIP ${name} in half precision, OpenAI's own file`,
  licence: 'MIT',
});

const huggingFace = (
  repository: string,
  model: string,
  revision: string,
  file: string,
  sha256: string,
  size: number,
): NamedWeights => ({
  name: `${PREFIX}${repository}`,
  source: { kind: 'repository', repository, revision, file, sha256 },
  size,
  what: `CLIP ${model} in single precision, from Hugging Face`,
  licence: 'MIT',
});

const actionclip = (model: string, patch: number, frames: number): NamedWeights => ({
  name: `${PREFIX}actionclip/${model}`,
  source: {
    kind: 'file',
    url: `${OPENMMLAB}/actionclip_vit-base-p${patch}-res224-clip-pre_1x1x${frames}_k400-rgb/${model}.pth`,
    cache: 'own',
    file: `${model}.pth`,
  },
  what: `ActionCLIP ViT-B/${patch}, ${frames} frames, Kinetics-400: the released weights, mmaction2's copy`,
  licence: 'MIT, Apache-2.0',
});

/** Every name in the order of the list. */
export const namedWeights: readonly NamedWeights[] = [
  actionclip('vit-b-32-8f', 32, 8),
  actionclip('vit-b-16-8f', 16, 8),
  actionclip('vit-b-16-16f', 16, 16),
  actionclip('vit-b-16-32f', 16, 32),
  openai('ViT-B/32', 'ViT-B-32.pt', '40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af', 353_976_522),
  openai('ViT-B/16', 'ViT-B-16.pt', '5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f', 350_837_078),
  openai('ViT-L/14', 'ViT-L-14.pt', 'b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836', 932_768_134),
  openai(
    'ViT-L/14@336px',
    'ViT-L-14-336px.pt',
    '3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02',
    934_088_680,
  ),
  huggingFace(
    'openai/clip-vit-base-patch32',
    'ViT-B/32',
    '3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268',
    'pytorch_model.bin',
    'a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f',
    605_247_071,
  ),
  huggingFace(
    'openai/clip-vit-base-patch16',
    'ViT-B/16',
    '57c216476eefef5ab752ec549e440a49ae4ae5f3',
    'pytorch_model.bin',
    'ec89c7b09c749a60aae3c9cd910516f24b58214a7df060b48962d14c469cfbf0',
    598_641_023,
  ),
  huggingFace(
    'openai/clip-vit-large-patch14',
    'ViT-L/14',
    '32bd64288804d66eefd0ccbe215aa642df71cc41',
    'model.safetensors',
    'a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb',
    1_710_540_580,
  ),
  huggingFace(
    'openai/clip-vit-large-patch14-336',
    'ViT-L/14@336px',
    'ce19dc912ca5cd21c8a653c79e251e808ccabcd1',
    'pytorch_model.bin',
    'c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801',
    1_711_974_081,
  ),
];

/** Whether this is a name, and not a path. */
export const isHubName = (text: string): boolean => text.startsWith(PREFIX);

/** Names that `text`, with or without `hub:`, may have meant. */
export function hubNamesLike(text: string): string[] {
  const plain = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text;
  const names = namedWeights.map(({ name }) => name.slice(PREFIX.length));
  return nearest(plain, names).map((name) => `${PREFIX}${name}`);
}

/** `owner/name`, then perhaps `@revision`, then perhaps `/file` with folders. */
const REPOSITORY_NAME = /^(?<repository>[\w][\w.-]*\/[\w][\w.-]*)(?:@(?<revision>[\w][\w.-]*))?(?:\/(?<file>.+))?$/;

/** Owners that only the table has names of. */
const OWN_NAMES = /^(?:actionclip|ViT-[A-Za-z]+|RN\d+(?:x\d+)?)(?:\/|$)/;

/**
 * Where the weights of a name are: a row of the table, or any repository `hub:owner/name[@revision][/file]`. A row's
 * name followed by `/file` is that file of the row's commit.
 * @throws HubError where the name is none, with those it may have meant
 */
export function parseHubName(text: string): WeightsSource {
  const known = namedWeights.find(({ name }) => name === text);
  if (known !== undefined) return known.source;
  const plain = text.slice(PREFIX.length);
  const parts = OWN_NAMES.test(plain) ? undefined : REPOSITORY_NAME.exec(plain)?.groups;
  const { repository, revision, file } = parts ?? {};
  if (repository === undefined || (file !== undefined && !isSafeFileName(file))) {
    const near = hubNamesLike(text);
    throw new HubError(
      `There are no weights of the name "${text}"`,
      near.length > 0
        ? `did you mean ${near.join(' or ')}?`
        : 'expected a name of actionclip fetch --list, or hub:owner/name[@revision][/file] of Hugging Face',
    );
  }
  const pinned = namedWeights.find(({ name }) => name === `${PREFIX}${repository}`)?.source;
  return {
    kind: 'repository',
    repository,
    revision: revision ?? (pinned?.kind === 'repository' ? pinned.revision : 'main'),
    ...(file === undefined ? {} : { file }),
  };
}

/** Whether a revision is a full commit, which never changes. */
export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

/**
 * Whether a name of a file stays inside of the folder that it is joined to, on every system: relative, no `..`, no
 * drive, no backslash, no control characters.
 */
export function isSafeFileName(name: string): boolean {
  return (
    name.length <= 512 &&
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    !/[\\:\u0000-\u001f]/.test(name) &&
    name.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && part.length <= 255)
  );
}
