/**
 * What a checkpoint of any known program holds, by this package's names, before any value is read. Nothing is guessed:
 * what does not fit is refused by name, before memory is taken for it. Runs in browsers.
 */
import { arrange } from './arrange.ts';
import type { ByteSource } from './byte-source.ts';
import { CheckpointError } from './errors.ts';
import { firstFew } from './first-few.ts';
import { areShifted, LAYOUTS, type LayoutName, locateStateDict } from './names.ts';
import { openSafetensors } from './safetensors-source.ts';
import { concatenateStored, type StoredTensor, storedBytes, transposeStored } from './stored-tensor.ts';
import { looksLikePickle, looksLikeZip, openTorchArchive, type TorchScalars } from './torch.ts';

export interface CheckpointContents {
  /** Shown in errors, usually the path. */
  readonly source: string;
  readonly layout: LayoutName;
  /** Parameters by this package's names, in the dtype in which the file holds them. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Parameters of the file that carry nothing of the model, by their names in the file. */
  readonly dropped: readonly string[];
  /** Plain values beside the tensors, such as `epoch`; a safetensors file's metadata. */
  readonly scalars: TorchScalars;
  /** Whether the names are those of the Shift variant. */
  readonly shifted: boolean;
}

/** The tensors of one file, or of several together, by the paths in it. */
export interface TensorFile {
  readonly source: string;
  readonly container: 'safetensors' | 'torch.save' | 'TorchScript';
  readonly files: number;
  /** Bytes of all files. */
  readonly size: number;
  readonly paths: readonly string[];
  readonly scalars: TorchScalars;
  /** Classes that a pickle names and this reader gives no meaning. */
  readonly unknownNames: readonly string[];
  /** @throws CheckpointError where there is no such tensor, or it does not lie in the file. */
  tensor(path: string): StoredTensor;
}

/**
 * Opens a file of tensors, whatever they are.
 * @throws CheckpointError where it is damaged or of another kind.
 */
export async function openTensorFile(bytes: ByteSource): Promise<TensorFile> {
  const { name: source, size } = bytes;
  const start = await bytes.read(0, Math.min(16, size));
  if (looksLikeZip(start)) {
    const { format: container, tensors, scalars, unknownNames, stored } = await openTorchArchive(bytes);
    return { source, container, files: 1, size, paths: [...tensors.keys()], scalars, unknownNames, tensor: stored };
  }
  if (looksLikePickle(start)) {
    throw new CheckpointError(
      `${source}: PyTorch's file format from before version 1.6`,
      'load it in PyTorch and save it again with torch.save',
    );
  }
  const { tensors, metadata: scalars } = await openSafetensors(bytes);
  const tensor = (path: string): StoredTensor => {
    const found = tensors.get(path);
    if (found === undefined) throw new CheckpointError(`${source}: there is no tensor ${path}`, 'check the name');
    return found;
  };
  return {
    source,
    container: 'safetensors',
    files: 1,
    size,
    paths: [...tensors.keys()],
    scalars,
    unknownNames: [],
    tensor,
  };
}

/**
 * Opens safetensors, torch.save and TorchScript files of OpenAI's CLIP, ActionCLIP, Hugging Face and mmaction2.
 * @throws CheckpointError where the file is damaged, of another kind, or of no known layout.
 */
export async function openCheckpoint(bytes: ByteSource): Promise<CheckpointContents> {
  return contentsOf(await openTensorFile(bytes));
}

/**
 * The model of a file of tensors.
 * @throws CheckpointError where it holds none of a known layout, or several.
 */
export function contentsOf(file: TensorFile): CheckpointContents {
  const { source, paths, scalars, unknownNames } = file;
  if (paths.length === 0) {
    const unknown = unknownNames.length === 0 ? '' : ` (it holds ${unknownNames.join(', ')})`;
    throw new CheckpointError(`${source}: no tensors inside${unknown}`, 'expected is a state dict of a model');
  }
  const location = locateStateDict(paths);
  if (location === undefined) throw unknownLayout(source, paths);
  if (!('layout' in location)) {
    throw new CheckpointError(
      `${source}: several models inside, under ${firstFew(location)}`,
      'save the state dict of one of them alone',
    );
  }
  const tensors = new Map<string, StoredTensor>();
  for (const [name, path] of location.paths) tensors.set(name, file.tensor(path));
  refuseRepetition(file, tensors.values());
  return {
    source,
    scalars,
    shifted: areShifted(location.paths.keys()),
    ...arrange(tensors, location.layout, source, { transpose: transposeStored, concatenate: concatenateStored }),
  };
}

/**
 * Tensors may share storages, as tied weights do, so all of them may take more memory than the file; but not much more,
 * or a small file could ask for any amount.
 */
function refuseRepetition({ source, size }: TensorFile, tensors: Iterable<StoredTensor>): void {
  let bytes = 0;
  for (const tensor of tensors) bytes += storedBytes(tensor);
  if (bytes > 2 * size) {
    throw new CheckpointError(
      `${source}: its tensors take ${bytes} bytes, the file has ${size}`,
      'the file is damaged, or repeats one tensor under many names',
    );
  }
}

/** The error for names of no known layout. */
export function unknownLayout(source: string, names: Iterable<string>): CheckpointError {
  const markers = LAYOUTS.map(({ name, marker }) => `${marker} (${name})`).join(', ');
  return new CheckpointError(
    `${source}: parameter names of no known layout: ${firstFew([...names])}`,
    `expected is one of ${markers}`,
  );
}
