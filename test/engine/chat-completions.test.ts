import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type ChatCompletionChunk,
  type ChatCompletionCreateParams,
  createChatCompletions,
} from '../../engine/chat/index.ts';
import { RequestError } from '../../engine/errors.ts';
import { TokenizerError } from '../../tokenizer/index.ts';
import { FakeEngine, type FakeOptions, PROMPT_TOKENS } from '../server/fake-engine.ts';

const test = suite('chat completions in process');

const MESSAGES = [{ role: 'user', content: 'What is the capital of France?' }];

function create(params: Partial<ChatCompletionCreateParams>, options?: FakeOptions) {
  return createChatCompletions(new FakeEngine(options)).create({ messages: MESSAGES, ...params, stream: false });
}

async function chunksOf(params: Partial<ChatCompletionCreateParams>, options?: FakeOptions) {
  const completions = createChatCompletions(new FakeEngine(options));
  const chunks: ChatCompletionChunk[] = [];
  for await (const chunk of await completions.create({ messages: MESSAGES, ...params, stream: true }))
    chunks.push(chunk);
  return chunks;
}

test('an answer has the shape of the API, end token counted', async () => {
  const { id, created, ...rest } = await create({});
  assert.match(id, /^chatcmpl-[0-9a-f]{32}$/);
  assert.ok(Math.abs(created - Date.now() / 1000) < 10);
  assert.equal(rest, {
    object: 'chat.completion',
    model: 'fake',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'Paris.' },
        logprobs: null,
        finish_reason: 'stop',
        stop_reason: null,
      },
    ],
    usage: { prompt_tokens: PROMPT_TOKENS, completion_tokens: 4, total_tokens: PROMPT_TOKENS + 4 },
  });
});

test('a stream begins with the role, goes on with text, and ends with the reason; no usage unless asked for', async () => {
  const chunks = await chunksOf({});
  const { id, created } = chunks[0];
  for (const chunk of chunks) {
    const { choices, ...rest } = chunk;
    assert.equal(rest, { id, object: 'chat.completion.chunk', created, model: 'fake' });
    assert.is(choices.length, 1);
  }
  assert.equal(
    chunks.map(({ choices }) => choices[0]),
    [
      { index: 0, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null },
      { index: 0, delta: { content: 'Par' }, logprobs: null, finish_reason: null },
      { index: 0, delta: { content: 'is' }, logprobs: null, finish_reason: null },
      { index: 0, delta: { content: '.' }, logprobs: null, finish_reason: null },
      { index: 0, delta: {}, logprobs: null, finish_reason: 'stop', stop_reason: null },
    ],
  );
});

test('the last text comes in the chunk with the finish reason', async () => {
  const chunks = await chunksOf({ max_tokens: 2 });
  assert.equal(chunks.at(-1)!.choices, [
    { index: 0, delta: { content: 'is' }, logprobs: null, finish_reason: 'length', stop_reason: null },
  ]);
});

test('with n choices the role chunks come first, in order, and each choice ends once', async () => {
  const chunks = await chunksOf({ n: 3, stream_options: { include_usage: true } });
  assert.equal(
    chunks.slice(0, 3).map(({ choices }) => [choices[0].index, choices[0].delta.role]),
    [
      [0, 'assistant'],
      [1, 'assistant'],
      [2, 'assistant'],
    ],
  );
  const ends = chunks.flatMap(({ choices }) => choices).filter((choice) => choice.finish_reason !== null);
  assert.equal(
    ends.map(({ index }) => index),
    [0, 1, 2],
  );
  for (const chunk of chunks.slice(0, -1)) assert.is(chunk.usage, null);
  const { choices, usage } = chunks.at(-1)!;
  assert.equal(
    { choices, usage },
    {
      choices: [],
      usage: { prompt_tokens: PROMPT_TOKENS, completion_tokens: 12, total_tokens: PROMPT_TOKENS + 12 },
    },
  );
});

test('continuous_usage_stats counts each choice by itself, upwards from 0 in the role chunk', async () => {
  const options = { include_usage: true, continuous_usage_stats: true };
  const chunks = await chunksOf({ n: 2, stream_options: options });
  for (const index of [0, 1]) {
    const own = chunks.filter(({ choices }) => choices[0]?.index === index);
    assert.equal(
      own.map(({ usage }) => usage!.completion_tokens),
      [0, 1, 2, 3, 4],
    );
    assert.ok(own.every(({ usage }) => usage!.total_tokens === PROMPT_TOKENS + usage!.completion_tokens));
  }
  assert.is(chunks.at(-1)!.usage!.completion_tokens, 8);
});

test('a stream put together is the answer in one piece, whatever the parameters', async () => {
  const cases: Partial<ChatCompletionCreateParams>[] = [
    {},
    { n: 3, max_tokens: 2 },
    { stop: ['s.'], logprobs: true, top_logprobs: 3 },
    { stop: 'ari', include_stop_str_in_output: true },
    { stop_token_ids: [11], logprobs: true },
    { ignore_eos: true, max_tokens: 9, n: 2 },
  ];
  for (const params of cases) {
    const { choices, usage } = await create(params);
    const chunks = await chunksOf({ ...params, stream_options: { include_usage: true } });
    for (const { index, message, logprobs, finish_reason, stop_reason } of choices) {
      const own = chunks.flatMap((chunk) => chunk.choices).filter((choice) => choice.index === index);
      assert.is(own.map(({ delta }) => delta.content ?? '').join(''), message.content);
      assert.equal(
        own.flatMap((choice) => choice.logprobs?.content ?? []),
        logprobs?.content ?? [],
      );
      assert.is(own.at(-1)!.finish_reason, finish_reason);
      assert.is(own.at(-1)!.stop_reason, stop_reason);
    }
    assert.equal(chunks.at(-1)!.usage, usage);
  }
});

test('a stop string is told and cut; its tokens stay counted and have their log-probabilities', async () => {
  const { choices, usage } = await create({ stop: ['x', 's.'], logprobs: true });
  assert.is(choices[0].message.content, 'Pari');
  assert.is(choices[0].stop_reason, 's.');
  assert.is(usage.completion_tokens, 3);
  assert.is(choices[0].logprobs!.content.length, 3);
});

test('log-probabilities have text, bytes and the most likely tokens, and -9999 for the impossible', async () => {
  const { choices } = await create({ logprobs: true, top_logprobs: 2 });
  const { content, refusal } = choices[0].logprobs!;
  assert.is(refusal, null);
  const impossible = { token: '<501>', logprob: -9999, bytes: [60, 53, 48, 49, 62] };
  assert.equal(content[0], {
    token: 'Par',
    logprob: -0.25,
    bytes: [80, 97, 114],
    top_logprobs: [{ token: 'Par', logprob: -0.25, bytes: [80, 97, 114] }, impossible],
  });
  assert.is(content.length, 4);
  assert.is(content[3].token, '<|end|>');
  assert.equal(content[3].bytes, [...new TextEncoder().encode('<|end|>')]);
});

test('logprobs without top_logprobs gives empty lists', async () => {
  for (const params of [
    { logprobs: true },
    { logprobs: true, top_logprobs: null },
    { logprobs: true, top_logprobs: 0 },
  ]) {
    const { choices } = await create(params);
    assert.equal(
      choices[0].logprobs!.content.map((entry) => entry.top_logprobs),
      [[], [], [], []],
    );
  }
});

test('half a character is no text yet, but its token has its bytes', async () => {
  const cat = new TextEncoder().encode('🐱');
  const options = { pieces: ['a', cat.slice(0, 2), cat.slice(2), 'b'] };
  const chunks = await chunksOf({ logprobs: true }, options);
  assert.equal(
    chunks.map(({ choices }) => choices[0].delta.content),
    ['', 'a', undefined, '🐱', 'b', undefined],
  );
  const entries = chunks.flatMap(({ choices }) => choices[0].logprobs?.content ?? []);
  assert.equal(
    entries.slice(0, 4).flatMap(({ bytes }) => bytes),
    [...new TextEncoder().encode('a🐱b')],
  );
  assert.is(entries[1].token, '\uFFFD');
  const without = await chunksOf({}, options);
  assert.equal(
    without.map(({ choices }) => choices[0].delta.content),
    ['', 'a', '🐱', 'b', undefined],
  );
});

test('leaving the loop, controller.abort() and the signal end the generation', async () => {
  const engine = new FakeEngine({ endless: true });
  const completions = createChatCompletions(engine);
  const params = { messages: MESSAGES, stream: true } as const;
  for await (const chunk of await completions.create(params)) if (chunk.choices[0].delta.content === '.') break;
  assert.is(engine.running, 0);

  const stream = await completions.create(params);
  let chunks = 0;
  for await (const _ of stream) if (++chunks === 3) stream.controller.abort();
  assert.is(chunks, 3);
  assert.is(engine.running, 0);

  const outer = new AbortController();
  const reason = new Error('enough');
  const whole = completions.create({ messages: MESSAGES }, { signal: outer.signal });
  setTimeout(() => outer.abort(reason), 5);
  assert.is(await whole.catch((error) => error), reason);
  assert.is(engine.running, 0);
});

test('a stream can be read once', async () => {
  const stream = await createChatCompletions(new FakeEngine()).create({ messages: MESSAGES, stream: true });
  for await (const _ of stream) assert.ok(true);
  const again = await stream[Symbol.asyncIterator]()
    .next()
    .catch((error) => error);
  assert.instance(again, TypeError);
});

test('an error in the middle of the generation reaches the reader', async () => {
  const error = new Error('the device is gone');
  const options = { failAfter: { tokens: 2, error } };
  assert.is(await create({}, options).catch((caught) => caught), error);
  assert.is(await chunksOf({}, options).catch((caught) => caught), error);
});

test('what the template or the tokenizer refuses is a fault of the messages', async () => {
  const engine = new FakeEngine();
  engine.promptTokens = () => {
    throw new TokenizerError('Conversation roles must alternate');
  };
  const error = await createChatCompletions(engine)
    .create({ messages: MESSAGES })
    .catch((caught) => caught);
  assert.instance(error, RequestError);
  assert.equal([error.message, error.param], ['Conversation roles must alternate', 'messages']);
});

test('the engine gets camelCase parameters, messages as templates know them, and nothing else', async () => {
  const engine = new FakeEngine();
  const completions = createChatCompletions(engine);
  await completions.create({
    messages: [
      { role: 'developer', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: 'one' }, { type: 'text', text: 'two' }, 'three'] },
      {
        role: 'assistant',
        content: null,
        reasoning: 'Hm.',
        tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{"a": 1}' } }],
      },
      { role: 'tool', content: '42', tool_call_id: 'c1', name: 'f' },
      { role: 'assistant', content: 'ok', tool_calls: [] },
    ],
    max_tokens: 5,
    max_completion_tokens: 7,
    top_p: 0.5,
    seed: 2n ** 62n,
    stop: 'x',
  });
  const { messages, tools, prompt } = engine.prompts[0];
  const { sampling } = engine.requests[0];
  assert.equal(messages, [
    { role: 'developer', content: 'Be brief.' },
    { role: 'user', content: ['one', 'two', 'three'].map((text) => ({ type: 'text', text })) },
    {
      role: 'assistant',
      content: '',
      tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: { a: 1 } } }],
      reasoning_content: 'Hm.',
      reasoning: 'Hm.',
    },
    { role: 'tool', content: '42', name: 'f', tool_call_id: 'c1' },
    { role: 'assistant', content: 'ok' },
  ]);
  assert.is(tools, undefined);
  assert.is(prompt, undefined);
  const given = Object.entries(sampling!).filter(([, value]) => value !== undefined);
  assert.equal(Object.fromEntries(given), { maxTokens: 7, topP: 0.5, seed: 2n ** 62n, stop: ['x'] });
});

test('tools are shown to the template when the model must not call them, unless that is switched off', async () => {
  const engine = new FakeEngine();
  const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object' } } } as const;
  const params = { messages: MESSAGES, tools: [tool], tool_choice: 'none' } as const;
  await createChatCompletions(engine).create(params);
  await createChatCompletions(engine, { excludeToolsWhenNone: true }).create(params);
  await createChatCompletions(engine, { excludeToolsWhenNone: true }).create({ ...params, tool_choice: 'auto' });
  assert.equal(
    engine.prompts.map(({ tools }) => tools),
    [[tool], undefined, [tool]],
  );
});

test('the model has several names and answers with the first', async () => {
  const completions = createChatCompletions(new FakeEngine(), { modelNames: ['first', 'second'] });
  for (const model of ['first', 'second', undefined, null, '']) {
    assert.is((await completions.create({ messages: MESSAGES, model })).model, 'first');
  }
});

test.run();
