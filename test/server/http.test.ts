import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createHandler, type RequestLogEntry } from '../../server/index.ts';
import { FakeEngine, type FakeOptions } from './fake-engine.ts';
import { until, withServer } from './with-server.ts';

const test = suite('server');

const CHAT = '/v1/chat/completions';
const MESSAGES = [{ role: 'user', content: 'hi' }];

function post(url: string, body: object | string, headers: Record<string, string> = {}, signal?: AbortSignal) {
  return fetch(url + CHAT, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    signal,
  });
}

async function errorOf(response: Response): Promise<{ message: string; type: string; param: unknown; code: unknown }> {
  assert.match(response.headers.get('content-type')!, 'application/json');
  const { error, ...rest } = (await response.json()) as { error: never };
  assert.equal(rest, {});
  assert.equal(Object.keys(error), ['message', 'type', 'param', 'code']);
  return error;
}

const serving = (use: (url: string, engine: FakeEngine) => Promise<void>, options?: FakeOptions) => async () => {
  const engine = new FakeEngine(options);
  await withServer(engine, {}, (url) => use(url, engine));
  assert.is(engine.running, 0);
};

test(
  'a chat request is answered with JSON',
  serving(async (url) => {
    const response = await post(url, { model: 'fake', messages: MESSAGES });
    assert.is(response.status, 200);
    assert.is(response.headers.get('content-type'), 'application/json; charset=utf-8');
    assert.ok(response.headers.get('x-request-id'));
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
      data: { created: number }[];
    };
    const { created, ...card } = list.data[0];
    assert.ok(Number.isInteger(created));
    assert.equal(card, {
      id: 'org/first',
      object: 'model',
      owned_by: 'quern',
      root: 'fake',
      parent: null,
      max_model_len: 100,
    });
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
    const health = await fetch(`${url}/health`);
    assert.is(health.status, 200);
    assert.is(await health.text(), '');
    const { version } = (await (await fetch(`${url}/version`)).json()) as { version: string };
    assert.match(version, /^\d+\.\d+\.\d+/);
    assert.is((await fetch(`${url}/v1/models`, { method: 'HEAD' })).status, 200);
  }),
);

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
    assert.is((await fetch(`${url}/health`)).status, 200);
    assert.is((await fetch(`${url}/version`)).status, 200);
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

test(
  'a client that leaves ends its generation, streaming or not',
  serving(
    async (url, engine) => {
      for (const stream of [false, true]) {
        const controller = new AbortController();
        const response = post(url, { messages: MESSAGES, stream }, {}, controller.signal).catch(() => null);
        await until(() => engine.running === 1, 'generation begins');
        controller.abort();
        await response;
        await until(() => engine.running === 0, 'generation ends');
      }
    },
    { endless: true, delayMs: 2 },
  ),
);

test('a reader that stalls is cut off and its generation ends', async () => {
  const engine = new FakeEngine({ endless: true, pieces: ['x'.repeat(10_000)] });
  await withServer(engine, { stallMs: 50 }, async (url) => {
    const body = JSON.stringify({ messages: MESSAGES, stream: true });
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.on('error', () => {});
    const head = `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n`;
    socket.write(head + body);
    socket.pause();
    await until(() => engine.tokens > 5, 'tokens come');
    await until(() => engine.running === 0, 'the reader is cut off');
    socket.destroy();
  });
});

test('many requests at once each get their own answer', async () => {
  const engine = new FakeEngine({ delayMs: 30 });
  await withServer(engine, {}, async (url) => {
    const answers = Array.from({ length: 40 }, async (_, i) => {
      const response = await post(url, { messages: MESSAGES, max_tokens: 1 + (i % 3), stream: i % 2 === 0 });
      const text = await response.text();
      return i % 2 === 0 ? text.match(/"content":"[^"]+"/g)!.length : JSON.parse(text).usage.completion_tokens;
    });
    assert.equal(
      await Promise.all(answers),
      Array.from({ length: 40 }, (_, i) => 1 + (i % 3)),
    );
  });
  assert.ok(engine.mostRunning > 10, `${engine.mostRunning} at once`);
  assert.is(engine.running, 0);
});

test('more answers than there may be at one time get a 429', async () => {
  const engine = new FakeEngine({ endless: true, delayMs: 2 });
  await withServer(engine, { maxAnswers: 1 }, async (url) => {
    const controller = new AbortController();
    const first = post(url, { messages: MESSAGES }, {}, controller.signal).catch(() => null);
    await until(() => engine.running === 1, 'generation begins');
    const second = await post(url, { messages: MESSAGES });
    assert.is(second.status, 429);
    assert.is(second.headers.get('retry-after'), '1');
    await errorOf(second);
    controller.abort();
    await first;
    await until(() => engine.running === 0, 'generation ends');
    const third = await post(url, { messages: MESSAGES, max_tokens: 1 });
    assert.is(third.status, 200);
  });
});

test('a failure of the engine is a 500 without its words, and a device failure shows in the health', async () => {
  const log: RequestLogEntry[] = [];
  const error = Object.assign(new Error('secret/path: lost'), { name: 'DeviceError' });
  const engine = new FakeEngine({ failAfter: { tokens: 0, error } });
  await withServer(engine, { onRequest: (entry) => log.push(entry) }, async (url) => {
    for (const stream of [false, true]) {
      const response = await post(url, { messages: MESSAGES, stream });
      assert.is(response.status, 500);
      const { message, type, code } = await errorOf(response);
      assert.not.match(message, 'secret');
      assert.match(message, response.headers.get('x-request-id')!);
      assert.equal([type, code], ['InternalServerError', 500]);
    }
    assert.is((await fetch(`${url}/health`)).status, 503);
  });
  assert.is(log[0].error, error);
});

test('a failure in the middle of a stream is an event, then the stream ends', async () => {
  const log: RequestLogEntry[] = [];
  const error = new Error('secret');
  const engine = new FakeEngine({ failAfter: { tokens: 2, error } });
  await withServer(engine, { onRequest: (entry) => log.push(entry) }, async (url) => {
    const text = await (await post(url, { messages: MESSAGES, stream: true })).text();
    const events = text.split('\n\n');
    assert.is(events.at(-1), '');
    assert.is(events.at(-2), 'data: [DONE]');
    const { error: told } = JSON.parse(events.at(-3)!.slice('data: '.length));
    assert.equal([told.type, told.param, told.code], ['InternalServerError', null, 500]);
    assert.not.match(text, 'secret');
    assert.not.match(text, '"finish_reason":"');
  });
  assert.is(log[0].error, error);
});

test('the log has one entry a request, with counts and without text', async () => {
  const log: RequestLogEntry[] = [];
  await withServer(new FakeEngine(), { onRequest: (entry) => log.push(entry) }, async (url) => {
    await post(url, { messages: MESSAGES, user: 'somebody' }, { 'x-request-id': 'my-label' });
    await (await post(url, { messages: MESSAGES, stream: true })).text();
    await post(url, 'nonsense');
    await fetch(`${url}/nothing?key=secret`);
    await until(() => log.length === 4, 'four entries');
  });
  assert.equal(
    log.map(({ method, path, status, promptTokens, completionTokens }) => [
      method,
      path,
      status,
      promptTokens,
      completionTokens,
    ]),
    [
      ['POST', CHAT, 200, 14, 4],
      ['POST', CHAT, 200, 14, 4],
      ['POST', CHAT, 400, 0, 0],
      ['GET', '/nothing', 404, 0, 0],
    ],
  );
  assert.is(log[0].id, 'my-label');
  assert.not.match(JSON.stringify(log), /somebody|secret|Paris/);
});

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
