/** Responses that are stored: gone on from, looked at, made in the background, cancelled and forgotten. */

import OpenAI from 'openai';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ResponseStore } from '../../engine/responses/store.ts';
import type { ApiResponse } from '../../engine/responses/types.ts';
import { FakeEngine } from './fake-engine.ts';
import { until, withServer } from './with-server.ts';

const test = suite('stored responses');

const model = 'fake';

async function withClient(
  engine: FakeEngine,
  use: (client: OpenAI) => Promise<void>,
  keys: object[] = [],
): Promise<void> {
  await withServer(engine, { apiKeys: keys as never }, (url) =>
    use(new OpenAI({ baseURL: `${url}/v1`, apiKey: 'one', maxRetries: 0 })),
  );
}

const failure = (promise: PromiseLike<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> =>
  Promise.resolve(promise).then(
    () => assert.unreachable() as never,
    (error) => error,
  );

test('a response is gone on from: input and output come before what is new, instructions do not', async () => {
  const engine = new FakeEngine();
  await withClient(engine, async (client) => {
    const first = await client.responses.create({ model, input: 'Hi', instructions: 'Be brief.' });
    const stream = await client.responses.create({
      model,
      input: [{ role: 'user', content: 'And then?' }],
      previous_response_id: first.id,
      stream: true,
    });
    let second = '';
    for await (const event of stream) if (event.type === 'response.completed') second = event.response.id;
    const third = await client.responses.create({ model, input: 'More', previous_response_id: second });
    assert.equal([first.previous_response_id, third.previous_response_id], [null, second]);
    assert.equal(
      engine.prompts.at(-1)!.messages!.map(({ role, content }) => [role, contentText(content)]),
      [
        ['user', 'Hi'],
        ['assistant', 'Paris.'],
        ['user', 'And then?'],
        ['assistant', 'Paris.'],
        ['user', 'More'],
      ],
    );
  });
});

test('calls are gone on from with their results', async () => {
  const pieces = ['<tool_call>', '{"name": "f", "arguments": {"a": 1}}', '</tool_call>'];
  const engine = new FakeEngine({ pieces, replyFormat: { calls: 'hermes', reasoning: false } });
  const tools = [{ type: 'function' as const, name: 'f', parameters: {}, strict: false }];
  await withClient(engine, async (client) => {
    const { id, output } = await client.responses.create({ model, input: 'Hi', tools });
    const [call] = output;
    if (call.type !== 'function_call') throw new Error(call.type);
    const result = { type: 'function_call_output' as const, call_id: call.call_id, output: '7' };
    await client.responses.create({ model, input: [result], previous_response_id: id });
    assert.equal(
      engine.prompts
        .at(-1)!
        .messages!.map(({ role, tool_calls: calls, tool_call_id: callId }) => [role, calls?.length ?? callId]),
      [
        ['user', undefined],
        ['assistant', 1],
        ['tool', call.call_id],
      ],
    );
  });
});

test('a stored response can be looked at and forgotten, one that is not stored cannot', async () => {
  await withClient(new FakeEngine(), async (client) => {
    const response = await client.responses.create({ model, input: 'Hi', metadata: { a: 'b' } });
    const { output_text, ...found } = await client.responses.retrieve(response.id);
    assert.equal([output_text, found.metadata, found.status], ['Paris.', { a: 'b' }, 'completed']);
    await client.responses.delete(response.id);
    const unstored = await client.responses.create({ model, input: 'Hi', store: false });
    assert.is((unstored as unknown as { store: boolean }).store, false);
    for (const id of [response.id, unstored.id, 'resp_1']) {
      assert.instance(await failure(client.responses.retrieve(id)), OpenAI.NotFoundError);
      const error = await failure(client.responses.create({ model, input: 'Hi', previous_response_id: id }));
      assert.instance(error, OpenAI.NotFoundError);
      assert.is(error.param, 'previous_response_id');
    }
  });
});

test('a response is its owner’s alone', async () => {
  const keys = [
    { key: 'one', name: 'alice' },
    { key: 'two', name: 'bob' },
  ];
  const use = async (client: OpenAI) => {
    const { id } = await client.responses.create({ model, input: 'Hi' });
    const other = client.withOptions({ apiKey: 'two' });
    assert.is((await client.responses.retrieve(id)).id, id);
    assert.instance(await failure(other.responses.retrieve(id)), OpenAI.NotFoundError);
    assert.instance(await failure(other.responses.delete(id)), OpenAI.NotFoundError);
    const stranger = client.withOptions({ apiKey: 'three' });
    assert.instance(await failure(stranger.responses.retrieve(id)), OpenAI.AuthenticationError);
  };
  await withClient(new FakeEngine(), use, keys);
});

test('in the background a response answers at once, and is there when it is done', async () => {
  const engine = new FakeEngine({ delayMs: 5 });
  await withClient(engine, async (client) => {
    const begun = await client.responses.create({ model, input: 'Hi', background: true });
    assert.equal([begun.status, begun.output, begun.background], ['in_progress', [], true]);
    await until(() => engine.running === 1, 'it runs');
    await until(() => engine.running === 0, 'it is done');
    const done = await client.responses.retrieve(begun.id);
    assert.equal([done.status, done.output_text], ['completed', 'Paris.']);
    assert.is((await client.responses.cancel(begun.id)).status, 'completed');
  });
});

test('one in the background can be cancelled, or fail; another cannot be cancelled', async () => {
  const endless = new FakeEngine({ endless: true, delayMs: 2 });
  await withClient(endless, async (client) => {
    const { id } = await client.responses.create({ model, input: 'Hi', background: true });
    await until(() => endless.running === 1, 'it runs');
    assert.is((await client.responses.cancel(id)).status, 'cancelled');
    await until(() => endless.running === 0, 'it is cancelled');
    assert.is((await client.responses.retrieve(id)).status, 'cancelled');
    const other = await client.responses.create({ model, input: 'Hi', background: true });
    await client.responses.delete(other.id);
    await until(() => endless.running === 0, 'it is forgotten');
    const plain = await client.responses.create({ model, input: 'Hi', max_output_tokens: 1 });
    const error = await failure(client.responses.cancel(plain.id));
    assert.instance(error, OpenAI.BadRequestError);
    assert.instance(await failure(client.responses.cancel('resp_1')), OpenAI.NotFoundError);
  });
  const broken = new FakeEngine({ failAfter: { tokens: 1, error: new Error('secret') } });
  await withClient(broken, async (client) => {
    const { id } = await client.responses.create({ model, input: 'Hi', background: true });
    await until(() => broken.tokens === 1 && broken.running === 0, 'it fails');
    const { status, error } = await client.responses.retrieve(id);
    assert.equal([status, error!.code], ['failed', 'server_error']);
    assert.not.match(error!.message, 'secret');
  });
});

test('the oldest responses are forgotten when there are too many, or too much was said', () => {
  const store = new ResponseStore();
  const put = (id: string, text = '') =>
    store.put({ response: { id } as ApiResponse, messages: [], owner: undefined }, [{ role: 'user', content: text }]);
  for (let i = 0; i < 1001; i++) put(`r${i}`);
  assert.equal([store.has('r0'), store.has('r1'), store.has('r1000')], [false, true, true]);
  for (let i = 0; i < 4; i++) put(`long${i}`, 'x'.repeat(20 * 2 ** 20));
  assert.equal(
    [store.has('r1000'), store.has('long0'), store.has('long1'), store.has('long3')],
    [false, false, true, true],
  );
});

function contentText(content: unknown): unknown {
  return Array.isArray(content) ? content.map((part) => part.text).join('') : content;
}

test.run();
