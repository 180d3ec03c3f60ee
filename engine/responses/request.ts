/** The one schema of a request to the Responses API, and the chat request that it comes to. */

import { z } from 'zod';
import type { ChatCompletionCreateParams, ChatMessageParam } from '../chat/index.ts';
import {
  attempt,
  isGiven,
  optional,
  readBoolean,
  readList,
  readObject,
  readString,
  refuse,
  refuseBecause,
  required,
  shown,
} from '../chat/request/coercion.ts';
import { boolean, describe, field, integer, label, number, readJsonObject, string } from '../chat/request/fields.ts';
import { readBody } from '../chat/request/read-body.ts';
import { RequestError } from '../errors.ts';

const MAX_ITEMS = 2048;
const MAX_TOOLS = 128;

/** A part of the conversation: a message, a call, or what a call gave. */
export type ResponseInputItem = Readonly<Record<string, unknown>>;

const refused = (description: string) =>
  field<never, undefined>(`${description} Refused.`, {}, () => refuseBecause('is not supported'));

const textFormat = z.object({
  format: optional<object, Readonly<Record<string, unknown>>>(readTextFormat),
});

/** The schema of the body of a request to the Responses API. */
export const responseRequestSchema = z.object({
  model: string('A name of the model; missing or empty: the one that is served.'),
  input: describe(
    required<string | readonly ResponseInputItem[], readonly ChatMessageParam[]>(readInput),
    'A text of the user, or a list of messages, function_call and function_call_output items.',
    { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'object' } }] },
  ),
  instructions: string('A system message before the input.'),
  max_output_tokens: integer('Most tokens of the output.'),
  temperature: number('As in chat.'),
  top_p: number('As in chat.'),
  stream: boolean('Answers with server-sent events that have names.', { default: false }),
  text: describe(textFormat.nullish(), 'format: text, json_object, or json_schema with name and schema.'),
  tools: field<readonly object[], readonly Tool[]>(
    'Functions that the model may call: type, name, description, parameters.',
    { type: 'array', items: { type: 'object' } },
    (value) => readList(value, MAX_TOOLS, 'a list of tools').map(readTool),
  ),
  tool_choice: field<'none' | 'auto' | 'required' | object, ChatCompletionCreateParams['tool_choice']>(
    'none, auto, required, or an object with the name of a function.',
    { anyOf: [{ enum: ['none', 'auto', 'required'] }, { type: 'object' }] },
    readToolChoice,
  ),
  parallel_tool_calls: boolean('False: only the first call counts.', { default: true }),
  reasoning: field<object, string | undefined>('effort: how hard to think.', { type: 'object' }, readEffort),
  metadata: field<object, Readonly<Record<string, unknown>>>(
    'Comes back in the response.',
    { type: 'object' },
    readJsonObject,
  ),
  user: label('Accepted for the clients that send it; nothing depends on it.'),
  store: boolean('Keeps the response in memory for a while, to be looked at and gone on from.', { default: true }),
  previous_response_id: string('A stored response to go on from; its instructions do not come along.'),
  conversation: refused('A conversation to go on with.'),
  prompt: refused('A prompt by its id.'),
  background: boolean('Answers at once; the response is stored, and done when it is done. Not with stream.', {
    default: false,
  }),
  truncation: field<'disabled', undefined>('Only disabled.', { enum: ['disabled'] }, (value) =>
    value === 'disabled' ? undefined : refuse('"disabled"', value),
  ),
});

/** The parameters of a request to the Responses API, as a caller writes them. */
export type ResponseCreateParams = z.input<typeof responseRequestSchema>;
export type ResponseRequest = z.output<typeof responseRequestSchema>;

interface Tool {
  readonly type: 'function';
  readonly name: string;
  readonly description?: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
}

/** @throws RequestError */
export function parseResponseRequest(body: unknown): ResponseRequest {
  return readBody(responseRequestSchema, body, ({ input, background, stream, store }) => {
    if (!isGiven(input)) throw new RequestError('input is required', 'input');
    if (attempt(readBoolean, background ?? false) !== true) return;
    if (attempt(readBoolean, stream ?? false)) {
      throw new RequestError('background true cannot be given with stream: true', 'background');
    }
    if (attempt(readBoolean, store ?? true) === false) {
      throw new RequestError('background true needs store to be true', 'background');
    }
  });
}

/** The chat request that a response is the answer to. @param before  the conversation that it goes on from */
export function chatParamsOf(
  request: ResponseRequest,
  before: readonly ChatMessageParam[],
): ChatCompletionCreateParams & { readonly stream: true } {
  const { instructions, tools } = request;
  const system = instructions === undefined ? [] : [{ role: 'system', content: instructions }];
  const format = request.text?.format;
  return {
    model: request.model,
    messages: [...system, ...before, ...request.input],
    max_tokens: request.max_output_tokens,
    temperature: request.temperature,
    top_p: request.top_p,
    reasoning_effort: request.reasoning,
    tools: tools?.map(({ type, ...definition }) => ({ type, function: definition })),
    tool_choice: request.tool_choice,
    parallel_tool_calls: request.parallel_tool_calls,
    response_format: format as ChatCompletionCreateParams['response_format'],
    stream: true,
    stream_options: { include_usage: true },
  };
}

function readInput(value: unknown): readonly ChatMessageParam[] {
  if (typeof value === 'string') return [{ role: 'user', content: value }];
  const messages = messagesOf(readList(value, MAX_ITEMS, 'a string or a list of items').map(readObject));
  return messages.length > 0 ? messages : refuseBecause('must have at least one item');
}

/** The messages that the items of a response come to. */
export function messagesOf(items: readonly ResponseInputItem[]): readonly ChatMessageParam[] {
  const messages: ChatMessageParam[] = [];
  for (const item of items) {
    const message = readItem(item);
    const last = messages.at(-1);
    // Calls of one turn are items of their own here, and one message there.
    if (message?.tool_calls && last?.role === 'assistant') {
      messages[messages.length - 1] = { ...last, tool_calls: [...(last.tool_calls ?? []), ...message.tool_calls] };
    } else if (message) messages.push(message);
  }
  return messages;
}

function readItem(item: Readonly<Record<string, unknown>>): ChatMessageParam | null {
  const { type = 'message', call_id: id, name, arguments: text, output } = item;
  // What the model thought before is not for it to read again.
  if (type === 'reasoning') return null;
  if (type === 'function_call') {
    const call = { id: readString(id), function: { name: readString(name), arguments: readString(text) } };
    return { role: 'assistant', content: null, tool_calls: [call] };
  }
  if (type === 'function_call_output') {
    return { role: 'tool', content: output as ChatMessageParam['content'], tool_call_id: readString(id) };
  }
  if (type !== 'message') return refuseBecause(`has an item of unknown type ${shown(type)}`);
  return { role: item.role as string, content: item.content as ChatMessageParam['content'] };
}

function readTool(value: unknown): Tool {
  const { type, name, description, parameters } = readObject(value);
  if (type !== 'function') refuseBecause(`must have the type "function", got ${shown(type)}`);
  return {
    type: 'function',
    name: readString(name),
    ...(isGiven(description) ? { description: readString(description) } : {}),
    ...(isGiven(parameters) ? { parameters: readJsonObject(parameters) } : {}),
  };
}

function readToolChoice(value: unknown): ChatCompletionCreateParams['tool_choice'] {
  if (value === 'none' || value === 'auto' || value === 'required') return value;
  if (typeof value !== 'object') return refuse('"none", "auto", "required" or a function', value);
  return { function: { name: readString(readObject(value).name) } };
}

function readTextFormat(value: unknown): Readonly<Record<string, unknown>> {
  const { type, ...rest } = readObject(value);
  if (type === 'json_schema') return { type, json_schema: rest };
  if (type === 'text' || type === 'json_object') return { type };
  return refuse('of type "text", "json_object" or "json_schema"', type);
}

function readEffort(value: unknown): string | undefined {
  const { effort } = readObject(value);
  return isGiven(effort) ? readString(effort) : undefined;
}
