/**
 * The one schema of a chat request. It checks the shape of the body and nothing that needs a model; ranges of the sampling
 * parameters are the sampler's to check. Unknown fields are ignored, null is the same as not given.
 */

import { z } from 'zod';
import { MAX_LOGIT_BIAS, MAX_STOP_STRINGS, MAX_STOP_TOKEN_IDS, type SamplingParams } from '../../sampling/index.ts';
import { RequestError } from '../errors.ts';
import {
  attempt,
  isGiven,
  optional,
  readBigInt,
  readBoolean,
  readInteger,
  readList,
  readNumber,
  readObject,
  readString,
  refuseBecause,
  shown,
} from './coercion.ts';
import { messagesSchema, toolsSchema } from './messages.ts';
import { guidedKinds, unsupportedFields } from './unsupported.ts';

const MAX_TOP_LOGPROBS = 20;
const MAX_LABEL_LENGTH = 256;
const MAX_ISSUES = 8;

const number = optional<number, number>(readNumber);
const integer = optional<number, number>(readInteger);
const boolean = optional<boolean, boolean>(readBoolean);

const streamOptions = z.object({
  include_usage: boolean,
  continuous_usage_stats: boolean,
});

const schema = z.object({
  messages: messagesSchema,
  model: optional<string, string>(readString),

  n: integer,
  best_of: integer,
  max_tokens: integer,
  max_completion_tokens: integer,
  min_tokens: integer,
  temperature: number,
  top_p: number,
  top_k: integer,
  min_p: number,
  seed: optional<number | bigint, bigint>(readBigInt),
  presence_penalty: number,
  frequency_penalty: number,
  repetition_penalty: number,
  logit_bias: optional<Readonly<Record<string, number>>, Readonly<Record<string, number>>>(readLogitBias),

  stop: optional<string | readonly string[], readonly string[]>(readStop),
  stop_token_ids: optional<readonly number[], readonly number[]>(readTokenIds),
  ignore_eos: boolean,
  include_stop_str_in_output: boolean,
  skip_special_tokens: boolean,
  spaces_between_special_tokens: boolean,

  logprobs: boolean,
  top_logprobs: integer,
  stream: boolean,
  stream_options: streamOptions.nullish(),

  tools: toolsSchema,
  tool_choice: optional<'none' | 'auto' | 'required' | object, unknown>((choice) => choice),
  chat_template_kwargs: optional<Readonly<Record<string, unknown>>, Readonly<Record<string, unknown>>>(
    readTemplateKwargs,
  ),
  user: optional<string, string>(readLabel),

  ...unsupportedFields,
});

/** The parameters of a chat request, as a caller writes them. */
export type ChatCompletionCreateParams = z.input<typeof schema>;

/** A chat request with every field in its one form. */
export type ChatRequest = z.output<typeof schema>;

/**
 * Reads the body of a chat request. Rules between fields come first and tell one fault; then all faults in single fields are
 * told together.
 * @throws RequestError
 */
export function parseChatRequest(body: unknown): ChatRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new RequestError(`the body must be a JSON object, got ${shown(body)}`);
  }
  checkBetweenFields(body as Record<string, unknown>);
  const result = schema.safeParse(body);
  if (!result.success) throw issuesError(result.error.issues, body);
  checkBestOf(result.data);
  checkTools(result.data);
  return result.data;
}

/** The sampling parameters of a request. */
export function samplingOf(request: ChatRequest): SamplingParams {
  const top = request.top_logprobs ?? 0;
  if (top < 0 || top > MAX_TOP_LOGPROBS) {
    throw new RequestError(`top_logprobs must be from 0 to ${MAX_TOP_LOGPROBS}, got ${top}`, 'top_logprobs');
  }
  return {
    n: request.n,
    maxTokens: request.max_completion_tokens ?? request.max_tokens,
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
    stop: request.stop,
    stopTokenIds: request.stop_token_ids,
    ignoreEos: request.ignore_eos,
    includeStopStrInOutput: request.include_stop_str_in_output,
    skipSpecialTokens: request.skip_special_tokens,
    spacesBetweenSpecialTokens: request.spaces_between_special_tokens,
    logprobs: request.logprobs ? top : undefined,
  };
}

function readStop(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return readList(value, MAX_STOP_STRINGS, 'a string or a list of strings').map(readString);
}

function readTokenIds(value: unknown): readonly number[] {
  return readList(value, MAX_STOP_TOKEN_IDS).map(readInteger);
}

function readLogitBias(value: unknown): Readonly<Record<string, number>> {
  const entries = Object.entries(readObject(value));
  if (entries.length > MAX_LOGIT_BIAS) {
    refuseBecause(`must have at most ${MAX_LOGIT_BIAS} entries, got ${entries.length}`);
  }
  return Object.fromEntries(entries.map(([id, bias]) => [id, readNumber(bias)]));
}

function readLabel(value: unknown): string {
  const label = readString(value);
  if (label.length > MAX_LABEL_LENGTH) {
    refuseBecause(`must have at most ${MAX_LABEL_LENGTH} characters, got ${label.length}`);
  }
  return label;
}

/** Template variables that a caller may set. Any other could stand in for one that the engine sets. */
const TEMPLATE_SWITCHES: readonly string[] = ['enable_thinking', 'thinking'];

function readTemplateKwargs(value: unknown): Readonly<Record<string, unknown>> {
  for (const [name, setting] of Object.entries(readObject(value))) {
    if (!TEMPLATE_SWITCHES.includes(name)) refuseBecause(`can set ${TEMPLATE_SWITCHES.join(', ')}, got ${shown(name)}`);
    if (typeof setting !== 'boolean') refuseBecause(`must set ${name} to true or false, got ${shown(setting)}`);
  }
  return readObject(value);
}

function checkBetweenFields(body: Readonly<Record<string, unknown>>): void {
  if (isGiven(body.stream_options) && attempt(readBoolean, body.stream ?? false) === false) {
    throw new RequestError('stream_options can only be given with stream: true', 'stream_options');
  }
  const guided = guidedKinds(body);
  if (guided.length > 1)
    throw new RequestError(`only one kind of guided output at a time, got ${guided.join(' and ')}`);
  if (isGiven(body.tool_choice) && body.tool_choice !== 'none' && !isGiven(body.tools)) {
    throw new RequestError(`tool_choice ${shown(body.tool_choice)} needs tools to be set`, 'tool_choice');
  }
  const topLogprobs = attempt(readInteger, body.top_logprobs ?? 0);
  if (topLogprobs !== undefined && topLogprobs > 0 && attempt(readBoolean, body.logprobs ?? false) === false) {
    throw new RequestError(`top_logprobs ${topLogprobs} needs logprobs to be true`, 'top_logprobs');
  }
}

function checkBestOf({ best_of: bestOf, n = 1 }: ChatRequest): void {
  if (bestOf === undefined || bestOf === n) return;
  const rule = bestOf < n ? `must be greater than or equal to n=${n}` : `above n=${n} is not supported yet`;
  throw new RequestError(`best_of ${rule}, got ${bestOf}`, 'best_of');
}

/** Calls are not parsed out of the text, so tools are for a model that must not call them, and nothing else. */
function checkTools({ tools, tool_choice: choice }: ChatRequest): void {
  if (isGiven(choice) && typeof choice !== 'object' && !['none', 'auto', 'required'].includes(choice as string)) {
    const expected = '"none", "auto", "required" or a function';
    throw new RequestError(`tool_choice must be ${expected}, got ${shown(choice)}`, 'tool_choice');
  }
  if (typeof choice === 'object' && choice !== null) {
    const name: unknown = (choice as { function?: { name?: unknown } }).function?.name;
    if (typeof name !== 'string') throw new RequestError('tool_choice must have a function.name', 'tool_choice');
    if (!tools?.some((tool) => tool.function.name === name)) {
      throw new RequestError(`tool_choice names ${shown(name)}, which is not in tools`, 'tool_choice');
    }
    throw new RequestError(`tool_choice with a named function is not supported yet, got ${shown(name)}`, 'tool_choice');
  }
  if (!tools?.length || choice === 'none') return;
  if (choice === 'required') throw new RequestError('tool_choice "required" is not supported yet', 'tool_choice');
  throw new RequestError('tools are not supported yet, except with tool_choice "none"', 'tools');
}

/** One error for all faults; its parameter is that of the first. */
function issuesError(issues: readonly z.core.$ZodIssue[], body: unknown): RequestError {
  const sentences = issues.slice(0, MAX_ISSUES).map((issue) => {
    const name = issue.path.join('.');
    return `${name} ${issue.code === 'invalid_type' ? typeSentence(issue, body) : issue.message}`;
  });
  return new RequestError(sentences.join('; '), issues[0].path.join('.'));
}

function typeSentence(issue: z.core.$ZodIssueInvalidType, body: unknown): string {
  const value = issue.path.reduce<unknown>((parent, key) => (parent as Record<PropertyKey, unknown>)?.[key], body);
  if (value === undefined) return 'is required';
  const expected = issue.expected === 'array' ? 'a list' : 'an object';
  return `must be ${expected}, got ${shown(value)}`;
}
