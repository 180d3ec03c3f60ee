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
  unknownModel,
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
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** `{model}` stands for any text, other names in braces for one without slashes. */
  readonly path: string;
  readonly summary: string;
  /** Needs no key. */
  readonly isOpen?: boolean;
  /** What the body is; a route without one reads none. */
  readonly schema?: z.ZodObject;
  /**
   * Gives what is to be sent: an object, a stream of them, or plain text. `body` is parsed JSON of any kind, `name` what stands
   * where the path has braces.
   */
  readonly answer: (exchange: Exchange, body: unknown, name: string) => unknown;
}

export function createRoutes(engine: ServerEngine, options: RouteOptions): readonly Route[] {
  const { modelNames } = options;
  const created = Math.floor(Date.now() / 1000);
  const chat = createChatCompletions(engine, options);
  const completions = createCompletions(engine, options);
  const embeddings = createEmbeddings(engine, options);
  const responses = createResponses(engine, options);
  const card = (id: string) => modelCard(id, engine, created);
  const callOptions = ({ signal, count, label }: Exchange) => ({ signal, observe: count, requestId: label });
  const owner = ({ user }: Exchange) => ({ owner: user?.name });

  // The engine checks what the bodies really are.
  const routes: readonly Route[] = [
    {
      path: '/v1/chat/completions',
      method: 'POST',
      summary: 'Answers a conversation.',
      schema: chatRequestSchema,
      answer: (exchange, body) => chat.create(body as ChatCompletionCreateParams, callOptions(exchange)),
    },
    {
      path: '/v1/completions',
      method: 'POST',
      summary: 'Continues a text.',
      schema: completionRequestSchema,
      answer: (exchange, body) => completions.create(body as CompletionCreateParams, callOptions(exchange)),
    },
    {
      path: '/v1/responses',
      method: 'POST',
      summary: 'Answers an input.',
      schema: responseRequestSchema,
      answer: (exchange, body) =>
        responses.create(body as ResponseCreateParams, { ...callOptions(exchange), ...owner(exchange) }),
    },
    {
      path: '/v1/responses/{response_id}',
      method: 'GET',
      summary: 'A response that was stored.',
      answer: (exchange, _, id) => responses.retrieve(id, owner(exchange)),
    },
    {
      path: '/v1/responses/{response_id}',
      method: 'DELETE',
      summary: 'Forgets a response.',
      answer: (exchange, _, id) => responses.delete(id, owner(exchange)),
    },
    {
      path: '/v1/responses/{response_id}/cancel',
      method: 'POST',
      summary: 'Ends a response that runs in the background.',
      answer: (exchange, _, id) => responses.cancel(id, owner(exchange)),
    },
    {
      path: '/v1/embeddings',
      method: 'POST',
      summary: 'Texts as vectors.',
      schema: embeddingRequestSchema,
      answer: ({ signal }, body) => embeddings.create(body as EmbeddingCreateParams, { signal }),
    },
    {
      path: '/tokenize',
      method: 'POST',
      summary: 'The token ids of a text or a conversation.',
      schema: tokenizeSchema,
      answer: (_, body) => tokenize(body, engine, options),
    },
    {
      path: '/detokenize',
      method: 'POST',
      summary: 'The text of token ids.',
      schema: detokenizeSchema,
      answer: (_, body) => detokenize(body, engine, options),
    },
    {
      path: '/v1/models',
      method: 'GET',
      summary: 'The names of the model.',
      answer: () => ({ object: 'list', data: modelNames.map(card) }),
    },
    {
      path: '/v1/models/{model}',
      method: 'GET',
      summary: 'One name of the model.',
      answer: (_, __, name) => card(knownName(name, modelNames)),
    },
    {
      path: '/version',
      method: 'GET',
      summary: 'The version of the server.',
      isOpen: true,
      answer: () => ({ version: packageVersion() }),
    },
    {
      path: '/metrics',
      method: 'GET',
      summary: 'What the server has done so far, for Prometheus.',
      answer: () => new PlainText(options.metrics.text(engine.stats), METRICS_TYPE),
    },
    { path: '/openapi.json', method: 'GET', summary: 'This description.', answer: () => openApi(routes) },
  ];
  return routes;
}

/**
 * The routes at a path, and what stands there where theirs have braces.
 * @throws HttpError 404 where there is none
 */
export function routesAt(
  routes: readonly Route[],
  path: string,
): { readonly found: readonly Route[]; readonly name: string } {
  const found = routes.filter((route) => patternOf(route).test(path));
  if (found.length === 0)
    throw new HttpError(
      404,
      `There is nothing at ${JSON.stringify(path.slice(0, 100))}; /openapi.json tells what there is`,
    );
  return { found, name: decoded(patternOf(found[0]).exec(path)?.[1] ?? '') };
}

const patterns = new Map<string, RegExp>();

function patternOf({ path }: Route): RegExp {
  let pattern = patterns.get(path);
  if (pattern === undefined) {
    const source = path
      .replaceAll('.', '\\.')
      .replace('{model}', '(.*)')
      .replace(/\{\w+\}/, '([^/]+)');
    pattern = new RegExp(`^${source}$`);
    patterns.set(path, pattern);
  }
  return pattern;
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

/** @throws RequestError `model_not_found` */
function knownName(name: string, modelNames: readonly string[]): string {
  if (modelNames.includes(name)) return name;
  throw unknownModel(name);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
