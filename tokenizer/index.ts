/** Text to token ids and back, incremental detokenisation and chat templates. */

export type { ChatContentPart, ChatMessage, ChatTool, ChatToolCall, RenderOptions } from './chat-template.ts';
export { ChatTemplate } from './chat-template.ts';
export { TokenizerError } from './errors.ts';
export type { GgufTokenizerFiles, TokenizerFiles } from './gguf/tokenizer.ts';
export { tokenizerFilesOfGguf } from './gguf/tokenizer.ts';
export { StreamDecoder } from './stream-decoder.ts';
export type { DecodeOptions, EncodeOptions, SpecialTokens } from './tokenizer.ts';
export { Tokenizer } from './tokenizer.ts';
