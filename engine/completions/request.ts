/** The one schema of a request for plain completions; see the chat API's for its rules. */

import { z } from 'zod';
import {
  isGiven,
  readInteger,
  readList,
  readString,
  refuse,
  refuseBecause,
  required,
} from '../chat/request/coercion.ts';
import { checkConstraintFields, constraintFields } from '../chat/request/constraint.ts';
import { boolean, describe, field, integer } from '../chat/request/fields.ts';
import {
  checkLogprobsCount,
  checkStreamFields,
  generationFields,
  samplingOf,
} from '../chat/request/generation-fields.ts';
import { readBody } from '../chat/request/read-body.ts';
import { searchFields } from '../chat/request/search-fields.ts';
import { RequestError } from '../errors.ts';
import type { GenerateSampling } from '../types.ts';

const MAX_PROMPTS = 128;
const MAX_PROMPT_TOKENS = 1_000_000;
const DEFAULT_MAX_TOKENS = 16;

/** One prompt: text, or token ids. */
export type Prompt = string | readonly number[];
type PromptParam = string | readonly string[] | readonly number[] | readonly (readonly number[])[];

/** The schema of the body of a request for plain completions. */
export const completionRequestSchema = z.object({
  prompt: describe(
    required<PromptParam, readonly Prompt[]>(readPrompts),
    'What to continue: a text, token ids, or a list of either.',
    {
      anyOf: [
        { type: 'string' },
        { type: 'array', items: { type: 'string' } },
        { type: 'array', items: { type: 'integer' } },
        { type: 'array', items: { type: 'array', items: { type: 'integer' } } },
      ],
    },
  ),
  ...generationFields,
  ...searchFields,
  max_tokens: integer('Most tokens of each choice; 0 with echo only.', { default: DEFAULT_MAX_TOKENS }),
  logprobs: integer(
    'Gives the log-probability of every token, with so many of the likeliest ones at its place, 0 to 20.',
  ),
  echo: boolean('Puts the prompt before each choice, and its tokens before the log-probabilities.', { default: false }),
  add_special_tokens: boolean("Puts the tokenizer's own special tokens around a prompt that is text.", {
    default: true,
  }),
  suffix: field<'', undefined>('Refused: nothing is filled in.', { type: 'string' }, (value) =>
    value === '' ? undefined : refuseBecause('is not supported: the model continues a text and fills in none'),
  ),
  ...constraintFields,
});

/** The parameters of a request for plain completions, as a caller writes them. */
export type CompletionCreateParams = z.input<typeof completionRequestSchema>;

export type CompletionRequest = z.output<typeof completionRequestSchema>;

/** @throws RequestError */
export function parseCompletionRequest(body: unknown): CompletionRequest {
  return readBody(completionRequestSchema, body, (fields) => {
    if (!isGiven(fields.prompt)) throw new RequestError('prompt is required', 'prompt');
    checkStreamFields(fields);
    checkConstraintFields(fields);
  });
}

/** The sampling parameters of a request; `maxTokens` 0 is for the caller to see to. */
export function completionSampling(
  request: CompletionRequest,
  maxLogprobs: number,
): GenerateSampling & { readonly maxTokens: number } {
  const { logprobs, max_tokens: maxTokens = DEFAULT_MAX_TOKENS, echo } = request;
  if (logprobs !== undefined) checkLogprobsCount('logprobs', logprobs, maxLogprobs);
  if (maxTokens < (echo ? 0 : 1)) {
    throw new RequestError(`max_tokens must be at least ${echo ? 0 : 1}, got ${maxTokens}`, 'max_tokens');
  }
  return { ...samplingOf(request), maxTokens, logprobs };
}

/** A text, token ids, or a list of either. */
export function readPrompts(value: unknown): readonly Prompt[] {
  if (typeof value === 'string') return [value];
  const list = readList(value, MAX_PROMPT_TOKENS, 'a string, a list of strings, token ids, or a list of lists of them');
  if (list.length === 0) refuse('a prompt', value);
  if (!Array.isArray(list[0]) && typeof list[0] !== 'string') return [list.map(readInteger)];
  if (list.length > MAX_PROMPTS) refuseBecause(`must have at most ${MAX_PROMPTS} prompts, got ${list.length}`);
  if (typeof list[0] === 'string') return list.map(readString);
  return list.map((ids) => readList(ids, MAX_PROMPT_TOKENS, 'a list of token ids').map(readInteger));
}
