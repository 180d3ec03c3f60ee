/** Sets of tokens: as bits, or as what differs from the bits of another set, which many sets share. */

/** Most tokens by which a set may differ from shared bits; beyond, it has bits of its own. */
const MAX_DIFFERENCE = 512;

export const NO_TOKENS = new Int32Array(0);

export class TokenSet {
  /** The bits that the set is told by; undefined for none set. */
  readonly bits: Uint32Array | undefined;
  /** Tokens that are in the set and not in the bits. */
  readonly added: Int32Array;
  /** Tokens that are in the bits and not in the set. */
  readonly removed: Int32Array;

  constructor(bits: Uint32Array | undefined, added: Int32Array, removed: Int32Array) {
    this.bits = bits;
    this.added = added;
    this.removed = removed;
  }

  /** Memory without the bits, which others may share, in bytes. */
  get bytes(): number {
    return this.added.byteLength + this.removed.byteLength + 256;
  }

  /** Makes a mask of the set. */
  copyTo(mask: Uint32Array): void {
    const { bits, added, removed } = this;
    if (bits) {
      mask.set(bits);
      if (mask.length > bits.length) mask.fill(0, bits.length);
    } else mask.fill(0);
    for (let i = 0; i < removed.length; i++) mask[removed[i] >> 5] &= ~(1 << (removed[i] & 31));
    for (let i = 0; i < added.length; i++) mask[added[i] >> 5] |= 1 << (added[i] & 31);
  }
}

/** Collects the tokens of one set after the other. */
export class TokenCollector {
  readonly #sameBytes: Int32Array;
  /** The tokens of the set so far. */
  readonly #bits: Uint32Array;
  /** The shared bits that the set is told by. */
  #base: Uint32Array | undefined;
  /** Tokens whose bits were changed from the base, some of them twice. */
  readonly #changed = new Int32Array(MAX_DIFFERENCE);
  /** How many they are; more than fit when only the bits tell. */
  #count = 0;

  /** @param sameBytes by token the next one with the same bytes, or -1 */
  constructor(sameBytes: Int32Array) {
    this.#sameBytes = sameBytes;
    this.#bits = new Uint32Array((sameBytes.length + 31) >> 5);
  }

  /** Adds a token and those with the same bytes; -1 is none. */
  add(token: number): void {
    for (let id = token; id >= 0; id = this.#sameBytes[id]) {
      const bit = 1 << (id & 31);
      if (this.#bits[id >> 5] & bit) continue;
      this.#bits[id >> 5] |= bit;
      this.#note(id);
    }
  }

  /** Takes a token and those with the same bytes out again; -1 is none. */
  remove(token: number): void {
    for (let id = token; id >= 0; id = this.#sameBytes[id]) {
      const bit = 1 << (id & 31);
      if (!(this.#bits[id >> 5] & bit)) continue;
      this.#bits[id >> 5] &= ~bit;
      this.#note(id);
    }
  }

  /** Adds the first `count` of `tokens`. */
  addTokens(tokens: Int32Array, count: number): void {
    if (this.#count + count <= MAX_DIFFERENCE) {
      for (let i = 0; i < count; i++) this.add(tokens[i]);
      return;
    }
    const bits = this.#bits;
    const sameBytes = this.#sameBytes;
    for (let i = 0; i < count; i++) {
      for (let id = tokens[i]; id >= 0; id = sameBytes[id]) bits[id >> 5] |= 1 << (id & 31);
    }
    this.#count = MAX_DIFFERENCE + 1;
  }

  addAll({ bits, added, removed }: TokenSet): void {
    if (bits && this.#count === 0 && !this.#base) {
      this.#bits.set(bits);
      this.#base = bits;
      for (let i = 0; i < removed.length; i++) this.#remove(removed[i]);
    } else if (bits) {
      // What the other set leaves out of its bits may be in this one.
      const kept = [...removed].filter((id) => !(this.#bits[id >> 5] & (1 << (id & 31))));
      for (let i = 0; i < bits.length; i++) this.#bits[i] |= bits[i];
      for (const id of kept) this.#bits[id >> 5] &= ~(1 << (id & 31));
      this.#count = MAX_DIFFERENCE + 1;
    }
    for (let i = 0; i < added.length; i++) this.#insert(added[i]);
  }

  /** Takes many tokens out, each as it is. */
  removeTokens(tokens: Uint32Array): void {
    const bits = this.#bits;
    for (let i = 0; i < tokens.length; i++) {
      const id = tokens[i];
      const bit = 1 << (id & 31);
      if (!(bits[id >> 5] & bit)) continue;
      bits[id >> 5] &= ~bit;
      this.#note(id);
    }
  }

  /** Closes the set and starts an empty one. */
  end(): TokenSet {
    const set = this.#take();
    if (this.#base || this.#count > MAX_DIFFERENCE) this.#bits.fill(0);
    else for (let i = 0; i < this.#count; i++) this.#bits[this.#changed[i] >> 5] = 0;
    this.#base = undefined;
    this.#count = 0;
    return set;
  }

  #take(): TokenSet {
    if (this.#count > MAX_DIFFERENCE && !this.#findChanged()) {
      return new TokenSet(this.#bits.slice(), NO_TOKENS, NO_TOKENS);
    }
    const [bits, base] = [this.#bits, this.#base];
    const added: number[] = [];
    const removed: number[] = [];
    for (let i = 0; i < this.#count; i++) {
      const id = this.#changed[i];
      const bit = 1 << (id & 31);
      const before = base ? base[id >> 5] & bit : 0;
      if ((bits[id >> 5] & bit) === before) continue;
      if (before) removed.push(id);
      else added.push(id);
      // As in the base, so that the token is not listed again.
      bits[id >> 5] ^= bit;
    }
    return new TokenSet(base, listOf(added), listOf(removed));
  }

  /** Lists what differs from the base by a look at all bits; false when it is too much. */
  #findChanged(): boolean {
    const [bits, base] = [this.#bits, this.#base];
    if (!base) return false;
    let count = 0;
    for (let i = 0; i < bits.length; i++) {
      for (let rest = bits[i] ^ base[i]; rest !== 0; rest &= rest - 1) {
        if (count === MAX_DIFFERENCE) return false;
        this.#changed[count++] = i * 32 + 31 - Math.clz32(rest & -rest);
      }
    }
    this.#count = count;
    return true;
  }

  #has(id: number): boolean {
    return (this.#bits[id >> 5] & (1 << (id & 31))) !== 0;
  }

  #insert(id: number): void {
    if (this.#has(id)) return;
    this.#bits[id >> 5] |= 1 << (id & 31);
    this.#note(id);
  }

  #remove(id: number): void {
    this.#bits[id >> 5] &= ~(1 << (id & 31));
    this.#note(id);
  }

  #note(id: number): void {
    if (this.#count < MAX_DIFFERENCE) this.#changed[this.#count] = id;
    if (this.#count <= MAX_DIFFERENCE) this.#count++;
  }
}

function listOf(tokens: readonly number[]): Int32Array {
  return tokens.length === 0 ? NO_TOKENS : Int32Array.from(tokens);
}
