/**
 * The one schema of a chat request. It checks the shape of the body and nothing that needs a model; ranges of the sampling
 * parameters are the sampler's to check. Unknown fields are ignored, null is the same as not given.
 */

import { z } from 'zod';
import { RequestError } from '../../errors.ts';
import type { GenerateSampling } from '../../types.ts';
import {
  attempt,
  isGiven,
  readBoolean,
  readInteger,
  readList,
  readObject,
  refuse,
  refuseBecause,
  shown,
} from './coercion.ts';
import { checkConstraintFields, constraintFields } from './constraint.ts';
import { boolean, describe, field, integer, readJsonObject, string } from './fields.ts';
import { checkStreamFields, generationFields, samplingOf } from './generation-fields.ts';
import { type ChatMessageParam, type ChatToolParam, messagesSchema } from './messages.ts';
import { readBody } from './read-body.ts';
import { searchFields } from './search-fields.ts';
import { checkToolFields, toolFields } from './tool-choice.ts';
import { unsupportedFields } from './unsupported.ts';

const MAX_DOCUMENTS = 256;
const MAX_TEMPLATE_LENGTH = 262_144;

/** The schema of a chat request's body. */
export const chatRequestSchema = z.object({
  messages: describe(messagesSchema, 'The conversation so far.'),
  ...generationFields,
  ...searchFields,
  max_tokens: integer('Most tokens of each choice, at least 1. Default: all that the context has room for.'),
  max_completion_tokens: integer('As max_tokens, and before it.'),
  logprobs: boolean('Gives the log-probability of every output token.', { default: false }),
  top_logprobs: integer('With logprobs: so many of the likeliest tokens at each place, 0 to 20.', { default: 0 }),

  ...toolFields,
  ...constraintFields,
  reasoning_effort: string('How hard to think, for templates that know it; none switches thinking off.'),
  thinking_token_budget: integer(
    'Most tokens of reasoning: after so many its end is all that may come. Only for models that think between tags.',
  ),
  include_reasoning: boolean('False leaves the reasoning out of the reply.', { default: true }),

  echo: boolean("Puts the last message's text before each choice, if it has the role of the reply.", {
    default: false,
  }),
  add_generation_prompt: boolean(
    "Ends the prompt with the beginning of the assistant's turn; false: the reply has the last message's role.",
    { default: true },
  ),
  continue_final_message: boolean(
    'Leaves the last message open for the model to continue; needs add_generation_prompt: false.',
    { default: false },
  ),
  add_special_tokens: boolean(
    "Puts the tokenizer's own special tokens around the prompt, beside those of the template.",
    { default: false },
  ),
  chat_template: field<string, string>(
    "A Jinja template instead of the model's own, if the server trusts requests with it.",
    { type: 'string' },
    readTemplate,
  ),
  chat_template_kwargs: field<Readonly<Record<string, unknown>>, Readonly<Record<string, unknown>>>(
    'More variables for the template, such as enable_thinking.',
    { type: 'object' },
    readTemplateKwargs,
  ),
  documents: field<readonly object[], readonly Readonly<Record<string, unknown>>[]>(
    'Documents for templates that quote them.',
    { type: 'array', items: { type: 'object' } },
    (value) => readList(value, MAX_DOCUMENTS, 'a list of objects').map(readJsonObject),
  ),

  ...unsupportedFields,
});

/** The parameters of a chat request, as a caller writes them. */
export interface ChatCompletionCreateParams extends Omit<z.input<typeof chatRequestSchema>, 'messages' | 'tools'> {
  readonly messages: readonly ChatMessageParam[];
  readonly tools?: readonly ChatToolParam[] | null;
}

/** A chat request with every field in its one form. */
export type ChatRequest = z.output<typeof chatRequestSchema>;

/**
 * Reads the body of a chat request. Rules between fields come first and tell one fault; then all faults in single fields are
 * told together.
 * @throws RequestError
 */
export function parseChatRequest(body: unknown): ChatRequest {
  return readBody(chatRequestSchema, body, checkBetweenFields);
}

/** The sampling parameters of a chat request. @throws RequestError for max_completion_tokens, in its own name */
export function chatSampling(request: ChatRequest): GenerateSampling {
  const { max_completion_tokens: most } = request;
  if (most !== undefined && most < 1) {
    throw new RequestError(`max_completion_tokens must be at least 1, got ${most}`, 'max_completion_tokens');
  }
  return {
    ...samplingOf(request),
    maxTokens: most ?? request.max_tokens,
    logprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined,
  };
}

/** Names that the engine sets itself. */
const RESERVED_NAMES: readonly string[] = [
  ...['messages', 'tools', 'documents', 'add_generation_prompt', 'continue_final_message', 'chat_template', 'tokenize'],
  ...['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'],
  ...['additional_special_tokens', 'raise_exception', 'strftime_now', 'namespace', 'range', 'loop'],
];

function readTemplateKwargs(value: unknown): Readonly<Record<string, unknown>> {
  const variables = readJsonObject(readObject(value));
  const reserved = Object.keys(variables).find((name) => RESERVED_NAMES.includes(name));
  return reserved === undefined ? variables : refuseBecause(`cannot set ${shown(reserved)}`);
}

function readTemplate(value: unknown): string {
  if (typeof value !== 'string' || value === '') return refuse('a template', value);
  if (value.length <= MAX_TEMPLATE_LENGTH) return value;
  return refuseBecause(`must have at most ${MAX_TEMPLATE_LENGTH} characters, got ${value.length}`);
}

function checkBetweenFields(body: Readonly<Record<string, unknown>>): void {
  checkStreamFields(body);
  checkConstraintFields(body);
  checkToolFields(body);
  const topLogprobs = attempt(readInteger, body.top_logprobs ?? 0);
  if (topLogprobs !== undefined && topLogprobs > 0 && attempt(readBoolean, body.logprobs ?? false) === false) {
    throw new RequestError(`top_logprobs ${topLogprobs} needs logprobs to be true`, 'top_logprobs');
  }
  const isContinued = isGiven(body.continue_final_message) && attempt(readBoolean, body.continue_final_message);
  if (isContinued && attempt(readBoolean, body.add_generation_prompt ?? true)) {
    throw new RequestError(
      'continue_final_message true needs add_generation_prompt to be false',
      'continue_final_message',
    );
  }
}
