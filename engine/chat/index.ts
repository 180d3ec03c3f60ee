/** The OpenAI chat API without the wire: requests checked, answers in its shapes. */

export {
  type ChatCallOptions,
  type ChatCompletions,
  type ChatEngine,
  type ChatOptions,
  createChatCompletions,
} from './completions.ts';
export type { ChatContentPart, ChatMessageParam, ChatToolCallParam, ChatToolParam } from './messages.ts';
export type { ChatCompletionCreateParams } from './request.ts';
export { ChatCompletionStream } from './stream.ts';
export type {
  ChatChoice,
  ChatChunkChoice,
  ChatCompletion,
  ChatCompletionChunk,
  ChatLogprobs,
  ChatTokenLogprob,
  ChatTopLogprob,
  ChatUsage,
} from './types.ts';
