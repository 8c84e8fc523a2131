/**
 * Packed copies of a buffer: panels that contractions made of it, kept for the next run while the buffer is not
 * written. The first run uses the workspace; only a buffer that comes back unchanged, as weights do, is worth the memory.
 */
import type { DeviceMemory, Piece } from './memory.ts';
import type { PlacedPanels } from './record.ts';

export class PackedCopies {
  readonly #memory: DeviceMemory;
  readonly #pieces = new Map<string, Piece>();
  /** Layouts that were packed since the buffer was last written. */
  readonly #seen = new Set<string>();

  constructor(memory: DeviceMemory) {
    this.#memory = memory;
  }

  /** The panels of `layout`, if they are to be kept. */
  place(layout: string, bytes: number): PlacedPanels | undefined {
    const known = this.#pieces.get(layout);
    if (known) return { address: known.address, filled: true };
    if (!this.#seen.has(layout)) {
      this.#seen.add(layout);
      return undefined;
    }
    const piece = this.#memory.allocSpare(bytes);
    if (!piece) return undefined;
    this.#pieces.set(layout, piece);
    return { address: piece.address, filled: false };
  }

  /** Forgets all copies: the buffer has other elements now, or is gone. */
  drop(): void {
    if (this.#seen.size === 0) return;
    for (const piece of this.#pieces.values()) this.#memory.free(piece);
    this.#pieces.clear();
    this.#seen.clear();
  }
}
