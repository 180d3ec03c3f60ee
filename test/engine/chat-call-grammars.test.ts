/** Calls that a model chooses to make: from their beginning on, whatever it writes is a call that the tools allow. */

import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CALL_FORMATS, type CallFormatName } from '../../engine/chat/dialects/formats.ts';
import { ReplyParser } from '../../engine/chat/dialects/reply-parser.ts';
import { CallGrammar, compilerWithMarkers } from '../../engine/chat/grammars/call-grammar.ts';
import { CALL_LANGUAGES } from '../../engine/chat/grammars/call-languages.ts';
import { type Grammar, GrammarCompiler, GrammarError, type Matcher } from '../../grammar/index.ts';
import { Random } from '../random.ts';

const test = suite('call grammars');
const ajv = new Ajv2020({ strict: false, logger: false });

const TOOLS = [
  {
    type: 'function',
    function: {
      name: 'set_light',
      parameters: {
        type: 'object',
        properties: {
          room: { type: 'string' },
          level: { type: 'integer', minimum: 1, maximum: 60 },
          color: { type: 'string', enum: ['red', 'blue'] },
          on: { type: 'boolean' },
          times: { type: 'array', items: { type: 'integer', minimum: 0, maximum: 23 } },
        },
        required: ['room', 'level'],
      },
    },
  },
  { type: 'function', function: { name: 'set_light_off' } },
  {
    type: 'function',
    function: {
      name: 'move',
      parameters: {
        type: 'object',
        properties: { to: { type: 'object', properties: { x: { type: 'integer' } }, required: ['x'] } },
        required: ['to'],
      },
    },
  },
] as const;

const SPECIAL = [
  '<|end|>',
  '[TOOL_CALLS]',
  '[ARGS]',
  '<|tool_call|>',
  '<|python_tag|>',
  '<start_function_call>',
].concat(['<escape>', '<|channel|>', '<|constrain|>', '<|message|>']);
const ENCODER = new TextEncoder();
// The printable characters and the line end, pieces that go over the edges of what is held, and special tokens.
const TEXTS = [
  '\n',
  ...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)),
  ...['<tool_call>', '</parameter>', '{"', '"}', '":', '>\n', '(r', '<tool_call>\n', '.set', '"}}', ', "'],
  ...SPECIAL,
];
const idOf = (text: string) => TEXTS.indexOf(text);
const vocabulary = {
  vocabSize: TEXTS.length,
  tokenizer: {
    tokenBytes: (id: number) => (SPECIAL.includes(TEXTS[id]) ? new Uint8Array(0) : ENCODER.encode(TEXTS[id])),
    decode: (ids: ArrayLike<number>) => TEXTS[ids[0]],
  },
};
const plainCompiler = new GrammarCompiler({
  tokens: TEXTS.map((_, id) => vocabulary.tokenizer.tokenBytes(id)),
  eosTokenIds: [idOf('<|end|>')],
});

function grammarOf(format: CallFormatName): CallGrammar {
  const { languages, markers = [] } = CALL_LANGUAGES[format];
  const compiler = compilerWithMarkers(markers, vocabulary) ?? plainCompiler;
  return new CallGrammar(
    languages(TOOLS).map(({ lark, ...start }) => ({ ...start, call: compiler.ebnf(lark) })),
    vocabulary,
  );
}

function allowedBy(matcher: Matcher): number[] {
  const mask = new Uint32Array(Math.ceil(TEXTS.length / 32));
  matcher.fillMask(mask);
  return TEXTS.map((_, id) => id).filter((id) => (mask[id >> 5] >>> (id & 31)) & 1);
}

/** Tokens of a text, the longest first. */
function tokensOf(text: string): number[] {
  const ids: number[] = [];
  for (let at = 0; at < text.length; at += TEXTS[ids.at(-1)!].length) {
    const fitting = TEXTS.map((_, id) => id).filter((id) => text.startsWith(TEXTS[id], at));
    ids.push(fitting.sort((a, b) => TEXTS[b].length - TEXTS[a].length)[0]);
  }
  return ids;
}

const CLOSING = ['"', '}', ')', ']', '/', '<', '</parameter>', '<escape>', '"}', '"}}', '<|message|>'];

/** Goes on as the grammar allows until the call is over; closing brackets come more often than other tokens. */
function finishCall(matcher: Matcher, random: Random): string {
  let text = '';
  for (let i = 0; i < 3000; i++) {
    if (matcher.canFinish()) return text;
    const ids = allowedBy(matcher);
    assert.ok(ids.length > 0, `nothing may follow ${text}`);
    const closing = ids.filter((id) => CLOSING.includes(TEXTS[id]));
    const from = closing.length > 0 && random.uniform() < 0.4 ? closing : ids;
    const id = from[random.integer(0, from.length - 1)];
    assert.ok(matcher.accept(id));
    text += TEXTS[id];
  }
  throw new Error(`no end: ${text.slice(0, 200)}`);
}

const beginnings: [format: CallFormatName, begin: string, end: string][] = [
  ['hermes', 'Yes. <tool_call>', '</tool_call>'],
  ['granite', '<|tool_call|>', ''],
  ['granite', '<tool_call>', ''],
  ['llama3_json', '{"name"', ''],
  ['llama3_json', '<|python_tag|>', ''],
  ['mistral', 'Yes.[TOOL_CALLS]', ''],
  ['pythonic', '[set_light(', ']'],
  ['pythonic', ' [move(', ']'],
  ['pythonic', '[set_light_off(', ']'],
  ['qwen3_coder', '<tool_call>', '</tool_call>'],
  ['functiongemma', '<start_function_call>', '<end_function_call>'],
  ['openai', '<|channel|>commentary to=functions.', ''],
];

for (const [format, begin, end] of beginnings) {
  test(`${format}: what follows ${JSON.stringify(begin)} is a call of a tool with arguments that it takes`, () => {
    const grammar = grammarOf(format);
    const names = new Set<string>();
    for (let seed = 1; seed <= 25; seed++) {
      const matcher = grammar.matcher();
      for (const id of tokensOf(begin)) assert.ok(allowedBy(matcher).includes(id) && matcher.accept(id));
      assert.is(matcher.canFinish(), false);
      const text = begin + finishCall(matcher, new Random(seed)) + end;
      const parser = new ReplyParser({ calls: CALL_FORMATS[format], tools: TOOLS });
      const parts = [...parser.push(text), ...parser.finish()];
      const calls = parts.filter((part) => part.type === 'call');
      assert.ok(calls.length > 0, text);
      let argumentsText = '';
      for (const part of [...parts, { type: 'call', name: '' } as const].slice(parts.indexOf(calls[0]))) {
        if (part.type === 'arguments') argumentsText += part.text;
        if (part.type !== 'call') continue;
        if (argumentsText !== '') {
          const name = [...names].at(-1)!;
          const tool = TOOLS.find(({ function: { name: other } }) => other === name)!;
          const schema = 'parameters' in tool.function ? tool.function.parameters : { maxProperties: 0 };
          assert.ok(ajv.validate(schema, JSON.parse(argumentsText)), `${text}: ${ajv.errorsText()}`);
        }
        argumentsText = '';
        names.delete(part.name);
        names.add(part.name);
      }
    }
    for (const name of names) assert.ok(name === '' || TOOLS.some((tool) => tool.function.name === name), name);
  });
}

test('whatever a tool says of its parameters, there is a grammar or a GrammarError', () => {
  const keyword = fc.constantFrom(
    'type',
    'properties',
    'required',
    'items',
    'enum',
    '$defs',
    'anyOf',
    'a',
    '"',
    '\n',
    'é',
  );
  const word = fc.constantFrom(
    'string',
    'object',
    'array',
    'boolean',
    'integer',
    'a',
    '"',
    '\\',
    '%json',
    '</parameter>',
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      word,
      fc.constantFrom<unknown>(null, true, 5),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(keyword, tie('value'), { maxKeys: 4 }),
    ),
  }));
  const formats = Object.keys(CALL_LANGUAGES) as CallFormatName[];
  fc.assert(
    fc.property(fc.constantFrom(...formats), fc.dictionary(keyword, value, { maxKeys: 4 }), (format, parameters) => {
      const tool = { type: 'function', function: { name: 'f', parameters } } as const;
      for (const { lark } of CALL_LANGUAGES[format].languages([tool])) {
        try {
          plainCompiler.ebnf(lark);
        } catch (error) {
          assert.instance(error, GrammarError, String(error));
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('a call inside of a text is none for a family that writes calls as whole replies, but one call follows another', () => {
  const matcher = grammarOf('llama3_json').matcher();
  for (const id of tokensOf('See {"name"')) matcher.accept(id);
  assert.ok(matcher.canFinish());
  const again = grammarOf('llama3_json').matcher();
  for (const c of '{"name": "set_light_off", "parameters": {}}; {"name"') assert.ok(again.accept(idOf(c)), c);
  assert.is(again.canFinish(), false);
  assert.not(allowedBy(again).includes(idOf('x')));
});

test('a token that goes over the beginning of a call is not allowed, as nothing would hold its end', () => {
  const matcher = grammarOf('hermes').matcher();
  const allowed = (text: string) => allowedBy(matcher).includes(idOf(text));
  assert.equal([allowed('<tool_call>'), allowed('<tool_call>\n'), allowed('>\n')], [true, false, true]);
  for (const id of [...'<tool_call'].map(idOf)) matcher.accept(id);
  assert.equal([allowed('>'), allowed('>\n')], [true, false]);
  matcher.accept(idOf('x'));
  assert.ok(allowed('>\n'));
  const pythonic = grammarOf('pythonic').matcher();
  for (const id of [...'[set_light'].map(idOf)) pythonic.accept(id);
  assert.not(allowedBy(pythonic).includes(idOf('(r')));
});

// Tokens of one character each; the "call" is the text {a}.
const CHARACTERS = '<c>{a}x';
const characters = {
  vocabSize: CHARACTERS.length,
  tokenizer: { tokenBytes: (id: number) => ENCODER.encode(CHARACTERS[id]), decode: () => '' },
};
const braces: Grammar = {
  matcher(): Matcher {
    let at = 0;
    const expected = () => CHARACTERS.indexOf('{a}'[at] ?? '?');
    return {
      fillMask: (mask) => mask.fill(expected() < 0 ? 0 : 1 << expected()),
      accept: (id) => id === expected() && ++at > 0,
      canFinish: () => at === 3,
      rollback: (count) => void (at -= count),
      forcedTokens: () => ['{a}'.slice(at)].flatMap((text) => [...text].map((c) => CHARACTERS.indexOf(c))),
      reset: () => void (at = 0),
    };
  },
};

test('before and after a call the text is free, and tokens can be taken back across its edges', () => {
  const matcher = new CallGrammar([{ trigger: '<c>', call: braces }], characters).matcher();
  const allowed = () => {
    const mask = new Uint32Array(1);
    matcher.fillMask(mask);
    return [...CHARACTERS].filter((_, id) => (mask[0] >>> id) & 1).join('');
  };
  const write = (text: string) => [...text].map((c) => matcher.accept(CHARACTERS.indexOf(c)));
  assert.is(allowed(), CHARACTERS);
  assert.equal(write('x<c'), [true, true, true]);
  assert.ok(matcher.canFinish());
  write('>');
  assert.is(matcher.canFinish(), false);
  assert.is(allowed(), '{');
  assert.equal(write('x'), [false]);
  write('{a');
  assert.is(allowed(), '}');
  assert.equal(matcher.forcedTokens(), [CHARACTERS.indexOf('}')]);
  matcher.rollback(2);
  assert.is(allowed(), '{');
  write('{a}');
  assert.is(allowed(), CHARACTERS);
  assert.ok(matcher.canFinish());
  matcher.rollback(4);
  assert.is(allowed(), CHARACTERS);
  write('><c>{');
  assert.is(allowed(), 'a');
  matcher.reset();
  assert.is(allowed(), CHARACTERS);
});

test.run();
