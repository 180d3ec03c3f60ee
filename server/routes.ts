/** What there is at which path. */

import type { z } from 'zod';
import {
  type ApiEngine,
  type ChatCompletionCreateParams,
  type ChatOptions,
  chatRequestSchema,
  createChatCompletions,
  detokenize,
  detokenizeSchema,
  tokenize,
  tokenizeSchema,
} from '../engine/chat/index.ts';
import {
  type CompletionCreateParams,
  completionRequestSchema,
  createCompletions,
} from '../engine/completions/index.ts';
import { createEmbeddings, type EmbeddingCreateParams, embeddingRequestSchema } from '../engine/embeddings/index.ts';
import type { SchedulerStats } from '../engine/index.ts';
import { createResponses, type ResponseCreateParams, responseRequestSchema } from '../engine/responses/index.ts';
import { HttpError } from './errors.ts';
import { type Exchange, PlainText } from './exchange.ts';
import { METRICS_TYPE, type Metrics } from './metrics.ts';
import { openApi } from './openapi.ts';
import { packageVersion } from './version.ts';

/** What the server needs of an engine. */
export interface ServerEngine extends ApiEngine {
  readonly stats: SchedulerStats;
  /** False while the engine cannot serve. */
  readonly isReady: boolean;
}

export interface RouteOptions extends ChatOptions {
  /** Names of the model; the first is the one in answers. */
  readonly modelNames: readonly string[];
  readonly trustRequestChatTemplate: boolean;
  readonly metrics: Metrics;
}

export interface Route {
  readonly method: 'GET' | 'POST';
  readonly summary: string;
  /** Needs no key. */
  readonly isOpen?: boolean;
  /** What the body is; a route with a body has one. */
  readonly schema?: z.ZodObject;
  /** Gives what is to be sent: an object, a stream of them, or plain text. `body` is parsed JSON of any kind. */
  readonly answer: (exchange: Exchange, body: unknown) => unknown;
}

const MODELS_PREFIX = '/v1/models/';

/** All routes by path; `{model}` stands for any name. */
export function createRoutes(engine: ServerEngine, options: RouteOptions): ReadonlyMap<string, Route> {
  const { modelNames } = options;
  const created = Math.floor(Date.now() / 1000);
  const chat = createChatCompletions(engine, options);
  const completions = createCompletions(engine, options);
  const embeddings = createEmbeddings(engine, options);
  const responses = createResponses(engine, options);
  const card = (id: string) => modelCard(id, engine, created);
  const callOptions = ({ signal, count, label }: Exchange) => ({ signal, observe: count, requestId: label });

  // The engine checks what the bodies really are.
  const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
    [
      '/v1/chat/completions',
      {
        method: 'POST',
        summary: 'Answers a conversation.',
        schema: chatRequestSchema,
        answer: (exchange, body) => chat.create(body as ChatCompletionCreateParams, callOptions(exchange)),
      },
    ],
    [
      '/v1/completions',
      {
        method: 'POST',
        summary: 'Continues a text.',
        schema: completionRequestSchema,
        answer: (exchange, body) => completions.create(body as CompletionCreateParams, callOptions(exchange)),
      },
    ],
    [
      '/v1/responses',
      {
        method: 'POST',
        summary: 'Answers an input. Nothing is stored.',
        schema: responseRequestSchema,
        answer: (exchange, body) => responses.create(body as ResponseCreateParams, callOptions(exchange)),
      },
    ],
    [
      '/v1/embeddings',
      {
        method: 'POST',
        summary: 'Texts as vectors.',
        schema: embeddingRequestSchema,
        answer: ({ signal }, body) => embeddings.create(body as EmbeddingCreateParams, { signal }),
      },
    ],
    [
      '/tokenize',
      {
        method: 'POST',
        summary: 'The token ids of a text or a conversation.',
        schema: tokenizeSchema,
        answer: (_, body) => tokenize(body, engine, options),
      },
    ],
    [
      '/detokenize',
      {
        method: 'POST',
        summary: 'The text of token ids.',
        schema: detokenizeSchema,
        answer: (_, body) => detokenize(body, engine, options),
      },
    ],
    [
      '/v1/models',
      {
        method: 'GET',
        summary: 'The names of the model.',
        answer: () => ({ object: 'list', data: modelNames.map(card) }),
      },
    ],
    [
      '/v1/models/{model}',
      { method: 'GET', summary: 'One name of the model.', answer: ({ path }) => card(nameIn(path, modelNames)) },
    ],
    [
      '/version',
      {
        method: 'GET',
        summary: 'The version of the server.',
        isOpen: true,
        answer: () => ({ version: packageVersion() }),
      },
    ],
    [
      '/metrics',
      {
        method: 'GET',
        summary: 'What the server has done so far, for Prometheus.',
        answer: () => new PlainText(options.metrics.text(engine.stats), METRICS_TYPE),
      },
    ],
    ['/openapi.json', { method: 'GET', summary: 'This description.', answer: () => openApi(routes) }],
  ]);
  return routes;
}

/** The route of a path. @throws HttpError 404 */
export function routeOf(routes: ReadonlyMap<string, Route>, path: string): Route {
  const route = routes.get(path.startsWith(MODELS_PREFIX) ? '/v1/models/{model}' : path);
  if (!route || path === '/v1/models/{model}') {
    throw new HttpError(404, `There is nothing at ${JSON.stringify(path.slice(0, 100))}`);
  }
  return route;
}

function modelCard(id: string, engine: ServerEngine, created: number) {
  return {
    id,
    object: 'model',
    created,
    owned_by: 'quern',
    root: engine.modelName,
    parent: null,
    max_model_len: engine.maxModelLen,
    permission: [permissionFor(id, created)],
  };
}

/** What clients of the older kind look for: whatever the model can do is allowed. */
function permissionFor(id: string, created: number) {
  return {
    id: `modelperm-${id}`,
    object: 'model_permission',
    created,
    allow_create_engine: false,
    allow_sampling: true,
    allow_logprobs: true,
    allow_search_indices: false,
    allow_view: true,
    allow_fine_tuning: false,
    organization: '*',
    group: null,
    is_blocking: false,
  };
}

/** @throws HttpError 404 */
function nameIn(path: string, modelNames: readonly string[]): string {
  const name = decoded(path.slice(MODELS_PREFIX.length));
  if (modelNames.includes(name)) return name;
  throw new HttpError(404, `The model ${JSON.stringify(name.slice(0, 100))} does not exist.`, { param: 'model' });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
