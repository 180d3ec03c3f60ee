/**
 * Drafts without a second model: what followed the last few tokens where they came up before.
 * Source: Saxena, "Prompt Lookup Decoding", 2023.
 */

/**
 * The drafts of one text. A drafted token costs as much as any other where a step is bound by arithmetic, so there are
 * only as many as have lately been right: twice as many after a draft that was, and one at least.
 */
export class PromptLookup {
  readonly #most: number;
  #length = 1;
  /** Tokens of the text with the last draft, if all of it is right. */
  #hoped = 0;

  /** @param most  most tokens of a draft */
  constructor(most: number) {
    this.#most = most;
  }

  /** What probably follows `tokens`, which go on from those of the call before. */
  draft(tokens: readonly number[]): readonly number[] {
    const wrong = this.#hoped - tokens.length + 1;
    if (this.#hoped > 0) this.#length = wrong > 0 ? Math.max(1, this.#length - wrong) : 2 * this.#length;
    this.#length = Math.min(this.#length, this.#most);
    const draft = lookUpDraft(tokens, this.#length);
    this.#hoped = draft.length > 0 ? tokens.length + draft.length : 0;
    return draft;
  }
}

/** Tokens that must be the same; a place where more of them are is preferred. */
const LEAST_MATCH = 2;
const MOST_MATCH = 4;

/**
 * The tokens that followed the latest earlier place with the longest match for the end of `tokens`, at most `length`;
 * none when not even the last two came up before.
 */
export function lookUpDraft(tokens: readonly number[], length: number): readonly number[] {
  const last = tokens.length - 1;
  let best = LEAST_MATCH - 1;
  let follows = tokens.length;
  for (let end = last - 1; end >= 0 && best < MOST_MATCH; end--) {
    let matched = 0;
    while (matched < MOST_MATCH && matched <= end && tokens[end - matched] === tokens[last - matched]) matched++;
    if (matched <= best) continue;
    best = matched;
    follows = end + 1;
  }
  return tokens.slice(follows, follows + length);
}
