/**
 * The added tokens of `tokenizer.json`: texts such as `<|im_end|>` that become one id wherever they stand, before
 * anything else looks at the text. They are found by a trie, leftmost first and longest first.
 */

import { TokenizerError } from './errors.ts';
import { arrayOf, booleanField, countField, objectOf, stringField } from './json-fields.ts';
import type { Normalizer } from './normalizers.ts';

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Skipped when special tokens are skipped, and inert when special tokens are not parsed. */
  readonly special: boolean;
  /** Only where no word character stands next to it. */
  readonly singleWord: boolean;
  /** Takes the whitespace on its left (right) with it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Looked for after the normaliser, in its normalised form. */
  readonly normalized: boolean;
}

/** A stretch of text: an added token, or text that is left to the normaliser and the model. */
export interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly token?: AddedToken;
}

const MAX_CONTENT_LENGTH = 1024;

/** @throws TokenizerError for an entry without text or id, or with one out of range */
export function readAddedTokens(json: unknown, where: string, mostId: number): AddedToken[] {
  return arrayOf(json ?? [], where).map((entry, i) => {
    const place = `${where}[${i}]`;
    const fields = objectOf(entry, place);
    const content = stringField(fields, 'content', place);
    if (content === '' || content.length > MAX_CONTENT_LENGTH) {
      throw new TokenizerError(
        `${place}.content has ${content.length} characters; expected 1 to ${MAX_CONTENT_LENGTH}`,
      );
    }
    const special = booleanField(fields, 'special', place, false);
    return {
      id: countField(fields, 'id', place, mostId),
      content,
      special,
      singleWord: booleanField(fields, 'single_word', place, false),
      lstrip: booleanField(fields, 'lstrip', place, false),
      rstrip: booleanField(fields, 'rstrip', place, false),
      normalized: booleanField(fields, 'normalized', place, !special),
    };
  });
}

/** The added tokens that are looked for in raw text, or (given a normaliser) those looked for in normalised text. */
export class AddedTokenMatcher {
  readonly #root: TrieNode = { next: new Map() };
  /** By UTF-16 unit: 1 where some token begins with it. */
  readonly #begins = new Uint8Array(0x10000);
  readonly #isEmpty: boolean;

  constructor(tokens: readonly AddedToken[], normalizer?: Normalizer) {
    this.#isEmpty = tokens.length === 0;
    for (const token of tokens) {
      const text = normalizer ? normalizer(token.content) : token.content;
      if (text === '') continue;
      let node = this.#root;
      for (let i = 0; i < text.length; i++) {
        let child = node.next.get(text.charCodeAt(i));
        if (!child) node.next.set(text.charCodeAt(i), (child = { next: new Map() }));
        node = child;
      }
      node.token ??= token;
      this.#begins[text.charCodeAt(0)] = 1;
    }
  }

  /** Cuts `text` at its added tokens; the stretches are in order, none of the plain ones empty. */
  split(text: string, parseSpecialTokens: boolean): Stretch[] {
    if (text === '') return [];
    if (this.#isEmpty) return [{ start: 0, end: text.length }];
    const stretches: Stretch[] = [];
    let covered = 0;
    for (let at = 0; at < text.length; ) {
      const found = this.#begins[text.charCodeAt(at)] ? this.#longestAt(text, at) : undefined;
      if (!found) {
        at++;
        continue;
      }
      let start = at;
      let end = (at = found.end);
      const { token } = found;
      if (token.special && !parseSpecialTokens) continue;
      if (token.singleWord && (endsWithWord(text, start) || startsWithWord(text, end))) continue;
      if (token.lstrip) {
        while (start > covered && isSpace(text, start - 1)) start--;
        start = Math.max(start, covered);
      }
      if (token.rstrip) while (end < text.length && isSpace(text, end)) end++;
      if (start > covered) stretches.push({ start: covered, end: start });
      // A token whose whole text went to the one before it is gone.
      if (end > start) stretches.push({ start, end, token });
      covered = end;
    }
    if (covered < text.length) stretches.push({ start: covered, end: text.length });
    return stretches;
  }

  #longestAt(text: string, start: number): { token: AddedToken; end: number } | undefined {
    let node: TrieNode | undefined = this.#root;
    let found: { token: AddedToken; end: number } | undefined;
    for (let i = start; i < text.length; i++) {
      node = node.next.get(text.charCodeAt(i));
      if (!node) break;
      if (node.token) found = { token: node.token, end: i + 1 };
    }
    return found;
  }
}

interface TrieNode {
  readonly next: Map<number, TrieNode>;
  token?: AddedToken;
}

const WORD = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

function startsWithWord(text: string, at: number): boolean {
  return at < text.length && WORD.test(String.fromCodePoint(text.codePointAt(at)!));
}

function endsWithWord(text: string, end: number): boolean {
  if (end === 0) return false;
  const isPair = end > 1 && text.codePointAt(end - 2)! > 0xffff;
  return startsWithWord(text, end - (isPair ? 2 : 1));
}

/** Whitespace lies within the basic plane, so one UTF-16 unit decides. */
function isSpace(text: string, at: number): boolean {
  return /\p{White_Space}/u.test(text[at]);
}
