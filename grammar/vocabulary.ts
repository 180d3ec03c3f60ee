/** The tokens as bytes, in a trie that a mask is computed over. */

import { GrammarError } from './errors.ts';
import { TokenClasses } from './token-classes.ts';
import { buildTrie, NODE_WORDS } from './token-trie.ts';

export interface VocabularyOptions {
  /** The bytes of each token by id; empty for special tokens, which no text contains. */
  readonly tokens: readonly Uint8Array[];
  /** The tokens that end a text: allowed exactly where the text may end. */
  readonly eosTokenIds: readonly number[];
}

/**
 * The trie is flat and depth-first: a node's children follow it, and `end` tells where its subtree stops, so that a refused
 * byte skips a subtree by one jump. Node `n` takes four words at `n * 4`:
 *
 * - `end`: the first node after its subtree;
 * - `byte | depth << 8`: its byte and how many bytes lead to it;
 * - a token with these bytes, or -1;
 * - `longest`: the bytes of the longest token at or below it.
 */
export class Vocabulary {
  readonly size: number;
  readonly eosTokenIds: readonly number[];
  readonly tokens: readonly Uint8Array[];
  /** `[nodes * 4]`; node 0 is the root. */
  readonly trie: Int32Array;
  /** The next token with the same bytes, or -1. */
  readonly sameBytes: Int32Array;
  /** Bytes of the longest token. */
  readonly longest: number;
  #byCharacters: TokenLengths | undefined;
  #byJsonCharacters: TokenLengths | undefined;
  #classes: TokenClasses | undefined;

  /** @throws GrammarError when an end token is not in the vocabulary */
  constructor({ tokens, eosTokenIds }: VocabularyOptions) {
    for (const id of eosTokenIds) {
      if (!(Number.isInteger(id) && id >= 0 && id < tokens.length)) {
        throw new GrammarError(`eosTokenIds: expected token ids below ${tokens.length}, found ${id}`);
      }
    }
    this.size = tokens.length;
    this.tokens = tokens;
    this.eosTokenIds = eosTokenIds;
    const ends = new Set(eosTokenIds);
    const ids = new Uint32Array(tokens.length);
    let count = 0;
    let longest = 0;
    for (let id = 0; id < tokens.length; id++) {
      if (tokens[id].length === 0 || ends.has(id)) continue;
      ids[count++] = id;
      longest = Math.max(longest, tokens[id].length);
    }
    this.longest = longest;
    this.sameBytes = new Int32Array(tokens.length).fill(-1);
    this.trie = buildTrie(tokens, ids.subarray(0, count), this.sameBytes);
  }

  /** The tokens by the kinds of characters that they hold. */
  get classes(): TokenClasses {
    this.#classes ??= new TokenClasses(this);
    return this.#classes;
  }

  /** The words of a mask. */
  get maskWords(): number {
    return (this.size + 31) >> 5;
  }

  /** The bytes that lead to a trie node. */
  bytesTo(node: number): Uint8Array {
    const { trie } = this;
    let at = node;
    while (trie[at * NODE_WORDS + 2] < 0) at++;
    return this.tokens[trie[at * NODE_WORDS + 2]].subarray(0, trie[node * NODE_WORDS + 1] >> 8);
  }

  /**
   * The tokens by the characters that they hold when read from between two of them, a begun one included.
   * @param json true where escapes of a JSON string stand for characters
   */
  byCharacters(json: boolean): TokenLengths {
    if (json) {
      this.#byJsonCharacters ??= new TokenLengths(this.tokens, countJsonCharacters);
      return this.#byJsonCharacters;
    }
    this.#byCharacters ??= new TokenLengths(this.tokens, countCharacters);
    return this.#byCharacters;
  }
}

/** The tokens in the order of a length. */
export class TokenLengths {
  readonly #sorted: Uint32Array;
  /** Where the tokens of each length begin; one more at the end. */
  readonly #starts: number[];

  constructor(tokens: readonly Uint8Array[], lengthOf: (bytes: Uint8Array) => number) {
    const lengths = new Uint32Array(tokens.length);
    const counts: number[] = [0];
    for (let id = 0; id < tokens.length; id++) {
      const length = lengthOf(tokens[id]);
      lengths[id] = length;
      while (counts.length < length + 2) counts.push(0);
      counts[length + 1]++;
    }
    for (let i = 1; i < counts.length; i++) counts[i] += counts[i - 1];
    this.#starts = [...counts];
    this.#sorted = new Uint32Array(tokens.length);
    for (let id = 0; id < tokens.length; id++) this.#sorted[counts[lengths[id]]++] = id;
  }

  /** The tokens that are at most so long. */
  upTo(length: number): Uint32Array {
    return this.#sorted.subarray(0, this.#starts[length + 1] ?? this.#sorted.length);
  }

  /** The tokens that are longer than `length`. */
  longer(length: number): Uint32Array {
    return this.#sorted.subarray(this.#starts[length + 1] ?? this.#sorted.length);
  }
}

/** How many UTF-8 characters begin in some bytes. */
export function countCharacters(bytes: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < bytes.length; i++) if ((bytes[i] & 0xc0) !== 0x80) count++;
  return count;
}

/** How many characters of a JSON string begin in some bytes; `\uD83D` and what follows are one. */
export function countJsonCharacters(bytes: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < bytes.length; i++) {
    if ((bytes[i] & 0xc0) === 0x80) continue;
    count++;
    if (bytes[i] !== 0x5c) continue;
    if (bytes[++i] !== 0x75) continue;
    const high = (bytes[i + 1] | 0x20) === 0x64 && /[89ab]/i.test(String.fromCharCode(bytes[i + 2] ?? 0));
    i += high ? 10 : 4;
  }
  return count;
}
