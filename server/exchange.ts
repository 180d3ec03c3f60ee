/** One request and its response, on their way through the server. */

import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GenerateOutput } from '../engine/types.ts';
import type { User } from './auth.ts';
import { ClientGone } from './body.ts';
import type { HttpError } from './errors.ts';
import { sendLast } from './event-stream.ts';

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  /** The request's target up to the first question mark: routes and keys go by this and nothing else. */
  readonly path: string;
  /** The caller's `x-request-id`, if it can be one, else a random one. A label for the log. */
  readonly id: string;
  /** How long a client may take nothing before it is cut off. */
  readonly stallMs: number;
  readonly usage = { promptTokens: 0, completionTokens: 0 };
  /** Who asked. */
  user: User | null = {};
  /** What went wrong after the headers had gone out. */
  lateError: unknown = null;
  readonly #controller = new AbortController();
  readonly #started = performance.now();

  constructor(request: IncomingMessage, response: ServerResponse, stallMs: number) {
    this.request = request;
    this.response = response;
    this.stallMs = stallMs;
    this.method = request.method ?? 'GET';
    this.path = (request.url ?? '/').split('?', 1)[0];
    const label = request.headers['x-request-id'];
    this.id = typeof label === 'string' && /^[\x21-\x7e]{1,256}$/.test(label) ? label : randomUUID();
    // A broken connection shows as `close`; without a listener its `error` would end the process.
    request.on('error', () => {});
    response.on('error', () => {});
    response.on('close', () => {
      if (!response.writableFinished) this.abort(new ClientGone());
    });
    response.setHeader('x-request-id', this.id);
  }

  /** Aborted when the client leaves or the server gives up. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get milliseconds(): number {
    return performance.now() - this.#started;
  }

  /** Counts what an answer costs, for the log. */
  readonly count = ({ promptTokens, tokenIds }: GenerateOutput): void => {
    this.usage.promptTokens = promptTokens;
    this.usage.completionTokens += tokenIds.length;
  };

  abort(reason: Error): void {
    this.#controller.abort(reason);
  }

  /** @throws ClientGone */
  async sendJson(status: number, body: unknown): Promise<void> {
    this.response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
    await sendLast(this.response, JSON.stringify(body), this.stallMs);
  }

  async sendEmpty(status: number): Promise<void> {
    this.response.writeHead(status, { 'content-length': '0' });
    await sendLast(this.response, '', this.stallMs);
  }

  /** Answers with an error instead, as long as no header has gone out. */
  async sendError(error: HttpError): Promise<void> {
    for (const [name, value] of Object.entries(error.headers)) this.response.setHeader(name, value);
    // The rest of an unread body would be taken for the next request.
    if (this.#hasBody && !this.request.complete) this.response.setHeader('connection', 'close');
    await this.sendJson(error.status, error.body);
  }

  get #hasBody(): boolean {
    const { headers } = this.request;
    return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  }
}
