/** What the chat API answers: the wire's shapes, with the wire's names. */

import type { FinishReason } from '../types.ts';

export interface ChatCompletion {
  readonly id: string;
  readonly object: 'chat.completion';
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  readonly choices: readonly ChatChoice[];
  readonly usage: ChatUsage;
  /** When `prompt_logprobs` asks for it: one entry a prompt token, null for the first. */
  readonly prompt_logprobs?: PromptLogprobs;
  /** When `return_token_ids` asks for it. */
  readonly prompt_token_ids?: readonly number[];
}

export interface ChatChoice {
  readonly index: number;
  readonly message: ChatMessage;
  readonly logprobs: ChatLogprobs | null;
  readonly finish_reason: ChatFinishReason;
  /** The stop string or stop token id; null for the end token and for a limit. */
  readonly stop_reason: string | number | null;
  /** When `return_token_ids` asks for it. */
  readonly token_ids?: readonly number[];
}

export interface ChatMessage {
  /** `assistant`, unless the request continues a message of somebody else. */
  readonly role: string;
  /** Null when there is nothing but calls or reasoning. */
  readonly content: string | null;
  /** Present when there were tools to call. */
  readonly tool_calls?: readonly ChatToolCall[];
  /** What the model thought before it answered, under both names that clients look for. */
  readonly reasoning_content?: string;
  readonly reasoning?: string;
}

export interface ChatToolCall {
  readonly id: string;
  readonly type: 'function';
  /** `arguments` is JSON text. */
  readonly function: { readonly name: string; readonly arguments: string };
}

/** `tool_calls`: the model ended its turn with calls; `repetition`: see `repetition_detection`. */
export type ChatFinishReason = FinishReason | 'tool_calls';

export interface ChatCompletionChunk {
  readonly id: string;
  readonly object: 'chat.completion.chunk';
  readonly created: number;
  readonly model: string;
  /** One choice, or none in the chunk that carries the usage of all. */
  readonly choices: readonly ChatChunkChoice[];
  /** Absent unless `stream_options.include_usage` asks for it; null until it is known. */
  readonly usage?: ChatUsage | null;
  /** In the first chunk, when `return_token_ids` asks for it. */
  readonly prompt_token_ids?: readonly number[];
}

export interface ChatChunkChoice {
  readonly index: number;
  readonly delta: ChatDelta;
  readonly logprobs: ChatLogprobs | null;
  readonly finish_reason: ChatFinishReason | null;
  /** Only beside a finish reason. */
  readonly stop_reason?: string | number | null;
  readonly token_ids?: readonly number[];
}

export interface ChatDelta {
  readonly role?: string;
  readonly content?: string;
  readonly reasoning_content?: string;
  readonly reasoning?: string;
  readonly tool_calls?: readonly ChatToolCallDelta[];
}

/** A call begins with its id, type and name; after that only its arguments grow. */
export interface ChatToolCallDelta {
  readonly index: number;
  readonly id?: string;
  readonly type?: 'function';
  readonly function: { readonly name?: string; readonly arguments: string };
}

export interface ChatUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  /** Where it is wanted: how much of the prompt was there from an earlier request. */
  readonly prompt_tokens_details?: { readonly cached_tokens: number };
  /** Of a model that thinks between tags: how much of the output stood between them. */
  readonly completion_tokens_details?: { readonly reasoning_tokens: number };
}

export interface ChatLogprobs {
  /** One entry for each output token, the ending one included. */
  readonly content: readonly ChatTokenLogprob[];
  readonly refusal: null;
}

export interface ChatTokenLogprob extends ChatTopLogprob {
  /** The most likely tokens, best first. */
  readonly top_logprobs: readonly ChatTopLogprob[];
}

export interface ChatTopLogprob {
  /** The token's text; what is no valid UTF-8 by itself shows as U+FFFD. */
  readonly token: string;
  /** At least -9999, which stands for minus infinity. */
  readonly logprob: number;
  readonly bytes: readonly number[];
}

/** For each prompt token but the first, token ids with what the model thought of them there. */
export type PromptLogprobs = readonly (Readonly<
  Record<string, { readonly logprob: number; readonly rank: number; readonly decoded_token: string }>
> | null)[];
