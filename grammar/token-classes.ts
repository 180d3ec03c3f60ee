/**
 * Tokens by the kinds of characters that they hold. Where a text may go on with any letters and digits, so it may with every
 * token of letters and digits: such tokens come into a mask together, and whole subtrees of the trie are passed over.
 * Classes are cut where the patterns of schemas cut; a set of them is a number with a bit for each.
 */

import { lastAtMost } from './edges.ts';
import { charSet } from './ir.ts';
import { NODE_WORDS } from './token-trie.ts';
import type { Vocabulary } from './vocabulary.ts';

/** ASCII characters by class; those left out are one class more. */
const ASCII_CLASSES = [
  'abcdef',
  'ghijklmnopqrstuvwxyz',
  'ABCDEF',
  'GHIJKLMNOPQRSTUVWXYZ',
  '0123456789',
  ' ',
  '_',
  '-',
  '.',
  '/',
  ':',
  '@',
  ',',
  '+',
  '%',
  '#',
  "!$&'()*;=",
  '?~',
  '<>[]^`{|}\x7f',
  '"',
  '\\',
  '\t\n\v\f\r',
];
const CONTROLS = ASCII_CLASSES.length;
/** Spaces and line ends beyond ASCII: in `\s`, and some of them not in `.`. */
const SPACES = CONTROLS + 1;
/** All other characters of two, three and four bytes. */
const TWO_BYTES = SPACES + 1;
const SPACE_RANGES = charSet([
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);

/** What tokens hold that are not the beginning of a UTF-8 text; no character has it. */
const ILL_FORMED = 1 << (TWO_BYTES + 3);

export const ALL_CLASSES = ILL_FORMED - 1;
/** The characters that stand in a JSON string as they are; escapes stand for others and are looked at one by one. */
export const PLAIN_IN_JSON =
  ALL_CLASSES & ~['"', '\\', '\t', '\0'].reduce((bits, char) => bits | bitOf(char.charCodeAt(0)), 0);

/** Stretches of characters of one class: where each begins, and the bit of its class. */
export const stretches = findStretches();

/** Most sets of tokens that are kept. */
const MAX_KEPT = 64;

export class TokenClasses {
  readonly #vocabulary: Vocabulary;
  /** By trie node: the classes of the tokens at and below it, and of what such tokens hold behind the node. */
  readonly whole: Int32Array;
  readonly behind: Int32Array;
  readonly #ofToken: Int32Array;
  /** How many tokens hold the same classes. */
  readonly #counts = new Map<number, number>();
  /** By class: the tokens that it is in. */
  readonly #weights = new Int32Array(32);
  readonly #within = new Map<string, Uint32Array>();

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
    this.#ofToken = new Int32Array(vocabulary.size).fill(ILL_FORMED);
    this.whole = new Int32Array(vocabulary.trie[0]);
    this.behind = new Int32Array(vocabulary.trie[0]);
    this.#classify();
  }

  /** The bits of the tokens that hold characters of some classes only, at most `longest` of them. */
  within(classes: number, longest: number): Uint32Array {
    const key = `${classes} ${Math.min(longest, this.#vocabulary.longest)}`;
    let bits = this.#within.get(key);
    if (bits) this.#within.delete(key);
    else bits = this.#findWithin(classes, longest);
    this.#within.set(key, bits);
    for (const oldest of this.#within.keys()) {
      if (this.#within.size <= MAX_KEPT) break;
      this.#within.delete(oldest);
    }
    return bits;
  }

  /** How many different tokens hold characters of some classes only. */
  count(classes: number): number {
    let count = 0;
    for (const [own, tokens] of this.#counts) if ((own & ~classes) === 0) count += tokens;
    return count;
  }

  /** About how many tokens some classes are in: one with several of them counts for each. */
  weight(classes: number): number {
    let weight = 0;
    for (let bits = classes; bits !== 0; bits &= bits - 1) weight += this.#weights[31 - Math.clz32(bits & -bits)];
    return weight;
  }

  #findWithin(classes: number, longest: number): Uint32Array {
    const ofToken = this.#ofToken;
    const bits = new Uint32Array(this.#vocabulary.maskWords);
    if (longest >= this.#vocabulary.longest) {
      for (let id = 0; id < ofToken.length; id++) if ((ofToken[id] & ~classes) === 0) bits[id >> 5] |= 1 << (id & 31);
      return bits;
    }
    const tokens = this.#vocabulary.byCharacters(false);
    const long = tokens.longer(longest);
    if (long.length < ofToken.length / 2) {
      bits.set(this.within(classes, this.#vocabulary.longest));
      for (let i = 0; i < long.length; i++) bits[long[i] >> 5] &= ~(1 << (long[i] & 31));
      return bits;
    }
    for (const id of tokens.upTo(longest)) if ((ofToken[id] & ~classes) === 0) bits[id >> 5] |= 1 << (id & 31);
    return bits;
  }

  /** Reads all tokens along the trie, so that what they begin with in common is read once. */
  #classify(): void {
    const { trie, longest, sameBytes } = this.#vocabulary;
    const { whole, behind } = this;
    /** By node: the classes of the character that ends there, or that a token breaks off in. */
    const here = new Int32Array(whole.length);
    /** By depth: the classes so far, the character begun, its bytes, and how many of them are to come. */
    const classes = new Int32Array(longest + 1);
    const codes = new Int32Array(longest + 1);
    const sizes = new Uint8Array(longest + 1);
    const left = new Uint8Array(longest + 1);
    for (let node = 1; node < whole.length; node++) {
      const word = trie[node * NODE_WORDS + 1];
      const depth = word >> 8;
      const byte = word & 0xff;
      let code = byte;
      let size = 1;
      let missing = 0;
      let own = 0;
      if (left[depth - 1] > 0) {
        size = sizes[depth - 1];
        missing = left[depth - 1] - 1;
        code = (codes[depth - 1] << 6) | (byte & 0x3f);
        if ((byte & 0xc0) !== 0x80) own = ILL_FORMED;
      } else if (byte >= 0x80) {
        size = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
        missing = size - 1;
        code = byte & (0x7f >> size);
        if (byte < 0xc2 || byte > 0xf4) own = ILL_FORMED;
      }
      if (missing === 0) own |= classesOf(code, code, size);
      classes[depth] = classes[depth - 1] | own;
      codes[depth] = code;
      sizes[depth] = size;
      left[depth] = missing;
      const token = trie[node * NODE_WORDS + 2];
      if (token >= 0) {
        // A character that is only begun may become any of several.
        if (missing > 0) own |= classesOf(code << (6 * missing), ((code + 1) << (6 * missing)) - 1, size);
        const all = classes[depth] | own;
        whole[node] = all;
        this.#counts.set(all, (this.#counts.get(all) ?? 0) + 1);
        for (let id = token; id >= 0; id = sameBytes[id]) this.#ofToken[id] = all;
      }
      here[node] = own;
    }
    for (const [all, tokens] of this.#counts) {
      for (let bits = all; bits !== 0; bits &= bits - 1) this.#weights[31 - Math.clz32(bits & -bits)] += tokens;
    }
    for (let node = whole.length - 1; node >= 0; node--) {
      const end = trie[node * NODE_WORDS];
      for (let child = node + 1; child < end; child = trie[child * NODE_WORDS]) {
        whole[node] |= whole[child];
        behind[node] |= here[child] | behind[child];
      }
    }
  }
}

/** The least character that is spelled with so many bytes. */
const LEAST_OF_SIZE = [0, 0, 0x80, 0x800, 0x10000];

/** The classes of the characters of a range that are spelled with so many bytes. */
function classesOf(low: number, high: number, size: number): number {
  if (size === 1) return bitsFrom(low, high);
  const [first, last] = [Math.max(low, LEAST_OF_SIZE[size]), Math.min(high, 0x10ffff)];
  if (first > last || (first >= 0xd800 && last <= 0xdfff)) return ILL_FORMED;
  return bitsFrom(first, last);
}

function bitsFrom(low: number, high: number): number {
  const { starts, bits } = stretches;
  let all = 0;
  for (let i = lastAtMost(starts, low); i < starts.length && starts[i] <= high; i++) all |= bits[i];
  return all;
}

function bitOf(codePoint: number): number {
  if (codePoint < 0x80) {
    const index = ASCII_CLASSES.findIndex((characters) => characters.includes(String.fromCharCode(codePoint)));
    return 1 << (index < 0 ? CONTROLS : index);
  }
  for (let i = 0; i < SPACE_RANGES.length; i += 2) {
    if (codePoint >= SPACE_RANGES[i] && codePoint <= SPACE_RANGES[i + 1]) return 1 << SPACES;
  }
  return 1 << (TWO_BYTES + (codePoint < 0x800 ? 0 : codePoint < 0x10000 ? 1 : 2));
}

function findStretches(): { readonly starts: readonly number[]; readonly bits: readonly number[] } {
  const starts: number[] = [];
  const bits: number[] = [];
  const ends = [...SPACE_RANGES].map((code, i) => code + (i % 2));
  const cuts = [...Array(0x80).keys(), 0x80, 0x800, 0x10000, ...ends].sort((a, b) => a - b);
  for (const start of cuts) {
    const bit = bitOf(start);
    if (bit === bits[bits.length - 1]) continue;
    starts.push(start);
    bits.push(bit);
  }
  return { starts, bits };
}
