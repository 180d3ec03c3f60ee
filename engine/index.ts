/** `quern`: a model with its tokenizer, ready for requests. */

export type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionCreateParams,
  ChatCompletionStream,
  ChatCompletions,
  ChatMessageParam,
  ChatToolParam,
} from './chat/index.ts';
export type { Completion, CompletionCreateParams, Completions } from './completions/index.ts';
export type { EmbeddingCreateParams, EmbeddingList, Embeddings } from './embeddings/index.ts';
export { Engine } from './engine.ts';
export { CheckpointError, RequestError } from './errors.ts';
export type { ApiResponse, ResponseCreateParams, ResponseEvent, Responses } from './responses/index.ts';
export type { SchedulerStats } from './scheduler.ts';
export type {
  FinishReason,
  GenerateOutput,
  GenerateRequest,
  LoadOptions,
  LoadProgress,
  PromptSource,
} from './types.ts';
