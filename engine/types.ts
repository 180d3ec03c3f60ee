/** The public types of the engine: how it is loaded, what it is asked, what it gives. */

import type { Grammar } from '../grammar/index.ts';
import type { DeviceKind } from '../kernels/index.ts';
import type { SamplingParams, TokenLogprobs } from '../sampling/index.ts';
import type { ChatMessage, ChatTool } from '../tokenizer/index.ts';

/** Options of `Engine.load`. */
export interface LoadOptions {
  /** Where the forward pass runs; `auto` (the default) takes the fastest there is. */
  readonly device?: DeviceKind | 'auto';
  /** Rounds the matrices of a float checkpoint to a block format while loading. */
  readonly quantize?: 'q8_0' | 'q4_0';
  /** Longest sequence in tokens, prompt and output together. Default: the model's own limit, or what the cache holds. */
  readonly maxModelLen?: number;
  /** Most sequences in one step. Default 16. */
  readonly maxNumSeqs?: number;
  /** Most token rows in one step. Default 512. */
  readonly maxNumBatchedTokens?: number;
  /** Threads of the WASM device. Default: the number of physical cores, as far as it can be told. */
  readonly threads?: number;
  /** Bytes for keys and values. Default: room for `maxNumSeqs` sequences of `maxModelLen`, 1 GiB at most. */
  readonly kvCacheBytes?: number;
  /** A Jinja chat template that replaces the model's own. */
  readonly chatTemplate?: string;
  /** Called as the weights come in; `loaded` and `total` are bytes of the checkpoint. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Gives up loading; what was loaded is freed and the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface LoadProgress {
  readonly loaded: number;
  readonly total: number;
}

/** What to generate from: exactly one of `prompt`, `tokens` and `messages`. */
export interface GenerateRequest {
  /** Plain text; special tokens are added as the tokenizer's post-processor says. */
  readonly prompt?: string;
  /** Token ids, taken as they are. */
  readonly tokens?: ArrayLike<number>;
  /** A conversation, rendered by the chat template with the generation prompt. */
  readonly messages?: readonly ChatMessage[];
  /** Tools that the chat template may describe. Only with `messages`. */
  readonly tools?: readonly ChatTool[];
  /** More names that the chat template sees. Only with `messages`. */
  readonly chatTemplateKwargs?: Readonly<Record<string, unknown>>;
  readonly sampling?: SamplingParams;
  /** Restricts the output to a language. */
  readonly grammar?: Grammar;
  /** Ends the generation: the iterator throws the signal's reason and every K/V block is freed. */
  readonly signal?: AbortSignal;
}

/** `stop`: a stop string, stop token or end token; `length`: a limit was reached. */
export type FinishReason = 'stop' | 'length';

/** What one sequence has gained since the last output of the same `index`. */
export interface GenerateOutput {
  /** Which of the `n` choices this belongs to. */
  readonly index: number;
  /** Text that came since the last output: whole characters only, nothing that a stop string may still take back. */
  readonly text: string;
  /** Token ids that came since the last output, the ending one included. */
  readonly tokenIds: readonly number[];
  /** One entry for each of `tokenIds`, when `sampling.logprobs` is set. */
  readonly logprobs?: readonly TokenLogprobs[];
  /** Null until the last output of this index. */
  readonly finishReason: FinishReason | null;
  /** The stop string or stop token id that ended the text; null for an end token or a limit. */
  readonly stopReason: string | number | null;
  /** Tokens of the prompt, for the usage count. */
  readonly promptTokens: number;
}
