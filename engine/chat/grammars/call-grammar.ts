/**
 * Text that is free until a call begins: from there on a grammar holds the call to what its tool takes, and after the call the
 * text is free again.
 */

import { type Grammar, GrammarCompiler, type Matcher } from '../../../grammar/index.ts';
import { type Place, PlaceMatcher } from './place-matcher.ts';
import { SEPARATORS, type TokenTexts, type TokenVocabulary, tokenTextsOf } from './token-texts.ts';

/** A beginning of a call, and what comes after it. */
export interface CallStart {
  /** ASCII text. */
  readonly trigger: string;
  /** The trigger counts only as the first thing in a text, or right after another call. Default: everywhere. */
  readonly atBoundary?: boolean;
  /** What follows; none of its texts is the beginning of another. */
  readonly call: Grammar;
}

export class CallGrammar implements Grammar {
  readonly #starts: readonly CallStart[];
  readonly #texts: TokenTexts;

  constructor(starts: readonly CallStart[], vocabulary: TokenVocabulary) {
    this.#starts = starts;
    this.#texts = tokenTextsOf(vocabulary);
  }

  matcher(): Matcher {
    return new CallMatcher(this.#starts, this.#texts);
  }
}

interface CallPlace extends Place {
  /** The end of the free text, as far as it may belong to a trigger. */
  readonly tail: string;
  /** The free text since the last boundary without what separates calls; null when it is none of the triggers' beginnings. */
  readonly lead: string | null;
  readonly isInCall: boolean;
}

const START: CallPlace = { tail: '', lead: '', inner: null, isInCall: false, accepted: 0 };

class CallMatcher extends PlaceMatcher<CallPlace> {
  readonly #starts: readonly CallStart[];
  readonly #texts: TokenTexts;

  constructor(starts: readonly CallStart[], texts: TokenTexts) {
    super(START);
    this.#starts = starts;
    this.#texts = texts;
  }

  fillMask(mask: Uint32Array): void {
    const { isInCall, inner: call, tail, lead } = this.place;
    if (isInCall) {
      call!.fillMask(mask);
      return;
    }
    mask.fill(0xffff_ffff);
    // A token that goes on behind a trigger would be the beginning of a call that nothing has held.
    for (const { trigger, atBoundary } of this.#starts) {
      if (atBoundary) {
        if (lead !== null && trigger.startsWith(lead)) this.#texts.ban(mask, trigger, lead.length, 'boundary');
        continue;
      }
      this.#texts.banOverruns(mask, trigger, tail);
    }
  }

  canFinish(): boolean {
    return !this.place.isInCall;
  }

  forcedTokens(): number[] {
    const { isInCall, inner: call } = this.place;
    return isInCall ? call!.forcedTokens() : [];
  }

  protected after(tokenId: number): CallPlace | null {
    const place = this.place;
    if (!place.isInCall) return this.#afterText(place, this.#texts.of(tokenId));
    const { inner: call, accepted } = place;
    if (!call!.accept(tokenId)) return null;
    const isInCall = !call!.canFinish();
    return { tail: '', lead: '', inner: call, isInCall, accepted: accepted + 1 };
  }

  #afterText({ tail: before, lead: leadBefore, inner, accepted }: CallPlace, text: string): CallPlace {
    const all = before + text;
    const lead = leadBefore === null ? null : leadBefore === '' ? text.replace(SEPARATORS, '') : leadBefore + text;
    let longest = 0;
    let isBeginning = false;
    for (const { trigger, atBoundary, call } of this.#starts) {
      if (atBoundary ? lead === trigger : all.endsWith(trigger)) {
        return { tail: '', lead: null, inner: call.matcher(), isInCall: true, accepted: 0 };
      }
      longest = Math.max(longest, trigger.length);
      isBeginning ||= lead !== null && (atBoundary ?? false) && trigger.startsWith(lead);
    }
    const tail = longest > 1 ? all.slice(1 - longest) : '';
    return { tail, lead: isBeginning ? lead : null, inner, isInCall: false, accepted };
  }
}

/** A compiler for grammars in which some special tokens stand as they are written; null when none of them is special. */
export function compilerWithMarkers(
  markers: readonly string[],
  vocabulary: TokenVocabulary,
  eosTokenIds: readonly number[] = [],
): GrammarCompiler | null {
  const { tokenizer, vocabSize } = vocabulary;
  let hasMarker = false;
  const tokens = Array.from({ length: vocabSize }, (_, id) => {
    const bytes = tokenizer.tokenBytes(id);
    if (bytes.length > 0) return bytes;
    const text = tokenizer.decode([id]);
    if (!markers.includes(text)) return bytes;
    hasMarker = true;
    return new TextEncoder().encode(text);
  });
  return hasMarker ? new GrammarCompiler({ tokens, eosTokenIds }) : null;
}
