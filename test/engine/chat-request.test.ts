import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createChatCompletions } from '../../engine/chat/index.ts';
import { parseChatRequest } from '../../engine/chat/request/chat-request.ts';
import { constraintOf } from '../../engine/chat/request/constraint.ts';
import { callConstraint } from '../../engine/chat/request/tool-choice.ts';
import { RequestError } from '../../engine/errors.ts';
import { toHttpError } from '../../server/errors.ts';
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

test('a constraint is asked for in many ways, and they come to the same', () => {
  const schema = { type: 'object' };
  const json = { kind: 'json', schema, whitespacePattern: undefined };
  const ways: [fields: object, constraint: object, param: string][] = [
    [{ guided_json: schema }, json, 'guided_json'],
    [{ guided_json: schema, response_format: { type: 'json_object' } }, json, 'guided_json'],
    [{ guided_json: JSON.stringify(schema) }, json, 'guided_json'],
    [{ guided_json: schema, guided_whitespace_pattern: '' }, { ...json, whitespacePattern: '' }, 'guided_json'],
    [{ structured_outputs: { json: schema } }, json, 'structured_outputs'],
    [{ structured_outputs: { json_object: true } }, json, 'structured_outputs'],
    [{ response_format: { type: 'json_object' } }, json, 'response_format'],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } }, json, 'response_format'],
    [{ json_schema: schema }, json, 'json_schema'],
    [{ guided_regex: 'a' }, { kind: 'regex', pattern: 'a' }, 'guided_regex'],
    [{ guided_choice: ['a', 'b'] }, { kind: 'choice', choices: ['a', 'b'] }, 'guided_choice'],
    [{ guided_grammar: 'root ::= "a"' }, { kind: 'grammar', text: 'root ::= "a"' }, 'guided_grammar'],
    [{ grammar: 'root ::= "a"' }, { kind: 'grammar', text: 'root ::= "a"' }, 'grammar'],
  ];
  for (const [fields, constraint, param] of ways) {
    assert.equal(constraintOf(parseChatRequest({ messages: MESSAGES, ...fields })), { constraint, param });
  }
  assert.is(constraintOf(parseChatRequest({ messages: MESSAGES, response_format: { type: 'text' } })), null);
});

test('calls that must be made are a constraint by the schemas of the tools', () => {
  const f = { type: 'function', function: { name: 'f', parameters: { type: 'object', $defs: { x: {} } } } } as const;
  const g = { type: 'function', function: { name: 'g' } } as const;
  const none = { type: 'object', properties: {}, additionalProperties: false };
  const whitespacePattern = '';
  assert.equal(callConstraint({ name: 'g' }, [f, g], { whitespacePattern })!.constraint, {
    kind: 'json',
    schema: none,
    whitespacePattern,
  });
  const { schema } = callConstraint('required', [f, g])!.constraint as { schema: Record<string, never> };
  assert.equal(schema.$defs, { x: {} });
  assert.is(schema.minItems, 1);
  assert.equal(
    (schema.items as { anyOf: { properties: object }[] }).anyOf.map(({ properties }) => properties),
    [
      { name: { const: 'f' }, parameters: { type: 'object' } },
      { name: { const: 'g' }, parameters: none },
    ],
  );
  const clash = { type: 'function', function: { name: 'h', parameters: { $defs: { x: true } } } } as const;
  assert.throws(() => callConstraint('required', [f, clash]), /\$defs\/x/);
  assert.is(callConstraint('auto', [f]), null);
});

test('the switches of a thinking template go to the template', async () => {
  const engine = new FakeEngine();
  const kwargs = { enable_thinking: false };
  await createChatCompletions(engine).create({ messages: MESSAGES, chat_template_kwargs: kwargs });
  assert.equal(engine.prompts[0].chatTemplateKwargs, kwargs);
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
  [{ chat_template_kwargs: 5 }, 'chat_template_kwargs', 'object'],
  [{ chat_template_kwargs: { bos_token: 'x' } }, 'chat_template_kwargs', '"bos_token"'],
  [{ chat_template: '' }, 'chat_template', 'template'],
  [{ chat_template: 5 }, 'chat_template', 'template'],
  [{ chat_template: ' '.repeat(262_145) }, 'chat_template', '262144'],
  [{ documents: {} }, 'documents', 'list of objects'],
  [{ documents: ['a'] }, 'documents', 'object', '"a"'],
  [{ add_generation_prompt: 'x' }, 'add_generation_prompt', 'true or false'],
  [{ continue_final_message: true }, 'continue_final_message', 'add_generation_prompt'],
  [{ continue_final_message: 5, add_generation_prompt: false }, 'continue_final_message', 'true or false'],
  [{ add_special_tokens: [] }, 'add_special_tokens', 'true or false'],
  [{ skip_special_tokens: 'x' }, 'skip_special_tokens', 'true or false'],
  [{ spaces_between_special_tokens: 7 }, 'spaces_between_special_tokens', 'true or false'],
  [{ include_stop_str_in_output: {} }, 'include_stop_str_in_output', 'true or false'],
  [{ ignore_eos: 2 }, 'ignore_eos', 'true or false'],
  [{ echo: 'maybe' }, 'echo', 'true or false'],
  [{ return_token_ids: 'x' }, 'return_token_ids', 'true or false'],
  [{ return_tokens_as_token_ids: 'x' }, 'return_tokens_as_token_ids', 'true or false'],
  [{ parallel_tool_calls: 3 }, 'parallel_tool_calls', 'true or false'],
  [{ include_reasoning: 'x' }, 'include_reasoning', 'true or false'],
  [{ reasoning_effort: 5 }, 'reasoning_effort', 'string'],
  [{ truncate_prompt_tokens: 'many' }, 'truncate_prompt_tokens', 'integer'],
  [{ prompt_logprobs: 21 }, 'prompt_logprobs', '20', '21'],
  [{ prompt_logprobs: -2 }, 'prompt_logprobs', '-2'],
  [{ prompt_logprobs: 1, stream: true }, 'prompt_logprobs', 'stream'],
  [{ allowed_token_ids: [] }, 'allowed_token_ids', 'empty'],
  [{ allowed_token_ids: [1000] }, 'allowed_token_ids', '1000'],
  [{ allowed_token_ids: 5 }, 'allowed_token_ids', 'list'],
  [{ bad_words: 'x' }, 'bad_words', 'list of strings'],
  [{ bad_words: [5] }, 'bad_words', 'string'],
  [{ repetition_detection: 5 }, 'repetition_detection', 'object', '5'],
  [{ repetition_detection: { min_count: 'x' } }, 'repetition_detection.min_count', 'integer'],
  [{ repetition_detection: { max_pattern_size: 3 } }, 'repetition_detection', 'min_count'],
  [{ thinking_token_budget: 5 }, 'thinking_token_budget', 'thinks'],
  [{ thinking_token_budget: 1.5 }, 'thinking_token_budget', 'integer'],
  [{ max_completion_tokens: 0, max_tokens: 5 }, 'max_completion_tokens', 'at least 1'],
  [{ max_completion_tokens: 'many' }, 'max_completion_tokens', 'integer'],
  [{ guided_whitespace_pattern: 5 }, 'guided_whitespace_pattern', 'string'],
  [{ grammar: '' }, 'grammar', 'empty'],
  [{ json_schema: 5 }, 'json_schema', '5'],
  [{ priority: 1.5 }, 'priority', 'integer'],
  [{ cache_salt: '' }, 'cache_salt', 'empty'],
  [{ request_id: '' }, 'request_id', 'empty'],
  [{ best_of: 1.5 }, 'best_of', 'integer'],
  [{ use_beam_search: 'x' }, 'use_beam_search', 'true or false'],
  [{ early_stopping: 'soon' }, 'early_stopping', 'never', '"soon"'],
  [{ length_penalty: 'x' }, 'length_penalty', 'number'],
  [{ guided_json: 42 }, 'guided_json', '42'],
  [{ guided_json: '{' }, 'guided_json', 'JSON Schema'],
  [{ guided_regex: {} }, 'guided_regex', 'string'],
  [{ guided_regex: '' }, 'guided_regex', 'empty'],
  [{ guided_choice: [] }, 'guided_choice', 'at least one'],
  [{ guided_choice: 'a' }, 'guided_choice', 'list'],
  [{ guided_grammar: '' }, 'guided_grammar', 'empty'],
  [{ structured_outputs: {} }, 'structured_outputs', 'exactly one', 'none'],
  [{ structured_outputs: { json: {}, regex: 'a' } }, 'structured_outputs', 'json and regex'],
  [{ structured_outputs: { structural_tag: '{' } }, 'structured_outputs.structural_tag', 'JSON'],
  [{ response_format: 'text' }, 'response_format', 'object'],
  [{ response_format: { type: 'json_schema' } }, 'response_format', 'provided'],
  [{ response_format: { type: 'json_schema', json_schema: {} } }, 'response_format', 'name'],
  [{ tools: 5 }, 'tools', 'list'],
  [{ tools: Array(129).fill(TOOLS[0]) }, 'tools', '128'],
];

for (const [fields, param, ...says] of refused) {
  test(`${shown(fields)} is refused`, async () => {
    const error = await refusal({ messages: MESSAGES, ...fields });
    assert.is(error.param, param, error.message);
    const [status, type] =
      param === 'model' && 'model' in fields && fields.model === 'nope'
        ? [404, 'NotFoundError']
        : [400, 'BadRequestError'];
    const told = toHttpError(error, 'id');
    assert.is(told.status, status);
    assert.equal(told.body, { error: { message: error.message, type, param, code: status } });
    const isOverflow = says.includes('maximum context length');
    for (const text of isOverflow || !param ? says : [...says, param.split('.').at(-1)!]) {
      assert.ok(error.message.includes(text), `"${error.message}" does not say ${text}`);
    }
    assert.not.ok(/\n/.test(error.message));
  });
}

const unsupported: Record<string, unknown> = {
  functions: [],
  function_call: 'auto',
  audio: {},
  web_search_options: {},
};

for (const [param, value] of Object.entries(unsupported)) {
  test(`${param} is refused, not ignored`, async () => {
    const error = await refusal({ messages: MESSAGES, [param]: value });
    assert.is(error.param, param);
    assert.match(error.message, 'not supported');
  });
}

const constraints: [fields: object, param: string][] = [
  [{ guided_json: { type: 'object' } }, 'guided_json'],
  [{ guided_json: '{}' }, 'guided_json'],
  [{ guided_regex: 'a+' }, 'guided_regex'],
  [{ guided_choice: ['a'] }, 'guided_choice'],
  [{ guided_grammar: 'root ::= "a"' }, 'guided_grammar'],
  [{ grammar: 'root ::= "a"' }, 'grammar'],
  [{ json_schema: {} }, 'json_schema'],
  [{ structured_outputs: { regex: 'a' } }, 'structured_outputs'],
  [{ response_format: { type: 'json_object' } }, 'response_format'],
  [{ response_format: { type: 'json_schema', json_schema: { name: 'x', schema: {} } } }, 'response_format'],
  [{ tools: TOOLS, tool_choice: 'required' }, 'tool_choice'],
  [{ tools: TOOLS, tool_choice: { type: 'function', function: { name: 'f' } } }, 'tool_choice'],
];

for (const [fields, param] of constraints) {
  test(`${shown(fields)} is refused by an engine that cannot be held to a grammar`, async () => {
    const error = await refusal({ messages: MESSAGES, ...fields });
    assert.is(error.param, param);
    assert.match(error.message, 'not supported');
  });
}

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

test('of several faults the first is told: between fields, types, model, length, ranges, grammar', async () => {
  const faults: [fields: object, param: string][] = [
    [{ stream_options: {} }, 'stream_options'],
    [{ top_k: 1.5 }, 'top_k'],
    [{ tools: TOOLS, tool_choice: { function: { name: 'g' } } }, 'tool_choice'],
    [{ model: 'nope' }, 'model'],
    [{ max_tokens: 99 }, 'max_tokens'],
    [{ temperature: -1 }, 'temperature'],
    [{ guided_regex: '(' }, 'guided_regex'],
  ];
  for (const [i, [, param]] of faults.entries()) {
    const error = await refusal({
      messages: MESSAGES,
      ...Object.assign({}, ...faults.slice(i).map(([field]) => field)),
    });
    assert.is(error.param, param, error.message);
  }
});

test('the most alternatives can be set', async () => {
  const create = (maxLogprobs: number | undefined, fields: object) =>
    createChatCompletions(new FakeEngine(), { maxLogprobs }).create({ messages: MESSAGES, ...fields, stream: false });
  const { choices } = await create(30, { logprobs: true, top_logprobs: 30 });
  assert.is(choices[0].logprobs!.content[0].top_logprobs.length, 30);
  for (const [most, fields, param] of [
    [30, { logprobs: true, top_logprobs: 31 }, 'top_logprobs'],
    [0, { logprobs: true, top_logprobs: 1 }, 'top_logprobs'],
    [5, { prompt_logprobs: 6 }, 'prompt_logprobs'],
  ] as const) {
    const error = await create(most, fields).catch((caught) => caught);
    assert.equal([error.param, error.message.includes(String(most))], [param, true]);
  }
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
