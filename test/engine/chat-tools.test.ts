/** Tools over the chat API, with an engine that says what a model would. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type ChatCompletionChunk,
  type ChatCompletionCreateParams,
  createChatCompletions,
} from '../../engine/chat/index.ts';
import { FakeEngine, type FakeOptions } from '../server/fake-engine.ts';

const test = suite('tools');

const MESSAGES = [{ role: 'user', content: "What's the weather in Oslo?" }];
const TOOLS = [{ type: 'function', function: { name: 'get_weather', parameters: { type: 'object' } } }] as const;
const HERMES = { replyFormat: { calls: 'hermes', reasoning: false } } as const;
const CALL = [
  'Let me see.\n',
  '<tool_call>',
  '\n{"name": "get_',
  'weather", "argu',
  'ments": {"city"',
  ': "Oslo"}}',
  '\n</tool_call>',
];

type Params = Partial<ChatCompletionCreateParams>;

async function ask(params: Params, options: FakeOptions) {
  const completions = createChatCompletions(new FakeEngine(options));
  const { choices } = await completions.create({ messages: MESSAGES, tools: TOOLS, ...params, stream: false });
  return choices[0];
}

async function chunksOf(params: Params, options: FakeOptions): Promise<ChatCompletionChunk[]> {
  const chunks: ChatCompletionChunk[] = [];
  const completions = createChatCompletions(new FakeEngine(options));
  const request = { messages: MESSAGES, tools: TOOLS, ...params, stream: true } as const;
  for await (const chunk of await completions.create(request)) chunks.push(chunk);
  return chunks;
}

test('a call that the model writes becomes tool_calls, and what stood before it is content', async () => {
  const { message, finish_reason: reason, stop_reason: stop } = await ask({}, { ...HERMES, pieces: CALL });
  const [{ id, ...call }] = message.tool_calls!;
  assert.match(id, /^chatcmpl-tool-[0-9a-f]{32}$/);
  assert.equal(call, { type: 'function', function: { name: 'get_weather', arguments: '{"city": "Oslo"}' } });
  assert.is(message.content, 'Let me see.');
  assert.equal([reason, stop], ['tool_calls', null]);
  assert.is((await ask({}, { ...HERMES, pieces: CALL.slice(1) })).message.content, null);
});

test('without a call, and with tools that must not be called, the text is the content', async () => {
  const plain = await ask({}, HERMES);
  assert.equal(plain.message, { role: 'assistant', content: 'Paris.', tool_calls: [] });
  assert.is(plain.finish_reason, 'stop');
  const none = await ask({ tool_choice: 'none' }, { ...HERMES, pieces: CALL });
  assert.equal(none.message, { role: 'assistant', content: CALL.join('') });
  const unknown = await ask({}, { pieces: CALL });
  assert.is(unknown.message.content, CALL.join(''));
});

test('in a stream the name comes once, with its id, and then the arguments as they grow', async () => {
  const chunks = await chunksOf({}, { ...HERMES, pieces: CALL });
  const deltas = chunks.flatMap(({ choices }) => choices[0].delta.tool_calls ?? []);
  assert.match(deltas[0].id!, /^chatcmpl-tool-/);
  assert.equal(
    { ...deltas[0], id: '' },
    { index: 0, id: '', type: 'function', function: { name: 'get_weather', arguments: '{"city"' } },
  );
  assert.equal(deltas.slice(1), [{ index: 0, function: { arguments: ': "Oslo"}' } }]);
  assert.equal(
    chunks.map(({ choices }) => choices[0].delta.content).filter((text) => text),
    ['Let me see.'],
  );
  assert.is(chunks.at(-1)!.choices[0].finish_reason, 'tool_calls');
});

test('several calls have indices from 0 in every choice; parallel_tool_calls false keeps the first', async () => {
  const pieces = [...CALL, ...CALL.slice(1)];
  const chunks = await chunksOf({ n: 2 }, { ...HERMES, pieces });
  for (const index of [0, 1]) {
    const own = chunks.flatMap(({ choices }) => choices).filter((choice) => choice.index === index);
    const begun = own.flatMap(({ delta }) => delta.tool_calls ?? []).filter(({ id }) => id !== undefined);
    assert.equal(
      begun.map((call) => call.index),
      [0, 1],
    );
    assert.is.not(begun[0].id, begun[1].id);
  }
  const { message } = await ask({ parallel_tool_calls: false }, { ...HERMES, pieces });
  assert.is(message.tool_calls!.length, 1);
  assert.is((await ask({}, { ...HERMES, pieces })).message.tool_calls!.length, 2);
});

test('a call that is cut short is left out of an answer in one piece', async () => {
  const { message, finish_reason: reason } = await ask({ max_tokens: 5 }, { ...HERMES, pieces: CALL });
  assert.equal([message.tool_calls, reason], [[], 'length']);
});

test('markers are kept in the text for the parser, whatever skip_special_tokens says', async () => {
  const engine = new FakeEngine({ ...HERMES, pieces: CALL });
  await createChatCompletions(engine).create({ messages: MESSAGES, tools: TOOLS });
  await createChatCompletions(engine).create({ messages: MESSAGES, tools: TOOLS, tool_choice: 'none' });
  assert.equal(
    engine.requests.map(({ sampling }) => sampling!.skipSpecialTokens),
    [false, undefined],
  );
  assert.equal(engine.prompts[0].tools, TOOLS);
});

test('ids are nine letters and digits for models that want them so', async () => {
  const pieces = ['[TOOL_CALLS]', 'get_weather', '{"city": "Oslo"}'];
  const { message } = await ask({}, { replyFormat: { calls: 'mistral', reasoning: false }, pieces });
  assert.match(message.tool_calls![0].id, /^[a-zA-Z0-9]{9}$/);
});

test('on channels, reasoning and content come apart also where there is nothing to call', async () => {
  const pieces = [
    '<|channel|>analysis<|message|>',
    'Hm.',
    '<|end|><|start|>assistant',
    '<|channel|>final<|message|>',
    'Yes.',
  ];
  const options = { replyFormat: { calls: 'openai', reasoning: false }, pieces } as const;
  for (const params of [{ tools: null }, { tool_choice: 'none' }] as const) {
    const { message } = await ask(params, options);
    assert.equal(message, { role: 'assistant', content: 'Yes.', reasoning_content: 'Hm.', reasoning: 'Hm.' });
  }
});

test('reasoning comes apart, under both names, and can be left out', async () => {
  const options = { replyFormat: { reasoning: true }, pieces: ['<think>', '\nHm.', '\n</think>', '\n\nYes', '.'] };
  const { message } = await ask({ tools: null }, options);
  assert.equal(message, { role: 'assistant', content: 'Yes.', reasoning_content: 'Hm.', reasoning: 'Hm.' });
  const without = await ask({ tools: null, include_reasoning: false }, options);
  assert.equal(without.message, { role: 'assistant', content: 'Yes.' });
  const chunks = await chunksOf({ tools: null }, options);
  assert.is(chunks.map(({ choices }) => choices[0].delta.reasoning_content ?? '').join(''), 'Hm.');
  assert.is(chunks.map(({ choices }) => choices[0].delta.content ?? '').join(''), 'Yes.');
});

test.run();
