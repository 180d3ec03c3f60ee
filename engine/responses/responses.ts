/** The Responses API in process, with the shape of the OpenAI client: `engine.responses.create({ … })`. Nothing is stored. */

import type { ApiEngine } from '../chat/api-engine.ts';
import { type ChatCallOptions, type ChatOptions, createChatCompletions } from '../chat/completions.ts';
import { randomHex } from '../chat/random-id.ts';
import { AnswerStream } from '../chat/stream.ts';
import { RequestError } from '../errors.ts';
import { responseEvents } from './events.ts';
import { chatParamsOf, parseResponseRequest, type ResponseCreateParams, type ResponseRequest } from './request.ts';
import type { ApiResponse, ResponseEvent } from './types.ts';

export interface Responses {
  /**
   * Answers an input: one response, or with `stream: true` its events.
   * @throws RequestError for every fault of the request, before anything is generated
   * @throws SamplingError, DeviceError, or the signal's reason, while generating
   */
  create(
    params: ResponseCreateParams & { readonly stream?: false | null },
    options?: ChatCallOptions,
  ): Promise<ApiResponse>;
  create(
    params: ResponseCreateParams & { readonly stream: true },
    options?: ChatCallOptions,
  ): Promise<AnswerStream<ResponseEvent>>;
  create(params: ResponseCreateParams, options?: ChatCallOptions): Promise<ApiResponse | AnswerStream<ResponseEvent>>;
}

export function createResponses(engine: ApiEngine, options: ChatOptions = {}): Responses {
  const chat = createChatCompletions(engine, { ...options, promptTokensDetails: true });
  const modelName = options.modelNames?.[0] ?? engine.modelName;

  async function create(params: unknown, options?: ChatCallOptions) {
    const request = parseResponseRequest(params);
    const chunks = await chat.create(chatParamsOf(request), options).catch(inOwnWords);
    const events = responseEvents(chunks, headOf(request, modelName));
    if (request.stream) return new AnswerStream(events, chunks.controller, { isNamed: true });
    let last: ResponseEvent | undefined;
    for await (const event of events) last = event;
    return last?.response;
  }
  return { create: create as Responses['create'] };
}

const OWN_NAMES: Readonly<Record<string, string>> = {
  messages: 'input',
  max_tokens: 'max_output_tokens',
  response_format: 'text.format',
  reasoning_effort: 'reasoning',
};

/** What is wrong with the chat request is wrong with the one that it was made of. */
function inOwnWords(error: unknown): never {
  if (!(error instanceof RequestError) || error.param === null) throw error;
  const [first, ...rest] = error.param.split('.');
  throw new RequestError(error.message, [OWN_NAMES[first] ?? first, ...rest].join('.'), error.code);
}

function formatOf({ text }: ResponseRequest): object {
  const { type = 'text', json_schema: schema } = text?.format ?? {};
  return { type, ...(schema as object | undefined) };
}

/** A response without its output. */
function headOf(request: ResponseRequest, model: string): ApiResponse {
  return {
    id: `resp_${randomHex()}`,
    object: 'response',
    created_at: Math.floor(Date.now() / 1000),
    model,
    status: 'in_progress',
    incomplete_details: null,
    error: null,
    output: [],
    usage: null,
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    metadata: request.metadata ?? {},
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: null,
    reasoning: { effort: request.reasoning ?? null, summary: null },
    store: false,
    temperature: request.temperature ?? null,
    text: { format: formatOf(request) },
    tool_choice: request.tool_choice ?? 'auto',
    tools: request.tools ?? [],
    top_p: request.top_p ?? null,
    truncation: 'disabled',
  };
}
