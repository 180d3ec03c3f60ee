/** What a request wants continued, as token ids that the model can take. */

import { ChatTemplate, type Tokenizer } from '../tokenizer/index.ts';
import { ConversationEncoder } from './conversation.ts';
import { RequestError } from './errors.ts';
import type { PromptSource } from './types.ts';

/** What a prompt is made with. */
export interface PromptTools {
  readonly tokenizer: Tokenizer;
  /** Null when the model has no chat template. */
  readonly conversations: ConversationEncoder | null;
  readonly vocabSize: number;
  readonly maxModelLen: number;
}

/**
 * The token ids of a request's prompt, tokens or messages.
 * @throws RequestError when there is not exactly one of them, or it is empty or has a token that the model does not know
 * @throws TokenizerError what the chat template throws
 */
export function promptTokens(source: PromptSource, tools: PromptTools): number[] {
  const { prompt, tokens, messages } = source;
  const given = [prompt, tokens, messages].filter((text) => text !== undefined).length;
  if (given !== 1) throw new RequestError(`${given} of prompt, tokens and messages were given; expected exactly one`);
  const param = messages === undefined ? 'prompt' : 'messages';
  const ids = checkTokens(encoded(source, tools), tools.vocabSize, param);
  const most = tokensToKeep(source, tools.maxModelLen);
  return most < ids.length ? ids.slice(ids.length - most) : ids;
}

function encoded(source: PromptSource, { tokenizer, conversations }: PromptTools): ArrayLike<number> {
  const { prompt, tokens, messages, chatTemplate } = source;
  if (tokens !== undefined) return tokens;
  if (prompt !== undefined) return tokenizer.encode(prompt, { addSpecialTokens: source.addSpecialTokens ?? true });
  const encoder = chatTemplate === undefined ? conversations : withTemplate(chatTemplate, tokenizer);
  if (encoder) return encoder.encode({ ...source, messages: messages! });
  throw new RequestError('this model has no chat template; expected prompt or tokens instead of messages', 'messages');
}

function withTemplate(source: string, tokenizer: Tokenizer): ConversationEncoder {
  const { specialTokens } = tokenizer;
  return new ConversationEncoder(tokenizer, new ChatTemplate(source, { specialTokens }));
}

function tokensToKeep({ truncatePromptTokens: most, sampling }: PromptSource, maxModelLen: number): number {
  if (most === undefined) return Number.POSITIVE_INFINITY;
  if (most === -1) return Math.max(1, maxModelLen - (sampling?.maxTokens ?? 1));
  if (Number.isInteger(most) && most >= 1 && most <= maxModelLen) return most;
  const rule = `must be -1, or from 1 to the maximum context length of ${maxModelLen}`;
  throw new RequestError(`truncate_prompt_tokens ${rule}, got ${most}`, 'truncate_prompt_tokens');
}

/** @throws RequestError when there are none, or one is not an id below `vocabSize`. */
export function checkTokens(tokens: ArrayLike<number>, vocabSize: number, param = 'prompt'): number[] {
  const ids = Array.from(tokens);
  if (ids.length === 0) throw new RequestError(`${param} is empty; expected at least one token`, param);
  const wrong = ids.findIndex((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
  if (wrong >= 0) {
    const found = `${param} has the token id ${String(ids[wrong])} at ${wrong}`;
    throw new RequestError(`${found}; expected an integer from 0 to below ${vocabSize}`, param);
  }
  return ids;
}

/**
 * Tokens that a prompt leaves for the output.
 * @param maxTokens  what the request asks for; undefined = all there is room for
 * @throws RequestError `context_length_exceeded`
 */
export function roomForOutput(
  promptLength: number,
  maxTokens: number | undefined,
  maxModelLen: number,
  param: 'prompt' | 'messages' | 'input',
): number {
  const room = maxModelLen - promptLength;
  const wanted = maxTokens ?? 1;
  if (room >= 1 && !(wanted > room)) return room;
  const needs = `${maxTokens === undefined ? 'at least ' : ''}${promptLength + wanted}`;
  throw new RequestError(
    `This model's maximum context length is ${maxModelLen} tokens; the request needs ${needs} ` +
      `(${promptLength} in the ${param}, ${wanted} for the completion).`,
    room < 1 ? param : 'max_tokens',
    'context_length_exceeded',
  );
}
