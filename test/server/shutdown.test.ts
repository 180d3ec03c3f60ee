import { connect } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serve } from '../../server/index.ts';
import { FakeEngine } from './fake-engine.ts';
import { until } from './with-server.ts';

const test = suite('shutdown');

const BODY = { messages: [{ role: 'user', content: 'hi' }] };

const post = (url: string, body: object) =>
  fetch(`${url}/v1/chat/completions`, { method: 'POST', body: new TextEncoder().encode(JSON.stringify(body)) });

test('answers under way come to their end, then the server is gone', async () => {
  const engine = new FakeEngine({ delayMs: 20 });
  const server = await serve(engine, { port: 0 });
  const whole = post(server.url, BODY).then((response) => response.json());
  const stream = post(server.url, { ...BODY, stream: true }).then((response) => response.text());
  await until(() => engine.running === 2, 'both begin');
  await server.close();
  assert.is(((await whole) as { usage: { completion_tokens: number } }).usage.completion_tokens, 4);
  assert.match(await stream, 'data: [DONE]');
  assert.instance(await post(server.url, BODY).catch((error) => error), TypeError);
});

test('answers over the limit are cut short: a 503, or an event with the error', async () => {
  const engine = new FakeEngine({ endless: true, delayMs: 2 });
  const server = await serve(engine, { port: 0 });
  const whole = post(server.url, BODY);
  const stream = post(server.url, { ...BODY, stream: true }).then((response) => response.text());
  await until(() => engine.running === 2, 'both begin');
  await server.close(30);
  const response = await whole;
  assert.is(response.status, 503);
  assert.is(response.headers.get('retry-after'), '5');
  const events = (await stream).trimEnd().split('\n\n');
  assert.is(events.at(-1), 'data: [DONE]');
  assert.is(JSON.parse(events.at(-2)!.slice('data: '.length)).error.code, 503);
  assert.is(engine.running, 0);
});

test('a new request on an open connection gets a 503', async () => {
  const engine = new FakeEngine({ delayMs: 30 });
  const server = await serve(engine, { port: 0 });
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  let answers = '';
  socket.setEncoding('utf8').on('data', (text) => (answers += text));
  const body = JSON.stringify(BODY);
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await until(() => engine.running === 1, 'generation begins');
  const closed = server.close();
  socket.write('GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n');
  await closed;
  await until(() => socket.destroyed, 'the connection ends');
  assert.equal(answers.match(/HTTP\/1.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 503']);
  assert.match(answers, 'connection: close');
});

test('an idle server closes at once, and twice is the same as once', async () => {
  const server = await serve(new FakeEngine(), { port: 0 });
  await fetch(`${server.url}/health`);
  const closed = server.close();
  assert.is(server.close(), closed);
  await closed;
});

test('a port in use is an error with its code', async () => {
  const server = await serve(new FakeEngine(), { port: 0 });
  const port = Number(new URL(server.url).port);
  const error = await serve(new FakeEngine(), { port }).catch((caught) => caught);
  assert.is(error.code, 'EADDRINUSE');
  await server.close();
});

test.run();
