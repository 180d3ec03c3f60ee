import OpenAI from 'openai';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../../engine/index.ts';
import { FakeEngine } from './fake-engine.ts';
import { until, withServer } from './with-server.ts';

const test = suite('the official client');

const MESSAGES = [{ role: 'user', content: 'Tell me a joke.' }] as const;

let engine: Engine;

test.before(async () => {
  engine = await Engine.load('tiny-chat');
});

test.after(() => engine.close());

/** Serves an engine to the official client, which is left in its default configuration. */
async function withClient(
  served: Engine | FakeEngine,
  use: (client: OpenAI) => Promise<void>,
  apiKeys: string[] = [],
): Promise<void> {
  await withServer(served, { apiKeys }, (url) => use(new OpenAI({ baseURL: `${url}/v1`, apiKey: 'key' })));
}

const withTinyChat = (use: (client: OpenAI) => Promise<void>) => async () => {
  await withClient(engine, use);
  assert.is(engine.stats.running + engine.stats.waiting, 0);
};

const model = 'tiny-chat';

test(
  'an answer is complete, and the same over HTTP and in process',
  withTinyChat(async (client) => {
    const params = { model, messages: [...MESSAGES], temperature: 0, max_tokens: 60 };
    const { id, created, ...answer } = await client.chat.completions.create(params);
    const { id: _id, created: _created, ...inProcess } = await engine.chat.completions.create(params);
    assert.equal(answer, inProcess);
    assert.match(id, /^chatcmpl-/);
    assert.ok(created > 1_700_000_000);
    const [choice] = answer.choices;
    assert.ok(choice.message.content!.length > 10, choice.message.content!);
    assert.is(choice.finish_reason, 'stop');
    assert.is(answer.usage!.total_tokens, answer.usage!.prompt_tokens + answer.usage!.completion_tokens);
  }),
);

test(
  'a stream put together is the answer in one piece',
  withTinyChat(async (client) => {
    const params = { model, messages: [...MESSAGES], seed: 7, temperature: 1, max_tokens: 40, n: 2, logprobs: true };
    const whole = await client.chat.completions.create({ ...params, top_logprobs: 2 });
    const stream = await client.chat.completions.create({
      ...params,
      top_logprobs: 2,
      stream: true,
      stream_options: { include_usage: true },
    });
    const texts = ['', ''];
    const tokens: unknown[][] = [[], []];
    let usage: unknown = null;
    for await (const chunk of stream) {
      usage = chunk.usage ?? usage;
      for (const { index, delta, logprobs } of chunk.choices) {
        texts[index] += delta.content ?? '';
        tokens[index].push(...(logprobs?.content ?? []));
      }
    }
    assert.equal(
      texts,
      whole.choices.map(({ message }) => message.content),
    );
    assert.equal(
      tokens,
      whole.choices.map(({ logprobs }) => logprobs!.content),
    );
    assert.equal(usage, whole.usage);
    assert.is.not(texts[0], texts[1]);
  }),
);

test(
  'the client’s own stream helper puts a stream together',
  withTinyChat(async (client) => {
    const params = { model, messages: [...MESSAGES], seed: 3, max_tokens: 20, n: 2 };
    const whole = await client.chat.completions.create(params);
    const helper = client.chat.completions.stream(params);
    const { choices } = await helper.finalChatCompletion();
    assert.equal(
      choices.map(({ message, finish_reason }) => [message.content, finish_reason]),
      whole.choices.map(({ message, finish_reason }) => [message.content, finish_reason]),
    );
  }),
);

test(
  'a request gives the same text alone and among others',
  withTinyChat(async (client) => {
    const ask = async (seed: number) => {
      const params = { model, messages: [...MESSAGES], seed, temperature: 1.2, max_tokens: 24 };
      return (await client.chat.completions.create(params)).choices[0].message.content;
    };
    const together = await Promise.all([1, 2, 3, 4, 5, 6].map(ask));
    for (const seed of [1, 4, 6]) assert.is(await ask(seed), together[seed - 1]);
    assert.ok(new Set(together).size > 2);
  }),
);

test(
  'choice i of a seed is the answer to seed + i',
  withTinyChat(async (client) => {
    const params = { model, messages: [...MESSAGES], temperature: 1, max_tokens: 16 };
    const three = await client.chat.completions.create({ ...params, seed: 10, n: 3 });
    const one = await client.chat.completions.create({ ...params, seed: 12 });
    assert.is(three.choices[2].message.content, one.choices[0].message.content);
    assert.equal(
      three.choices.map(({ index }) => index),
      [0, 1, 2],
    );
  }),
);

test(
  'log-probabilities are descending, the bytes give the text, and greedy takes the first',
  withTinyChat(async (client) => {
    const { choices, usage } = await client.chat.completions.create({
      model,
      messages: [...MESSAGES],
      temperature: 0,
      max_tokens: 30,
      logprobs: true,
      top_logprobs: 5,
    });
    const content = choices[0].logprobs!.content!;
    assert.is(content.length, usage!.completion_tokens);
    for (const entry of content) {
      assert.is(entry.top_logprobs.length, 5);
      assert.equal(entry.top_logprobs[0], { token: entry.token, logprob: entry.logprob, bytes: entry.bytes });
      for (let i = 1; i < 5; i++) assert.ok(entry.top_logprobs[i].logprob <= entry.top_logprobs[i - 1].logprob);
      assert.ok(entry.logprob <= 0);
    }
    const text = content.slice(0, -1).flatMap(({ bytes }) => bytes!);
    assert.is(new TextDecoder().decode(Uint8Array.from(text)), choices[0].message.content);
  }),
);

test(
  'stop strings, stop tokens, bias, minimum and maximum do what they say',
  withTinyChat(async (client) => {
    const base = { model, messages: [...MESSAGES], temperature: 0 };
    const plain = (await client.chat.completions.create({ ...base, logprobs: true })).choices[0];
    const text = plain.message.content!;
    const stop = text.slice(8, 12);
    const stopped = (await client.chat.completions.create({ ...base, stop })).choices[0];
    assert.is(stopped.message.content, text.slice(0, text.indexOf(stop)));
    assert.is((stopped as unknown as { stop_reason: string }).stop_reason, stop);

    const [secondId] = engine.tokenizer.encode(text, { addSpecialTokens: false }).slice(1);
    const byToken = await client.chat.completions.create({ ...base, stop_token_ids: [secondId] } as typeof base);
    assert.is(byToken.choices[0].message.content, plain.logprobs!.content![0].token);
    assert.is((byToken.choices[0] as unknown as { stop_reason: number }).stop_reason, secondId);

    const [firstId] = engine.tokenizer.encode(text, { addSpecialTokens: false });
    const banned = await client.chat.completions.create({ ...base, max_tokens: 5, logit_bias: { [firstId]: -100 } });
    assert.not.ok(banned.choices[0].message.content!.startsWith(plain.logprobs!.content![0].token));

    const short = await client.chat.completions.create({ ...base, max_completion_tokens: 3 });
    assert.is(short.choices[0].finish_reason, 'length');
    assert.is(short.usage!.completion_tokens, 3);

    const long = { ...base, min_tokens: 60, max_tokens: 60 };
    assert.is((await client.chat.completions.create(long)).usage!.completion_tokens, 60);
    const endless = { ...base, ignore_eos: true, max_tokens: 60 };
    assert.is((await client.chat.completions.create(endless)).usage!.completion_tokens, 60);
  }),
);

test(
  'a conversation that is too long is refused with the numbers',
  withTinyChat(async (client) => {
    const long = 'word '.repeat(3000);
    const error = await client.chat.completions
      .create({ model, messages: [{ role: 'user', content: long }] })
      .catch((caught) => caught);
    assert.instance(error, OpenAI.BadRequestError);
    assert.is(error.param, 'messages');
    assert.match(error.message, 'maximum context length is 2048');
    const most = await client.chat.completions
      .create({ model, messages: [...MESSAGES], max_tokens: 2048 })
      .catch((caught) => caught);
    assert.is(most.param, 'max_tokens');
  }),
);

test(
  'leaving a stream ends its generation',
  withTinyChat(async (client) => {
    const endless = { model, messages: [...MESSAGES], ignore_eos: true };
    const stream = await client.chat.completions.create({ ...endless, stream: true });
    for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
    await until(() => engine.stats.running === 0, 'generation ends');
    const controller = new AbortController();
    const whole = client.chat.completions.create(endless, { signal: controller.signal }).catch((error) => error);
    await until(() => engine.stats.running === 1, 'generation begins');
    controller.abort();
    assert.instance(await whole, OpenAI.APIUserAbortError);
    await until(() => engine.stats.running === 0, 'generation ends');
  }),
);

test(
  'models are listed and retrieved',
  withTinyChat(async (client) => {
    const ids: string[] = [];
    for await (const { id } of client.models.list()) ids.push(id);
    assert.equal(ids, ['tiny-chat']);
    assert.is((await client.models.retrieve('tiny-chat')).id, 'tiny-chat');
  }),
);

test('errors arrive as the classes of the client, with their parameter', async () => {
  await withClient(new FakeEngine(), async (client) => {
    const failure = (params: object) =>
      client.chat.completions.create({ model: 'fake', messages: [...MESSAGES], ...params }).catch((error) => error);
    const bad = await failure({ temperature: -1 });
    assert.instance(bad, OpenAI.BadRequestError);
    assert.equal([bad.status, bad.param, bad.type], [400, 'temperature', 'BadRequestError']);
    assert.match(bad.message, 'temperature must be non-negative, got -1');
    assert.ok(bad.requestID);
    assert.instance(await failure({ top_p: 2, stream: true }), OpenAI.BadRequestError);
    const missing = await failure({ model: 'nope' });
    assert.instance(missing, OpenAI.NotFoundError);
    assert.is(missing.param, 'model');
    assert.instance(await client.models.retrieve('nope').catch((error) => error), OpenAI.NotFoundError);
  });
});

test('the engine in process takes what is typed for the client', async () => {
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'What is the capital of France?' }];
  const tools: OpenAI.ChatCompletionTool[] = [{ type: 'function', function: { name: 'now' } }];
  const { choices } = await engine.chat.completions.create({ messages, tools, tool_choice: 'none', temperature: 0 });
  messages.push({ role: 'assistant', content: choices[0].message.content });
  assert.is((await engine.chat.completions.create({ messages, max_tokens: 1 })).choices.length, 1);
  const custom: OpenAI.ChatCompletionTool[] = [{ type: 'custom', custom: { name: 'x' } }];
  const error = await engine.chat.completions.create({ messages, tools: custom }).catch((caught) => caught);
  assert.is(error.param, 'tools.0.type');
});

test('too many answers are a RateLimitError, a failure inside is an InternalServerError', async () => {
  const endless = new FakeEngine({ endless: true, delayMs: 2 });
  await withServer(endless, { maxAnswers: 1 }, async (url) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'key', maxRetries: 0 });
    const params = { model: 'fake', messages: [...MESSAGES] };
    const first = await client.chat.completions.create({ ...params, stream: true });
    const error = await client.chat.completions.create(params).catch((caught) => caught);
    assert.instance(error, OpenAI.RateLimitError);
    assert.is(error.headers.get('retry-after'), '1');
    first.controller.abort();
  });
  const broken = new FakeEngine({ failAfter: { tokens: 0, error: new Error('broken') } });
  await withServer(broken, {}, async (url) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'key', maxRetries: 0 });
    const error = await client.chat.completions
      .create({ model: 'fake', messages: [...MESSAGES] })
      .catch((caught) => caught);
    assert.instance(error, OpenAI.InternalServerError);
    assert.is(error.type, 'InternalServerError');
  });
});

test('a wrong key is an AuthenticationError', async () => {
  const use = async (client: OpenAI) => {
    await client.models.list();
    const stranger = client.withOptions({ apiKey: 'other' });
    const error = await stranger.models.list().catch((caught) => caught);
    assert.instance(error, OpenAI.AuthenticationError);
    assert.is(error.code, 'invalid_api_key');
  };
  await withClient(new FakeEngine(), use, ['key']);
});

test('a failure in the middle of a stream is thrown to the reader', async () => {
  const broken = new FakeEngine({ failAfter: { tokens: 2, error: new Error('broken') } });
  await withClient(broken, async (client) => {
    const stream = await client.chat.completions.create({ model: 'fake', messages: [...MESSAGES], stream: true });
    let text = '';
    const error = await (async () => {
      for await (const chunk of stream) text += chunk.choices[0].delta.content;
    })().catch((caught) => caught);
    assert.is(text, 'Paris');
    assert.instance(error, OpenAI.APIError);
    assert.match(error.message, 'failed on request');
  });
});

test.run();
