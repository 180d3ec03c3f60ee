/** Server-sent events at the pace of the reader. Source: WHATWG HTML, section 9.2. */

import type { ServerResponse } from 'node:http';
import { ClientGone } from './body.ts';

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  'x-accel-buffering': 'no',
};

export class EventStream {
  readonly #response: ServerResponse;
  readonly #stallMs: number;

  /** Sends the headers. @param stallMs how long a reader may take nothing before it is cut off */
  constructor(response: ServerResponse, stallMs: number) {
    this.#response = response;
    this.#stallMs = stallMs;
    response.writeHead(200, HEADERS);
  }

  /**
   * Sends one event with JSON as its data, and waits while the connection has more than it can take.
   * @throws ClientGone when the client left, or stalled and was cut off
   */
  async send(data: unknown, name?: string): Promise<void> {
    const response = this.#response;
    if (response.destroyed) throw new ClientGone();
    const event = name === undefined ? '' : `event: ${name}\n`;
    if (!response.write(`${event}data: ${JSON.stringify(data)}\n\n`)) await taken(response, 'drain', this.#stallMs);
  }

  /** Ends the stream with what is left to send. */
  async end(last: string): Promise<void> {
    await sendLast(this.#response, last, this.#stallMs);
  }
}

/**
 * Ends a response, and waits until the connection has taken all of it.
 * @throws ClientGone when the client left, or stalled and was cut off
 */
export async function sendLast(response: ServerResponse, text: string, stallMs: number): Promise<void> {
  if (response.destroyed) throw new ClientGone();
  response.end(text);
  if (!response.writableFinished) await taken(response, 'finish', stallMs);
}

function taken(response: ServerResponse, event: 'drain' | 'finish', stallMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => response.destroy(), stallMs);
    const settle = (): void => {
      clearTimeout(timer);
      response.off(event, settle).off('close', settle);
      if (response.destroyed && !response.writableFinished) reject(new ClientGone());
      else resolve();
    };
    response.on(event, settle).on('close', settle);
  });
}
