/**
 * Reasoning before a reply that is held to a grammar, and an end to reasoning that takes too long: between the tags the text is
 * free, after so many tokens the closing tag is all that may come, and behind it the grammar begins.
 */

import type { Grammar, Matcher } from '../../../grammar/index.ts';
import type { ReplyRules } from '../dialects/reply-parser.ts';
import { startOf, THINK, type Thinking, type ThinkTags, thinkingAfter } from '../dialects/thinking.ts';
import { type Place, PlaceMatcher } from './place-matcher.ts';
import { type TokenTexts, type TokenVocabulary, tokenTextsOf } from './token-texts.ts';

export interface ReasoningOptions {
  /** How the reply begins: inside of the tags, or before them. */
  readonly reasoning: NonNullable<ReplyRules['reasoning']>;
  /** Default: those of most models. */
  readonly tags?: ThinkTags;
  /** Most tokens between the tags. Default: no limit. */
  readonly budget?: number;
  /** What comes after the reasoning. Default: anything. */
  readonly rest?: Grammar;
  /** The reply must have a rest: it cannot end before, and what is no reasoning belongs to it. */
  readonly isStrict: boolean;
}

export class ReasoningGrammar implements Grammar {
  readonly #options: ReasoningOptions;
  readonly #texts: TokenTexts;

  constructor(options: ReasoningOptions, vocabulary: TokenVocabulary) {
    this.#options = options;
    this.#texts = tokenTextsOf(vocabulary);
  }

  matcher(): Matcher {
    return new ReasoningMatcher(this.#options, this.#texts);
  }
}

interface ReasoningPlace extends Place {
  readonly thinking: Thinking;
  /** Tokens of the closing tag that were written because there was nothing else to write. */
  readonly closed: number;
}

class ReasoningMatcher extends PlaceMatcher<ReasoningPlace> {
  readonly #options: ReasoningOptions;
  readonly #texts: TokenTexts;
  readonly #tags: ThinkTags;
  readonly #openIds: readonly number[];
  readonly #closeIds: readonly number[];

  constructor(options: ReasoningOptions, texts: TokenTexts) {
    const inner = options.reasoning === 'open' ? null : (options.rest?.matcher() ?? null);
    super({ thinking: startOf(options.reasoning), closed: 0, inner, accepted: 0 });
    this.#options = options;
    this.#texts = texts;
    this.#tags = options.tags ?? THINK;
    this.#openIds = texts.spell(this.#tags.open);
    this.#closeIds = texts.spell(this.#tags.close);
  }

  fillMask(mask: Uint32Array): void {
    const { thinking, closed, inner: rest } = this.place;
    if (thinking.phase === 'inside') {
      mask.fill(this.#isSpent ? 0 : 0xffff_ffff);
      if (this.#isSpent) allow(mask, this.#closeIds[closed]);
      else if (this.#options.rest) this.#texts.banOverruns(mask, this.#tags.close, thinking.tail);
      return;
    }
    if (rest) rest.fillMask(mask);
    else mask.fill(0xffff_ffff);
    if (this.#mayOpen) allow(mask, this.#openIds[0]);
  }

  canFinish(): boolean {
    const { thinking, inner: rest } = this.place;
    if (thinking.phase === 'inside') return !this.#options.isStrict;
    return rest?.canFinish() !== false;
  }

  forcedTokens(): number[] {
    const { thinking, closed, inner: rest } = this.place;
    if (thinking.phase === 'inside') return this.#isSpent ? this.#closeIds.slice(closed) : [];
    return this.#mayOpen ? [] : (rest?.forcedTokens() ?? []);
  }

  /** A strict reply begins with the opening tag as one token or not at all. */
  get #mayOpen(): boolean {
    const { thinking, accepted } = this.place;
    return this.#options.isStrict && thinking.phase === 'before' && accepted === 0 && this.#openIds.length === 1;
  }

  /** The closing tag is all that may come. */
  get #isSpent(): boolean {
    const { thinking, closed } = this.place;
    const { budget = Number.POSITIVE_INFINITY } = this.#options;
    return closed > 0 || (thinking.tokens >= budget && this.#closeIds.length > 0);
  }

  protected after(tokenId: number): ReasoningPlace | null {
    const { thinking, closed, inner, accepted } = this.place;
    const next = thinkingAfter(thinking, this.#texts.of(tokenId), this.#tags);
    if (thinking.phase === 'inside') {
      if (this.#isSpent && tokenId !== this.#closeIds[closed]) return null;
      if (next.phase === 'inside') return { thinking: next, closed: this.#isSpent ? closed + 1 : 0, inner, accepted };
      return { thinking: next, closed: 0, inner: this.#options.rest?.matcher() ?? null, accepted: 0 };
    }
    if (this.#mayOpen && tokenId === this.#openIds[0]) return { thinking: next, closed, inner, accepted };
    if (inner && !inner.accept(tokenId)) return null;
    const phase = this.#options.isStrict ? 'after' : next.phase;
    return { thinking: { ...next, phase }, closed, inner, accepted: accepted + 1 };
  }
}

function allow(mask: Uint32Array, tokenId: number): void {
  mask[tokenId >> 5] |= 1 << (tokenId & 31);
}
