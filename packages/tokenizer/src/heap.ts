/** A binary heap. */

/** Gives back first what precedes everything else that was pushed. */
export class MaximumHeap<Item> {
  readonly #items: Item[] = [];
  readonly #precedes: (a: Item, b: Item) => boolean;

  constructor(precedes: (a: Item, b: Item) => boolean) {
    this.#precedes = precedes;
  }

  push(item: Item): void {
    let hole = this.#items.push(item) - 1;
    while (hole > 0) {
      const above = (hole - 1) >> 1;
      const parent = this.#items[above];
      if (parent === undefined || !this.#precedes(item, parent)) break;
      this.#items[hole] = parent;
      hole = above;
    }
    this.#items[hole] = item;
  }

  pop(): Item | undefined {
    const top = this.#items[0];
    const last = this.#items.pop();
    if (last === undefined || this.#items.length === 0) return last;
    let hole = 0;
    for (;;) {
      const child = this.#firstChild(hole);
      const item = this.#items[child];
      if (item === undefined || !this.#precedes(item, last)) break;
      this.#items[hole] = item;
      hole = child;
    }
    this.#items[hole] = last;
    return top;
  }

  /** The index of the child that precedes the other; past the end where there is none. */
  #firstChild(index: number): number {
    const left = 2 * index + 1;
    const [a, b] = [this.#items[left], this.#items[left + 1]];
    return a !== undefined && b !== undefined && this.#precedes(b, a) ? left + 1 : left;
  }
}
