import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createChatCompletions } from '../../engine/chat/index.ts';
import { parseChatRequest } from '../../engine/chat/request.ts';
import { RequestError } from '../../engine/errors.ts';
import { FakeEngine } from '../server/fake-engine.ts';

const test = suite('chat request');

const MESSAGES = [{ role: 'user', content: 'hi' }];
const TOOLS = [{ type: 'function', function: { name: 'f' } }];
const read = (fields: object) => parseChatRequest({ messages: MESSAGES, ...fields }) as Record<string, unknown>;

async function refusal(body: unknown): Promise<RequestError> {
  const completions = createChatCompletions(new FakeEngine());
  const error = await completions.create(body as never).then(
    () => null,
    (caught: unknown) => caught,
  );
  assert.instance(error, RequestError, `not refused: ${JSON.stringify(body, stringifyBigInt)?.slice(0, 200)}`);
  return error as RequestError;
}

const accepted: [field: string, given: unknown, read: unknown][] = [
  ['temperature', '0.5', 0.5],
  ['temperature', ' 1e-1 ', 0.1],
  ['top_k', 2, 2],
  ['top_k', '2', 2],
  ['top_k', '2.0', 2],
  ['top_k', true, 1],
  ['max_tokens', 1e3, 1000],
  ['stream', 1, true],
  ['stream', 'TRUE', true],
  ['logprobs', 'off', false],
  ['ignore_eos', 'y', true],
  ['ignore_eos', 0, false],
  ['stop', 'x', ['x']],
  ['stop', [], []],
  ['stop_token_ids', ['1', 2.0, true], [1, 2, 1]],
  ['logit_bias', { '5': '2' }, { '5': 2 }],
  ['seed', 5, 5n],
  ['seed', '9223372036854775807', 9223372036854775807n],
];

for (const [field, given, expected] of accepted) {
  test(`${field}: ${JSON.stringify(given)} is read as ${JSON.stringify(expected, stringifyBigInt)}`, () => {
    assert.equal(read({ [field]: given })[field], expected);
  });
}

test('null is the same as not given, for every field but messages', () => {
  const fields = Object.keys(read({})).concat(
    'temperature',
    'stop',
    'stream_options',
    'tools',
    'guided_json',
    'seed',
    'n',
  );
  const nulls = Object.fromEntries(fields.filter((field) => field !== 'messages').map((field) => [field, null]));
  const values = Object.entries(read(nulls)).filter(([field]) => field !== 'messages');
  for (const [field, value] of values) assert.ok(value === undefined || value === null, field);
});

test('unknown fields are ignored, at every level', () => {
  const request = parseChatRequest({
    messages: [{ role: 'user', content: [{ type: 'text', text: 'hi', cache_control: {} }], weight: 1 }],
    stream: true,
    stream_options: { include_obfuscation: true },
    metadata: { a: 1 },
    store: true,
    service_tier: 'auto',
    parallel_tool_calls: true,
    made_up: [1],
    ...JSON.parse('{"__proto__": {"temperature": 7}}'),
  });
  assert.is(request.temperature, undefined);
  assert.not.ok('made_up' in request);
});

test('what asks for nothing beyond the ordinary is accepted', () => {
  read({
    echo: false,
    use_beam_search: false,
    length_penalty: 1,
    early_stopping: false,
    add_generation_prompt: true,
    add_special_tokens: false,
    response_format: { type: 'text' },
    best_of: 1,
    guided_decoding_backend: 'xgrammar',
    modalities: ['text'],
    tools: [],
    tool_choice: 'none',
    top_logprobs: 0,
    user: 'somebody',
  });
});

test('the switches of a thinking template go to the template', async () => {
  const engine = new FakeEngine();
  const kwargs = { enable_thinking: false };
  await createChatCompletions(engine).create({ messages: MESSAGES, chat_template_kwargs: kwargs });
  assert.equal(engine.requests[0].chatTemplateKwargs, kwargs);
});

// What is wrong, the parameter that is named, and what the message says.
const refused: [fields: object, param: string | null, ...says: string[]][] = [
  [{ messages: undefined }, 'messages', 'required'],
  [{ messages: null }, 'messages', 'list'],
  [{ messages: 'hi' }, 'messages', 'list', '"hi"'],
  [{ messages: [] }, 'messages', 'at least one'],
  [{ messages: ['hi'] }, 'messages.0', 'object', '"hi"'],
  [{ messages: [{ content: 'hi' }] }, 'messages.0.role', 'required'],
  [{ messages: [{ role: 5, content: 'hi' }] }, 'messages.0.role', 'string', '5'],
  [{ messages: [{ role: 'user', content: 5 }] }, 'messages.0.content', '5'],
  [
    { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
    'messages.0.content',
    'multimodal',
  ],
  [{ messages: [{ role: 'user', content: [{ type: 'smell' }] }] }, 'messages.0.content', 'unknown', '"smell"'],
  [{ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages.0.content', 'text'],
  [
    { messages: [{ role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: '{' } }] }] },
    'messages.0.tool_calls.0.function.arguments',
    'JSON',
  ],
  [{ messages: [{ role: 'user', content: Array(1025).fill('a') }] }, 'messages.0.content', '1024'],
  [{ messages: Array(2049).fill(MESSAGES[0]) }, 'messages', '2048'],
  [{ model: 'nope' }, 'model', '`nope`', 'does not exist'],
  [{ model: 5 }, 'model', 'string', '5'],
  [{ temperature: 'hot' }, 'temperature', 'number', '"hot"'],
  [{ temperature: {} }, 'temperature', 'number', 'object'],
  [{ temperature: [] }, 'temperature', 'number', 'list'],
  [{ temperature: '' }, 'temperature', 'number'],
  [{ temperature: '0x5' }, 'temperature', 'number'],
  [{ temperature: Number.POSITIVE_INFINITY }, 'temperature', 'Infinity'],
  [{ temperature: -1 }, 'temperature', 'non-negative', '-1'],
  [{ top_p: 0 }, 'top_p', '(0, 1]', '0'],
  [{ top_k: 2.5 }, 'top_k', 'integer', '2.5'],
  [{ top_k: '1e3' }, 'top_k', 'integer'],
  [{ top_k: -2 }, 'top_k', '-2'],
  [{ min_p: 1.5 }, 'min_p', '1.5'],
  [{ max_tokens: 0 }, 'max_tokens', 'at least 1', '0'],
  [{ max_tokens: 87 }, 'max_tokens', 'maximum context length', '101'],
  [{ min_tokens: 5, max_tokens: 4 }, 'min_tokens', 'max_tokens=4'],
  [{ n: 0 }, 'n', 'at least 1'],
  [{ n: 129 }, 'n', '128'],
  [{ n: 2, temperature: 0 }, 'n', 'greedy'],
  [{ seed: 1.5 }, 'seed', 'integer'],
  [{ seed: 2n ** 63n }, 'seed', 'less_than_equal'],
  [{ seed: -(2n ** 63n) - 1n }, 'seed', 'greater_than_equal'],
  [{ stop: '' }, 'stop', 'empty'],
  [{ stop: ['a', 1] }, 'stop', 'string'],
  [{ stop: Array(1025).fill('a') }, 'stop', '1024', '1025'],
  [{ stop_token_ids: Array(1025).fill(1) }, 'stop_token_ids', '1024', '1025'],
  [{ stop_token_ids: 5 }, 'stop_token_ids', 'list'],
  [{ stop_token_ids: ['x'] }, 'stop_token_ids', 'integer'],
  [{ logit_bias: [1] }, 'logit_bias', 'object'],
  [{ logit_bias: { '1000': 1 } }, 'logit_bias', '"1000"', '1000'],
  [{ logit_bias: Array.from({ length: 5 }) }, 'logit_bias', 'object'],
  [{ logit_bias: Object.fromEntries(Array(32_769).entries()) }, 'logit_bias', '32768'],
  [{ logit_bias: { a: 1 } }, 'logit_bias', '"a"'],
  [{ logit_bias: { '1': 'x' } }, 'logit_bias', 'number'],
  [{ logprobs: 5 }, 'logprobs', 'true or false', '5'],
  [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs', '20', '21'],
  [{ logprobs: true, top_logprobs: -1 }, 'top_logprobs', '-1'],
  [{ top_logprobs: 1 }, 'top_logprobs', 'logprobs'],
  [{ stream: 'maybe' }, 'stream', '"maybe"'],
  [{ stream_options: { include_usage: true } }, 'stream_options', 'stream'],
  [{ stream: true, stream_options: 5 }, 'stream_options', 'object'],
  [{ user: 5 }, 'user', 'string'],
  [{ user: 'x'.repeat(257) }, 'user', '256'],
  [{ frequency_penalty: 3 }, 'frequency_penalty', '3'],
  [{ presence_penalty: -3 }, 'presence_penalty', '-3'],
  [{ repetition_penalty: 0 }, 'repetition_penalty', 'greater than zero'],
  [{ tool_choice: 'auto' }, 'tool_choice', 'tools'],
  [{ tools: TOOLS, tool_choice: 'sometimes' }, 'tool_choice', '"sometimes"'],
  [{ tools: TOOLS, tool_choice: {} }, 'tool_choice', 'function.name'],
  [{ tools: TOOLS, tool_choice: { type: 'function', function: { name: 'g' } } }, 'tool_choice', '"g"'],
  [{ tools: [{ type: 'web' }], tool_choice: 'none' }, 'tools.0.type', '"function"'],
  [{ tools: [{ function: {} }], tool_choice: 'none' }, 'tools.0.function.name', 'string'],
  [{ best_of: 1, n: 2 }, 'best_of', 'greater', 'n=2'],
  [{ length_penalty: 2 }, 'length_penalty', 'not effective without beam search'],
  [{ early_stopping: true }, 'early_stopping', 'not effective without beam search'],
  [{ guided_json: {}, guided_regex: 'a' }, null, 'guided_json', 'guided_regex'],
  [{ guided_decoding_backend: 'magic' }, 'guided_decoding_backend', 'outlines'],
  [{ response_format: { type: 'yaml' } }, 'response_format', 'json_schema', '"yaml"'],
  [{ modalities: ['text', 'audio'] }, 'modalities', 'multimodal'],
  [{ chat_template_kwargs: { messages: [] } }, 'chat_template_kwargs', '"messages"'],
  [{ chat_template_kwargs: { enable_thinking: 'no' } }, 'chat_template_kwargs', 'true or false'],
];

for (const [fields, param, ...says] of refused) {
  test(`${shown(fields)} is refused`, async () => {
    const error = await refusal({ messages: MESSAGES, ...fields });
    assert.is(error.param, param, error.message);
    const isOverflow = says.includes('maximum context length');
    for (const text of isOverflow || !param ? says : [...says, param.split('.').at(-1)!]) {
      assert.ok(error.message.includes(text), `"${error.message}" does not say ${text}`);
    }
    assert.not.ok(/\n/.test(error.message));
  });
}

const unsupported: Record<string, unknown> = {
  best_of: 2,
  use_beam_search: true,
  echo: true,
  add_generation_prompt: false,
  add_special_tokens: true,
  continue_final_message: true,
  guided_json: { type: 'object' },
  guided_regex: 'a+',
  guided_choice: ['a'],
  guided_grammar: 'root ::= "a"',
  guided_whitespace_pattern: ' ',
  structured_outputs: { regex: 'a' },
  response_format: { type: 'json_object' },
  chat_template: '{{ messages }}',
  documents: [],
  allowed_token_ids: [1],
  bad_words: ['x'],
  prompt_logprobs: 1,
  truncate_prompt_tokens: 5,
  return_token_ids: true,
  reasoning_effort: 'low',
  functions: [],
  cache_salt: 'x',
  audio: {},
  web_search_options: {},
};

for (const [param, value] of Object.entries(unsupported)) {
  test(`${param} is refused, not ignored`, async () => {
    const error = await refusal({ messages: MESSAGES, [param]: value });
    assert.is(error.param, param);
    assert.match(error.message, 'not supported yet');
  });
}

test('tools that the model might call are refused', async () => {
  assert.is((await refusal({ messages: MESSAGES, tools: TOOLS })).param, 'tools');
  assert.is((await refusal({ messages: MESSAGES, tools: TOOLS, tool_choice: 'auto' })).param, 'tools');
  assert.is((await refusal({ messages: MESSAGES, tools: TOOLS, tool_choice: 'required' })).param, 'tool_choice');
  const named = { type: 'function', function: { name: 'f' } };
  assert.is((await refusal({ messages: MESSAGES, tools: TOOLS, tool_choice: named })).param, 'tool_choice');
});

test('a body that is no object is refused', async () => {
  for (const body of [undefined, null, 5, 'text', [], [{ messages: MESSAGES }]]) {
    assert.match((await refusal(body)).message, 'JSON object');
  }
});

test('faults in single fields are told together', async () => {
  const { message, param } = await refusal({ messages: MESSAGES, temperature: 'hot', top_k: 1.5, stop: 5 });
  for (const text of ['temperature', '"hot"', 'top_k', '1.5', 'stop']) assert.match(message, text);
  assert.is(param, 'temperature');
});

test('rules between fields come before types, types before the model, the model before ranges', async () => {
  const faults = { messages: MESSAGES, stream_options: {}, top_k: 1.5, model: 'nope', temperature: -1 };
  assert.is((await refusal(faults)).param, 'stream_options');
  assert.is((await refusal({ ...faults, stream_options: null })).param, 'top_k');
  assert.is((await refusal({ ...faults, stream_options: null, top_k: 1 })).param, 'model');
  assert.is((await refusal({ ...faults, stream_options: null, top_k: 1, model: 'fake' })).param, 'temperature');
});

test('what is refused shows at once, before a stream begins', async () => {
  const error = await refusal({ messages: MESSAGES, stream: true, temperature: -1 });
  assert.is(error.param, 'temperature');
});

test('long and strange values are cut and escaped in messages', async () => {
  for (const value of ['\u0000\n'.repeat(10_000), `${'1'.repeat(1_000_000)}x`]) {
    const { message } = await refusal({ messages: MESSAGES, temperature: value, model: value });
    assert.ok(message.length < 300, `${message.length} characters`);
    assert.not.ok(message.includes('\u0000'));
  }
});

test('deeply nested arguments and parameters are refused', async () => {
  const deep = `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`;
  const call = { role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: deep } }] };
  assert.match((await refusal({ messages: [call] })).message, 'nested');
});

function stringifyBigInt(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value;
}

function shown(fields: object): string {
  return JSON.stringify(fields, stringifyBigInt)?.slice(0, 90);
}

test.run();
