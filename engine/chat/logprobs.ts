/** Log-probabilities as the API shows them: tokens as text and bytes. */

import type { TokenLogprobs } from '../../sampling/index.ts';
import type { Tokenizer } from '../../tokenizer/index.ts';
import type { ChatLogprobs, ChatTopLogprob } from './types.ts';

/** What the log-probabilities need of a tokenizer. */
export type TokenTexts = Pick<Tokenizer, 'tokenBytes' | 'decode'>;

/** JSON has no minus infinity. */
const LEAST_LOGPROB = -9999;

export function chatLogprobs(entries: readonly TokenLogprobs[], tokenizer: TokenTexts): ChatLogprobs {
  const content = entries.map(({ tokenId, logprob, top }) => ({
    ...chatLogprob(tokenId, logprob, tokenizer),
    top_logprobs: top.map((other) => chatLogprob(other.tokenId, other.logprob, tokenizer)),
  }));
  return { content, refusal: null };
}

function chatLogprob(tokenId: number, logprob: number, tokenizer: TokenTexts): ChatTopLogprob {
  const bytes = bytesOf(tokenId, tokenizer);
  return { token: new TextDecoder().decode(bytes), logprob: Math.max(LEAST_LOGPROB, logprob), bytes: [...bytes] };
}

/** A special token has no bytes inside of a text; it shows as it is written. */
function bytesOf(tokenId: number, tokenizer: TokenTexts): Uint8Array {
  const bytes = tokenizer.tokenBytes(tokenId);
  return bytes.length > 0 ? bytes : new TextEncoder().encode(tokenizer.decode([tokenId]));
}
