/** Log-probabilities in the shape of plain completions: four lists side by side. */

import type { TokenLogprobs } from '../../sampling/index.ts';
import { finiteLogprob, type TokenNaming, tokenText } from '../chat/reply/logprobs.ts';
import type { CompletionLogprobs } from './types.ts';

/** The lists of one choice, as its tokens come. It knows where in the text the next token begins. */
export class LogprobLists {
  readonly #naming: TokenNaming;
  #offset = 0;

  constructor(naming: TokenNaming) {
    this.#naming = naming;
  }

  /** The next tokens. The first token of a prompt has no log-probability: `first` is its id. */
  next(entries: readonly TokenLogprobs[], first?: number): CompletionLogprobs {
    const opening = first === undefined ? [] : [{ text: this.#text(first), logprob: null, top: null }];
    const rows = entries.map(({ tokenId, logprob, top }) => ({
      text: this.#text(tokenId),
      logprob: finiteLogprob(logprob),
      // The token itself belongs to its alternatives, also where it is none of the likeliest.
      top: Object.fromEntries(
        [...top, { tokenId, logprob }].map((other) => [this.#text(other.tokenId), finiteLogprob(other.logprob)]),
      ),
    }));
    const all = [...opening, ...rows];
    return {
      tokens: all.map(({ text }) => text),
      token_logprobs: all.map(({ logprob }) => logprob),
      top_logprobs: all.map(({ top }) => top),
      text_offset: all.map(({ text }) => this.#advance(text)),
    };
  }

  #text(tokenId: number): string {
    return tokenText(tokenId, this.#naming);
  }

  #advance(text: string): number {
    const offset = this.#offset;
    this.#offset += text.length;
    return offset;
  }
}

/** Two stretches of the same choice as one. */
export function joined(a: CompletionLogprobs | null, b: CompletionLogprobs | null): CompletionLogprobs | null {
  if (a === null || b === null) return a ?? b;
  return {
    tokens: [...a.tokens, ...b.tokens],
    token_logprobs: [...a.token_logprobs, ...b.token_logprobs],
    top_logprobs: [...a.top_logprobs, ...b.top_logprobs],
    text_offset: [...a.text_offset, ...b.text_offset],
  };
}
