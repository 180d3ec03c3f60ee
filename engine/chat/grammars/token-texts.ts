/** The tokens of a vocabulary as text, a character each byte, for grammars that watch what is written between tokens. */

import type { Tokenizer } from '../../../tokenizer/index.ts';

export interface TokenVocabulary {
  readonly tokenizer: Pick<Tokenizer, 'tokenBytes' | 'decode'>;
  readonly vocabSize: number;
}

/** What a marker may stand behind: `anywhere`, or at a `boundary`, with nothing but separators before it. */
type Where = 'anywhere' | 'boundary';

/** What may stand before the first call and between two. */
export const SEPARATORS = /^(?:[\s;,]|<\|python_start\|>)+/;

/** A token as it is written: a special token has no bytes in a text, and stands for itself. */
export function writtenToken(tokenizer: TokenVocabulary['tokenizer'], tokenId: number): string {
  const bytes = tokenizer.tokenBytes(tokenId);
  return bytes.length > 0 ? String.fromCharCode(...bytes) : tokenizer.decode([tokenId]);
}

export class TokenTexts {
  readonly #texts: readonly string[];
  readonly #overruns = new Map<string, readonly number[]>();
  readonly #spellings = new Map<string, readonly number[]>();

  constructor({ tokenizer, vocabSize }: TokenVocabulary) {
    this.#texts = Array.from({ length: vocabSize }, (_, id) => writtenToken(tokenizer, id));
  }

  of(tokenId: number): string {
    return this.#texts[tokenId] ?? '';
  }

  /** A text as the longest tokens from the left; empty where there are none for it. */
  spell(text: string): readonly number[] {
    let ids = this.#spellings.get(text);
    if (ids === undefined) {
      ids = this.#spelled(text);
      this.#spellings.set(text, ids);
    }
    return ids;
  }

  #spelled(text: string): number[] {
    const ids: number[] = [];
    for (let at = 0; at < text.length; ) {
      let best = -1;
      for (const [id, token] of this.#texts.entries()) {
        if (token !== '' && text.startsWith(token, at) && token.length > this.of(best).length) best = id;
      }
      if (best < 0) return [];
      ids.push(best);
      at += this.of(best).length;
    }
    return ids;
  }

  /** Takes the tokens out of a mask that complete a marker at the end of `tail` and go on behind it. */
  banOverruns(mask: Uint32Array, marker: string, tail: string): void {
    for (let length = 0; length < marker.length; length++) {
      if (tail.endsWith(marker.slice(0, length))) this.ban(mask, marker, length, 'anywhere');
    }
  }

  /** The same for a marker of which the first `length` characters are there. */
  ban(mask: Uint32Array, marker: string, length: number, where: Where): void {
    const key = `${where} ${length} ${marker}`;
    let ids = this.#overruns.get(key);
    if (ids === undefined) {
      ids = this.#overrunning(marker, length, where);
      this.#overruns.set(key, ids);
    }
    for (const id of ids) mask[id >> 5] &= ~(1 << (id & 31));
  }

  #overrunning(marker: string, length: number, where: Where): number[] {
    const missing = marker.slice(length);
    const goesOn = (text: string): boolean => {
      if (text.length <= missing.length) return false;
      if (length > 0) return text.startsWith(missing);
      const begun = where === 'boundary' ? text.replace(SEPARATORS, '') : text;
      const at = where === 'boundary' ? (begun.startsWith(missing) ? 0 : -1) : begun.indexOf(missing);
      return at >= 0 && at + missing.length < begun.length;
    };
    return this.#texts.flatMap((text, id) => (goesOn(text) ? [id] : []));
  }
}

const textsOf = new WeakMap<object, TokenTexts>();

/** Made once for each tokenizer. */
export function tokenTextsOf(vocabulary: TokenVocabulary): TokenTexts {
  let texts = textsOf.get(vocabulary.tokenizer);
  if (texts === undefined) {
    texts = new TokenTexts(vocabulary);
    textsOf.set(vocabulary.tokenizer, texts);
  }
  return texts;
}
