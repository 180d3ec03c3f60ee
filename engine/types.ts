/** The public types of the engine: how it is loaded, what it is asked, what it gives. */

import type { Grammar } from '../grammar/index.ts';
import type { DeviceKind, TunedTiles } from '../kernels/index.ts';
import type { LogprobsMode, SamplingParams, TokenLogprobs } from '../sampling/index.ts';
import type { ChatMessage, ChatTool } from '../tokenizer/index.ts';
import type { CallFormatName } from './chat/index.ts';

export { LOGPROBS_MODES } from '../sampling/index.ts';

/** What float weights can be rounded to while they are loaded, from the closest to the smallest. */
export const QUANTIZATIONS = ['q8_0', 'q6_k', 'q5_k', 'q4_k', 'q4_1', 'q4_0'] as const;
export type Quantization = (typeof QUANTIZATIONS)[number];

/** Options of `Engine.load`. */
export interface LoadOptions {
  /** Where the forward pass runs; `auto` (the default) takes the fastest there is. */
  readonly device?: DeviceKind | 'auto';
  /** Rounds the matrices of a float checkpoint to a block format while loading. */
  readonly quantize?: Quantization;
  /** Longest sequence in tokens, prompt and output together. Default: the model's own limit, or what the cache holds. */
  readonly maxModelLen?: number;
  /** Most sequences in one step. Default 16. */
  readonly maxNumSeqs?: number;
  /** Most token rows in one step. Default 512. */
  readonly maxNumBatchedTokens?: number;
  /** Threads of the WASM device. Default: the number of physical cores, as far as it can be told. */
  readonly threads?: number;
  /**
   * Tiles of the WebGPU device that `quern bench kernels --device webgpu --tune` found on the same adapter. Default: in Node
   * those that it left in the user's cache folder.
   */
  readonly tunedTiles?: TunedTiles;
  /**
   * Bytes for keys and values. Default: room for `maxNumSeqs` sequences of `maxModelLen`, an eighth of the memory at most;
   * 1 GiB where the device does not tell how much there is.
   */
  readonly kvCacheBytes?: number;
  /**
   * Share of the device's memory (of the machine's, on the CPU) that weights, keys and values may take together, in
   * (0, 1]; instead of `kvCacheBytes`. Not on devices that do not tell their memory.
   */
  readonly gpuMemoryUtilization?: number;
  /**
   * How keys and values are stored: `f16` takes half the bytes of `f32`, `int8` about a quarter, and both round them.
   * Default `auto`, which is `f32`.
   */
  readonly kvCacheDtype?: 'auto' | 'f32' | 'f16' | 'int8';
  /** Most requests that may wait for others; more are refused. Default 512. */
  readonly maxQueuedRequests?: number;
  /** Tokens that are guessed ahead where a text repeats itself. Changes the speed, not the text. Default 0: none. */
  readonly numSpeculativeTokens?: number;
  /** A Jinja chat template that replaces the model's own. */
  readonly chatTemplate?: string;
  /** How the model writes calls. Default: what its chat template shows. */
  readonly toolCallParser?: CallFormatName;
  /** `vllm`: of the checkpoint's generation config only the end tokens count. Default `auto`: all of it. */
  readonly generationConfig?: 'auto' | 'vllm';
  /** What stands for a token's log-probability. Default `processed_logprobs`. */
  readonly logprobsMode?: LogprobsMode;
  /** Called as the files and then the weights come in. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Told in one line of a file that is passed over. Default: `console.warn`. */
  readonly onWarning?: (message: string) => void;
  /** Told when the device is lost: running requests end with an error, and the model is about to be loaded again. */
  readonly onDeviceLost?: (error: Error) => void;
  /** Gives up loading; what was loaded is freed and the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Bytes that have come so far. A download, file after file, is followed by the weights' way to the device; weights that a
 * browser fetches by ranges come while they are on that way.
 */
export interface LoadProgress {
  readonly stage: 'download' | 'weights';
  readonly loaded: number;
  readonly total: number;
}

/** What to generate from: exactly one of `prompt`, `tokens` and `messages`. */
export interface GenerateRequest {
  /** Plain text; special tokens are added as the tokenizer's post-processor says, unless `addSpecialTokens` is false. */
  readonly prompt?: string;
  /** Token ids, taken as they are. */
  readonly tokens?: ArrayLike<number>;
  /** A conversation, rendered by the chat template. */
  readonly messages?: readonly ChatMessage[];
  /** Tools that the chat template may describe. Only with `messages`. */
  readonly tools?: readonly ChatTool[];
  /** More names that the chat template sees. Only with `messages`. */
  readonly chatTemplateKwargs?: Readonly<Record<string, unknown>>;
  /** A Jinja template instead of the model's own. Only with `messages`. */
  readonly chatTemplate?: string;
  /** Documents that the chat template may quote. Only with `messages`. */
  readonly documents?: readonly Readonly<Record<string, unknown>>[];
  /** Ends the prompt with the beginning of the assistant's turn. Default true. Only with `messages`. */
  readonly addGenerationPrompt?: boolean;
  /** Leaves the last message open, to be continued; without the generation prompt. Default false. Only with `messages`. */
  readonly continueFinalMessage?: boolean;
  /** The post-processor's tokens go around the prompt. Default: true for `prompt`, false for `messages`. */
  readonly addSpecialTokens?: boolean;
  /** Only the last so many tokens of the prompt count; -1: as many as there is room for. Default: all. */
  readonly truncatePromptTokens?: number;
  readonly sampling?: GenerateSampling;
  /** Samples so many texts, at least `sampling.n`, and gives the likeliest, best first. Default: `sampling.n`. */
  readonly bestOf?: number;
  /** Searches for the likeliest texts instead of sampling. `sampling` must leave temperature, top-k and top-p off. */
  readonly beam?: BeamOptions;
  /** Requests with a lower number go first; those with the same number in the order in which they come. Default 0. */
  readonly priority?: number;
  /** Only requests with the same salt use each other's keys and values of equal beginnings of a prompt. */
  readonly cacheSalt?: string;
  /** Restricts the output to a language. */
  readonly grammar?: Grammar;
  /** Ends the generation: the iterator throws the signal's reason and every K/V block is freed. */
  readonly signal?: AbortSignal;
}

/** What a prompt is made of. */
export type PromptSource = Omit<GenerateRequest, 'sampling' | 'grammar' | 'signal'> & {
  readonly sampling?: Pick<SamplingParams, 'maxTokens'>;
};

export interface GenerateSampling extends SamplingParams {
  /** Words that may not come up whole in the output, neither at the beginning of a text nor after a space. */
  readonly badWords?: readonly string[];
}

/** A search for the `sampling.n` likeliest texts. */
export interface BeamOptions {
  /** Texts that are followed at a time, at least `sampling.n` and 2. */
  readonly width: number;
  /** Positive: longer texts are favoured, negative: shorter ones. Default 1. */
  readonly lengthPenalty?: number;
  /**
   * When `width` texts have ended: true ends the search, false goes on while a live one has a better score, `'never'`
   * while one could still reach a better score. Default false.
   */
  readonly earlyStopping?: boolean | 'never';
}

/** `stop`: a stop string, stop token or end token; `length`: a limit was reached; `repetition`: the text went in circles. */
export type FinishReason = 'stop' | 'length' | 'repetition';

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
  /** The stop string or stop token id that ended the text, or `repetition_detected`; null for an end token or a limit. */
  readonly stopReason: string | number | null;
  /** Tokens of the prompt, for the usage count. */
  readonly promptTokens: number;
  /** Those of them whose keys and values were there from an earlier request. */
  readonly cachedTokens: number;
}
