/** The Responses API in process, with the shape of the OpenAI client: `engine.responses.create({ … })`. */

import type { ApiEngine } from '../chat/api-engine.ts';
import { type ChatCallOptions, type ChatOptions, createChatCompletions } from '../chat/completions.ts';
import { randomHex } from '../chat/random-id.ts';
import { AnswerStream, type Create } from '../chat/stream.ts';
import { RequestError } from '../errors.ts';
import { responseEvents } from './events.ts';
import {
  chatParamsOf,
  messagesOf,
  parseResponseRequest,
  type ResponseCreateParams,
  type ResponseInputItem,
  type ResponseRequest,
} from './request.ts';
import { ResponseStore } from './store.ts';
import type { ApiResponse, DeletedResponse, ResponseEvent } from './types.ts';

export interface ResponseCallOptions extends ChatCallOptions {
  /** Whose the response is: nobody else can look at it, go on from it or cancel it. */
  readonly owner?: string;
}

export interface Responses {
  /** Answers an input. In the background the answer is there at once, as far as it is made, and can be looked at. */
  readonly create: Create<ResponseCreateParams, ApiResponse, AnswerStream<ResponseEvent>, ResponseCallOptions>;
  /** A response that was stored. @throws RequestError `response_not_found` */
  retrieve(id: string, options?: Pick<ResponseCallOptions, 'owner'>): ApiResponse;
  /** Forgets a response. @throws RequestError `response_not_found` */
  delete(id: string, options?: Pick<ResponseCallOptions, 'owner'>): DeletedResponse;
  /** Ends a response that runs in the background. @throws RequestError for another, or one that does not exist */
  cancel(id: string, options?: Pick<ResponseCallOptions, 'owner'>): ApiResponse;
}

export function createResponses(engine: ApiEngine, options: ChatOptions = {}): Responses {
  const chat = createChatCompletions(engine, { ...options, promptTokensDetails: true });
  const modelName = options.modelNames?.[0] ?? engine.modelName;
  const store = new ResponseStore();

  async function create(params: unknown, { owner, ...callOptions }: ResponseCallOptions = {}) {
    const request = parseResponseRequest(params);
    const { previous_response_id: previous, store: isStored = true } = request;
    const before = previous === undefined ? [] : store.get(previous, owner, 'previous_response_id').messages;
    const controller = new AbortController();
    // Whoever asked for a response in the background may leave.
    const signal = request.background ? controller.signal : callOptions.signal;
    const chunks = await chat.create(chatParamsOf(request, before), { ...callOptions, signal }).catch(inOwnWords);
    const head = headOf(request, modelName);
    const keep = (response: ApiResponse, cancel?: () => void) => {
      const answer = messagesOf(response.output as readonly ResponseInputItem[]);
      const said = [...request.input, ...answer];
      store.put({ response, messages: [...before, ...said], owner, cancel }, said);
    };
    const events = observedEnd(responseEvents(chunks, head), (response) => {
      if (request.background ? store.has(head.id) : isStored) keep(response);
    });
    if (request.stream) return new AnswerStream(events, chunks.controller, { isNamed: true });
    if (!request.background) return (await last(events))?.response;
    keep(head, () => controller.abort());
    void finishLater(events, head, (response) => {
      if (store.has(head.id) && !controller.signal.aborted) keep(response);
    });
    return head;
  }

  return {
    create: create as Responses['create'],
    retrieve: (id, { owner } = {}) => store.get(id, owner, 'response_id').response,
    delete: (id, { owner } = {}) => {
      store.delete(id, owner);
      return { id, object: 'response.deleted', deleted: true };
    },
    cancel: (id, { owner } = {}) => {
      const { response, messages, cancel } = store.get(id, owner, 'response_id');
      if (!response.background) {
        throw new RequestError('only a response in the background can be cancelled', 'response_id');
      }
      if (response.status !== 'in_progress') return response;
      cancel?.();
      const cancelled: ApiResponse = { ...response, status: 'cancelled' };
      store.put({ response: cancelled, messages, owner }, []);
      return cancelled;
    },
  };
}

/** The same events; `take` gets the response that the last of them has. */
async function* observedEnd(
  events: AsyncIterable<ResponseEvent>,
  take: (response: ApiResponse) => void,
): AsyncGenerator<ResponseEvent, void, undefined> {
  for await (const event of events) {
    if (event.response && event.response.status !== 'in_progress') take(event.response);
    yield event;
  }
}

/** Runs a response to its end. What it fails with is told by the response. */
async function finishLater(
  events: AsyncIterable<ResponseEvent>,
  head: ApiResponse,
  fail: (response: ApiResponse) => void,
): Promise<void> {
  try {
    await last(events);
  } catch {
    fail({ ...head, status: 'failed', error: { code: 'server_error', message: 'The engine failed.' } });
  }
}

async function last<T>(items: AsyncIterable<T>): Promise<T | undefined> {
  let final: T | undefined;
  for await (const item of items) final = item;
  return final;
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
    background: request.background ?? false,
    incomplete_details: null,
    error: null,
    output: [],
    usage: null,
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    metadata: request.metadata ?? {},
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: request.previous_response_id ?? null,
    reasoning: { effort: request.reasoning ?? null, summary: null },
    store: request.store ?? true,
    temperature: request.temperature ?? null,
    text: { format: formatOf(request) },
    tool_choice: request.tool_choice ?? 'auto',
    tools: request.tools ?? [],
    top_p: request.top_p ?? null,
    truncation: 'disabled',
  };
}
