import type { IncomingMessage } from 'node:http';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { RequestLogEntry } from '../../server/index.ts';
import { FakeEngine } from './fake-engine.ts';
import { errorOf, MESSAGES, post } from './requests.ts';
import { until, withServer } from './with-server.ts';

const test = suite('who may come in');

test('with keys, everything that computes or tells needs one of them', async () => {
  const engine = new FakeEngine();
  await withServer(engine, { apiKeys: ['first', 'second'] }, async (url) => {
    for (const authorization of ['Bearer first', 'bearer second', 'BEARER  second']) {
      assert.is((await post(url, { messages: MESSAGES }, { authorization })).status, 200, authorization);
    }
    const wrong: Record<string, string>[] = [
      {},
      { authorization: 'Bearer' },
      { authorization: 'Bearer firs' },
      { authorization: 'Bearer first ,' },
      { authorization: 'first' },
      { authorization: 'Basic first' },
      { 'x-api-key': 'first' },
    ];
    for (const headers of wrong) {
      const response = await post(url, 'not even JSON', headers);
      assert.is(response.status, 401, JSON.stringify(headers));
      assert.is(response.headers.get('www-authenticate'), 'Bearer');
      assert.equal(await errorOf(response), {
        message: 'Unauthorized: missing or wrong API key',
        type: 'invalid_request_error',
        param: null,
        code: 'invalid_api_key',
      });
    }
    assert.is((await fetch(`${url}/v1/models`)).status, 401);
    for (const path of ['/health', '/v1/health', '/ping', '/version']) {
      assert.is((await fetch(url + path)).status, 200, path);
    }
  });
  assert.is(engine.requests.length, 3);
});

test('a key may have a name, and the log tells it; the key itself is nowhere', async () => {
  const entries: RequestLogEntry[] = [];
  const apiKeys = [{ key: 'secret-1', name: 'alice' }, { key: 'secret-2' }];
  await withServer(new FakeEngine(), { apiKeys, onRequest: (entry) => entries.push(entry) }, async (url) => {
    for (const key of ['secret-1', 'secret-2', 'secret-3']) {
      await (await post(url, { messages: MESSAGES }, { authorization: `Bearer ${key}` })).text();
    }
    await until(() => entries.length === 3, 'three entries');
  });
  assert.equal(
    entries.map(({ user, status }) => [user, status]),
    [
      ['alice', 200],
      [undefined, 200],
      [undefined, 401],
    ],
  );
  assert.not.match(JSON.stringify(entries), 'secret');
});

test('an embedder says who may come in, sees the request, and may take its time', async () => {
  const entries: RequestLogEntry[] = [];
  const authenticate = async (request: IncomingMessage) => {
    await new Promise((resolve) => setTimeout(resolve, 2));
    const { cookie } = request.headers;
    if (cookie === 'broken') throw new Error('the database is gone');
    return cookie === undefined ? null : { name: cookie, plan: 'free' };
  };
  const options = { authenticate, apiKeys: ['unused'], onRequest: (entry: RequestLogEntry) => entries.push(entry) };
  await withServer(new FakeEngine(), options, async (url) => {
    const statuses = [];
    for (const headers of [{ cookie: 'bob' }, { authorization: 'Bearer unused' }, { cookie: 'broken' }]) {
      statuses.push((await post(url, { messages: MESSAGES }, headers as unknown as Record<string, string>)).status);
    }
    assert.equal(statuses, [200, 401, 500]);
    assert.is((await fetch(`${url}/health`)).status, 200);
    for (const path of ['/v1/completions', '/tokenize', '/detokenize']) {
      assert.is((await fetch(url + path, { method: 'POST' })).status, 401, path);
    }
    assert.is((await fetch(`${url}/openapi.json`)).status, 401);
  });
  assert.is(entries[0].user, 'bob');
});

test.run();
