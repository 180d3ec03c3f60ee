/** What a caller may ask of the sampler, the ranges it must keep to, and the complete set that the sampler works with. */

import { SamplingError } from './errors.ts';
import { faultOf, type RepetitionRule } from './repetition.ts';

/** Sampling parameters: the API's names in camelCase. Whatever is undefined takes its default. */
export interface SamplingParams {
  /** How many choices to sample from one prompt, 1 to 128. Default 1. */
  readonly n?: number;
  /** Divides the logits; at least 0, and greedy below 1e-5. Default 1. */
  readonly temperature?: number;
  /** Keeps the smallest set of most likely tokens with this mass, in (0, 1]. Default 1: off. */
  readonly topP?: number;
  /** Keeps this many most likely tokens, and ties with the last of them. Default -1, like 0: off. */
  readonly topK?: number;
  /** Drops tokens less likely than this share of the most likely one, in [0, 1]. Default 0: off. */
  readonly minP?: number;
  /** Makes the choice reproducible; a 64-bit signed integer. Default -1: a random one. */
  readonly seed?: number | bigint;
  /** Most tokens to generate for each choice, at least 1. Default: as many as there is room for. */
  readonly maxTokens?: number;
  /** End tokens and stop tokens are impossible before this many tokens, stop strings do nothing. Default 0. */
  readonly minTokens?: number;
  /** Ends the text where one of these strings comes up. */
  readonly stop?: string | readonly string[];
  /** Ends the text after one of these tokens. */
  readonly stopTokenIds?: readonly number[];
  /** Goes on after the model's end tokens. Default false. */
  readonly ignoreEos?: boolean;
  /** Leaves the stop string or stop token in the text. Default false. */
  readonly includeStopStrInOutput?: boolean;
  /** Special tokens leave no text. Default true. */
  readonly skipSpecialTokens?: boolean;
  /** Keeps the space that a tokenizer's decoder puts between two special tokens. Default true. */
  readonly spacesBetweenSpecialTokens?: boolean;
  /** Gives the log-probability of every token, and of this many most likely ones. Default undefined: none. */
  readonly logprobs?: number;
  /** Added to the logits of these token ids; values are clamped to [-100, 100]. */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** Subtracted from the logit of every token that is in the output, in [-2, 2]. Default 0. */
  readonly presencePenalty?: number;
  /** Subtracted from a token's logit once for each time it is in the output, in [-2, 2]. Default 0. */
  readonly frequencyPenalty?: number;
  /** Divides (positive) or multiplies (negative) the logits of tokens in the prompt or output; above 0. Default 1. */
  readonly repetitionPenalty?: number;
  /** The only token ids that may be chosen, the end token among them if the text is to end by it. Default: all. */
  readonly allowedTokenIds?: readonly number[];
  /** Sequences of token ids that may not come up whole in the output. Default: none. */
  readonly badTokens?: readonly (readonly number[])[];
  /** Ends a text that repeats itself. Default: none is ended. */
  readonly repetitionDetection?: RepetitionRule;
  /** What stands for a token's log-probability. Default `processed_logprobs`. */
  readonly logprobsMode?: LogprobsMode;
}

export const LOGPROBS_MODES = ['processed_logprobs', 'raw_logprobs', 'processed_logits', 'raw_logits'] as const;

/**
 * `processed`: of the distribution that is drawn from; `raw`: of the model's own logits, under the mask of the grammar and
 * nothing else. `logits` are not normalised.
 */
export type LogprobsMode = (typeof LOGPROBS_MODES)[number];

/** Sampling parameters with nothing left open, as `resolveSampling` gives them. */
export interface ResolvedSampling {
  readonly n: number;
  /** The most likely token is taken; `topP`, `topK` and `minP` are off and `temperature` is 1. */
  readonly greedy: boolean;
  readonly temperature: number;
  readonly topP: number;
  /** 0: off. */
  readonly topK: number;
  readonly minP: number;
  /** The 64 bits of the seed as an unsigned number, drawn at random when none was given. */
  readonly seed: bigint;
  /** Infinity when neither the parameters nor the defaults have a limit. */
  readonly maxTokens: number;
  readonly minTokens: number;
  readonly stop: readonly string[];
  readonly stopTokenIds: readonly number[];
  readonly ignoreEos: boolean;
  readonly includeStopStrInOutput: boolean;
  readonly skipSpecialTokens: boolean;
  readonly spacesBetweenSpecialTokens: boolean;
  /** How many alternatives go with each token's log-probability; null: no log-probabilities. */
  readonly logprobs: number | null;
  /** Clamped values by token id. */
  readonly logitBias: ReadonlyMap<number, number>;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly repetitionPenalty: number;
  /** Null: all. */
  readonly allowedTokenIds: readonly number[] | null;
  readonly badTokens: readonly (readonly number[])[];
  /** Null: no text is ended for it. */
  readonly repetitionDetection: RepetitionRule | null;
  readonly logprobsMode: LogprobsMode;
}

/** The log-probability of one output token, or what `logprobsMode` puts in its place. */
export interface TokenLogprobs {
  readonly tokenId: number;
  readonly logprob: number;
  /** The most likely tokens, best first; -Infinity for a token that truncation or a mask removed. */
  readonly top: readonly { readonly tokenId: number; readonly logprob: number }[];
}

/** Below this temperature the most likely token is taken. */
const GREEDY_BELOW = 1e-5;
const MAX_CHOICES = 128;
/** Most entries of `stop`, `stopTokenIds` and `logitBias`. */
export const MAX_STOP_STRINGS = 1024;
export const MAX_STOP_TOKEN_IDS = 1024;
export const MAX_LOGIT_BIAS = 32_768;
/** Most entries of `badTokens`, and most tokens of one of them. */
const MAX_BAD_SEQUENCES = 2048;
const MAX_BAD_LENGTH = 256;
/** UTF-16 units of all stop strings together. */
const MAX_STOP_LENGTH = 65_536;

/**
 * Fills in defaults and checks every range; of several faults the first in the order of the API's reference is told.
 *
 * @param defaults what a parameter is when `params` leaves it out: the model's generation config, and `maxTokens` as far
 *   as the context has room
 * @param vocabSize token ids of `logitBias` must be below it
 * @throws SamplingError
 */
export function resolveSampling(
  params: SamplingParams,
  defaults: Partial<SamplingParams>,
  vocabSize: number,
): ResolvedSampling {
  const given = <K extends keyof SamplingParams>(name: K) => params[name] ?? defaults[name];

  const n = integer('n', given('n') ?? 1);
  check(n >= 1, 'n', 'must be at least 1', n);
  check(n <= MAX_CHOICES, 'n', `must be at most ${MAX_CHOICES}`, n);
  const presencePenalty = additivePenalty('presence_penalty', given('presencePenalty') ?? 0);
  const frequencyPenalty = additivePenalty('frequency_penalty', given('frequencyPenalty') ?? 0);
  const repetitionPenalty = finite('repetition_penalty', given('repetitionPenalty') ?? 1);
  check(repetitionPenalty > 0, 'repetition_penalty', 'must be greater than zero', repetitionPenalty);
  const temperature = finite('temperature', given('temperature') ?? 1);
  check(temperature >= 0, 'temperature', 'must be non-negative', temperature);
  const topP = finite('top_p', given('topP') ?? 1);
  check(topP > 0 && topP <= 1, 'top_p', 'must be in (0, 1]', topP);
  const topK = integer('top_k', given('topK') ?? -1);
  check(topK >= -1, 'top_k', 'must be -1 or 0 (off), or at least 1', topK);
  const minP = finite('min_p', given('minP') ?? 0);
  check(minP >= 0 && minP <= 1, 'min_p', 'must be in [0, 1]', minP);
  const maxTokens = limit('max_tokens', given('maxTokens'));
  const minTokens = integer('min_tokens', given('minTokens') ?? 0);
  check(minTokens >= 0, 'min_tokens', 'must be non-negative', minTokens);
  check(minTokens <= maxTokens, 'min_tokens', `must not be above max_tokens=${maxTokens}`, minTokens);
  const logprobs = given('logprobs') ?? null;
  if (logprobs !== null) check(integer('logprobs', logprobs) >= 0, 'logprobs', 'must be non-negative', logprobs);
  const stop = stopStrings(given('stop') ?? []);

  const greedy = temperature < GREEDY_BELOW;
  check(!greedy || n === 1, 'n', `must be 1 when sampling is greedy (temperature=${temperature})`, n);

  return {
    n,
    greedy,
    temperature: greedy ? 1 : temperature,
    topP: greedy ? 1 : topP,
    topK: greedy || topK <= 0 || topK >= vocabSize ? 0 : topK,
    minP: greedy ? 0 : minP,
    seed: seedBits(given('seed')),
    maxTokens,
    minTokens,
    stop,
    stopTokenIds: stopTokens(given('stopTokenIds') ?? [], vocabSize),
    ignoreEos: boolean('ignore_eos', given('ignoreEos') ?? false),
    includeStopStrInOutput: boolean('include_stop_str_in_output', given('includeStopStrInOutput') ?? false),
    skipSpecialTokens: boolean('skip_special_tokens', given('skipSpecialTokens') ?? true),
    spacesBetweenSpecialTokens: boolean('spaces_between_special_tokens', given('spacesBetweenSpecialTokens') ?? true),
    logprobs,
    logitBias: logitBias(given('logitBias') ?? {}, vocabSize),
    presencePenalty,
    frequencyPenalty,
    repetitionPenalty,
    allowedTokenIds: allowedTokens(given('allowedTokenIds'), vocabSize),
    badTokens: badTokens(given('badTokens') ?? []),
    repetitionDetection: repetitionRule(given('repetitionDetection')),
    logprobsMode: oneOf('logprobs_mode', given('logprobsMode') ?? 'processed_logprobs', LOGPROBS_MODES),
  };
}

function check(holds: boolean, param: string, rule: string, value: unknown): void {
  if (!holds) throw new SamplingError(`${param} ${rule}, got ${shown(value)}`, param);
}

/** A value as it may stand in a message: short, and never an object's own idea of a string. */
function shown(value: unknown): string {
  const text =
    typeof value === 'string' ? JSON.stringify(value) : typeof value === 'object' ? 'an object' : String(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

function finite(param: string, value: number): number {
  check(typeof value === 'number' && Number.isFinite(value), param, 'must be a finite number', value);
  return value;
}

function integer(param: string, value: number): number {
  check(Number.isSafeInteger(value), param, 'must be an integer', value);
  return value;
}

function boolean(param: string, value: boolean): boolean {
  check(typeof value === 'boolean', param, 'must be true or false', value);
  return value;
}

function oneOf<const T extends string>(param: string, value: T, words: readonly T[]): T {
  check(words.includes(value), param, `must be one of ${words.join(', ')}`, value);
  return value;
}

function repetitionRule(rule: RepetitionRule | undefined): RepetitionRule | null {
  if (rule === undefined) return null;
  const fault = faultOf(rule);
  if (fault !== null) throw new SamplingError(`repetition_detection ${fault}`, 'repetition_detection');
  return rule.maxPatternSize ? rule : null;
}

function additivePenalty(param: string, value: number): number {
  check(finite(param, value) >= -2 && value <= 2, param, 'must be in [-2, 2]', value);
  return value;
}

function limit(param: string, value: number | undefined): number {
  if (value === undefined || value === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  check(integer(param, value) >= 1, param, 'must be at least 1', value);
  return value;
}

function stopStrings(stop: string | readonly string[]): readonly string[] {
  const strings = typeof stop === 'string' ? [stop] : stop;
  check(Array.isArray(strings), 'stop', 'must be a string or a list of strings', stop);
  check(strings.length <= MAX_STOP_STRINGS, 'stop', `must have at most ${MAX_STOP_STRINGS} strings`, strings.length);
  let length = 0;
  for (const text of strings) {
    check(typeof text === 'string', 'stop', 'must be a string or a list of strings', text);
    check(text !== '', 'stop', 'cannot contain an empty string', text);
    length += text.length;
  }
  check(length <= MAX_STOP_LENGTH, 'stop', `must have at most ${MAX_STOP_LENGTH} characters together`, length);
  return [...strings];
}

/** Ids outside the vocabulary never match, so they are left out. */
function stopTokens(ids: readonly number[], vocabSize: number): readonly number[] {
  check(Array.isArray(ids), 'stop_token_ids', 'must be a list of integers', ids);
  check(ids.length <= MAX_STOP_TOKEN_IDS, 'stop_token_ids', `must have at most ${MAX_STOP_TOKEN_IDS} ids`, ids.length);
  for (const id of ids) check(Number.isSafeInteger(id), 'stop_token_ids', 'must be integers', id);
  return ids.filter((id) => id >= 0 && id < vocabSize);
}

function allowedTokens(ids: readonly number[] | undefined, vocabSize: number): readonly number[] | null {
  if (ids === undefined) return null;
  check(Array.isArray(ids), 'allowed_token_ids', 'must be a list of token ids', ids);
  check(ids.length > 0, 'allowed_token_ids', 'must not be empty', 'an empty list');
  const wrong = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
  check(wrong === undefined, 'allowed_token_ids', `must have token ids from 0 to below ${vocabSize}`, wrong);
  return [...new Set(ids)];
}

function badTokens(sequences: readonly (readonly number[])[]): readonly (readonly number[])[] {
  const { length } = sequences;
  check(length <= MAX_BAD_SEQUENCES, 'bad_words', `must come to at most ${MAX_BAD_SEQUENCES} token sequences`, length);
  for (const { length } of sequences) {
    check(length <= MAX_BAD_LENGTH, 'bad_words', `must have at most ${MAX_BAD_LENGTH} tokens each`, length);
  }
  return sequences.filter(({ length }) => length > 0);
}

function logitBias(bias: Readonly<Record<number, number>>, vocabSize: number): ReadonlyMap<number, number> {
  check(typeof bias === 'object' && !Array.isArray(bias), 'logit_bias', 'must map token ids to numbers', bias);
  const entries = Object.entries(bias);
  check(entries.length <= MAX_LOGIT_BIAS, 'logit_bias', `must have at most ${MAX_LOGIT_BIAS} entries`, entries.length);
  const clamped = new Map<number, number>();
  for (const [key, value] of entries) {
    const id = /^\d{1,10}$/.test(key) ? Number(key) : -1;
    check(id >= 0 && id < vocabSize, 'logit_bias', `must have token ids from 0 to below ${vocabSize}`, key);
    const number = finite('logit_bias', value);
    clamped.set(id, Math.max(-100, Math.min(100, number)));
  }
  return clamped;
}

/** The seed's 64 bits as an unsigned number; fresh ones when there is no seed. */
function seedBits(seed: number | bigint | undefined): bigint {
  if (seed === undefined || seedValue(seed) === -1n) return crypto.getRandomValues(new BigUint64Array(1))[0];
  return BigInt.asUintN(64, seedValue(seed));
}

function seedValue(seed: number | bigint): bigint {
  if (typeof seed !== 'bigint') check(Number.isInteger(seed), 'seed', 'must be an integer', seed);
  const bits = BigInt(seed);
  const low = -(2n ** 63n);
  const high = 2n ** 63n - 1n;
  if (bits < low) throw new SamplingError(`seed: greater_than_equal: ${bits} is below ${low}`, 'seed');
  if (bits > high) throw new SamplingError(`seed: less_than_equal: ${bits} is above ${high}`, 'seed');
  return bits;
}
