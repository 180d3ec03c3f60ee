/**
 * Drafts without a second model: what followed the last few tokens where they came up before.
 * Source: Saxena, "Prompt Lookup Decoding", 2023.
 */

import { DraftLength } from './draft-length.ts';

/** The drafts of one text. */
export class PromptLookup {
  readonly #length: DraftLength;

  /** @param most  most tokens of a draft */
  constructor(most: number) {
    this.#length = new DraftLength(most, 1);
  }

  /** What probably follows `tokens`, which go on from those of the call before. */
  draft(tokens: readonly number[]): readonly number[] {
    const draft = lookUpDraft(tokens, this.#length.limit(tokens.length));
    this.#length.drafted(tokens.length, draft.length);
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
