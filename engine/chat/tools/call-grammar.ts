/**
 * Text that is free until a call begins: from the marker on, a grammar holds the call to what its tool takes, and after the
 * call the text is free again.
 */

import type { Grammar, Matcher } from '../../../grammar/index.ts';
import type { Tokenizer } from '../../../tokenizer/index.ts';

export interface CallVocabulary {
  readonly tokenizer: Pick<Tokenizer, 'tokenBytes'>;
  readonly vocabSize: number;
}

export class CallGrammar implements Grammar {
  readonly #call: Grammar;
  readonly #marker: string;
  readonly #vocabulary: CallVocabulary;

  /**
   * @param call  the language of one call, in which a whole call is never the beginning of another
   * @param marker  ASCII text after which a call comes
   */
  constructor(call: Grammar, marker: string, vocabulary: CallVocabulary) {
    this.#call = call;
    this.#marker = marker;
    this.#vocabulary = vocabulary;
  }

  matcher(): Matcher {
    return new CallMatcher(this.#call, this.#marker, this.#vocabulary);
  }
}

/** `text`: free; `begin`: after the marker, where a blank may come; `call`: inside of a call. */
type Phase = 'text' | 'begin' | 'call';

/** Where a text stands after a token. */
interface Place {
  readonly phase: Phase;
  /** The end of the free text, as far as it may belong to a marker. */
  readonly tail: string;
  /** Of the call that is being written, or was last. */
  readonly call: Matcher | null;
  /** Tokens that `call` has accepted. */
  readonly accepted: number;
}

const START: Place = { phase: 'text', tail: '', call: null, accepted: 0 };

class CallMatcher implements Matcher {
  readonly #call: Grammar;
  readonly #marker: string;
  readonly #vocabulary: CallVocabulary;
  readonly #places: Place[] = [START];

  constructor(call: Grammar, marker: string, vocabulary: CallVocabulary) {
    this.#call = call;
    this.#marker = marker;
    this.#vocabulary = vocabulary;
  }

  fillMask(mask: Uint32Array): void {
    const { phase, call } = this.#place;
    if (phase === 'text') {
      mask.fill(0xffff_ffff);
      return;
    }
    call!.fillMask(mask);
    if (phase === 'call') return;
    for (const id of blankTokens(this.#vocabulary)) mask[id >> 5] |= 1 << (id & 31);
  }

  accept(tokenId: number): boolean {
    const next = this.#after(this.#textOf(tokenId), tokenId);
    if (next) this.#places.push(next);
    return next !== null;
  }

  canFinish(): boolean {
    return this.#place.phase === 'text';
  }

  rollback(count: number): void {
    for (let i = 0; i < count; i++) {
      const { call, accepted } = this.#places.pop()!;
      const { call: before, accepted: acceptedBefore } = this.#place;
      if (call !== null && call === before && accepted > acceptedBefore) call.rollback(1);
    }
  }

  forcedTokens(): number[] {
    const { phase, call } = this.#place;
    return phase === 'call' ? call!.forcedTokens() : [];
  }

  reset(): void {
    this.#places.length = 1;
  }

  get #place(): Place {
    return this.#places[this.#places.length - 1];
  }

  #after(text: string, tokenId: number): Place | null {
    const { phase, tail, call, accepted } = this.#place;
    if (phase === 'text') {
      const end = (tail + text).slice(-this.#marker.length);
      if (end !== this.#marker) return { phase, tail: end, call, accepted };
      return { phase: 'begin', tail: '', call: this.#call.matcher(), accepted: 0 };
    }
    if (phase === 'begin' && text !== '' && text.trim() === '') return { phase: 'call', tail, call, accepted };
    if (!call!.accept(tokenId)) return null;
    return { phase: call!.canFinish() ? 'text' : 'call', tail, call, accepted: accepted + 1 };
  }

  /** The bytes of a token, a character each. */
  #textOf(tokenId: number): string {
    return String.fromCharCode(...this.#vocabulary.tokenizer.tokenBytes(tokenId));
  }
}

const blanks = new WeakMap<object, readonly number[]>();

/** Tokens of nothing but blanks. */
function blankTokens({ tokenizer, vocabSize }: CallVocabulary): readonly number[] {
  let ids = blanks.get(tokenizer);
  if (ids === undefined) {
    ids = Array.from({ length: vocabSize }, (_, id) => id).filter((id) => {
      const bytes = tokenizer.tokenBytes(id);
      return bytes.length > 0 && bytes.every((byte) => byte === 0x20 || byte === 0x0a);
    });
    blanks.set(tokenizer, ids);
  }
  return ids;
}
