/** The chat API in process, with the shape of the OpenAI client: `engine.chat.completions.create({ … })`. */

import { SamplingError } from '../../sampling/index.ts';
import { TokenizerError } from '../../tokenizer/index.ts';
import { RequestError } from '../errors.ts';
import type { GenerateOutput, GenerateRequest } from '../types.ts';
import { type AnswerHead, chatChunks, collectCompletion } from './chunks.ts';
import { shown } from './coercion.ts';
import type { TokenTexts } from './logprobs.ts';
import { type ChatCompletionCreateParams, type ChatRequest, parseChatRequest, samplingOf } from './request.ts';
import { ChatCompletionStream } from './stream.ts';
import type { ChatCompletion } from './types.ts';

/** What the chat API needs of an engine. */
export interface ChatEngine {
  readonly modelName: string;
  readonly tokenizer: TokenTexts;
  /** Checks the request at once, and gives its outputs. */
  generate(request: GenerateRequest): AsyncIterable<GenerateOutput>;
}

export interface ChatOptions {
  /** Names that `model` may have; the first is the one in answers. Default: the engine's own name for the model. */
  readonly modelNames?: readonly string[];
}

export interface ChatCallOptions {
  /** Ends the answer and frees what it holds. */
  readonly signal?: AbortSignal;
}

export interface ChatCompletions {
  /**
   * Answers a conversation: one object, or with `stream: true` the chunks of a stream.
   * @throws RequestError for every fault of the request, before anything is generated
   * @throws SamplingError, DeviceError, or the signal's reason, while generating
   */
  create(
    params: ChatCompletionCreateParams & { readonly stream?: false | null },
    options?: ChatCallOptions,
  ): Promise<ChatCompletion>;
  create(
    params: ChatCompletionCreateParams & { readonly stream: true },
    options?: ChatCallOptions,
  ): Promise<ChatCompletionStream>;
  create(params: ChatCompletionCreateParams, options?: ChatCallOptions): Promise<ChatCompletion | ChatCompletionStream>;
}

export function createChatCompletions(engine: ChatEngine, { modelNames }: ChatOptions = {}): ChatCompletions {
  const names = modelNames ?? [engine.modelName];

  async function create(params: unknown, { signal }: ChatCallOptions = {}) {
    const request = parseChatRequest(params);
    if (request.model && !names.includes(request.model)) throw unknownModel(request.model);
    const sampling = samplingOf(request);
    const controller = new AbortController();
    const outputs = startGenerating(engine, {
      messages: request.messages,
      ...(request.tools?.length ? { tools: request.tools } : {}),
      ...(request.chat_template_kwargs ? { chatTemplateKwargs: request.chat_template_kwargs } : {}),
      sampling,
      signal: signal ? AbortSignal.any([signal, controller.signal]) : controller.signal,
    });
    const head: AnswerHead = {
      id: `chatcmpl-${randomHex()}`,
      created: Math.floor(Date.now() / 1000),
      model: names[0],
      n: request.n ?? 1,
      usage: request.stream ? usageInStream(request) : 'total',
      tokenizer: engine.tokenizer,
    };
    const chunks = chatChunks(outputs, head);
    return request.stream ? new ChatCompletionStream(chunks, controller) : collectCompletion(chunks, head);
  }

  return { create: create as ChatCompletions['create'] };
}

/** Whatever is wrong with the request shows here, whichever part of the engine finds it. */
function startGenerating(engine: ChatEngine, request: GenerateRequest): AsyncIterable<GenerateOutput> {
  try {
    return engine.generate(request);
  } catch (error) {
    if (error instanceof SamplingError) throw new RequestError(error.message, error.param);
    if (error instanceof TokenizerError) throw new RequestError(error.message, 'messages');
    throw error;
  }
}

function usageInStream({ stream_options: options }: ChatRequest): AnswerHead['usage'] {
  if (!options?.include_usage) return 'none';
  return options.continuous_usage_stats ? 'running' : 'total';
}

function unknownModel(name: string): RequestError {
  const quoted = name.length > 100 ? shown(name) : `\`${name}\``;
  return new RequestError(`The model ${quoted} does not exist.`, 'model', 'model_not_found');
}

/** 128 random bits. */
function randomHex(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
