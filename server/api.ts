/**
 * The server without the sockets: every request that comes in goes through the same checks, cheapest first, and gets exactly
 * one answer. Nothing that one request does reaches another.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ChatOptions } from '../engine/chat/index.ts';
import { sendAnswer } from './answer.ts';
import { type ApiKey, type Authenticate, keyRing, unauthorized } from './auth.ts';
import { ClientGone, readJsonBody } from './body.ts';
import { Cors, type CorsOptions } from './cors.ts';
import { HttpError, toHttpError } from './errors.ts';
import { Exchange } from './exchange.ts';
import { isLoopback } from './loopback.ts';
import { Metrics } from './metrics.ts';
import { createRoutes, type Route, routesAt, type ServerEngine } from './routes.ts';

export interface HandlerOptions extends ChatOptions, CorsOptions {
  /** Keys that open every path but the health and the version. Default none: everybody is let in. */
  readonly apiKeys?: readonly (string | ApiKey)[];
  /** Takes the place of the keys: says who sent a request, or null for somebody who may not come in. */
  readonly authenticate?: Authenticate;
  /** Refuses requests whose Host header is not a name of this machine, against DNS rebinding. Default false. */
  readonly loopbackOnly?: boolean;
  /** Default 8 MiB. */
  readonly maxBodyBytes?: number;
  /** Most answers under way at one time; more get a 429. Default 512. */
  readonly maxAnswers?: number;
  /** How long a client may take nothing before it is cut off. Default 60,000. */
  readonly stallMs?: number;
  /** Lets requests bring a chat template of their own, which runs in this process. Default false. */
  readonly trustRequestChatTemplate?: boolean;
  /** Called once for each request when it is over. */
  readonly onRequest?: (entry: RequestLogEntry) => void;
  /** Called the first time that a request has a field that nothing here knows, once for each name. */
  readonly onUnknownField?: (field: string, path: string) => void;
}

/** What the log tells of a request. There is no text of prompts or answers in it. */
export interface RequestLogEntry {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  /** The status that was sent; 499 when the client left before the end. */
  readonly status: number;
  readonly ms: number;
  /** Who asked, as far as it is known. */
  readonly user?: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** What went wrong inside, for a failure of the server. */
  readonly error?: unknown;
}

const CLIENT_CLOSED_REQUEST = 499;
const HEALTH_PATHS: readonly string[] = ['/health', '/v1/health', '/ping'];
/** Names that strangers send are told once, and not without end. */
const MAX_UNKNOWN_FIELDS = 100;
const MAX_FIELD_NAME = 100;

export class Api {
  readonly #options: Required<Pick<HandlerOptions, 'loopbackOnly' | 'maxBodyBytes' | 'maxAnswers' | 'stallMs'>>;
  readonly #routes: readonly Route[];
  readonly #cors: Cors;
  readonly #metrics = new Metrics();
  readonly #engine: ServerEngine;
  readonly #authenticate: Authenticate;
  readonly #onRequest: (entry: RequestLogEntry) => void;
  readonly #onUnknownField: (field: string, path: string) => void;
  readonly #unknownFields = new Set<string>();
  readonly #active = new Set<Exchange>();
  #answers = 0;
  #draining = false;
  #onIdle: (() => void) | null = null;

  constructor(engine: ServerEngine, options: HandlerOptions = {}) {
    const { apiKeys = [], authenticate, onRequest = () => {}, onUnknownField = () => {} } = options;
    this.#engine = engine;
    this.#authenticate = authenticate ?? keyRing(apiKeys);
    this.#onRequest = onRequest;
    this.#onUnknownField = onUnknownField;
    this.#options = {
      loopbackOnly: options.loopbackOnly ?? false,
      maxBodyBytes: options.maxBodyBytes ?? 8 * 2 ** 20,
      maxAnswers: options.maxAnswers ?? 512,
      stallMs: options.stallMs ?? 60_000,
    };
    this.#cors = new Cors(options);
    this.#routes = createRoutes(engine, {
      ...options,
      modelNames: options.modelNames?.length ? options.modelNames : [engine.modelName],
      trustRequestChatTemplate: options.trustRequestChatTemplate ?? false,
      metrics: this.#metrics,
    });
  }

  /**
   * Answers a request. Never throws.
   * @param willRead called before the body is read, for a client that waits to be told to go on
   */
  async handle(request: IncomingMessage, response: ServerResponse, willRead: () => void = () => {}): Promise<void> {
    const exchange = new Exchange(request, response, this.#options.stallMs, this.#metrics);
    this.#active.add(exchange);
    let failure: unknown = null;
    try {
      if (this.#draining) response.setHeader('connection', 'close');
      await this.#answer(exchange, willRead);
    } catch (error) {
      failure = error;
      if (!response.headersSent && !(error instanceof ClientGone)) {
        await exchange.sendError(toHttpError(error, exchange.id)).catch((second) => (failure = second));
      }
    } finally {
      this.#active.delete(exchange);
      if (this.#active.size === 0) this.#onIdle?.();
      const entry = logEntry(exchange, exchange.lateError ?? failure);
      this.#metrics.response(entry.status, entry.ms / 1000, entry.completionTokens > 0);
      this.#onRequest(entry);
    }
  }

  /** Refuses new requests and waits for those under way; after `limitMs` they are cut short. */
  async drain(limitMs: number): Promise<void> {
    this.#draining = true;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      if (this.#active.size === 0) resolve();
    });
    const timer = setTimeout(() => {
      for (const exchange of this.#active) exchange.abort(shuttingDown());
    }, limitMs);
    await idle;
    clearTimeout(timer);
  }

  /** @throws HttpError: 404, 405, 403, 401, 503, in this order; then what the route throws */
  async #answer(exchange: Exchange, willRead: () => void): Promise<void> {
    const { method, path, request, response } = exchange;
    if (this.#cors.apply(request, response)) return exchange.sendEmpty(200);
    if (HEALTH_PATHS.includes(path)) {
      this.#checkAccess(exchange, ['GET']);
      return exchange.sendEmpty(this.#isHealthy ? 200 : 503);
    }
    const { found, name } = routesAt(this.#routes, path);
    this.#checkAccess(
      exchange,
      found.map((route) => route.method),
    );
    const route = found.find((candidate) => candidate.method === method) ?? found[0];
    if (!route.isOpen) exchange.user = await this.#authenticate(request);
    if (!exchange.user) throw unauthorized();
    if (this.#draining && !route.isOpen) throw shuttingDown();
    if (route.schema) await this.#compute(exchange, route, willRead);
    else await sendAnswer(exchange, await route.answer(exchange, undefined, name));
  }

  /** @throws HttpError 405, 403 */
  #checkAccess(exchange: Exchange, methods: readonly string[]): void {
    checkMethod(exchange, methods);
    if (!this.#options.loopbackOnly || isLoopback(exchange.request.headers.host ?? '')) return;
    throw new HttpError(403, 'The Host header is not a name of this machine');
  }

  async #compute(exchange: Exchange, route: Route, willRead: () => void): Promise<void> {
    const { maxBodyBytes, maxAnswers } = this.#options;
    const body = await readJsonBody(exchange.request, maxBodyBytes, willRead);
    this.#noteUnknownFields(exchange.path, route, body);
    if (this.#answers >= maxAnswers) {
      const headers = { 'retry-after': '1' };
      throw new HttpError(429, `There are ${this.#answers} answers under way; try again later`, { headers });
    }
    this.#answers++;
    try {
      await sendAnswer(exchange, await route.answer(exchange, body, ''));
    } finally {
      this.#answers--;
    }
  }

  #noteUnknownFields(path: string, { schema }: Route, body: unknown): void {
    if (!schema || typeof body !== 'object' || body === null) return;
    for (const name of Object.keys(body)) {
      if (Object.hasOwn(schema.shape, name) || this.#unknownFields.has(name)) continue;
      if (this.#unknownFields.size >= MAX_UNKNOWN_FIELDS || name.length > MAX_FIELD_NAME) return;
      this.#unknownFields.add(name);
      this.#onUnknownField(name, path);
    }
  }

  get #isHealthy(): boolean {
    return !this.#draining && this.#engine.isReady;
  }
}

function shuttingDown(): HttpError {
  return new HttpError(503, 'The server is shutting down', { headers: { 'retry-after': '5' } });
}

/** @throws HttpError 405 */
function checkMethod({ method, path }: Exchange, methods: readonly string[]): void {
  const allowed = methods.flatMap((known) => (known === 'GET' ? ['GET', 'HEAD'] : [known]));
  if (allowed.includes(method)) return;
  const allow = allowed.join(', ');
  throw new HttpError(405, `${path.slice(0, 100)} takes ${allow}, got ${method}`, { headers: { allow } });
}

function logEntry(exchange: Exchange, failure: unknown): RequestLogEntry {
  const { id, method, path, milliseconds, usage, response, signal, user } = exchange;
  const left = failure instanceof ClientGone || signal.reason instanceof ClientGone;
  const isOurs = !left && failure !== null && toHttpError(failure, id).status === 500;
  return {
    id,
    method,
    path: path.slice(0, 200),
    status: left ? CLIENT_CLOSED_REQUEST : response.statusCode,
    ms: Math.round(milliseconds),
    ...(user?.name === undefined ? {} : { user: user.name }),
    ...usage,
    ...(isOurs ? { error: failure } : {}),
  };
}
