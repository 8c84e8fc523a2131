/** Which files of a commit belong to the weights, fetched one after the other. Runs in browsers. */
import { chooseWeights, isShardIndex, shardsOf } from './choose-files.ts';
import { HubError } from './errors.ts';
import type { RepositorySource } from './names.ts';
import type { HubFile, HubRepository } from './repository.ts';

/** What is done with the files. */
export interface WeightFilesKeeper<Kept> {
  fetch(file: HubFile): Promise<Kept>;
  /** The text of a file that was fetched. */
  text(kept: Kept): Promise<string>;
}

/** The files of weights by name, and which of them is opened: of shards their index. */
export interface WeightFiles<Kept> {
  readonly chosen: string;
  readonly files: ReadonlyMap<string, Kept>;
}

/**
 * Fetches the weights of a commit, in shards where they are, and `config.json`, if there is one, before them.
 * @throws HubError where there are none, and whatever the keeper throws.
 */
export async function fetchWeightFiles<Kept>(
  repository: HubRepository,
  source: RepositorySource,
  commit: string,
  keeper: WeightFilesKeeper<Kept>,
): Promise<WeightFiles<Kept>> {
  const listed = await repository.files(commit);
  const chosen = chooseWeights(new Set(listed.keys()), source.file);
  if (chosen === undefined) throw nothingThere(source, commit, [...listed.keys()]);
  const files = new Map<string, Kept>();
  const fetchOne = async (name: string): Promise<Kept> => {
    const entry = listed.get(name);
    if (entry === undefined) {
      throw new HubError(`${chosen} of ${source.repository} names ${name}, which is not there`, 'choose another file');
    }
    const kept = await keeper.fetch(repository.file(commit, entry));
    files.set(name, kept);
    return kept;
  };
  if (listed.has('config.json')) await fetchOne('config.json');
  const weights = await fetchOne(chosen);
  if (isShardIndex(chosen)) {
    for (const shard of shardsOf(chosen, await keeper.text(weights))) await fetchOne(shard);
  }
  return { chosen, files };
}

function nothingThere({ repository, file }: RepositorySource, commit: string, names: readonly string[]): HubError {
  const shown = names.slice(0, 20).join(', ') || 'nothing';
  const rest = names.length > 20 ? ` and ${names.length - 20} more` : '';
  return new HubError(
    `${repository} at commit ${commit} has ${file === undefined ? 'no weights under the usual names' : `no file ${file}`}`,
    `it has ${shown}${rest}; name one of them as hub:${repository}/FILE`,
  );
}
