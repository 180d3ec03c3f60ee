/** Log-probabilities as the API shows them: tokens as text and bytes. */

import type { RankedLogprobs, TokenLogprobs } from '../../../sampling/index.ts';
import type { Tokenizer } from '../../../tokenizer/index.ts';
import type { ChatLogprobs, ChatTopLogprob, PromptLogprobs } from '../types.ts';

/** What the log-probabilities need of a tokenizer. */
export type TokenTexts = Pick<Tokenizer, 'tokenBytes' | 'decode'>;

export interface TokenNaming {
  readonly tokenizer: TokenTexts;
  /** Tokens are written as `token_id:N`. */
  readonly asIds: boolean;
}

/** JSON has no minus infinity. */
const LEAST_LOGPROB = -9999;

export function finiteLogprob(logprob: number): number {
  return Math.max(LEAST_LOGPROB, logprob);
}

export function chatLogprobs(entries: readonly TokenLogprobs[], naming: TokenNaming): ChatLogprobs {
  const content = entries.map(({ tokenId, logprob, top }) => ({
    ...chatLogprob(tokenId, logprob, naming),
    top_logprobs: top.map((other) => chatLogprob(other.tokenId, other.logprob, naming)),
  }));
  return { content, refusal: null };
}

/** One entry for each prompt token: the token itself and the likeliest ones at its place. */
export function promptLogprobs(entries: readonly RankedLogprobs[], naming: TokenNaming): PromptLogprobs {
  const ofPlace = ({ top, ...own }: RankedLogprobs) =>
    Object.fromEntries(
      [own, ...top].map(({ tokenId, logprob, rank }) => {
        const token = tokenText(tokenId, naming);
        return [tokenId, { logprob: finiteLogprob(logprob), rank, decoded_token: token }];
      }),
    );
  return [null, ...entries.map(ofPlace)];
}

/** A token as text; what is no valid UTF-8 by itself shows as U+FFFD. */
export function tokenText(tokenId: number, { tokenizer, asIds }: TokenNaming): string {
  return asIds ? `token_id:${tokenId}` : new TextDecoder().decode(bytesOf(tokenId, tokenizer));
}

function chatLogprob(tokenId: number, logprob: number, naming: TokenNaming): ChatTopLogprob {
  const bytes = [...bytesOf(tokenId, naming.tokenizer)];
  return { token: tokenText(tokenId, naming), logprob: finiteLogprob(logprob), bytes };
}

/** A special token has no bytes inside of a text; it shows as it is written. */
function bytesOf(tokenId: number, tokenizer: TokenTexts): Uint8Array {
  const bytes = tokenizer.tokenBytes(tokenId);
  return bytes.length > 0 ? bytes : new TextEncoder().encode(tokenizer.decode([tokenId]));
}
