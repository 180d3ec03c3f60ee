/** The trie of all tokens, made by sorting them and reading each from where it parts from the one before. */

/** Words of a trie node; see {@link Vocabulary}. */
export const NODE_WORDS = 4;

/** Tokens are sorted by so many pairs of bytes; where they agree in these, all their bytes are compared. */
const SORTED_PAIRS = 3;
/** So few tokens are sorted by insertion. */
const FEW = 16;

/** Tokens one after the other: the bytes of token `i` are those from `starts[i]` to before `starts[i + 1]`. */
interface Packed {
  readonly bytes: Uint8Array;
  readonly starts: Uint32Array;
}

/**
 * @param included ids of tokens that are not empty
 * @param sameBytes by token the next one with the same bytes, or -1; filled in
 * @returns `[nodes * 4]`, laid out as {@link Vocabulary} says
 */
export function buildTrie(
  tokens: readonly Uint8Array[],
  included: Uint32Array,
  sameBytes: Int32Array,
): Int32Array<ArrayBuffer> {
  const packed = pack(tokens);
  const { bytes, starts } = packed;
  let words = new Int32Array(NODE_WORDS * (1024 + 3 * included.length));
  /** The open nodes by depth: the path to the last token. */
  const path: number[] = [0];
  let nodes = 1;
  words[2] = -1;
  let last = 0;
  let lastLength = 0;
  for (const id of sortByBytes(packed, included)) {
    const start = starts[id];
    const length = starts[id + 1] - start;
    const common = Math.min(lastLength, length);
    let shared = 0;
    while (shared < common && bytes[last + shared] === bytes[start + shared]) shared++;
    closePath(words, path, lastLength, shared, nodes);
    if ((nodes + length) * NODE_WORDS > words.length) {
      const larger = new Int32Array(words.length * 2 + length * NODE_WORDS);
      larger.set(words);
      words = larger;
    }
    for (let depth = shared + 1; depth <= length; depth++) {
      path[depth] = nodes;
      words[nodes * NODE_WORDS + 1] = bytes[start + depth - 1] | (depth << 8);
      words[nodes * NODE_WORDS + 2] = -1;
      nodes++;
    }
    const at = path[length] * NODE_WORDS;
    words[at + 3] = length;
    if (words[at + 2] < 0) words[at + 2] = id;
    else {
      sameBytes[id] = sameBytes[words[at + 2]];
      sameBytes[words[at + 2]] = id;
    }
    last = start;
    lastLength = length;
  }
  closePath(words, path, lastLength, 0, nodes);
  words[0] = nodes;
  return words.slice(0, nodes * NODE_WORDS);
}

/** Ends the subtrees of a path below a depth before node `end`. */
function closePath(words: Int32Array, path: readonly number[], from: number, to: number, end: number): void {
  for (let depth = from; depth > to; depth--) {
    const node = path[depth] * NODE_WORDS;
    const parent = path[depth - 1] * NODE_WORDS;
    words[node] = end;
    if (words[node + 3] > words[parent + 3]) words[parent + 3] = words[node + 3];
  }
}

function pack(tokens: readonly Uint8Array[]): Packed {
  const starts = new Uint32Array(tokens.length + 1);
  for (let id = 0; id < tokens.length; id++) starts[id + 1] = starts[id] + tokens[id].length;
  const bytes = new Uint8Array(starts[tokens.length]);
  for (let id = 0; id < tokens.length; id++) {
    const token = tokens[id];
    for (let i = 0, at = starts[id]; i < token.length; i++) bytes[at++] = token[i];
  }
  return { bytes, starts };
}

/** Token ids in the order of their bytes; equal ones in their order. */
function sortByBytes(packed: Packed, ids: Uint32Array): Uint32Array {
  const { bytes, starts } = packed;
  /** By token its first bytes, as numbers of two; zeros where it has none. */
  const pairs = new Uint16Array((starts.length - 1) * SORTED_PAIRS);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    const end = starts[id + 1];
    for (let at = starts[id], pair = 0; pair < SORTED_PAIRS && at < end; pair++, at += 2) {
      pairs[id * SORTED_PAIRS + pair] = (bytes[at] << 8) | (at + 1 < end ? bytes[at + 1] : 0);
    }
  }
  let sorted = ids.slice();
  let other = new Uint32Array(ids.length);
  const counts = new Uint32Array(0x10001);
  for (let pair = SORTED_PAIRS - 1; pair >= 0; pair--) {
    counts.fill(0);
    for (let i = 0; i < sorted.length; i++) counts[pairs[sorted[i] * SORTED_PAIRS + pair] + 1]++;
    for (let i = 1; i < counts.length; i++) counts[i] += counts[i - 1];
    for (let i = 0; i < sorted.length; i++) {
      const id = sorted[i];
      other[counts[pairs[id * SORTED_PAIRS + pair]]++] = id;
    }
    [sorted, other] = [other, sorted];
  }
  for (let first = 0; first < sorted.length; ) {
    let end = first + 1;
    while (end < sorted.length && agree(pairs, sorted[first], sorted[end])) end++;
    if (end - first > FEW) sorted.subarray(first, end).sort((a, b) => compareBytes(packed, a, b) || a - b);
    else sortFew(packed, sorted, first, end);
    first = end;
  }
  return sorted;
}

/** Puts each of some tokens in its place among those before it. */
function sortFew(packed: Packed, ids: Uint32Array, first: number, end: number): void {
  for (let i = first + 1; i < end; i++) {
    const id = ids[i];
    let at = i;
    for (; at > first && compareBytes(packed, ids[at - 1], id) > 0; at--) ids[at] = ids[at - 1];
    ids[at] = id;
  }
}

/** True when the bytes agree by which tokens are sorted first. */
function agree(pairs: Uint16Array, a: number, b: number): boolean {
  for (let i = 0; i < SORTED_PAIRS; i++) {
    if (pairs[a * SORTED_PAIRS + i] !== pairs[b * SORTED_PAIRS + i]) return false;
  }
  return true;
}

function compareBytes({ bytes, starts }: Packed, a: number, b: number): number {
  const lengthA = starts[a + 1] - starts[a];
  const lengthB = starts[b + 1] - starts[b];
  const length = Math.min(lengthA, lengthB);
  for (let i = 0; i < length; i++) {
    const difference = bytes[starts[a] + i] - bytes[starts[b] + i];
    if (difference !== 0) return difference;
  }
  return lengthA - lengthB;
}
