/** Answers under way: readers that leave or stall, many at once, failures, and the log. */

import { connect } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { RequestLogEntry } from '../../server/index.ts';
import { FakeEngine } from './fake-engine.ts';
import { CHAT, errorOf, MESSAGES, post, serving } from './requests.ts';
import { until, withServer } from './with-server.ts';

const test = suite('answers');

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
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const engine = new FakeEngine({ gate });
  await withServer(engine, {}, async (url) => {
    const answers = Array.from({ length: 40 }, async (_, i) => {
      const response = await post(url, { messages: MESSAGES, max_tokens: 1 + (i % 3), stream: i % 2 === 0 });
      const text = await response.text();
      return i % 2 === 0 ? text.match(/"content":"[^"]+"/g)!.length : JSON.parse(text).usage.completion_tokens;
    });
    await until(() => engine.running === 40, 'all are under way');
    open();
    assert.equal(
      await Promise.all(answers),
      Array.from({ length: 40 }, (_, i) => 1 + (i % 3)),
    );
  });
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

test('a failure of the engine is a 500 without its words; the health says whether the engine can serve', async () => {
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
    assert.is((await fetch(`${url}/health`)).status, 200);
    engine.isReady = false;
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

test('a label of the caller is the id of the answer, in the header and in the body', async () => {
  await withServer(new FakeEngine(), {}, async (url) => {
    const response = await post(url, { messages: MESSAGES, request_id: 'own' }, { 'x-request-id': 'label-1' });
    assert.is(response.headers.get('x-request-id'), 'label-1');
    assert.is(((await response.json()) as { id: string }).id, 'chatcmpl-label-1');
    const bare = await post(url, { messages: MESSAGES }, { 'x-request-id': 'no label' });
    assert.is.not(bare.headers.get('x-request-id'), 'no label');
    assert.match(((await bare.json()) as { id: string }).id, /^chatcmpl-[0-9a-f]{32}$/);
  });
});

test('fields that nobody knows are told once, and not without end', async () => {
  const told: [string, string][] = [];
  const onUnknownField = (field: string, path: string) => told.push([field, path]);
  await withServer(new FakeEngine(), { onUnknownField }, async (url) => {
    for (let i = 0; i < 2; i++) assert.is((await post(url, { messages: MESSAGES, magic: 1, toString: 2 })).status, 200);
    assert.equal(told, [
      ['magic', CHAT],
      ['toString', CHAT],
    ]);
    await post(url, { messages: MESSAGES, ...Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`x${i}`, 1])) });
    assert.is(told.length, 100);
  });
});

test.run();
