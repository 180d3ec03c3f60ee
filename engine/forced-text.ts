/**
 * Drafts where a grammar leaves no choice about the text, though it does about the tokens: the name of a member may be
 * written in one token or in many. A model writes it as its tokenizer would, so that is the guess; like every draft it is
 * kept only where the model's own choice is the same.
 */

import type { Matcher } from '../grammar/index.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { DraftLength } from './draft-length.ts';

/** Most tokens of a draft. */
const MOST = 16;
/** Where more tokens than this may follow, the text is hardly forced. */
const FEW = 64;

export class ForcedText {
  readonly #matcher: Matcher;
  readonly #tokenizer: Pick<Tokenizer, 'encode' | 'tokenBytes'>;
  readonly #mask: Uint32Array;
  readonly #length = new DraftLength(MOST, MOST);

  constructor(matcher: Matcher, tokenizer: Pick<Tokenizer, 'encode' | 'tokenBytes'>, vocabSize: number) {
    this.#matcher = matcher;
    this.#tokenizer = tokenizer;
    this.#mask = new Uint32Array(Math.ceil(vocabSize / 32));
  }

  /** What probably follows `length` tokens; the matcher is left where it was. */
  draft(length: number): readonly number[] {
    const limit = this.#length.limit(length);
    const draft = this.#matcher.forcedTokens();
    if (draft.length > 0) return draft;
    const guess = this.#guess().slice(0, limit);
    this.#length.drafted(length, guess.length);
    return guess;
  }

  #guess(): readonly number[] {
    const { bytes, isWhole } = this.#forcedBytes();
    if (bytes.length === 0) return [];
    // A character that is cut off at the end does not come out as it is, and fails below.
    const text = new TextDecoder().decode(Uint8Array.from(bytes));
    const ids = this.#tokenizer.encode(text, { addSpecialTokens: false, parseSpecialTokens: false });
    // The last token may be the beginning of a longer one.
    if (!isWhole) ids.pop();
    let at = 0;
    for (const [i, id] of ids.entries()) {
      const token = this.#tokenizer.tokenBytes(id);
      if (token.length === 0 || token.some((byte, j) => byte !== bytes[at + j])) return ids.slice(0, i);
      at += token.length;
    }
    return ids;
  }

  /** The bytes that must follow, as far as they are found, and whether the text may end after them. */
  #forcedBytes(): { bytes: number[]; isWhole: boolean } {
    const bytes: number[] = [];
    let steps = 0;
    while (steps < MOST && !this.#matcher.canFinish()) {
      const longest = this.#longestAllowed();
      if (longest === undefined || !this.#matcher.accept(longest)) break;
      bytes.push(...this.#tokenizer.tokenBytes(longest));
      steps++;
    }
    const isWhole = this.#matcher.canFinish();
    this.#matcher.rollback(steps);
    return { bytes, isWhole };
  }

  /** The longest token that may follow, if all others that may are beginnings of it. */
  #longestAllowed(): number | undefined {
    this.#matcher.fillMask(this.#mask);
    const ids: number[] = [];
    for (const [i, word] of this.#mask.entries()) {
      for (let bits = word; bits !== 0; bits &= bits - 1) {
        if (ids.length === FEW) return undefined;
        ids.push(32 * i + 31 - Math.clz32(bits & -bits));
      }
    }
    const bytesOf = (id: number) => this.#tokenizer.tokenBytes(id);
    if (ids.length === 0) return undefined;
    const longest = ids.reduce((best, id) => (bytesOf(id).length > bytesOf(best).length ? id : best));
    const whole = bytesOf(longest);
    return ids.every((id) => bytesOf(id).every((byte, i) => byte === whole[i])) ? longest : undefined;
  }
}
