/** Sets of characters by name, and both cases of a set. */

import { type CharSet, charSet } from '../ir.ts';

export const DIGITS = set([0x30, 0x39]);
export const WORD = set([0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]);
/** What `\s` matches in ECMA-262: WhiteSpace and LineTerminator. */
export const SPACE = set(
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
);
export const LINE_ENDS = set([0x0a, 0x0a], [0x0d, 0x0d], [0x2028, 0x2029]);

const POSIX: Readonly<Record<string, CharSet>> = {
  alpha: set([0x41, 0x5a], [0x61, 0x7a]),
  digit: DIGITS,
  alnum: set([0x30, 0x39], [0x41, 0x5a], [0x61, 0x7a]),
  upper: set([0x41, 0x5a]),
  lower: set([0x61, 0x7a]),
  space: set([0x09, 0x0d], [0x20, 0x20]),
  blank: set([0x09, 0x09], [0x20, 0x20]),
  punct: set([0x21, 0x2f], [0x3a, 0x40], [0x5b, 0x60], [0x7b, 0x7e]),
  print: set([0x20, 0x7e]),
  graph: set([0x21, 0x7e]),
  cntrl: set([0x00, 0x1f], [0x7f, 0x7f]),
  xdigit: set([0x30, 0x39], [0x41, 0x46], [0x61, 0x66]),
  word: WORD,
  ascii: set([0x00, 0x7f]),
};

function set(...ranges: readonly (readonly [number, number])[]): CharSet {
  return charSet(ranges);
}

export function unionCharSets(...sets: readonly CharSet[]): CharSet {
  const ranges: [number, number][] = [];
  for (const one of sets) for (let i = 0; i < one.length; i += 2) ranges.push([one[i], one[i + 1]]);
  return charSet(ranges);
}

/** `[:name:]`; undefined when there is no such class. */
export function posixClass(name: string): CharSet | undefined {
  return Object.hasOwn(POSIX, name) ? POSIX[name] : undefined;
}

const properties = new Map<string, CharSet>();

/** The characters with a Unicode property as in `\p{…}`; undefined when it does not exist. */
export function unicodeProperty(expression: string): CharSet | undefined {
  const known = properties.get(expression);
  if (known) return known;
  // A regular expression is made of this text: nothing but a name, or a name and a value.
  if (!/^[A-Za-z0-9_]{1,64}(=[A-Za-z0-9_]{1,64})?$/.test(expression)) return undefined;
  let runs: RegExp;
  try {
    runs = new RegExp(`\\p{${expression}}+`, 'gu');
  } catch {
    return undefined;
  }
  const ranges: [number, number][] = [];
  const block = 0x1000;
  for (let first = 0; first <= 0x10ffff; first += block) {
    if (first >= 0xd000 && first <= 0xdfff && first !== 0xd000) continue;
    const size = first === 0xd000 ? 0x800 : block;
    const text = String.fromCodePoint(...Array.from({ length: size }, (_, i) => first + i));
    for (const { 0: run, index } of text.matchAll(runs)) {
      const low = text.codePointAt(index)!;
      const units = low > 0xffff ? 2 : 1;
      ranges.push([low, low + run.length / units - 1]);
    }
  }
  const found = charSet(ranges);
  properties.set(expression, found);
  return found;
}

/** The last character that has another case. */
const LAST_CASED = 0x1e943;
let casePairs: readonly (readonly [number, number])[] | undefined;

/** A set with the other cases of its characters. */
export function withBothCases(given: CharSet): CharSet {
  casePairs ??= findCasePairs();
  const ranges: [number, number][] = [];
  for (const [a, b] of casePairs) {
    if (contains(given, a)) ranges.push([b, b]);
    if (contains(given, b)) ranges.push([a, a]);
  }
  return ranges.length === 0 ? given : unionCharSets(given, charSet(ranges));
}

function findCasePairs(): readonly (readonly [number, number])[] {
  const pairs: [number, number][] = [];
  for (let code = 0; code <= LAST_CASED; code++) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    const char = String.fromCodePoint(code);
    for (const other of [char.toLowerCase(), char.toUpperCase()]) {
      const otherCode = other.codePointAt(0)!;
      if (other !== char && other.length === (otherCode > 0xffff ? 2 : 1)) pairs.push([code, otherCode]);
    }
  }
  return pairs;
}

function contains(sorted: CharSet, code: number): boolean {
  let low = 0;
  let high = sorted.length / 2 - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (code < sorted[middle * 2]) high = middle - 1;
    else if (code > sorted[middle * 2 + 1]) low = middle + 1;
    else return true;
  }
  return false;
}
