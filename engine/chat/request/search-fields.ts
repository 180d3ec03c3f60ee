/** How choices are searched for: one by one, the best of several, or by a beam; and how soon. */

import type { z } from 'zod';
import { RequestError } from '../../errors.ts';
import type { GenerateRequest, GenerateSampling } from '../../types.ts';
import { attempt, readBoolean, refuse } from './coercion.ts';
import { boolean, field, integer, name, number } from './fields.ts';

const NEUTRAL_WITHIN = 1e-5;

export const searchFields = {
  best_of: integer('Generates so many candidates and gives the n likeliest; at least n. The width of a beam search.'),
  use_beam_search: boolean('Searches for the likeliest texts; temperature, top_p and top_k must be off.', {
    default: false,
  }),
  length_penalty: number('Of a beam search: above 0 favours longer texts, below 0 shorter ones.', { default: 1 }),
  early_stopping: field<boolean | 'never', boolean | 'never'>(
    'Of a beam search: true ends it when there are enough texts, false when no better one is near, never when none can come.',
    { enum: [true, false, 'never'], default: false },
    readEarlyStopping,
  ),
  priority: integer('Requests with a lower number go first.', { default: 0 }),
  cache_salt: name('Only requests with the same salt share what was computed for equal beginnings of their prompts.'),
};

type SearchFields = { readonly [K in keyof typeof searchFields]?: z.output<(typeof searchFields)[K]> };

/**
 * How the engine is to go about a request.
 * @throws RequestError for what does not go together
 */
export function searchOf(
  request: SearchFields,
  sampling: GenerateSampling,
): Pick<GenerateRequest, 'sampling' | 'bestOf' | 'beam' | 'priority' | 'cacheSalt'> {
  const { best_of: bestOf, length_penalty: lengthPenalty = 1, early_stopping: earlyStopping = false } = request;
  const n = sampling.n ?? 1;
  const order = { priority: request.priority, cacheSalt: request.cache_salt };
  if (bestOf !== undefined && bestOf < n) refused('best_of', `must be greater than or equal to n=${n}`, bestOf);
  if (!request.use_beam_search) {
    if (Math.abs(lengthPenalty - 1) > NEUTRAL_WITHIN) refused('length_penalty', NOT_EFFECTIVE, lengthPenalty);
    if (earlyStopping !== false) refused('early_stopping', NOT_EFFECTIVE, earlyStopping);
    return { sampling, bestOf, ...order };
  }
  return { sampling, beam: { width: bestOf ?? n, lengthPenalty, earlyStopping }, ...order };
}

const NOT_EFFECTIVE = 'is not effective without beam search';

function refused(param: string, rule: string, value: unknown): never {
  throw new RequestError(`${param} ${rule}, got ${value}`, param);
}

function readEarlyStopping(value: unknown): boolean | 'never' {
  if (value === 'never') return value;
  return attempt(readBoolean, value) ?? refuse('true, false or "never"', value);
}
