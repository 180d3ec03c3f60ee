/** From a request to the search that answers it. */

import { type ResolvedSampling, resolveSampling, type SamplingParams } from '../sampling/index.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { BeamSearch } from './beam-search.ts';
import { BestOf } from './best-of.ts';
import { Choice } from './choice.ts';
import { RequestError } from './errors.ts';
import { ParallelChoices } from './parallel-choices.ts';
import type { Search } from './search.ts';
import { Sequence } from './sequence.ts';
import type { BeamOptions, GenerateRequest } from './types.ts';

/** Most texts of a request that are followed at a time. */
const MAX_CANDIDATES = 256;

export interface SearchTools {
  readonly tokenizer: Pick<Tokenizer, 'streamDecoder' | 'encode' | 'tokenBytes'>;
  readonly vocabSize: number;
  /** The model's end tokens; the first is the tokenizer's own. */
  readonly eosTokenIds: readonly number[];
  /** Most tokens that are drafted from what a text repeats. */
  readonly draftLength: number;
}

type SearchRequest = Pick<GenerateRequest, 'bestOf' | 'beam' | 'grammar' | 'priority' | 'cacheSalt'>;

/**
 * @param prompt  token ids
 * @param params  sampling parameters of the request
 * @param defaults  what they are when the request leaves them out; `maxTokens` must be finite
 * @throws RequestError, SamplingError
 */
export function createSearch(
  request: SearchRequest,
  prompt: readonly number[],
  params: SamplingParams,
  defaults: Partial<SamplingParams>,
  tools: SearchTools,
): Search {
  const { beam, bestOf, grammar, priority = 0, cacheSalt } = request;
  const { tokenizer, vocabSize, eosTokenIds, draftLength } = tools;
  if (!Number.isSafeInteger(priority)) throw wrong('priority', 'an integer', priority);
  if (cacheSalt === '') throw wrong('cache_salt', 'a string that is not empty', '""');
  const sampling = resolveSampling(beam ? { ...params, ...NO_SAMPLING } : params, defaults, vocabSize);

  const { skipSpecialTokens, spacesBetweenSpecialTokens, maxTokens } = sampling;
  const newDecoder = () => tokenizer.streamDecoder({ skipSpecialTokens, spacesBetweenSpecialTokens });
  const sequence = new Sequence(prompt, prompt.length + maxTokens, { priority, cacheSalt });
  const choice = { prompt, sampling, vocabSize, eosTokenIds, grammar };
  if (beam) return new BeamSearch(sequence, { ...checkBeam(beam, params), choice, newDecoder });

  const candidates = checkBestOf(bestOf, sampling);
  const isRanked = candidates > sampling.n;
  const ranking = { logprobs: sampling.logprobs ?? 0, logprobsMode: 'processed_logprobs' } as const;
  const rankable = isRanked ? { ...sampling, ...ranking } : sampling;
  const choices = Array.from(
    { length: candidates },
    (_, index) => new Choice({ ...choice, sampling: rankable, index, decoder: newDecoder(), tokenizer, draftLength }),
  );
  const search = new ParallelChoices(sequence, choices);
  return isRanked ? new BestOf(search, sampling.n, sampling.logprobs !== null) : search;
}

/** What beam search makes of the sampling parameters: the likeliest token of all, whatever the model's makers advise. */
const NO_SAMPLING = { n: 1, temperature: 0, topP: 1, topK: -1, minP: 0, logprobsMode: 'processed_logprobs' } as const;

function checkBestOf(bestOf: number | undefined, { n, greedy }: ResolvedSampling): number {
  const candidates = bestOf ?? n;
  if (!(Number.isInteger(candidates) && candidates >= n && candidates <= MAX_CANDIDATES)) {
    throw wrong('best_of', `an integer from n=${n} to ${MAX_CANDIDATES}`, candidates);
  }
  if (greedy && candidates > 1) throw wrong('best_of', '1 when sampling is greedy', candidates);
  return candidates;
}

/** The rules of vLLM, but that a temperature that is not given is zero. */
function checkBeam(beam: BeamOptions, { n = 1, temperature = 0, topP = 1, topK = -1 }: SamplingParams) {
  const { width, lengthPenalty = 1, earlyStopping = false } = beam;
  if (!(Number.isInteger(width) && width >= 2 && width <= MAX_CANDIDATES)) {
    throw wrong('best_of', `an integer from 2 to ${MAX_CANDIDATES} with beam search`, width);
  }
  if (!(Number.isInteger(n) && n >= 1 && n <= width)) throw wrong('n', `an integer from 1 to best_of=${width}`, n);
  if (!(temperature >= 0 && temperature < 1e-5)) throw wrong('temperature', '0 with beam search', temperature);
  if (!(Math.abs(topP - 1) < 1e-5)) throw wrong('top_p', '1 with beam search', topP);
  if (topK !== -1 && topK !== 0) throw wrong('top_k', '-1 with beam search', topK);
  if (!Number.isFinite(lengthPenalty)) throw wrong('length_penalty', 'a finite number', lengthPenalty);
  if (earlyStopping !== 'never' && typeof earlyStopping !== 'boolean') {
    throw wrong('early_stopping', 'true, false or "never"', earlyStopping);
  }
  return { n, width, lengthPenalty, earlyStopping };
}

function wrong(param: string, expected: string, found: unknown): RequestError {
  return new RequestError(`${param} must be ${expected}, got ${String(found).slice(0, 100)}`, param);
}
