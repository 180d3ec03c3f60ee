/** What the API for plain completions answers: the wire's shapes, with the wire's names. */

import type { ChatUsage, PromptLogprobs } from '../chat/types.ts';
import type { FinishReason } from '../types.ts';

export interface Completion {
  readonly id: string;
  readonly object: 'text_completion';
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  /** In a chunk of a stream: one, or none beside the usage of all. */
  readonly choices: readonly CompletionChoice[];
  /** Absent in a stream unless `stream_options.include_usage` asks for it; null until it is known. */
  readonly usage?: ChatUsage | null;
}

export interface CompletionChoice {
  /** Choices of the first prompt come first: prompt · n + choice. */
  readonly index: number;
  readonly text: string;
  readonly logprobs: CompletionLogprobs | null;
  /** Null in chunks of a stream before the last of a choice. */
  readonly finish_reason: FinishReason | null;
  /** The stop string or stop token id; null for the end token and for a limit. */
  readonly stop_reason: string | number | null;
  /** When `return_token_ids` asks for them. */
  readonly token_ids?: readonly number[];
  readonly prompt_token_ids?: readonly number[];
  /** When `prompt_logprobs` asks for it. */
  readonly prompt_logprobs?: PromptLogprobs;
}

/** Four lists with an entry a token each, the tokens of an echoed prompt among them. */
export interface CompletionLogprobs {
  readonly tokens: readonly string[];
  /** Null for the first token of an echoed prompt. */
  readonly token_logprobs: readonly (number | null)[];
  /** By the token's text; null for the first token of an echoed prompt. */
  readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
  /** Where each token begins in the text, in characters. */
  readonly text_offset: readonly number[];
}
