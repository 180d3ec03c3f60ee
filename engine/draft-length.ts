/**
 * How many tokens of a text to draft. A drafted token costs as much as any other where a step is bound by arithmetic, so
 * there are only as many as have lately been right: twice as many after a draft that was, and one at least.
 */
export class DraftLength {
  readonly #most: number;
  #length: number;
  /** Tokens of the text with the last draft, if all of it is right. */
  #hoped = 0;

  /**
   * @param most  most tokens of a draft
   * @param first  most tokens of the first draft
   */
  constructor(most: number, first: number) {
    this.#most = most;
    this.#length = first;
  }

  /** Most tokens to draft for a text that has come to `length` tokens. */
  limit(length: number): number {
    const wrong = this.#hoped - length + 1;
    if (this.#hoped > 0) this.#length = wrong > 0 ? Math.max(1, this.#length - wrong) : 2 * this.#length;
    this.#length = Math.min(this.#length, this.#most);
    this.#hoped = 0;
    return this.#length;
  }

  /** So many tokens were drafted. */
  drafted(length: number, count: number): void {
    this.#hoped = count > 0 ? length + count : 0;
  }
}
