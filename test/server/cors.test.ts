import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FakeEngine } from './fake-engine.ts';
import { CHAT, MESSAGES, post } from './requests.ts';
import { withServer } from './with-server.ts';

const test = suite('web pages of other origins');

const PAGE = 'https://page.example';
const asks = (url: string, headers: Record<string, string> = {}) =>
  fetch(url + CHAT, {
    method: 'OPTIONS',
    headers: {
      origin: PAGE,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
      ...headers,
    },
  });
const allowed = (response: Response, what: string) => response.headers.get(`access-control-allow-${what}`);

test('any page may ask and read, errors too; asking needs no key', async () => {
  await withServer(new FakeEngine(), { apiKeys: ['key'] }, async (url) => {
    const asked = await asks(url);
    assert.is(asked.status, 200);
    assert.is(await asked.text(), '');
    assert.equal(
      ['origin', 'methods', 'headers'].map((what) => allowed(asked, what)),
      ['*', 'POST', 'authorization,content-type'],
    );
    assert.is(allowed(asked, 'credentials'), null);
    for (const [authorization, status] of [
      ['Bearer key', 200],
      ['Bearer other', 401],
    ] as const) {
      const response = await post(url, { messages: MESSAGES }, { origin: PAGE, authorization });
      assert.equal([response.status, allowed(response, 'origin')], [status, '*']);
      assert.match(response.headers.get('access-control-expose-headers')!, 'x-request-id');
    }
    const stream = await post(url, { messages: MESSAGES, stream: true }, { origin: PAGE, authorization: 'Bearer key' });
    assert.is(allowed(stream, 'origin'), '*');
    await stream.text();
    assert.is(allowed(await fetch(`${url}/health`), 'origin'), null);
  });
});

test('OPTIONS that is no question of a browser is a wrong method', async () => {
  await withServer(new FakeEngine(), {}, async (url) => {
    assert.is((await fetch(url + CHAT, { method: 'OPTIONS' })).status, 405);
  });
});

test('origins, methods and headers may be narrowed', async () => {
  const options = { allowedOrigins: [PAGE], allowedMethods: ['GET', 'POST'], allowedHeaders: ['authorization'] };
  await withServer(new FakeEngine(), options, async (url) => {
    const asked = await asks(url);
    assert.equal(
      ['origin', 'methods', 'headers'].map((what) => allowed(asked, what)),
      [PAGE, 'GET, POST', 'authorization'],
    );
    assert.is(asked.headers.get('vary'), 'origin');
    const other = await asks(url, { origin: 'https://other.example' });
    assert.equal([other.status, allowed(other, 'origin')], [405, null]);
    const response = await post(url, { messages: MESSAGES }, { origin: 'null' });
    assert.equal([response.status, allowed(response, 'origin')], [200, null]);
  });
});

test.run();
