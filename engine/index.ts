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
export { Engine } from './engine.ts';
export { CheckpointError, RequestError } from './errors.ts';
export type { SchedulerStats } from './scheduler.ts';
export type { FinishReason, GenerateOutput, GenerateRequest, LoadOptions, LoadProgress } from './types.ts';
