/** The parameters that chat and plain completions share: what they are, and what the sampler makes of them. */

import { z } from 'zod';
import { MAX_LOGIT_BIAS, MAX_STOP_STRINGS, MAX_STOP_TOKEN_IDS } from '../../../sampling/index.ts';
import { RequestError } from '../../errors.ts';
import type { GenerateSampling } from '../../types.ts';
import {
  attempt,
  isGiven,
  readBoolean,
  readInteger,
  readList,
  readNumber,
  readObject,
  readString,
  refuseBecause,
} from './coercion.ts';
import { bigInteger, boolean, describe, field, integer, name, number, string, strings, tokenIds } from './fields.ts';

/** Default of the most alternatives a position, for `top_logprobs`, `prompt_logprobs` and `logprobs` of plain completions. */
export const MAX_LOGPROBS = 20;
/** Most log-probabilities of a prompt with `prompt_logprobs: -1`: its length times the vocabulary. */
const MAX_PROMPT_LOGPROBS = 1_000_000;
const MAX_BAD_WORDS = 1024;
const MAX_ALLOWED_TOKENS = 1_000_000;

const streamOptions = z.object({
  include_usage: boolean('The usage of the whole answer comes in a last chunk.', { default: false }),
  continuous_usage_stats: boolean('With include_usage: every chunk has the usage of its choice so far.', {
    default: false,
  }),
});

const repetitionDetection = z.object({
  max_pattern_size: integer('Longest pattern in tokens, at most 1024; 0: nothing is looked for.', { default: 0 }),
  min_pattern_size: integer('Shortest pattern in tokens.', { default: 1 }),
  min_count: integer('How often it must come, at least 2.'),
});

export const generationFields = {
  model: string('A name of the model; missing or empty: the one that is served.'),
  user: string('Accepted for the clients that send it; nothing depends on it.'),
  request_id: name("Takes the place of the random part of the answer's id."),

  n: integer('How many choices to generate, 1 to 128; 1 when sampling is greedy.', { default: 1 }),
  min_tokens: integer('The text cannot end, nor a stop string match, before this many tokens.', { default: 0 }),
  temperature: number(
    "Divides the logits; at least 0, and below 0.00001 the likeliest token is taken. Default: the model's own, else 1.",
  ),
  top_p: number('Keeps the likeliest tokens that have this much probability together; above 0, at most 1.'),
  top_k: integer('Keeps this many of the likeliest tokens; -1 or 0: all.'),
  min_p: number('Drops tokens below this share of the likeliest one, 0 to 1.'),
  seed: bigInteger('Makes the answer reproducible; choice i draws as with seed + i. -1: a random one.'),
  presence_penalty: number('Subtracted from the logits of tokens that are in the output, -2 to 2.', { default: 0 }),
  frequency_penalty: number('Subtracted from the logit of a token for each time it is in the output, -2 to 2.', {
    default: 0,
  }),
  repetition_penalty: number(
    'Divides the positive and multiplies the negative logits of tokens that are in the prompt or the output; above 0.',
  ),
  logit_bias: field<Readonly<Record<string, number>>, Readonly<Record<string, number>>>(
    'Added to the logits: token id to bias; the biases are clamped to -100 to 100.',
    { type: 'object', additionalProperties: { type: 'number' } },
    readLogitBias,
  ),
  allowed_token_ids: tokenIds(
    'The only tokens that may come, the end token among them if the text is to end by it.',
    MAX_ALLOWED_TOKENS,
  ),
  bad_words: strings('Words that cannot come up, at the beginning of a text or after a space.', MAX_BAD_WORDS),

  stop: field<string | readonly string[], readonly string[]>(
    'The text ends before the first of these strings.',
    { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] },
    readStop,
  ),
  stop_token_ids: tokenIds('The text ends with one of these tokens.', MAX_STOP_TOKEN_IDS),
  ignore_eos: boolean("Goes on after the model's end tokens.", { default: false }),
  repetition_detection: describe(
    repetitionDetection.nullish(),
    'Ends a text, with finish_reason repetition, whose last tokens are a pattern so many times over: max_pattern_size, ' +
      'min_pattern_size, min_count.',
  ),
  include_stop_str_in_output: boolean('Leaves the stop string or the text of the stop token in the output.', {
    default: false,
  }),
  skip_special_tokens: boolean('Special tokens leave no text.', { default: true }),
  spaces_between_special_tokens: boolean('Keeps the space that a tokenizer puts between two special tokens.', {
    default: true,
  }),

  stream: boolean('Answers with server-sent events.', { default: false }),
  stream_options: describe(streamOptions.nullish(), 'What a stream has beside its text; only with stream: true.'),

  prompt_logprobs: integer(
    'The reply has the log-probabilities of the prompt, with so many alternatives, 0 to 20; -1: the whole vocabulary. ' +
      'Not with stream.',
  ),
  return_token_ids: boolean("The reply has the token ids of the prompt and of each choice's output.", {
    default: false,
  }),
  return_tokens_as_token_ids: boolean('The tokens in log-probabilities are written as token_id:N.', { default: false }),
  truncate_prompt_tokens: integer(
    'Only the last so many tokens of the prompt count; -1: as many as there is room for.',
  ),
};

type GenerationFields = { readonly [K in keyof typeof generationFields]?: z.output<(typeof generationFields)[K]> };

/** The sampling parameters of a request; the length limit and the log-probabilities are the endpoint's own. */
export function samplingOf(request: GenerationFields): GenerateSampling {
  const loops = request.repetition_detection ?? undefined;
  return {
    n: request.n,
    minTokens: request.min_tokens,
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k,
    minP: request.min_p,
    seed: request.seed,
    presencePenalty: request.presence_penalty,
    frequencyPenalty: request.frequency_penalty,
    repetitionPenalty: request.repetition_penalty,
    logitBias: request.logit_bias,
    allowedTokenIds: request.allowed_token_ids,
    badWords: request.bad_words,
    stop: request.stop,
    stopTokenIds: request.stop_token_ids,
    ignoreEos: request.ignore_eos,
    repetitionDetection: loops && {
      maxPatternSize: loops.max_pattern_size,
      minPatternSize: loops.min_pattern_size,
      minCount: loops.min_count,
    },
    includeStopStrInOutput: request.include_stop_str_in_output,
    skipSpecialTokens: request.skip_special_tokens,
    spacesBetweenSpecialTokens: request.spaces_between_special_tokens,
  };
}

/** Rules between fields that need no types: they come before everything else that is wrong with the fields. */
export function checkStreamFields(body: Readonly<Record<string, unknown>>): void {
  const isStream = attempt(readBoolean, body.stream ?? false);
  if (isGiven(body.stream_options) && isStream === false) {
    throw new RequestError('stream_options can only be given with stream: true', 'stream_options');
  }
  const count = attempt(readInteger, body.prompt_logprobs ?? 0);
  if (isStream && count !== undefined && count !== 0) {
    throw new RequestError(`prompt_logprobs ${count} cannot be given with stream: true`, 'prompt_logprobs');
  }
}

/** Which chunks of an answer tell how many tokens there were: all, the last of a stream, or none. */
export function usageIn({ stream, stream_options: options }: GenerationFields): 'none' | 'total' | 'running' {
  if (!stream) return 'total';
  if (!options?.include_usage) return 'none';
  return options.continuous_usage_stats ? 'running' : 'total';
}

/** @throws RequestError when a count of alternatives is out of its range */
export function checkLogprobsCount(param: string, count: number, most: number): void {
  if (count >= 0 && count <= most) return;
  throw new RequestError(`${param} must be from 0 to ${most}, got ${count}`, param);
}

/**
 * How many alternatives go with each token of the prompt; undefined: its log-probabilities are not wanted.
 * @throws RequestError
 */
export function promptLogprobsCount(
  { prompt_logprobs: count }: GenerationFields,
  promptLength: number,
  vocabSize: number,
  most: number,
): number | undefined {
  if (count !== -1) {
    if (count !== undefined) checkLogprobsCount('prompt_logprobs', count, most);
    return count;
  }
  if (promptLength * vocabSize <= MAX_PROMPT_LOGPROBS) return vocabSize;
  const found = `${promptLength} tokens with ${vocabSize} each`;
  throw new RequestError(
    `prompt_logprobs -1 gives at most ${MAX_PROMPT_LOGPROBS} log-probabilities, and the prompt has ${found}`,
    'prompt_logprobs',
  );
}

function readStop(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return readList(value, MAX_STOP_STRINGS, 'a string or a list of strings').map(readString);
}

function readLogitBias(value: unknown): Readonly<Record<string, number>> {
  const entries = Object.entries(readObject(value));
  if (entries.length > MAX_LOGIT_BIAS) {
    refuseBecause(`must have at most ${MAX_LOGIT_BIAS} entries, got ${entries.length}`);
  }
  return Object.fromEntries(entries.map(([id, bias]) => [id, readNumber(bias)]));
}
