/** Requests to a server that has no model. */

import * as assert from 'uvu/assert';
import { FakeEngine, type FakeOptions } from './fake-engine.ts';
import { withServer } from './with-server.ts';

export const CHAT = '/v1/chat/completions';
export const MESSAGES = [{ role: 'user', content: 'hi' }];

export function post(
  url: string,
  body: object | string,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(url + CHAT, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    signal,
  });
}

/** The error that a response tells, which has to have the shape of the API. */
export async function errorOf(
  response: Response,
): Promise<{ message: string; type: string; param: unknown; code: unknown }> {
  assert.match(response.headers.get('content-type')!, 'application/json');
  const { error, ...rest } = (await response.json()) as { error: never };
  assert.equal(rest, {});
  assert.equal(Object.keys(error), ['message', 'type', 'param', 'code']);
  return error;
}

/** A test on a server of its own, after which nothing may be under way. */
export const serving = (use: (url: string, engine: FakeEngine) => Promise<void>, options?: FakeOptions) => async () => {
  const engine = new FakeEngine(options);
  await withServer(engine, {}, (url) => use(url, engine));
  assert.is(engine.running, 0);
};
