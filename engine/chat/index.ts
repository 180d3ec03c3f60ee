/** The OpenAI chat API without the wire: requests checked, answers in its shapes. */

export { type ApiEngine, type ReplyFormat, unknownModel } from './api-engine.ts';
export {
  type ChatCallOptions,
  type ChatCompletions,
  type ChatOptions,
  createChatCompletions,
} from './completions.ts';
export type { ResponseFormat } from './constraint.ts';
export type { ConstraintCompiler } from './constraint-grammar.ts';
export type { ChatContentPart, ChatMessageParam, ChatToolCallParam, ChatToolParam } from './messages.ts';
export { type ChatCompletionCreateParams, chatRequestSchema } from './request.ts';
export { AnswerStream, type ChatCompletionStream } from './stream.ts';
export { detokenize, detokenizeSchema, type Tokenization, tokenize, tokenizeSchema } from './tokenize.ts';
export { replyFormatOf } from './tools/detect.ts';
export { CALL_FORMATS, type CallFormatName } from './tools/formats.ts';
export type * from './types.ts';
