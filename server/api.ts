/**
 * The server without the sockets: every request that comes in goes through the same checks, cheapest first, and gets exactly
 * one answer. Nothing that one request does reaches another.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { sendAnswer } from './answer.ts';
import { type ApiKey, type Authenticate, keyRing, unauthorized } from './auth.ts';
import { ClientGone, readJsonBody } from './body.ts';
import { HttpError, toHttpError } from './errors.ts';
import { Exchange } from './exchange.ts';
import { isLoopback } from './loopback.ts';
import { createRoutes, type Route, routeOf, type ServerEngine } from './routes.ts';

export interface HandlerOptions {
  /** Names of the model; the first is the one in answers. Default: the engine's own. */
  readonly modelNames?: readonly string[];
  /** Keys that open every path but /health and /version. Default none: everybody is let in. */
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
  /** The usage of chat answers says how many tokens of the prompt were cached. Default false. */
  readonly promptTokensDetails?: boolean;
  /** Called once for each request when it is over. */
  readonly onRequest?: (entry: RequestLogEntry) => void;
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
const HEALTH = '/health';

export class Api {
  readonly #options: Required<Omit<HandlerOptions, 'apiKeys' | 'authenticate' | 'onRequest'>>;
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #authenticate: Authenticate;
  readonly #onRequest: (entry: RequestLogEntry) => void;
  readonly #active = new Set<Exchange>();
  #answers = 0;
  #draining = false;
  #onIdle: (() => void) | null = null;
  /** The device failed, and no answer has succeeded since. */
  #isFailing = false;

  constructor(engine: ServerEngine, handlerOptions: HandlerOptions = {}) {
    const { apiKeys = [], authenticate, onRequest = () => {}, ...options } = handlerOptions;
    this.#authenticate = authenticate ?? keyRing(apiKeys);
    this.#onRequest = onRequest;
    this.#options = {
      modelNames: options.modelNames?.length ? options.modelNames : [engine.modelName],
      loopbackOnly: options.loopbackOnly ?? false,
      maxBodyBytes: options.maxBodyBytes ?? 8 * 2 ** 20,
      maxAnswers: options.maxAnswers ?? 512,
      stallMs: options.stallMs ?? 60_000,
      trustRequestChatTemplate: options.trustRequestChatTemplate ?? false,
      promptTokensDetails: options.promptTokensDetails ?? false,
    };
    this.#routes = createRoutes(engine, this.#options);
  }

  /**
   * Answers a request. Never throws.
   * @param willRead called before the body is read, for a client that waits to be told to go on
   */
  async handle(request: IncomingMessage, response: ServerResponse, willRead: () => void = () => {}): Promise<void> {
    const exchange = new Exchange(request, response, this.#options.stallMs);
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
      this.#onRequest(logEntry(exchange, exchange.lateError ?? failure));
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
    const { method, path, request } = exchange;
    const route = path === HEALTH ? null : routeOf(this.#routes, path);
    checkMethod(exchange, route?.method ?? 'GET');
    if (this.#options.loopbackOnly && !isLoopback(request.headers.host ?? '')) {
      throw new HttpError(403, 'The Host header is not a name of this machine');
    }
    if (!route) {
      await exchange.sendEmpty(this.#isHealthy ? 200 : 503);
      return;
    }
    if (!route.isOpen) exchange.user = await this.#authenticate(request);
    if (!exchange.user) throw unauthorized();
    if (this.#draining && !route.isOpen) throw shuttingDown();
    if (method === 'POST') await this.#compute(exchange, route, willRead);
    else await exchange.sendJson(200, await route.answer(exchange, undefined));
  }

  async #compute(exchange: Exchange, route: Route, willRead: () => void): Promise<void> {
    const { maxBodyBytes, maxAnswers } = this.#options;
    const body = await readJsonBody(exchange.request, maxBodyBytes, willRead);
    if (this.#answers >= maxAnswers) {
      const headers = { 'retry-after': '1' };
      throw new HttpError(429, `There are ${this.#answers} answers under way; try again later`, { headers });
    }
    this.#answers++;
    try {
      await sendAnswer(exchange, await route.answer(exchange, body));
      this.#isFailing = isDeviceError(exchange.lateError);
    } catch (error) {
      this.#isFailing ||= isDeviceError(error);
      throw error;
    } finally {
      this.#answers--;
    }
  }

  get #isHealthy(): boolean {
    return !this.#draining && !this.#isFailing;
  }
}

function isDeviceError(error: unknown): boolean {
  return error instanceof Error && error.name === 'DeviceError';
}

function shuttingDown(): HttpError {
  return new HttpError(503, 'The server is shutting down', { headers: { 'retry-after': '5' } });
}

/** @throws HttpError 405 */
function checkMethod({ method, path }: Exchange, expected: 'GET' | 'POST'): void {
  if (method === expected || (method === 'HEAD' && expected === 'GET')) return;
  const allow = expected === 'GET' ? 'GET, HEAD' : 'POST';
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
