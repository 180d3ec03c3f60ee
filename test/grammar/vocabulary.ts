/** A small vocabulary for tests, and texts as tokens of it. */

import { type CompiledGrammar, GrammarCompiler, type GrammarMatcher } from '../../grammar/index.ts';
import type { Random } from '../random.ts';

const utf8 = new TextEncoder();

/** Token 0 ends a text, token 1 is another special one, then come all bytes, then pieces of more bytes. */
export const EOS = 0;
const FIRST_BYTE = 2;

const PIECES = [
  'ab', 'abc', 'aa', 'ba', 'bb', 'aab', 'abab', 'ac', 'bc', 'cab', '12', '123', '0.', '.5', 'e1', '-1', '10', '00',
  '"', '"a', '"a"', '":', '": "', '", "', '{"', '"}', '["', '"]', '{}', '[]', '},', '],', ',"', ', ', ': ', '\\"', '\\n', '\\u', '\\u00',
  '\\u0061', '\\ud83d', '\\ude00', 'tr', 'true', 'false', 'null', 'ul', 'name', 'age', 'é', 'éé', 'ñ', '日本', '日', '😀', 'a😀', ' ',
  '  ', '\n', '\n  ', '\t', 'x', 'xy', 'A', 'AB', 'foo', 'bar', 'foobar', 'root', ' + ', ' * ', '(', ')', '((', '))', '1+', '+1',
]; // biome-ignore format: a table

export const tokens: readonly Uint8Array[] = [
  new Uint8Array(0),
  new Uint8Array(0),
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...[...PIECES, 'ab'].map((piece) => utf8.encode(piece)),
  // Pieces that begin or end inside a character.
  Uint8Array.of(0xe6, 0x97),
  Uint8Array.of(0xa5, 0x61),
  Uint8Array.of(0xc3, 0xa9, 0xc3),
  Uint8Array.of(0x22, 0xf0, 0x9f),
];

export const MASK_WORDS = (tokens.length + 31) >> 5;

export function newCompiler(): GrammarCompiler {
  return new GrammarCompiler({ tokens, eosTokenIds: [EOS] });
}

/** True when a text is in the language, fed byte by byte. */
export function accepts(grammar: CompiledGrammar, text: string | Uint8Array): boolean {
  const matcher = grammar.matcher();
  for (const byte of typeof text === 'string' ? utf8.encode(text) : text) {
    if (!matcher.accept(FIRST_BYTE + byte)) return false;
  }
  return matcher.canFinish();
}

export function maskOf(matcher: GrammarMatcher): Uint32Array {
  const mask = new Uint32Array(MASK_WORDS);
  matcher.fillMask(mask);
  return mask;
}

export function allowed(mask: Uint32Array): number[] {
  return tokens.map((_, id) => id).filter((id) => (mask[id >> 5] >>> (id & 31)) & 1);
}

/** Fails when the mask is not what trying each token gives. */
export function checkMask(matcher: GrammarMatcher): number[] {
  const ids = allowed(maskOf(matcher));
  const tried = tokens.map((_, id) => id).filter((id) => matcher.fork().accept(id));
  if (ids.join() !== tried.join()) {
    const wrong = tried.filter((id) => !ids.includes(id)).concat(ids.filter((id) => !tried.includes(id)));
    throw new Error(`the mask differs from what is accepted at tokens ${wrong.slice(0, 8).join()}`);
  }
  return ids;
}

/** Some text of a grammar: random tokens of the masks, which are checked, until the text may end or is long. */
export function randomWalk(grammar: CompiledGrammar, random: Random, maxTokens = 24): { text: string; done: boolean } {
  const matcher = grammar.matcher();
  const bytes: number[] = [];
  const text = () => new TextDecoder().decode(Uint8Array.from(bytes));
  for (let i = 0; i < maxTokens; i++) {
    const ids = checkMask(matcher);
    if (ids.length === 0) throw new Error(`no token may follow ${JSON.stringify(text())}`);
    if (ids.includes(EOS) !== matcher.canFinish()) throw new Error('the end token is allowed elsewhere than at an end');
    const id = ids[Math.floor(random.uniform() * ids.length)];
    if (!matcher.accept(id)) throw new Error(`token ${id} was refused after the mask had allowed it`);
    if (id === EOS) return { text: text(), done: true };
    bytes.push(...tokens[id]);
  }
  return { text: text(), done: false };
}
