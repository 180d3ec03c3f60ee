/** The tokens whose logits bias or penalties change. There are few, and of one sequence they only become more. */

export class TouchedTokens {
  readonly ids: number[] = [];
  /** A bit for every other token. */
  readonly #others: Uint32Array;
  #combined: Uint32Array | undefined;

  constructor(vocabSize: number, ids: Iterable<number>) {
    this.#others = new Uint32Array(Math.ceil(vocabSize / 32)).fill(0xffff_ffff);
    this.add(ids);
  }

  add(ids: Iterable<number>): void {
    for (const id of ids) {
      if (((this.#others[id >> 5] >>> (id & 31)) & 1) === 0) continue;
      this.#others[id >> 5] &= ~(1 << (id & 31));
      this.ids.push(id);
    }
  }

  /** The other tokens that all masks allow and that are not banned, until the next call; undefined when that is all. */
  maskOfOthers(masks: readonly Uint32Array[], bannedIds: readonly number[]): Uint32Array | undefined {
    const others = this.#others;
    if (masks.length === 0 && bannedIds.length === 0) return this.ids.length > 0 ? others : undefined;
    this.#combined ??= new Uint32Array(others.length);
    const combined = this.#combined;
    combined.set(others);
    for (const mask of masks) for (let i = 0; i < combined.length; i++) combined[i] &= i < mask.length ? mask[i] : 0;
    for (const id of bannedIds) combined[id >> 5] &= ~(1 << (id & 31));
    return combined;
  }
}
