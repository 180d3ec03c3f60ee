/**
 * Where a text ends: end tokens, stop tokens, and stop strings found in the text as it comes. Text that may turn out to be
 * the beginning of a stop string is held back until it is known not to be one.
 */

import type { ResolvedSampling } from './params.ts';

export type StopRules = Pick<
  ResolvedSampling,
  'stop' | 'stopTokenIds' | 'ignoreEos' | 'includeStopStrInOutput' | 'minTokens'
>;

/** What one more token makes of the text. */
export interface StopStep {
  /** Text that is certain by this token. */
  readonly text: string;
  readonly stopped: boolean;
  /** The stop string or stop token id; null for the tokenizer's own end token, and while nothing stopped. */
  readonly stopReason: string | number | null;
}

/** The stop conditions of one choice, token by token. */
export class StopMatcher {
  readonly #rules: StopRules;
  readonly #eosTokenId: number | null;
  readonly #stopTokenIds: ReadonlySet<number>;
  readonly #bannedIds: readonly number[];
  readonly #patterns: readonly Pattern[];
  #length = 0;
  #held = '';

  /** @param eosTokenIds the model's end tokens; the first is the tokenizer's own, which gives no stop reason */
  constructor(rules: StopRules, eosTokenIds: readonly number[]) {
    this.#rules = rules;
    this.#eosTokenId = rules.ignoreEos ? null : (eosTokenIds[0] ?? null);
    this.#stopTokenIds = new Set([...rules.stopTokenIds, ...(rules.ignoreEos ? [] : eosTokenIds)]);
    this.#bannedIds = [...new Set([...eosTokenIds, ...rules.stopTokenIds])];
    // Half a surrogate pair is not a character, so a string that has one matches nowhere.
    this.#patterns = rules.stop.filter((stop) => stop.isWellFormed()).map((stop) => new Pattern(stop));
  }

  /** Token ids that the next token must not be, because there are fewer than `minTokens` so far. */
  get bannedIds(): readonly number[] {
    return this.#length < this.#rules.minTokens ? this.#bannedIds : [];
  }

  /**
   * Takes the next output token and the text that it completed (whole characters; empty for a special token that is
   * skipped). After `stopped` there is no next one.
   */
  push(tokenId: number, text: string): StopStep {
    const length = ++this.#length;
    const { minTokens, includeStopStrInOutput } = this.#rules;

    if (length >= minTokens && this.#stopTokenIds.has(tokenId)) {
      const visible = this.finish() + (includeStopStrInOutput ? text : '');
      return { text: visible, stopped: true, stopReason: tokenId === this.#eosTokenId ? null : tokenId };
    }

    const window = this.#held + text;
    for (const pattern of this.#patterns) {
      const end = pattern.push(text, length > minTokens);
      if (end === null) continue;
      const cut = this.#held.length + end - (includeStopStrInOutput ? 0 : pattern.text.length);
      this.#held = '';
      return { text: window.slice(0, cut), stopped: true, stopReason: pattern.text };
    }

    const holdBack = includeStopStrInOutput ? 0 : Math.max(0, ...this.#patterns.map((pattern) => pattern.matched));
    this.#held = window.slice(window.length - holdBack);
    return { text: window.slice(0, window.length - holdBack), stopped: false, stopReason: null };
  }

  /** Gives the text that is still held back, when the choice ends for another reason. */
  finish(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }
}

/** One stop string, matched unit by unit in linear time (Knuth, Morris, Pratt 1977). */
class Pattern {
  readonly text: string;
  /** How many units at the end of the text so far are the beginning of the stop string. */
  matched = 0;
  /** `#border[k]`: length of the longest proper prefix of the first k units that is also their suffix. */
  readonly #border: Int32Array;

  constructor(text: string) {
    this.text = text;
    this.#border = new Int32Array(text.length + 1);
    for (let k = 1, border = 0; k < text.length; k++) {
      while (border > 0 && text.charCodeAt(k) !== text.charCodeAt(border)) border = this.#border[border];
      if (text.charCodeAt(k) === text.charCodeAt(border)) border++;
      this.#border[k + 1] = border;
    }
  }

  /** Gives the index in `added` after the first occurrence that ends there, or null; goes on after it unless `mayStop`. */
  push(added: string, mayStop: boolean): number | null {
    for (let i = 0; i < added.length; i++) {
      const unit = added.charCodeAt(i);
      if (this.matched === this.text.length) this.matched = this.#border[this.matched];
      while (this.matched > 0 && unit !== this.text.charCodeAt(this.matched)) this.matched = this.#border[this.matched];
      if (unit === this.text.charCodeAt(this.matched)) this.matched++;
      if (this.matched === this.text.length && mayStop) return i + 1;
    }
    // A whole occurrence that did not count is no beginning any more, but its end may be one.
    if (this.matched === this.text.length) this.matched = this.#border[this.matched];
    return null;
  }
}
