/** The OpenAI chat API without the wire: requests checked, answers in its shapes. */

export { type ApiEngine, type ReplyFormat, unknownModel } from './api-engine.ts';
export {
  type ChatCallOptions,
  type ChatCompletions,
  type ChatOptions,
  createChatCompletions,
} from './completions.ts';
export { replyFormatOf } from './dialects/detect.ts';
export { CALL_FORMATS, type CallFormatName } from './dialects/formats.ts';
export type { ConstraintCompiler } from './grammars/constraint-grammar.ts';
export { type ChatCompletionCreateParams, chatRequestSchema } from './request/chat-request.ts';
export type { ResponseFormat } from './request/constraint.ts';
export type { ChatContentPart, ChatMessageParam, ChatToolCallParam, ChatToolParam } from './request/messages.ts';
export { AnswerStream, type ChatCompletionStream } from './stream.ts';
export { detokenize, detokenizeSchema, type Tokenization, tokenize, tokenizeSchema } from './tokenize.ts';
export type * from './types.ts';
