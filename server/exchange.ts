/** One request and its response, on their way through the server. */

import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GenerateOutput } from '../engine/types.ts';
import type { User } from './auth.ts';
import { ClientGone } from './body.ts';
import type { HttpError } from './errors.ts';
import { sendLast } from './event-stream.ts';
import type { Metrics } from './metrics.ts';

/** An answer that is no JSON. */
export class PlainText {
  readonly text: string;
  readonly type: string;

  constructor(text: string, type: string) {
    this.text = text;
    this.type = type;
  }
}

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  /** The request's target up to the first question mark: routes and keys go by this and nothing else. */
  readonly path: string;
  /** The caller's `x-request-id`, if it can be one. */
  readonly label: string | undefined;
  /** The label, else a random one: for the log, and for the answer's headers. */
  readonly id: string;
  /** How long a client may take nothing before it is cut off. */
  readonly stallMs: number;
  readonly usage = { promptTokens: 0, completionTokens: 0 };
  /** Who asked. */
  user: User | null = {};
  /** What went wrong after the headers had gone out. */
  lateError: unknown = null;
  readonly #controller = new AbortController();
  readonly #metrics: Metrics;
  readonly #started = performance.now();
  /** Prompts that have had an output, and when each choice had its last. */
  readonly #prompts = new Set<number>();
  readonly #lastOutput = new Map<number, number>();

  constructor(request: IncomingMessage, response: ServerResponse, stallMs: number, metrics: Metrics) {
    this.request = request;
    this.response = response;
    this.stallMs = stallMs;
    this.#metrics = metrics;
    this.method = request.method ?? 'GET';
    this.path = (request.url ?? '/').split('?', 1)[0];
    const label = request.headers['x-request-id'];
    this.label = typeof label === 'string' && /^[\x21-\x7e]{1,256}$/.test(label) ? label : undefined;
    this.id = this.label ?? randomUUID();
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

  /** Counts what an answer costs, for the log and the metrics. */
  readonly count = (output: GenerateOutput, prompt: number): void => {
    const seconds = this.milliseconds / 1000;
    if (!this.#prompts.has(prompt)) {
      this.#prompts.add(prompt);
      this.usage.promptTokens += output.promptTokens;
      this.#metrics.firstOutput(output, seconds);
    }
    const last = this.#lastOutput.get(output.index);
    this.#lastOutput.set(output.index, seconds);
    this.usage.completionTokens += output.tokenIds.length;
    this.#metrics.output(output, last === undefined ? null : seconds - last);
  };

  abort(reason: Error): void {
    this.#controller.abort(reason);
  }

  /** @throws ClientGone */
  async sendJson(status: number, body: unknown): Promise<void> {
    await this.#send(status, 'application/json; charset=utf-8', JSON.stringify(body));
  }

  /** @throws ClientGone */
  async sendText({ type, text }: PlainText): Promise<void> {
    await this.#send(200, type, text);
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

  async #send(status: number, type: string, text: string): Promise<void> {
    this.response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
    await sendLast(this.response, text, this.stallMs);
  }

  get #hasBody(): boolean {
    const { headers } = this.request;
    return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  }
}
