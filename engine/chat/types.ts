/** What the chat API answers: the wire's shapes, with the wire's names. */

export interface ChatCompletion {
  readonly id: string;
  readonly object: 'chat.completion';
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  readonly choices: readonly ChatChoice[];
  readonly usage: ChatUsage;
}

export interface ChatChoice {
  readonly index: number;
  readonly message: { readonly role: 'assistant'; readonly content: string };
  readonly logprobs: ChatLogprobs | null;
  readonly finish_reason: 'stop' | 'length';
  /** The stop string or stop token id; null for the end token and for a limit. */
  readonly stop_reason: string | number | null;
}

export interface ChatCompletionChunk {
  readonly id: string;
  readonly object: 'chat.completion.chunk';
  readonly created: number;
  readonly model: string;
  /** One choice, or none in the chunk that carries the usage of all. */
  readonly choices: readonly ChatChunkChoice[];
  /** Absent unless `stream_options.include_usage` asks for it; null until it is known. */
  readonly usage?: ChatUsage | null;
}

export interface ChatChunkChoice {
  readonly index: number;
  readonly delta: { readonly role?: 'assistant'; readonly content?: string };
  readonly logprobs: ChatLogprobs | null;
  readonly finish_reason: 'stop' | 'length' | null;
  /** Only beside a finish reason. */
  readonly stop_reason?: string | number | null;
}

export interface ChatUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
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
