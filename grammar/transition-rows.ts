/** Where each byte leads from each state, as rows that are made when they are first written. */

/** Rows of one allocation. */
const CHUNK = 64;
const CHUNK_SHIFT = 6;

/**
 * Rows of 256 state numbers. A number is 0 where nothing is known yet, so that fresh memory need not be filled. Rows lie in
 * chunks: thousands of small typed arrays would cost the garbage collector more than the automaton itself.
 */
export class TransitionRows {
  readonly #chunks: Int32Array[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** A new row; rows are counted from 0. */
  add(): number {
    const row = this.#count++;
    if (row >> CHUNK_SHIFT === this.#chunks.length) this.#chunks.push(new Int32Array(CHUNK * 256));
    return row;
  }

  get(row: number, byte: number): number {
    return this.#chunks[row >> CHUNK_SHIFT][((row & (CHUNK - 1)) << 8) | byte];
  }

  set(row: number, byte: number, state: number): void {
    this.#chunks[row >> CHUNK_SHIFT][((row & (CHUNK - 1)) << 8) | byte] = state;
  }

  /** Sets the bytes from `low` to before `end`. */
  fill(row: number, state: number, low: number, end: number): void {
    const at = (row & (CHUNK - 1)) << 8;
    this.#chunks[row >> CHUNK_SHIFT].fill(state, at + low, at + end);
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#count = 0;
  }
}
