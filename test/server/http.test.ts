/** Routes, bodies, and what is not HTTP. */

import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createHandler } from '../../server/index.ts';
import { FakeEngine } from './fake-engine.ts';
import { CHAT, errorOf, MESSAGES, post, serving } from './requests.ts';
import { withServer } from './with-server.ts';

const test = suite('server');

test(
  'a chat request is answered with JSON',
  serving(async (url) => {
    const response = await post(url, { model: 'fake', messages: MESSAGES });
    assert.is(response.status, 200);
    assert.is(response.headers.get('content-type'), 'application/json; charset=utf-8');
    assert.ok(response.headers.get('x-request-id'));
    assert.is(Number(response.headers.get('content-length')), (await response.clone().text()).length);
    const { choices } = (await response.json()) as { choices: { message: unknown }[] };
    assert.equal(choices[0].message, { role: 'assistant', content: 'Paris.' });
  }),
);

test(
  'a stream is framed as events, byte for byte',
  serving(async (url) => {
    const response = await post(url, {
      messages: MESSAGES,
      stream: true,
      n: 2,
      max_tokens: 2,
      stream_options: { include_usage: true },
    });
    assert.is(response.status, 200);
    assert.is(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
    assert.is(response.headers.get('cache-control'), 'no-cache');
    assert.is(response.headers.get('x-accel-buffering'), 'no');
    const text = await response.text();
    const [, id, created] = /"id":"(chatcmpl-[0-9a-f]{32})".*?"created":(\d+)/.exec(text)!;
    const event = (choices: string, usage: string) =>
      `data: {"id":"${id}","object":"chat.completion.chunk","created":${created},"model":"fake",` +
      `"choices":[${choices}],"usage":${usage}}\n\n`;
    const choice = (index: number, delta: string, finish: string) =>
      event(`{"index":${index},"delta":${delta},"logprobs":null,"finish_reason":${finish}}`, 'null');
    assert.is(
      text,
      choice(0, '{"role":"assistant","content":""}', 'null') +
        choice(1, '{"role":"assistant","content":""}', 'null') +
        choice(0, '{"content":"Par"}', 'null') +
        choice(1, '{"content":"Par"}', 'null') +
        choice(0, '{"content":"is"}', '"length","stop_reason":null') +
        choice(1, '{"content":"is"}', '"length","stop_reason":null') +
        event('', '{"prompt_tokens":14,"completion_tokens":4,"total_tokens":18}') +
        'data: [DONE]\n\n',
    );
  }),
);

test(
  'events come as the tokens do',
  serving(
    async (url) => {
      const controller = new AbortController();
      const response = await post(url, { messages: MESSAGES, stream: true }, {}, controller.signal);
      const { value } = await response.body!.getReader().read();
      assert.match(new TextDecoder().decode(value), '"role":"assistant"');
      controller.abort();
    },
    { endless: true, delayMs: 5 },
  ),
);

const badBodies: [name: string, body: string, message: string][] = [
  ['empty', '', 'Invalid JSON at position 0'],
  ['cut off', '{"messages":', 'Invalid JSON at position 12'],
  ['no JSON', 'messages=hi', 'Invalid JSON at position 0'],
  ['NaN', '{"messages":[],"temperature":NaN}', 'Invalid JSON at position 29'],
  ['a list', '[]', 'JSON object'],
  ['null', 'null', 'JSON object'],
  ['a text', '"hi"', 'JSON object'],
  ['deeply nested', `{"messages":${'['.repeat(100)}`, 'nested'],
];

for (const [name, body, message] of badBodies) {
  test(
    `a body that is ${name} gets a 400`,
    serving(async (url) => {
      const response = await post(url, body);
      assert.is(response.status, 400);
      const error = await errorOf(response);
      assert.match(error.message, message);
      assert.equal([error.type, error.param, error.code], ['BadRequestError', null, 400]);
    }),
  );
}

test(
  'a parameter out of range gets a 400 that names it, for a stream too',
  serving(async (url) => {
    for (const stream of [false, true]) {
      const response = await post(url, { messages: MESSAGES, temperature: -1, stream });
      assert.is(response.status, 400);
      assert.equal(await errorOf(response), {
        message: 'temperature must be non-negative, got -1',
        type: 'BadRequestError',
        param: 'temperature',
        code: 400,
      });
    }
  }),
);

test(
  'an unknown model gets a 404',
  serving(async (url) => {
    const response = await post(url, { model: 'nope', messages: MESSAGES });
    assert.is(response.status, 404);
    const message = 'The model `nope` does not exist.';
    assert.equal(await errorOf(response), { message, type: 'NotFoundError', param: 'model', code: 404 });
  }),
);

test(
  'the content type is JSON, or not given',
  serving(async (url) => {
    const body = JSON.stringify({ messages: MESSAGES });
    const bare = await fetch(url + CHAT, { method: 'POST', body: new TextEncoder().encode(body) });
    assert.is(bare.status, 200);
    assert.is((await post(url, body, { 'content-type': 'application/json; charset=utf-8' })).status, 200);
    const form = await post(url, body, { 'content-type': 'text/plain' });
    assert.is(form.status, 400);
    assert.match((await errorOf(form)).message, 'text/plain');
    const zipped = await post(url, body, { 'content-encoding': 'gzip' });
    assert.is(zipped.status, 415);
    await errorOf(zipped);
  }),
);

test('a body over the limit gets a 413, whether its length is told or not', async () => {
  await withServer(new FakeEngine(), { maxBodyBytes: 1000 }, async (url) => {
    const told = await post(url, 'x'.repeat(1001));
    assert.is(told.status, 413);
    assert.match((await errorOf(told)).message, '1000');
    const request = httpRequest(url + CHAT, { method: 'POST' });
    request.on('error', () => {});
    for (let i = 0; i < 20; i++) request.write('x'.repeat(100));
    const [response] = await once(request, 'response');
    assert.is(response.statusCode, 413);
    assert.is(response.headers.connection, 'close');
    request.destroy();
  });
});

test(
  'seeds of 64 bits arrive whole',
  serving(async (url, engine) => {
    const messages = JSON.stringify(MESSAGES);
    await post(url, `{"messages": ${messages}, "seed": 9223372036854775807}`);
    assert.is(engine.requests[0].sampling!.seed, 9223372036854775807n);
    const response = await post(url, `{"messages": ${messages}, "seed": 9223372036854775808}`);
    assert.is(response.status, 400);
    assert.is(
      (await errorOf(response)).message,
      'seed: less_than_equal: 9223372036854775808 is above 9223372036854775807',
    );
  }),
);

test(
  'unknown paths get a 404, wrong methods a 405 with what is allowed',
  serving(async (url) => {
    for (const path of ['/', '/v1', '/v1/chat/completions/', '/V1/models', '/v1/completion', '//v1/models']) {
      const response = await fetch(url + path);
      assert.is(response.status, 404, path);
      assert.is((await errorOf(response)).type, 'NotFoundError');
    }
    const get = await fetch(url + CHAT);
    assert.is(get.status, 405);
    assert.is(get.headers.get('allow'), 'POST');
    assert.is((await errorOf(get)).type, 'Method Not Allowed');
    for (const method of ['POST', 'DELETE', 'OPTIONS']) {
      const response = await fetch(`${url}/v1/models`, { method });
      assert.is(response.status, 405);
      assert.is(response.headers.get('allow'), 'GET, HEAD');
    }
  }),
);

test('models are listed under every name', async () => {
  await withServer(new FakeEngine(), { modelNames: ['org/first', 'second'] }, async (url) => {
    const list = (await (await fetch(`${url}/v1/models?limit=5`)).json()) as {
      object: string;
      data: { created: number; permission: unknown }[];
    };
    const { created, permission, ...card } = list.data[0];
    assert.ok(Number.isInteger(created));
    assert.equal(card, {
      id: 'org/first',
      object: 'model',
      owned_by: 'quern',
      root: 'fake',
      parent: null,
      max_model_len: 100,
    });
    const [{ allow_sampling: maySample, object, organization }] = permission as never as Record<string, unknown>[];
    assert.equal([maySample, object, organization], [true, 'model_permission', '*']);
    assert.is(list.object, 'list');
    assert.is(list.data.length, 2);
    for (const path of ['org/first', 'org%2Ffirst', 'second']) {
      assert.is((await fetch(`${url}/v1/models/${path}`)).status, 200, path);
    }
    for (const path of ['fake', '%', '']) {
      const response = await fetch(`${url}/v1/models/${path}`);
      assert.is(response.status, 404, path);
      assert.is((await errorOf(response)).param, 'model');
    }
  });
});

test(
  'health is empty, version is that of the package, HEAD works',
  serving(async (url) => {
    for (const path of ['/health', '/v1/health', '/ping']) {
      const health = await fetch(url + path);
      assert.is(health.status, 200);
      assert.is(await health.text(), '');
    }
    const { version } = (await (await fetch(`${url}/version`)).json()) as { version: string };
    assert.match(version, /^\d+\.\d+\.\d+/);
    assert.is((await fetch(`${url}/v1/models`, { method: 'HEAD' })).status, 200);
  }),
);

test('on this machine alone, a foreign Host gets a 403', async () => {
  await withServer(new FakeEngine(), {}, async (url) => {
    const { port } = new URL(url);
    const statusFor = async (host: string) => {
      const request = httpRequest({ port, host: '127.0.0.1', path: '/health', headers: { host } }).end();
      const [response] = await once(request, 'response');
      response.resume();
      return response.statusCode;
    };
    for (const host of ['localhost', `127.0.0.1:${port}`, '127.9.9.9', '[::1]:80'])
      assert.is(await statusFor(host), 200);
    for (const host of ['example.com', '127.0.0.1.example.com', 'localhost.example.com:80', '10.0.0.1', '@']) {
      assert.is(await statusFor(host), 403, host);
    }
  });
});

test('what is not HTTP gets a 400, headers over the limit a 431, an unknown expectation a 417, all as JSON', async () => {
  await withServer(new FakeEngine(), {}, async (url) => {
    const raw: [string, number][] = [
      ['nonsense\r\n\r\n', 400],
      [`GET /health HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431],
      ['GET /health HTTP/1.1\r\nhost: localhost\r\nexpect: magic\r\n\r\n', 417],
    ];
    for (const [text, status] of raw) {
      const answer = await exchange(url, text);
      assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), answer);
      assert.is(JSON.parse(answer.split('\r\n\r\n')[1]).error.code, status);
    }
  });
});

test('a client that waits for 100-continue gets it only for a body that will be read', async () => {
  await withServer(new FakeEngine(), { apiKeys: ['key'] }, async (url) => {
    const body = JSON.stringify({ messages: MESSAGES });
    const head =
      `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n` +
      `content-length: ${body.length}\r\nconnection: close\r\n`;
    assert.ok((await exchange(url, `${head}\r\n`)).startsWith('HTTP/1.1 401 '));
    const answer = await exchange(url, `${head}authorization: Bearer key\r\n\r\n`, body);
    assert.ok(answer.startsWith('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 '), answer);
  });
});

test('the handler works in a node:http server of one’s own', async () => {
  const server = createServer(createHandler(new FakeEngine(), { apiKeys: ['key'] })).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const response = await post(url, { messages: MESSAGES }, { authorization: 'Bearer key' });
  assert.is(response.status, 200);
  await response.text();
  assert.is((await fetch(`${url}/v1/models`)).status, 401);
  server.close();
  server.closeAllConnections();
});

/** Sends text on a bare socket, and more of it once there is an answer; gives all that came. */
async function exchange(url: string, first: string, second?: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let answer = '';
  socket.setEncoding('utf8');
  socket.on('error', () => {});
  socket.on('data', (text) => {
    if (answer === '' && second) socket.write(second);
    answer += text;
  });
  socket.write(first);
  await once(socket, 'close');
  return answer;
}

test.run();
