/** The messages and tools of a request: checked, and put as the chat template wants them. */

import { z } from 'zod';
import {
  isGiven,
  optional,
  readList,
  readObject,
  readString,
  refuse,
  refuseBecause,
  required,
  shown,
} from './coercion.ts';
import { readJsonObject, readObjectOrText } from './fields.ts';

const MAX_MESSAGES = 2048;
const MAX_PARTS = 1024;
const MAX_TOOLS = 128;

/** A message as a caller writes it. */
export interface ChatMessageParam {
  readonly role: string;
  readonly content?: string | readonly ChatContentPart[] | null;
  readonly name?: string | null;
  readonly tool_calls?: readonly ChatToolCallParam[] | null;
  readonly tool_call_id?: string | null;
  readonly reasoning?: string | null;
  readonly reasoning_content?: string | null;
}

export type ChatContentPart = string | { readonly type: string; readonly text?: string };

/** Calls and tools of the kind `custom` are refused; the client's types have them wherever they have the others. */
export type ChatToolCallParam =
  | {
      readonly id?: string | null;
      readonly type?: 'function';
      readonly function: {
        readonly name: string;
        readonly arguments?: string | Readonly<Record<string, unknown>> | null;
      };
    }
  | { readonly id?: string; readonly type: 'custom'; readonly custom: object };

/** A function that the template may tell the model about. */
export type ChatToolParam =
  | {
      readonly type?: 'function';
      readonly function: {
        readonly name: string;
        readonly description?: string | null;
        readonly parameters?: Readonly<Record<string, unknown>> | null;
        readonly strict?: boolean | null;
      };
    }
  | { readonly type: 'custom'; readonly custom: object };

/** A part of a message as templates know it. */
type TextPart = { readonly type: 'text'; readonly text: string };

const toolCall = z.object({
  id: optional<string, string>(readString),
  type: optional<'function', 'function'>(readFunctionType),
  function: z.object({
    name: required<string, string>(readString),
    arguments: optional<string | object, Readonly<Record<string, unknown>>>(readArguments),
  }),
});

const message = z
  .object({
    role: required<string, string>(readRole),
    content: optional<string | readonly ChatContentPart[], string | TextPart[]>(readContent),
    name: optional<string, string>(readString),
    tool_calls: z.array(toolCall).max(MAX_TOOLS).nullish(),
    tool_call_id: optional<string, string>(readString),
    reasoning: optional<string, string>(readString),
    reasoning_content: optional<string, string>(readString),
  })
  .transform(({ role, content, name, tool_calls: calls, tool_call_id: callId, reasoning, reasoning_content }) => ({
    role,
    content: content ?? '',
    ...(name === undefined ? {} : { name }),
    // Templates test for the key alone, so an empty list is left out.
    ...(calls?.length ? { tool_calls: calls.map(withArguments) } : {}),
    ...(callId === undefined ? {} : { tool_call_id: callId }),
    ...underBothNames(reasoning ?? reasoning_content),
  }));

/** The schema of `messages`; what it gives goes to the template. */
export const messagesSchema = z
  .array(message)
  .min(1, 'must have at least one message')
  .max(MAX_MESSAGES, `must have at most ${MAX_MESSAGES} messages`);

const tool = z.object({
  type: optional<'function', 'function'>(readFunctionType).transform((type) => type ?? ('function' as const)),
  function: z.object({
    name: required<string, string>(readToolName),
    description: optional<string, string>(readString),
    parameters: optional<object, Readonly<Record<string, unknown>>>(readJsonObject),
  }),
});

/** The schema of `tools`. */
export const toolsSchema = z.array(tool).max(MAX_TOOLS, `must have at most ${MAX_TOOLS} tools`).nullish();

function readRole(value: unknown): string {
  if (value === undefined) refuseBecause('is required');
  return readString(value) === '' ? refuse('a role', value) : (value as string);
}

const TEXT_TYPES: readonly unknown[] = ['text', 'input_text', 'output_text', 'refusal', 'thinking'];
const MEDIA_TYPES: readonly unknown[] = [
  'image_url',
  'input_image',
  'image',
  'input_audio',
  'audio_url',
  'video_url',
  'file',
];

function readContent(value: unknown): string | TextPart[] {
  if (typeof value === 'string') return value;
  const parts = readList(value, MAX_PARTS, 'a string or a list of parts');
  return parts.map((part) => ({ type: 'text', text: readPart(part) }));
}

function readPart(part: unknown): string {
  if (typeof part === 'string') return part;
  const { type, ...rest } = readObject(part);
  if (MEDIA_TYPES.includes(type)) refuseBecause(`has a part of type ${shown(type)}, but the model is not multimodal`);
  if (!TEXT_TYPES.includes(type)) refuseBecause(`has a part of unknown type ${shown(type)}`);
  const text = rest.text ?? rest[type as string];
  if (typeof text !== 'string') refuseBecause(`has a part of type ${shown(type)} without a text`);
  return text;
}

function readFunctionType(value: unknown): 'function' {
  if (value !== 'function') refuse('"function"', value);
  return 'function';
}

function readToolName(value: unknown): string {
  const name = readString(value);
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(name)) refuse('1 to 64 letters, digits, underscores and dashes', value);
  return name;
}

/** Arguments come as JSON text and go to the template as an object. */
function readArguments(value: unknown): Readonly<Record<string, unknown>> {
  return value === '' ? {} : readObjectOrText(value);
}

function withArguments(call: z.output<typeof toolCall>) {
  const { name, arguments: given } = call.function;
  return {
    ...(isGiven(call.id) ? { id: call.id } : {}),
    type: 'function' as const,
    function: { name, arguments: given ?? {} },
  };
}

/** Templates differ in what they call it. */
function underBothNames(reasoning: string | undefined) {
  return reasoning ? { reasoning_content: reasoning, reasoning } : {};
}
