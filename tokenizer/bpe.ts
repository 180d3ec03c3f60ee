/**
 * Byte-pair encoding: a piece starts as its characters, and the pair that comes first in the list of merges is joined,
 * leftmost first, until none of the pairs is in the list. Source: Sennrich et al., "Neural Machine Translation of Rare
 * Words with Subword Units", arXiv:1508.07909.
 *
 * Pairs wait in a heap and symbols form a linked list, so that a word of n characters costs O(n log n) whatever it
 * holds; short pieces, which is nearly all of them, come from a cache.
 */

import { fallbackToken, toByteChars } from './byte-level.ts';
import { TokenizerError } from './errors.ts';
import { arrayOf, booleanField, type JsonObject, stringField } from './json-fields.ts';
import type { Model } from './model.ts';
import { Vocabulary } from './vocabulary.ts';

const CACHE_ENTRIES = 1 << 16;
const CACHE_PIECE_LENGTH = 64;

/** A merge's rank must leave room for the position in one exact float64: rank * 2^31 + position < 2^53. */
const MAX_MERGES = 1 << 22;
const POSITION_RANGE = 2 ** 31;

const utf8 = new TextEncoder();

export class BpeModel implements Model {
  readonly vocabulary: Vocabulary;
  readonly #byteLevel: boolean;
  readonly #merges: MergeTable;
  readonly #prefix: string;
  readonly #suffix: string;
  readonly #unknownId: number | undefined;
  readonly #fuseUnknown: boolean;
  /** Ids of `<0x00>` … `<0xFF>`, undefined where a byte has none; empty without byte fallback. */
  readonly #byteIds: readonly (number | undefined)[];
  readonly #ignoreMerges: boolean;
  readonly #wordsAreIndependent: boolean;
  readonly #cache = new Map<string, readonly number[]>();
  readonly #word = new Word();

  /** @throws TokenizerError for a merge of unknown tokens or a member of the wrong kind */
  constructor(json: JsonObject, where: string, byteLevel: boolean) {
    this.vocabulary = Vocabulary.fromJson(json.vocab, `${where}.vocab`);
    this.#byteLevel = byteLevel;
    this.#prefix = stringField(json, 'continuing_subword_prefix', where, '');
    this.#suffix = stringField(json, 'end_of_word_suffix', where, '');
    this.#fuseUnknown = booleanField(json, 'fuse_unk', where, false);
    this.#ignoreMerges = booleanField(json, 'ignore_merges', where, false);
    if (json.unk_token != null) this.#unknownId = this.vocabulary.idOf(stringField(json, 'unk_token', where));
    this.#byteIds = booleanField(json, 'byte_fallback', where, false)
      ? Array.from({ length: 256 }, (_, byte) => this.vocabulary.idOf(fallbackToken(byte)))
      : [];
    const merges = readMerges(json.merges, `${where}.merges`);
    this.#merges = new MergeTable(merges, this.vocabulary, this.#prefix.length, `${where}.merges`);
    this.#wordsAreIndependent =
      !byteLevel &&
      !this.#ignoreMerges &&
      this.#prefix === '' &&
      this.#suffix === '' &&
      this.vocabulary.idOf('▁') !== undefined &&
      !merges.some(([left, right]) => /[^▁]▁/u.test(left + right));
  }

  encode(piece: string, ids: number[]): void {
    // Without a pre-tokenizer the piece is the whole text. When no token runs from one word into the next, no merge
    // does either, and the words can be looked up one by one.
    const isCut = this.#wordsAreIndependent && piece.length > CACHE_PIECE_LENGTH;
    const words = isCut ? (piece.match(/▁+[^▁]*|[^▁]+/gu) ?? []) : [piece];
    for (const word of words) this.#encodeWord(word, ids);
  }

  #encodeWord(text: string, ids: number[]): void {
    let encoded = this.#cache.get(text);
    if (encoded === undefined) {
      encoded = this.#merge(this.#byteLevel ? toByteChars(text) : text);
      if (text.length <= CACHE_PIECE_LENGTH) {
        if (this.#cache.size >= CACHE_ENTRIES) this.#cache.clear();
        this.#cache.set(text, encoded);
      }
    }
    for (let i = 0; i < encoded.length; i++) ids.push(encoded[i]);
  }

  #merge(text: string): readonly number[] {
    const whole = this.#ignoreMerges ? this.vocabulary.idOf(text) : undefined;
    if (whole !== undefined) return [whole];
    const word = this.#word;
    // A UTF-16 unit is at most three bytes, each of them a symbol.
    word.clear(3 * (text.length * (1 + this.#prefix.length) + this.#suffix.length));
    this.#addSymbols(text, word);
    return word.merge(this.#merges);
  }

  /** The characters of `text` as symbols. An unknown one waits, so that a run of them can become one. */
  #addSymbols(text: string, word: Word): void {
    let unknownWaits = false;
    for (let at = 0; at < text.length; ) {
      const length = text.codePointAt(at)! > 0xffff ? 2 : 1;
      const char = text.slice(at, at + length);
      let symbol = at > 0 ? this.#prefix + char : char;
      at += length;
      if (at === text.length) symbol += this.#suffix;
      const id = this.vocabulary.idOf(symbol);
      if (id !== undefined) {
        if (unknownWaits) word.add(this.#unknownId!);
        unknownWaits = false;
        word.add(id);
        continue;
      }
      if (this.#byteIds.length > 0) {
        const bytes = Array.from(utf8.encode(symbol), (byte) => this.#byteIds[byte]);
        if (bytes.every((byte) => byte !== undefined)) {
          for (const byte of bytes) word.add(byte);
          continue;
        }
      }
      if (this.#unknownId === undefined) continue;
      if (unknownWaits && !this.#fuseUnknown) word.add(this.#unknownId);
      unknownWaits = true;
    }
    if (unknownWaits) word.add(this.#unknownId!);
  }
}

/** Merges stand in files as `"a b"` and as `["a", "b"]`. */
function readMerges(json: unknown, where: string): [string, string][] {
  const merges = arrayOf(json, where);
  if (merges.length > MAX_MERGES) {
    throw new TokenizerError(`${where} has ${merges.length} entries; at most ${MAX_MERGES} are read`);
  }
  return merges.map((merge, i) => {
    if (typeof merge === 'string') {
      const cut = merge.indexOf(' ');
      if (cut >= 0 && !merge.includes(' ', cut + 1)) return [merge.slice(0, cut), merge.slice(cut + 1)];
    } else if (Array.isArray(merge) && merge.length === 2) {
      const [left, right] = merge;
      if (typeof left === 'string' && typeof right === 'string') return [left, right];
    }
    throw new TokenizerError(`${where}[${i}] is ${JSON.stringify(merge)?.slice(0, 40)}; expected two tokens`);
  });
}

/** From a pair of ids to the rank of its merge: a hash table with open addressing in three typed arrays. */
class MergeTable {
  /** Id of the token that merge number `rank` makes, [merges]. */
  readonly results: Int32Array;
  readonly #left: Int32Array;
  readonly #right: Int32Array;
  readonly #ranks: Int32Array;
  readonly #mask: number;
  /** Not the same in two tables, so that no file can be written whose pairs all fall into one place. */
  readonly #seed = (Math.random() * 2 ** 31) | 1;

  constructor(merges: readonly [string, string][], vocabulary: Vocabulary, prefixLength: number, where: string) {
    const slots = 2 ** Math.ceil(Math.log2(merges.length * 2 + 2));
    this.results = new Int32Array(merges.length);
    this.#left = new Int32Array(slots).fill(-1);
    this.#right = new Int32Array(slots);
    this.#ranks = new Int32Array(slots);
    this.#mask = slots - 1;
    for (let rank = 0; rank < merges.length; rank++) {
      const [left, right] = merges[rank];
      const leftId = vocabulary.idOf(left) ?? unknownPart(left, where, rank);
      const rightId = vocabulary.idOf(right) ?? unknownPart(right, where, rank);
      const result = left + right.slice(prefixLength);
      const slot = this.#slotOf(leftId, rightId);
      this.#left[slot] = leftId;
      this.#right[slot] = rightId;
      this.#ranks[slot] = rank;
      this.results[rank] = vocabulary.idOf(result) ?? unknownPart(result, where, rank);
    }
  }

  /** The rank of the merge of two tokens, or -1 when they do not merge. */
  rankOf(left: number, right: number): number {
    const slot = this.#slotOf(left, right);
    return this.#left[slot] < 0 ? -1 : this.#ranks[slot];
  }

  /** Where the pair stands, or the free slot where it belongs. */
  #slotOf(left: number, right: number): number {
    let hash = Math.imul(left ^ this.#seed, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    let slot = (hash ^ (hash >>> 13)) & this.#mask;
    while (this.#left[slot] >= 0 && (this.#left[slot] !== left || this.#right[slot] !== right)) {
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }
}

function unknownPart(token: string, where: string, rank: number): never {
  throw new TokenizerError(`${where}[${rank}] needs ${JSON.stringify(token.slice(0, 40))}, which is not in vocab`);
}

/** The word being merged: symbols in a linked list, and a heap of the pairs that may merge. Reused for every word. */
class Word {
  /** Id of the symbol at a position; -1 once it has been joined to the one before it. */
  #ids = new Int32Array(256);
  #next = new Int32Array(256);
  #previous = new Int32Array(256);
  #length = 0;
  /** Binary heap of rank * 2^31 + position, least first. */
  readonly #heap: number[] = [];

  clear(capacity: number): void {
    this.#length = 0;
    // A word of a megabyte must not hold its memory for ever, nor may each word allocate anew.
    const wanted = Math.max(256, capacity);
    if (wanted > this.#ids.length || this.#ids.length > 1 << 16) {
      this.#ids = new Int32Array(wanted);
      this.#next = new Int32Array(wanted);
      this.#previous = new Int32Array(wanted);
    }
  }

  add(id: number): void {
    const at = this.#length++;
    this.#ids[at] = id;
    this.#previous[at] = at - 1;
    this.#next[at] = at + 1;
  }

  merge(merges: MergeTable): number[] {
    const ids = this.#ids;
    const next = this.#next;
    const previous = this.#previous;
    const length = this.#length;
    const heap = this.#heap;
    for (let at = 0; at + 1 < length; at++) this.#consider(merges, at, at + 1);
    while (heap.length > 0) {
      const key = popLeast(heap);
      const rank = Math.floor(key / POSITION_RANGE);
      const at = key - rank * POSITION_RANGE;
      const right = next[at];
      // An entry is stale when one of its symbols has merged in the meantime.
      if (ids[at] < 0 || right >= length || merges.rankOf(ids[at], ids[right]) !== rank) continue;
      ids[at] = merges.results[rank];
      ids[right] = -1;
      const after = next[right];
      next[at] = after;
      if (after < length) {
        previous[after] = at;
        this.#consider(merges, at, after);
      }
      if (previous[at] >= 0) this.#consider(merges, previous[at], at);
    }
    const merged: number[] = [];
    for (let at = 0; at < length; at = next[at]) merged.push(ids[at]);
    return merged;
  }

  #consider(merges: MergeTable, left: number, right: number): void {
    const rank = merges.rankOf(this.#ids[left], this.#ids[right]);
    if (rank >= 0) pushKey(this.#heap, rank * POSITION_RANGE + left);
  }
}

function pushKey(heap: number[], key: number): void {
  let at = heap.length;
  heap.push(key);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (heap[parent] <= key) break;
    heap[at] = heap[parent];
    at = parent;
  }
  heap[at] = key;
}

function popLeast(heap: number[]): number {
  const least = heap[0];
  const key = heap.pop()!;
  const length = heap.length;
  if (length === 0) return least;
  let at = 0;
  for (let child = 1; child < length; child = 2 * at + 1) {
    if (child + 1 < length && heap[child + 1] < heap[child]) child++;
    if (heap[child] >= key) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = key;
  return least;
}
