/** What a text or a conversation comes to in tokens, and what tokens come to in text. */

import { z } from 'zod';
import { RequestError } from '../errors.ts';
import type { PromptSource } from '../types.ts';
import { type ApiEngine, checkModel, checkTemplate, startGenerating } from './api-engine.ts';
import { promptSourceOf } from './completions.ts';
import { tokenText } from './reply/logprobs.ts';
import { chatRequestSchema } from './request/chat-request.ts';
import { isGiven, readInteger, readList, required } from './request/coercion.ts';
import { boolean, describe, string } from './request/fields.ts';
import { readBody } from './request/read-body.ts';

const MAX_TOKENS = 1_000_000;

const { shape } = chatRequestSchema;

/** The schema of a request to tokenize. */
export const tokenizeSchema = z.object({
  model: shape.model,
  prompt: string('A text; there is either this or messages.'),
  messages: describe(shape.messages.nullish(), 'A conversation, rendered by the chat template.'),
  add_special_tokens: boolean(
    "The tokenizer's own special tokens are added. Default: true for prompt, false for messages.",
  ),
  add_generation_prompt: shape.add_generation_prompt,
  continue_final_message: shape.continue_final_message,
  tools: shape.tools,
  documents: shape.documents,
  chat_template: shape.chat_template,
  chat_template_kwargs: shape.chat_template_kwargs,
  return_token_strs: boolean('Gives the text of each token too.', { default: false }),
});

/** The schema of a request to detokenize. */
export const detokenizeSchema = z.object({
  model: shape.model,
  tokens: describe(
    required<readonly number[], number[]>((value) =>
      readList(value, MAX_TOKENS, 'a list of token ids').map(readInteger),
    ),
    'Token ids; special tokens show as they are written.',
    { type: 'array', items: { type: 'integer' } },
  ),
});

export interface TokenizeOptions {
  readonly modelNames: readonly string[];
  readonly trustRequestChatTemplate: boolean;
}

export interface Tokenization {
  readonly count: number;
  readonly max_model_len: number;
  readonly tokens: readonly number[];
  readonly token_strs: readonly string[] | null;
}

type TokenizeEngine = ApiEngine & { readonly maxModelLen: number };

/** @throws RequestError */
export function tokenize(body: unknown, engine: TokenizeEngine, options: TokenizeOptions): Tokenization {
  const request = readBody(tokenizeSchema, body, ({ prompt, messages }) => {
    if (isGiven(prompt) === isGiven(messages)) {
      throw new RequestError('expected either prompt or messages', isGiven(prompt) ? 'prompt' : 'messages');
    }
  });
  checkModel(request.model, { names: options.modelNames });
  const { prompt, messages, ...rest } = request;
  checkTemplate(request.chat_template, options.trustRequestChatTemplate);
  const source: PromptSource = messages
    ? promptSourceOf({ ...rest, messages })
    : { prompt, addSpecialTokens: request.add_special_tokens };
  const tokens = startGenerating(messages ? 'messages' : 'prompt', () => engine.promptTokens(source));
  const naming = { tokenizer: engine.tokenizer, asIds: false };
  return {
    count: tokens.length,
    max_model_len: engine.maxModelLen,
    tokens,
    token_strs: request.return_token_strs ? tokens.map((id) => tokenText(id, naming)) : null,
  };
}

/** @throws RequestError */
export function detokenize(
  body: unknown,
  engine: ApiEngine,
  { modelNames }: TokenizeOptions,
): { readonly prompt: string } {
  const { model, tokens } = readBody(detokenizeSchema, body, () => {});
  checkModel(model, { names: modelNames });
  const wrong = tokens.find((id) => id < 0 || id >= engine.vocabSize);
  if (wrong !== undefined) {
    throw new RequestError(`tokens must be from 0 to below ${engine.vocabSize}, got ${wrong}`, 'tokens');
  }
  return { prompt: engine.tokenizer.decode(tokens) };
}
