/**
 * From logits to a token: processors, truncation, a seeded draw, log-probabilities, and the conditions that end a text.
 * It knows nothing of models, tokenizers and grammars: it takes rows of logits, token ids, bitmasks and text.
 */

export { SamplingError } from './errors.ts';
export {
  LOGPROBS_MODES,
  type LogprobsMode,
  MAX_LOGIT_BIAS,
  MAX_STOP_STRINGS,
  MAX_STOP_TOKEN_IDS,
  type ResolvedSampling,
  resolveSampling,
  type SamplingParams,
  type TokenLogprobs,
} from './params.ts';
export type { History } from './processors.ts';
export { endsInLoop, type RepetitionRule } from './repetition.ts';
export { MAX_PICKS, MAX_TOP, type RowQuery, type RowSummary } from './row-summary.ts';
export { type SampledToken, Sampler } from './sampler.ts';
export { StopMatcher, type StopRules, type StopStep } from './stop.ts';
export { type RankedLogprob, type RankedLogprobs, rankedLogprobs } from './token-logprobs.ts';
