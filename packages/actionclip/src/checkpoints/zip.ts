/**
 * Zip archives as PyTorch writes them: entries stored as they are, so that they can be read by range. Runs in browsers,
 * which fetch the zip reader with the first archive.
 */
import type { FileEntry } from '@zip.js/zip.js';
import type { ByteSource } from './byte-source.ts';
import { CheckpointError } from './errors.ts';

export interface ZipEntry {
  /** Whether its bytes stand in the archive as they are, neither compressed nor encrypted. */
  readonly stored: boolean;
  readonly bytes: number;
  /**
   * Where its bytes begin.
   * @throws CheckpointError where there is no entry at its place, or it reaches beyond the next one.
   */
  begin(): Promise<number>;
}

const STORED = 0;
/** The local header before an entry's bytes: a signature, fields, and the lengths of a name and of extra fields. */
const HEADER = { bytes: 30, signature: 0x04034b50, nameLength: 26, extraLength: 28 } as const;

/**
 * The entries by their names.
 * @throws CheckpointError where the bytes are no complete zip archive, or its entries overlap.
 */
export async function listZip(bytes: ByteSource): Promise<Map<string, ZipEntry>> {
  const files = (await listFiles(bytes)).sort((a, b) => a.offset - b.offset);
  const entries = new Map<string, ZipEntry>();
  for (const [i, file] of files.entries()) {
    // The reader moves offsets by what the archive lacks, as it does for archives behind a program.
    if (file.offset < 0)
      throw new CheckpointError(`${bytes.name}: the entry ${file.filename} begins before it`, DAMAGED);
    const limit = files[i + 1]?.offset ?? bytes.size;
    if (file.offset + HEADER.bytes + file.compressedSize > limit) throw overlapping(bytes.name, file.filename);
    if (entries.has(file.filename)) {
      throw new CheckpointError(`${bytes.name}: two entries are called ${file.filename}`, DAMAGED);
    }
    entries.set(file.filename, entryAt(bytes, file, limit));
  }
  return entries;
}

const DAMAGED = 'the file is damaged: fetch or write it again';

const overlapping = (source: string, name: string): CheckpointError =>
  new CheckpointError(`${source}: the entry ${name} reaches into the next one or past the end`, DAMAGED);

async function listFiles(bytes: ByteSource): Promise<FileEntry[]> {
  const { Reader, ZipReader } = await import('@zip.js/zip.js');

  class ByteSourceReader extends Reader<ByteSource> {
    override size = bytes.size;

    override readUint8Array(offset: number, length: number): Promise<Uint8Array> {
      return bytes.read(offset, Math.min(length, this.size - offset));
    }
  }

  try {
    const reader = new ZipReader(new ByteSourceReader(bytes), { useWebWorkers: false });
    return (await reader.getEntries()).filter((entry) => !entry.directory);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CheckpointError(
      `${bytes.name}: not a complete zip archive (${reason})`,
      'fetch or write the file again',
      { cause },
    );
  }
}

function entryAt(bytes: ByteSource, file: FileEntry, limit: number): ZipEntry {
  const { filename, offset, compressedSize, uncompressedSize, compressionMethod, encrypted } = file;
  let begin: Promise<number> | undefined;
  const locate = async (): Promise<number> => {
    const header = await bytes.read(offset, HEADER.bytes);
    const view = new DataView(header.buffer, header.byteOffset, HEADER.bytes);
    if (view.getUint32(0, true) !== HEADER.signature) {
      throw new CheckpointError(`${bytes.name}: the entry ${filename} is not at its place`, DAMAGED);
    }
    const lengths = view.getUint16(HEADER.nameLength, true) + view.getUint16(HEADER.extraLength, true);
    const start = offset + HEADER.bytes + lengths;
    if (start + compressedSize > limit) throw overlapping(bytes.name, filename);
    return start;
  };
  return {
    stored: compressionMethod === STORED && !encrypted && compressedSize === uncompressedSize,
    bytes: uncompressedSize,
    begin() {
      begin ??= locate();
      return begin;
    },
  };
}
