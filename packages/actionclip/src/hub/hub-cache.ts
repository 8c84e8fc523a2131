/**
 * The cache of Hugging Face's libraries: `models--owner--name` with `blobs/DIGEST`, `snapshots/COMMIT/FILE` as links to
 * them, and `refs/REVISION` with a commit. https://huggingface.co/docs/hub/local-cache
 */
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { writeFileAtomically } from '../checkpoints/atomic-file.ts';
import { codeOf } from '../data/errors.ts';
import { chooseWeights, isShardIndex, shardsOf } from './choose-files.ts';
import { isCommit } from './names.ts';

/** One repository in the cache. */
export class CachedRepository {
  readonly #folder: string;

  /** @param repository `owner/name` */
  constructor(cache: string, repository: string) {
    this.#folder = join(cache, ['models', ...repository.split('/')].join('--'));
  }

  /** Where the bytes with this digest lie. */
  blob(digest: string): string {
    return join(this.#folder, 'blobs', digest);
  }

  /** Where a file of a commit is found under its own name. */
  file(commit: string, name: string): string {
    return join(this.#folder, 'snapshots', commit, ...name.split('/'));
  }

  /** The commit that a branch or tag was when it was last asked for. */
  async commitOf(revision: string): Promise<string | undefined> {
    const text = await readFile(join(this.#folder, 'refs', revision), 'utf8').catch(() => '');
    return isCommit(text.trim()) ? text.trim() : undefined;
  }

  async keepCommit(revision: string, commit: string): Promise<void> {
    await writeFileAtomically(join(this.#folder, 'refs', revision), commit);
  }

  /** The path of the weights of a commit; undefined where they, or one of their shards, are not there. */
  async weights(commit: string, wanted?: string): Promise<string | undefined> {
    const root = this.file(commit, '.');
    const listed = await readdir(root, { recursive: true }).catch(() => []);
    const names = new Set(listed.map((name) => name.split(sep).join('/')));
    const chosen = chooseWeights(names, wanted);
    if (chosen === undefined) return undefined;
    const shards = isShardIndex(chosen) ? shardsOf(chosen, await readFile(this.file(commit, chosen), 'utf8')) : [];
    const complete = await Promise.all([chosen, ...shards].map((name) => isFile(this.file(commit, name))));
    return complete.every(Boolean) ? this.file(commit, chosen) : undefined;
  }

  /** Gives a blob its name in a commit: a relative link, so that the cache can be moved, or a copy where there are none. */
  async link(commit: string, name: string, digest: string): Promise<string> {
    const path = this.file(commit, name);
    const blob = this.blob(digest);
    await mkdir(dirname(path), { recursive: true });
    const temporary = `${path}.${process.pid}.link`;
    await rm(temporary, { force: true });
    try {
      await symlink(relative(dirname(path), blob), temporary).catch((error: unknown) => {
        if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes(codeOf(error))) throw error;
        return copyFile(blob, temporary);
      });
      await rename(temporary, path);
    } finally {
      await rm(temporary, { force: true });
    }
    return path;
  }
}

/** Whether there is a file, a link that leads nowhere being none. */
export const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
