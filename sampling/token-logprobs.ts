/** Log-probabilities of a row of logits as it is, for tokens that were given and not drawn. */

import { SamplingError } from './errors.ts';
import { exp, log } from './exponential.ts';
import { argmax, largest } from './select.ts';

/** A token's log-probability, and its place among all tokens: 1 is the most likely. */
export interface RankedLogprob {
  readonly tokenId: number;
  readonly logprob: number;
  readonly rank: number;
}

export interface RankedLogprobs extends RankedLogprob {
  /** The most likely tokens, best first. */
  readonly top: readonly RankedLogprob[];
}

/**
 * The log-probability of `tokenId` under the softmax of the logits, and those of the `count` most likely tokens.
 * @param logits float32 [vocabSize]
 * @throws SamplingError when the logits are not finite
 */
export function rankedLogprobs(logits: Float32Array, tokenId: number, count: number): RankedLogprobs {
  const likeliest = argmax(logits);
  if (likeliest < 0 || logits[likeliest] === Number.POSITIVE_INFINITY) throw new SamplingError('non-finite logits');
  const most = logits[likeliest];
  let total = 0;
  let rank = 1;
  for (const logit of logits) {
    total += exp(logit - most);
    if (logit > logits[tokenId]) rank++;
  }
  const logTotal = log(total);
  const logprobOf = (id: number) => logits[id] - most - logTotal;
  const top = largest(logits, count).map((id, i) => ({ tokenId: id, logprob: logprobOf(id), rank: i + 1 }));
  return { tokenId, logprob: logprobOf(tokenId), rank, top };
}
