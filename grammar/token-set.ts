/** Sets of tokens, small ones as lists. */

import type { Vocabulary } from './vocabulary.ts';

/** Above this many tokens a set is kept as bits. */
const MAX_LIST = 256;

export class TokenSet {
  readonly #bits: Uint32Array | undefined;
  readonly #list: Int32Array;

  constructor(bits: Uint32Array | undefined, list: Int32Array) {
    this.#bits = bits;
    this.#list = list;
  }

  /** Memory, in bytes. */
  get bytes(): number {
    return (this.#bits?.byteLength ?? this.#list.byteLength) + 64;
  }

  /** The tokens of a small set. */
  get list(): Int32Array | undefined {
    return this.#bits ? undefined : this.#list;
  }

  get bits(): Uint32Array | undefined {
    return this.#bits;
  }

  /** Makes a mask of the set. */
  copyTo(mask: Uint32Array): void {
    if (this.#bits) {
      mask.set(this.#bits);
      if (mask.length > this.#bits.length) mask.fill(0, this.#bits.length);
      return;
    }
    mask.fill(0);
    const list = this.#list;
    for (let i = 0; i < list.length; i++) mask[list[i] >> 5] |= 1 << (list[i] & 31);
  }
}

/** Collects the tokens of one set after the other. */
export class TokenCollector {
  readonly #sameBytes: Int32Array;
  readonly #bits: Uint32Array;
  readonly #list = new Int32Array(MAX_LIST);
  /** Tokens in the list; more than fit when they are only in the bits. */
  #count = 0;
  #taken = new TokenSet(undefined, new Int32Array(0));

  /** @param sameBytes by token the next one with the same bytes, or -1 */
  constructor(sameBytes: Int32Array) {
    this.#sameBytes = sameBytes;
    this.#bits = new Uint32Array((sameBytes.length + 31) >> 5);
  }

  /** The set that {@link end} closed last. */
  get taken(): TokenSet {
    return this.#taken;
  }

  /** Adds a token and those with the same bytes; -1 is none. */
  add(token: number): void {
    for (let id = token; id >= 0; id = this.#sameBytes[id]) {
      const bit = 1 << (id & 31);
      if (this.#bits[id >> 5] & bit) continue;
      this.#bits[id >> 5] |= bit;
      if (this.#count < MAX_LIST) this.#list[this.#count] = id;
      this.#count++;
    }
  }

  /** Takes a token and those with the same bytes out again; -1 is none. The set is kept as bits from then on. */
  remove(token: number): void {
    for (let id = token; id >= 0; id = this.#sameBytes[id]) this.#bits[id >> 5] &= ~(1 << (id & 31));
    this.#count = MAX_LIST + 1;
  }

  /** Adds the first `count` of `tokens`. */
  addTokens(tokens: Int32Array, count: number): void {
    if (this.#count + count <= MAX_LIST) {
      for (let i = 0; i < count; i++) this.add(tokens[i]);
      return;
    }
    const bits = this.#bits;
    const sameBytes = this.#sameBytes;
    for (let i = 0; i < count; i++) {
      for (let id = tokens[i]; id >= 0; id = sameBytes[id]) bits[id >> 5] |= 1 << (id & 31);
    }
    this.#count = MAX_LIST + 1;
  }

  addAll(set: TokenSet): void {
    const { list, bits } = set;
    if (list) {
      for (let i = 0; i < list.length; i++) this.add(list[i]);
    } else if (bits) {
      if (this.#count === 0) this.#bits.set(bits);
      else for (let i = 0; i < bits.length; i++) this.#bits[i] |= bits[i];
      this.#count = MAX_LIST + 1;
    }
  }

  /** Drops the tokens with more than `length` bytes. */
  keepShort(vocabulary: Vocabulary, length: number): void {
    const short = vocabulary.shortTokens(length);
    const bits = this.#bits;
    for (let i = 0; i < bits.length; i++) bits[i] &= short[i];
    this.#count = MAX_LIST + 1;
  }

  /** Closes the set and starts an empty one. */
  end(): void {
    if (this.#count > MAX_LIST) {
      this.#taken = new TokenSet(this.#bits.slice(), this.#list.subarray(0, 0));
      this.#bits.fill(0);
    } else {
      const list = this.#list.slice(0, this.#count);
      this.#taken = new TokenSet(undefined, list);
      for (let i = 0; i < list.length; i++) this.#bits[list[i] >> 5] = 0;
    }
    this.#count = 0;
  }
}
