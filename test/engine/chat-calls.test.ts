import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callFormatOf, reasoningAfter, replyFormatOf } from '../../engine/chat/dialects/detect.ts';
import { CALL_FORMATS, type CallFormatName, requiredCalls } from '../../engine/chat/dialects/formats.ts';
import { ReplyParser, type ReplyRules } from '../../engine/chat/dialects/reply-parser.ts';
import type { ReplyPart } from '../../engine/chat/dialects/reply-text.ts';
import { THINK } from '../../engine/chat/dialects/thinking.ts';

const test = suite('calls in replies');

const TOOLS = [
  {
    type: 'function',
    function: { name: 'f', parameters: { properties: { a: { type: 'string' }, n: { type: 'integer' } } } },
  },
] as const;

interface Reply {
  content: string;
  reasoning: string;
  calls: [name: string, argumentsText: string][];
}

function put(parts: Iterable<ReplyPart>): Reply {
  const reply: Reply = { content: '', reasoning: '', calls: [] };
  for (const part of parts) {
    if (part.type === 'call') reply.calls.push([part.name, '']);
    else if (part.type === 'arguments') reply.calls.at(-1)![1] += part.text;
    else reply[part.type] += part.text;
  }
  return reply;
}

/** The reply read in pieces that end at `cuts`. */
function read(text: string, rules: ReplyRules, cuts: readonly number[] = []): Reply {
  const parser = new ReplyParser(rules);
  const ends = [...new Set([...cuts.filter((cut) => cut < text.length), text.length])].sort((a, b) => a - b);
  const parts = ends.flatMap((end, i) => parser.push(text.slice(ends[i - 1] ?? 0, end)));
  return put([...parts, ...parser.finish()]);
}

function readWith(format: CallFormatName, text: string): Reply {
  return read(text, { calls: CALL_FORMATS[format], tools: TOOLS });
}

const cases: [format: CallFormatName, text: string, content: string, calls: Reply['calls']][] = [
  ['hermes', '<tool_call>\n{"name": "f", "arguments": {"a": "x"}}\n</tool_call>', '', [['f', '{"a": "x"}']]],
  [
    'hermes',
    'I look.\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>\n<tool_call>{"arguments": {"a": [1, {"b": "}"}]}, "name": "g"}</tool_call>\n',
    'I look.',
    [
      ['f', '{}'],
      ['g', '{"a": [1, {"b": "}"}]}'],
    ],
  ],
  ['hermes', '<tool_call>{"name": "f"}</tool_call>', '', [['f', '{}']]],
  ['hermes', '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', '', [['f', '"{\\"a\\": 1}"']]],
  ['hermes', '<tool_call>{"name": "f", "arguments": null, "id": 5}</tool_call>', '', [['f', '{}']]],
  [
    'hermes',
    '<tool_call>{"name": "f", "arguments": {"a": "\\"}{\\\\"}}</tool_call>',
    '',
    [['f', '{"a": "\\"}{\\\\"}']],
  ],
  ['hermes', 'a <tool_call> is a tag', 'a <tool_call> is a tag', []],
  ['hermes', 'a <tool_ca', 'a <tool_ca', []],
  ['hermes', 'ends \n', 'ends \n', []],
  ['hermes', '<tool_call>{"nam', '<tool_call>{"nam', []],
  ['hermes', '<tool_call>{}</tool_call>', '<tool_call>{}</tool_call>', []],
  ['hermes', '<tool_call>{"name": "f", "arguments": {"a": "x', '', [['f', '{"a": "x']]],
  [
    'qwen3_coder',
    '<tool_call>\n<function=f>\n<parameter=a>\n12\n</parameter>\n<parameter=n>\n3\n</parameter>\n<parameter=o>\n{"x": 1}\n</parameter>\n</function>\n</tool_call>',
    '',
    [['f', '{"a": "12", "n": 3, "o": {"x":1}}']],
  ],
  ['qwen3_coder', '<tool_call><function=f></function></tool_call>', '', [['f', '{}']]],
  ['llama3_json', '{"name": "f", "parameters": {"a": 1}}', '', [['f', '{"a": 1}']]],
  [
    'llama3_json',
    '<|python_tag|>{"name": "f", "parameters": {}}; {"name": "g", "parameters": {"b": true}}',
    '',
    [
      ['f', '{}'],
      ['g', '{"b": true}'],
    ],
  ],
  ['llama3_json', '{"city": "Oslo"}', '{"city": "Oslo"}', []],
  ['llama3_json', 'Plain {"name": "f"} text', 'Plain {"name": "f"} text', []],
  [
    'mistral',
    '[TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}]',
    '',
    [
      ['f', '{"a": 1}'],
      ['g', '{}'],
    ],
  ],
  [
    'mistral',
    'Yes.[TOOL_CALLS]f{"a": 1}[TOOL_CALLS]g[CALL_ID]abc123def[ARGS]{"b": 2}',
    'Yes.',
    [
      ['f', '{"a": 1}'],
      ['g', '{"b": 2}'],
    ],
  ],
  [
    'granite',
    'Yes. <|tool_call|>[{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}]',
    'Yes.',
    [
      ['f', '{"a": 1}'],
      ['g', '{}'],
    ],
  ],
  ['granite', '<tool_call>[]', '<tool_call>[]', []],
  [
    'pythonic',
    "[f(a=1, b=\"x\\n'y\", c=[1, -2.5e3, None], d={'k': True}), g()]",
    '',
    [
      ['f', '{"a": 1, "b": "x\\n\'y", "c": [1, -2.5e3, null], "d": {"k": true}}'],
      ['g', '{}'],
    ],
  ],
  ['pythonic', '[1, 2, 3]', '[1, 2, 3]', []],
  ['pythonic', '[link](x) is a link', '[link](x) is a link', []],
  [
    'functiongemma',
    '<start_function_call>call:f{a:<escape>x, {y}<escape>,n:3,l:[true,<escape>z<escape>],o:{k:null}}<end_function_call><start_function_call>call:g{}<end_function_call>',
    '',
    [
      ['f', '{"a": "x, {y}", "n": 3, "l": [true, "z"], "o": {"k": null}}'],
      ['g', '{}'],
    ],
  ],
  [
    'openai',
    '<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}<|call|>',
    '',
    [['f', '{"a": 1}']],
  ],
  ['openai', '<|channel|>final<|message|>Hello <b>.<|return|>', 'Hello <b>.', []],
];

for (const [format, text, content, calls] of cases) {
  test(`${format}: ${JSON.stringify(text).slice(0, 100)}`, () => {
    const reply = readWith(format, text);
    const expected = calls.map(([name, json]) => [name, json.startsWith('"') ? JSON.parse(json) : json]);
    assert.equal(
      [reply.content, reply.calls.map(([name, json]) => [name, json.startsWith('"') ? JSON.parse(json) : json])],
      [content, expected],
    );
  });
}

test('where the text is cut into pieces makes no difference', () => {
  fc.assert(
    fc.property(fc.constantFrom(...cases), fc.array(fc.nat(160), { maxLength: 12 }), ([format, text], cuts) => {
      const rules = { calls: CALL_FORMATS[format], tools: TOOLS };
      assert.equal(read(text, rules, cuts), read(text, rules));
    }),
    { numRuns: 500 },
  );
});

test('whatever a model writes, plain text comes out as it is and nothing is thrown', () => {
  const piece = fc.constantFrom(
    ...['<tool_call>', '</tool_call>', '{"name": "f", ', '"arguments": {', '}', '"', '\\', '[', ']', '[TOOL_CALLS]'],
    ...[
      '<think>',
      '</think>',
      'f(',
      ')',
      'a=1',
      ' ',
      '\n',
      'x',
      '<|message|>',
      '<start_function_call>',
      'call:f{',
      ',',
    ],
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.values(CALL_FORMATS), requiredCalls),
      fc.array(piece, { maxLength: 20 }),
      fc.array(fc.nat(100), { maxLength: 9 }),
      fc.constantFrom('open', 'tagged', undefined),
      (calls, pieces, cuts, reasoning) => {
        const rules = { calls, tools: TOOLS, reasoning } as const;
        const text = pieces.join('');
        assert.equal(read(text, rules, cuts), read(text, rules));
      },
    ),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(fc.string(), (text) => {
      assert.is(read(text, { calls: CALL_FORMATS.hermes }).content, text);
      assert.is(read(text, {}).content, text);
    }),
  );
});

test('a name is told before its arguments are there, and arguments as they come', () => {
  const parser = new ReplyParser({ calls: CALL_FORMATS.hermes });
  assert.equal(parser.push('Yes. <tool_call>{"name": "f", "arg'), [{ type: 'content', text: 'Yes.' }]);
  assert.equal(parser.push('uments": {'), [
    { type: 'call', name: 'f' },
    { type: 'arguments', text: '{' },
  ]);
  assert.equal(parser.push('"a": "lo'), [{ type: 'arguments', text: '"a": "lo' }]);
  assert.equal(parser.push('ng"}}</tool'), [{ type: 'arguments', text: 'ng"}' }]);
  assert.equal(parser.finish(), []);
});

test('values nested beyond all measure are no call', () => {
  const deep = 10_000;
  for (const [format, begin] of [
    ['pythonic', '[f(a='],
    ['functiongemma', '<start_function_call>call:f{a:'],
    ['llama3_json', '{"name": "f", "parameters": {"a": '],
  ] as const) {
    readWith(format, begin + '['.repeat(deep));
    readWith(format, begin + '{"a":'.repeat(deep));
  }
});

test('required calls are a list of names and parameters', () => {
  const text = '[{"name": "f", "parameters": {"a": 1}}, {"name": "g", "parameters": {}}]';
  assert.equal(read(text, { calls: requiredCalls }).calls, [
    ['f', '{"a": 1}'],
    ['g', '{}'],
  ]);
});

test('reasoning is what stands between the tags, or before the closing one when the prompt has opened it', () => {
  const call = '<tool_call>{"name": "f"}</tool_call>';
  const hermes = CALL_FORMATS.hermes;
  assert.equal(read('<think>\nHm.\n</think>\n\nYes.', { reasoning: 'tagged' }), {
    content: 'Yes.',
    reasoning: 'Hm.',
    calls: [],
  });
  assert.equal(read(`Hm.</think>${call}`, { reasoning: 'open', calls: hermes }), {
    content: '',
    reasoning: 'Hm.',
    calls: [['f', '{}']],
  });
  assert.equal(read('cut in the mid', { reasoning: 'open' }), { content: '', reasoning: 'cut in the mid', calls: [] });
  assert.is(read('No tags </think>.', { reasoning: 'tagged' }).content, 'No tags </think>.');
  assert.is(read('<think>a</think>b', {}).content, '<think>a</think>b');
});

test('the end of the prompt says where reasoning is', () => {
  assert.is(reasoningAfter('<|im_start|>assistant\n<think>\n', THINK), 'open');
  assert.is(reasoningAfter('<|im_start|>assistant\n', THINK), 'tagged');
  assert.is(reasoningAfter('<|im_start|>assistant\n<think>\n\n</think>\n\n', THINK), undefined);
  assert.is(reasoningAfter('<think>a</think>b<|im_start|>assistant\n', THINK), 'tagged');
});

test('the chat template tells the tags of reasoning', () => {
  for (const [template, open] of [
    ['{{ "</think>" }}', '<think>'],
    ['[THINK]{{ x }}[/THINK]', '[THINK]'],
    ['</seed:think>', '<seed:think>'],
    ['<|END_THINKING|>', '<|START_THINKING|>'],
    ['none', undefined],
  ]) {
    const { reasoning, tags } = replyFormatOf(template!);
    assert.equal([reasoning, tags?.open], [open !== undefined, open]);
  }
  const tags = { open: '[THINK]', close: '[/THINK]' };
  assert.equal(read('[THINK]Hm.[/THINK]Yes.', { reasoning: 'tagged', tags }), {
    content: 'Yes.',
    reasoning: 'Hm.',
    calls: [],
  });
  assert.is(reasoningAfter('[/INST][THINK]', tags), 'open');
});

test('the chat template tells the dialect', () => {
  const marks: [string, CallFormatName | undefined][] = [
    ['{{ "<tool_call>" }}', 'hermes'],
    ['<tool_call> <function=', 'qwen3_coder'],
    ['[AVAILABLE_TOOLS] [TOOL_CALLS]', 'mistral'],
    ["{{- '<|tool_call|>' + (message.tool_calls | tojson) }}", 'granite'],
    ['{"name": function name, "parameters": dictionary}', 'llama3_json'],
    ['<|python_tag|>', 'llama3_json'],
    ['[func_name1(params_name1=params_value1)]', 'pythonic'],
    ['<start_function_call>call:', 'functiongemma'],
    ['<|channel|>commentary to=functions.x', 'openai'],
    ['{{ messages }}', undefined],
  ];
  for (const [template, format] of marks) assert.is(callFormatOf(template), format, template);
});

test.run();
