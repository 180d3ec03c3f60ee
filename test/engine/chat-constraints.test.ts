/** Constraints and calls on the embedded model: what comes out is what was asked for, at any temperature. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { closeObjects } from '../../engine/chat/grammars/close-objects.ts';
import type { ChatCompletionChunk, ChatCompletionCreateParams } from '../../engine/chat/index.ts';
import { Engine, RequestError } from '../../engine/index.ts';

const test = suite('constraints');
const engine = await Engine.load('tiny-chat', { threads: 1 });
test.after(() => engine.close());

const MESSAGES = [{ role: 'user', content: "What's the weather in Oslo?" }];
const CITY = { type: 'object', properties: { city: { type: 'string', maxLength: 12 } }, required: ['city'] };
const PLACE = {
  type: 'object',
  properties: { city: { type: 'string', description: 'Name of the city' } },
  required: ['city'],
};
const WEATHER = {
  type: 'function',
  function: { name: 'get_weather', description: 'Get the current weather for a city', parameters: PLACE },
} as const;
const TIMER = {
  type: 'function',
  function: {
    name: 'set_timer',
    description: 'Start a timer',
    parameters: {
      type: 'object',
      properties: { minutes: { type: 'integer', minimum: 1, maximum: 60 } },
      required: ['minutes'],
    },
  },
} as const;
const SETTINGS = [{ temperature: 0 }, { temperature: 2, top_k: -1, top_p: 1, seed: 4 }];

type Params = Partial<ChatCompletionCreateParams>;

async function ask(params: Params) {
  const { choices } = await engine.chat.completions.create({ messages: MESSAGES, ...params, stream: false });
  return choices[0];
}

async function refusal(params: Params): Promise<RequestError> {
  const error = await ask(params).catch((caught) => caught);
  assert.instance(error, RequestError);
  return error;
}

const languages: [name: string, params: Params, holds: (text: string) => boolean][] = [
  ['guided_regex', { guided_regex: '[a-z]{3,5} [0-9]{2,9}' }, (text) => /^[a-z]{3,5} [0-9]{2,9}$/.test(text)],
  ['guided_choice', { guided_choice: ['sunny', 'sunny and hot'] }, (text) => ['sunny', 'sunny and hot'].includes(text)],
  ['guided_grammar, GBNF', { guided_grammar: 'root ::= "a"{2,9} "b"' }, (text) => /^a{2,9}b$/.test(text)],
  [
    'guided_grammar, Lark',
    { guided_grammar: 'start: "x" NUMBER\nNUMBER: /[0-9]{2,9}/' },
    (text) => /^x[0-9]{2,9}$/.test(text),
  ],
  [
    'guided_json',
    { guided_json: CITY },
    (text) => /^\{ ?"city" ?: ?"[^\n]*" ?\}$/.test(text) && 'city' in JSON.parse(text),
  ],
  ['guided_json as text', { guided_json: JSON.stringify(CITY) }, (text) => 'city' in JSON.parse(text)],
  [
    'guided_whitespace_pattern',
    { guided_json: CITY, guided_whitespace_pattern: '' },
    (text) => text.startsWith('{"city":"'),
  ],
  [
    'response_format',
    { response_format: { type: 'json_schema', json_schema: { name: 'c', schema: CITY } } },
    (text) => Object.keys(JSON.parse(text)).join() === 'city',
  ],
  [
    'structured_outputs.disable_any_whitespace',
    { structured_outputs: { json: CITY, disable_any_whitespace: true } },
    (text) => text.startsWith('{"city":"'),
  ],
  [
    'structured_outputs.whitespace_pattern',
    { structured_outputs: { json: CITY, whitespace_pattern: '_?' } },
    (text) => 'city' in JSON.parse(text.replace(/^\{_?"city"_?:_?|_?\}$/g, (edge) => edge.replaceAll('_', ''))),
  ],
  ['structured_outputs.json', { structured_outputs: { json: CITY } }, (text) => 'city' in JSON.parse(text)],
  ['structured_outputs.choice', { structured_outputs: { choice: ['up', 'down'] } }, (text) => /^(up|down)$/.test(text)],
  [
    'structured_outputs.grammar',
    { structured_outputs: { grammar: 'root ::= "a" "b"?' } },
    (text) => /^ab?$/.test(text),
  ],
  ['grammar', { grammar: 'root ::= "a"{2,9} "b"' }, (text) => /^a{2,9}b$/.test(text)],
  ['json_schema', { json_schema: CITY }, (text) => Object.keys(JSON.parse(text)).join() === 'city'],
  ...(['outlines', 'lm-format-enforcer', 'xgrammar', 'guidance', 'auto'] as const).map(
    (backend): (typeof languages)[number] => [
      `guided_decoding_backend ${backend}`,
      { guided_decoding_backend: backend, guided_choice: ['yes'] },
      (text) => text === 'yes',
    ],
  ),
  ['structured_outputs', { structured_outputs: { regex: 'a{2,9}b' } }, (text) => /^a{2,9}b$/.test(text)],
  [
    'two ways at once',
    { guided_regex: 'a{2,9}b', response_format: { type: 'json_object' } },
    (text) => /^a{2,9}b$/.test(text),
  ],
];

for (const [name, params, holds] of languages) {
  test(`${name} is kept to`, async () => {
    for (const setting of SETTINGS) {
      const {
        message,
        finish_reason: reason,
        stop_reason: stop,
      } = await ask({ ...params, ...setting, max_tokens: 200 });
      assert.equal([reason, stop], ['stop', null], message.content!);
      assert.ok(holds(message.content!), message.content!);
    }
  });
}

test('json_object is an object', async () => {
  const messages = [{ role: 'user', content: 'Extract name and age as JSON: Maria is 34 years old.' }];
  for (const way of [
    { response_format: { type: 'json_object' } },
    { structured_outputs: { json_object: true } },
  ] as const) {
    const { message } = await ask({ messages, ...way, temperature: 0, max_tokens: 200 });
    assert.is(Object.prototype.toString.call(JSON.parse(message.content!)), '[object Object]');
  }
});

test('max_tokens may cut a constrained text, and ignore_eos goes on after it with nothing to see', async () => {
  assert.is((await ask({ guided_regex: 'a{50}', max_tokens: 2 })).finish_reason, 'length');
  const { message, finish_reason: reason } = await ask({ guided_choice: ['yes'], ignore_eos: true, max_tokens: 8 });
  assert.equal([message.content, reason], ['yes', 'length']);
});

test('min_tokens beyond the end of a constrained text ends it', async () => {
  const { message, finish_reason: reason } = await ask({ guided_choice: ['yes'], min_tokens: 20 });
  assert.equal([message.content, reason], ['yes', 'stop']);
});

test('what cannot be compiled is told with its reason', async () => {
  const wrong: [Params, string][] = [
    [{ guided_regex: '(' }, 'guided_regex'],
    [{ guided_regex: '(a)\\1' }, 'guided_regex'],
    [{ guided_grammar: 'root ::= missing' }, 'guided_grammar'],
    [{ guided_json: { type: 'nonsense' } }, 'guided_json'],
    [{ guided_json: CITY, guided_whitespace_pattern: '(' }, 'guided_whitespace_pattern'],
    [{ guided_whitespace_pattern: '[' }, 'guided_whitespace_pattern'],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { enum: [] } } } }, 'response_format'],
    [
      { tools: [{ ...WEATHER, function: { name: 'f', parameters: { type: 'nonsense' } } }], tool_choice: 'required' },
      'tool_choice',
    ],
  ];
  for (const [params, param] of wrong) {
    const error = await refusal(params);
    assert.is(error.param, param, error.message);
    assert.match(error.message, param);
  }
});

test('structural tags: the text is free up to a trigger, and a tag is what it must be', async () => {
  const structure = { begin: '<count>', schema: { type: 'integer', minimum: 10, maximum: 99 }, end: '</count>' };
  const tag = {
    begin: structure.begin,
    content: { type: 'json_schema', json_schema: structure.schema },
    end: structure.end,
  };
  const ways: Params[] = [
    { response_format: { type: 'structural_tag', structures: [structure], triggers: ['<'] } },
    { structured_outputs: { structural_tag: { structures: [structure], triggers: ['<'] } } },
    {
      structured_outputs: {
        structural_tag: JSON.stringify({ type: 'structural_tag', structures: [structure], triggers: ['<'] }),
      },
    },
    { response_format: { type: 'structural_tag', format: { type: 'triggered_tags', tags: [tag], triggers: ['<'] } } },
  ];
  const plain = (await ask({ temperature: 0, max_tokens: 12 })).message.content;
  for (const way of ways) {
    assert.is((await ask({ ...way, temperature: 0, max_tokens: 12 })).message.content, plain);
    // The assistant's turn begins with the trigger, so that the tag is all that is left to write.
    const messages = [...MESSAGES, { role: 'assistant', content: 'There are ' }];
    const [open] = engine.tokenizer.encode('<', { addSpecialTokens: false });
    const begun = { messages, add_generation_prompt: false, continue_final_message: true };
    const { message } = await ask({
      ...way,
      ...begun,
      logit_bias: { [open]: 100 },
      temperature: 1,
      seed: 2,
      max_tokens: 30,
    });
    assert.match(message.content!, /^(<count>[1-9][0-9]<\/count>)+(<|$)/);
  }
  const bad = { ...structure, schema: { type: 'nonsense' } };
  const error = await refusal({ response_format: { type: 'structural_tag', structures: [bad], triggers: ['<'] } });
  assert.is(error.param, 'response_format');
});

test('required, but not in parallel: one call', async () => {
  const setting = {
    tools: [WEATHER, TIMER],
    tool_choice: 'required',
    parallel_tool_calls: false,
    max_tokens: 200,
  } as const;
  const { message, finish_reason: reason } = await ask({ ...setting, temperature: 0 });
  assert.equal([message.tool_calls!.length, reason], [1, 'tool_calls']);
});

test('auto: the model calls the right tool, with arguments that its schema allows', async () => {
  const { message, finish_reason: reason } = await ask({ tools: [WEATHER], temperature: 0 });
  assert.equal([message.content, reason], [null, 'tool_calls']);
  const { name, arguments: text } = message.tool_calls![0].function;
  assert.is(name, 'get_weather');
  assert.equal(Object.keys(JSON.parse(text)), ['city']);
  assert.match(JSON.parse(text).city, /^Oslo$/);
});

test('auto: a tool whose schema cannot be compiled is no reason to refuse', async () => {
  const strange = { type: 'function', function: { name: 'f', parameters: { type: 'nonsense' } } } as const;
  const { message } = await ask({ messages: [{ role: 'user', content: 'Hello!' }], tools: [strange], temperature: 0 });
  assert.ok(message.content !== null || message.tool_calls!.length > 0);
});

test('auto, in a stream: the same call', async () => {
  const chunks: ChatCompletionChunk[] = [];
  const request = { messages: MESSAGES, tools: [WEATHER], temperature: 0, stream: true } as const;
  for await (const chunk of await engine.chat.completions.create(request)) chunks.push(chunk);
  const deltas = chunks.flatMap(({ choices }) => choices[0].delta.tool_calls ?? []);
  assert.equal(
    deltas.map(({ function: { name } }) => name).filter((name) => name),
    ['get_weather'],
  );
  assert.match(JSON.parse(deltas.map((delta) => delta.function.arguments).join('')).city, /^Oslo$/);
  assert.ok(deltas.length > 2);
  assert.is(chunks.at(-1)!.choices[0].finish_reason, 'tool_calls');
});

test('a tool result goes back in, and the model answers from it', async () => {
  const [call] = (await ask({ tools: [WEATHER], temperature: 0 })).message.tool_calls!;
  const result = '{"temperature": 21, "condition": "sunny"}';
  const { message, finish_reason: reason } = await ask({
    messages: [
      ...MESSAGES,
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: call.id, content: result },
    ],
    tools: [WEATHER],
    temperature: 0,
  });
  assert.match(message.content!, '21');
  assert.is(reason, 'stop');
});

test('required: at least one call, whatever the question', async () => {
  for (const setting of SETTINGS) {
    const messages = [{ role: 'user', content: 'Hello!' }];
    const { message, finish_reason: reason } = await ask({
      messages,
      tools: [WEATHER, TIMER],
      tool_choice: 'required',
      max_tokens: 300,
      ...setting,
    });
    if (reason === 'length') continue;
    assert.is(reason, 'tool_calls');
    assert.ok(message.tool_calls!.length >= 1);
    for (const { function: called } of message.tool_calls!) {
      const value = JSON.parse(called.arguments);
      if (called.name === 'get_weather') assert.equal(Object.keys(value), ['city']);
      else assert.ok(called.name === 'set_timer' && value.minutes >= 1 && value.minutes <= 60, called.arguments);
    }
  }
  const cut = await ask({ tools: [WEATHER], tool_choice: 'required', max_tokens: 4 });
  assert.equal([cut.message.tool_calls, cut.message.content, cut.finish_reason], [[], '', 'length']);
});

test('a named tool: the whole text is its arguments, and the call ends like a text', async () => {
  const named = { type: 'function', function: { name: 'set_timer' } } as const;
  for (const setting of SETTINGS) {
    const { message, finish_reason: reason } = await ask({ tools: [WEATHER, TIMER], tool_choice: named, ...setting });
    assert.equal([message.content, reason], ['', 'stop']);
    const [{ function: called }] = message.tool_calls!;
    assert.is(called.name, 'set_timer');
    assert.ok(JSON.parse(called.arguments).minutes >= 1);
  }
  const tight = { tools: [WEATHER], tool_choice: { function: { name: 'get_weather' } }, guided_whitespace_pattern: '' };
  const compact = await ask({ ...tight, temperature: 2, seed: 3 } as Params);
  assert.match(compact.message.tool_calls![0].function.arguments, /^\{"city":"/);
  const bare = { type: 'function', function: { name: 'now' } } as const;
  const { message } = await ask({ tools: [bare], tool_choice: bare });
  assert.equal(JSON.parse(message.tool_calls![0].function.arguments), {});
});

test('objects are closed where a schema only lists properties, and left alone where it is put together', () => {
  const open = { type: 'object', properties: { a: { properties: {} } }, items: [{ properties: {} }] };
  assert.equal(closeObjects(open), {
    type: 'object',
    properties: { a: { properties: {}, additionalProperties: false } },
    items: [{ properties: {}, additionalProperties: false }],
    additionalProperties: false,
  });
  for (const schema of [
    true,
    { type: 'object' },
    { properties: {}, additionalProperties: true },
    { properties: {}, patternProperties: {} },
    { allOf: [{ properties: { a: {} } }, { properties: { b: {} } }] },
    { properties: { a: { $ref: '#/$defs/b' } }, $defs: { b: { allOf: [] } } },
  ]) {
    assert.equal(closeObjects(schema), schema);
  }
});

test.run();
