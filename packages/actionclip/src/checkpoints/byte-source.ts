/** Random access to the bytes of a checkpoint, wherever they are: a file, a Blob, memory. */

export interface ByteSource {
  /** Shown in errors, usually the path. */
  readonly name: string;
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`; both lie inside the source.
   * @param memory Where the result may be put instead of in memory of its own; at least `length` bytes.
   */
  read(offset: number, length: number, memory?: Uint8Array): Promise<Uint8Array>;
}

/** Reads from a Blob or a File, without taking all of it into memory. */
export function blobSource(blob: Blob, name: string): ByteSource {
  return {
    name,
    size: blob.size,
    read: async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()),
  };
}

/** Reads from bytes in memory; what is read are views. */
export function memorySource(bytes: Uint8Array, name: string): ByteSource {
  return {
    name,
    size: bytes.byteLength,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
  };
}
