/** Structural tags: what is taken, what is refused, and that no walk comes to a dead end. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GrammarError } from '../../grammar/index.ts';
import { Random } from '../random.ts';
import { takes } from './json-instances.ts';
import { checkMask, newCompiler, randomWalk } from './vocabulary.ts';

const test = suite('structural tags');
const compiler = newCompiler();

const object = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'], additionalProperties: false };
const json = { type: 'json_schema', json_schema: object };
const call = (name: string) => ({ type: 'tag', begin: `<call=${name}>`, content: json, end: '</call>' });

const cases: Record<string, { format: object; taken: string[]; refused: string[] }> = {
  'a fixed string': { format: { type: 'const_string', value: 'yes' }, taken: ['yes'], refused: ['', 'ye', 'yes!'] },
  'a regular expression': { format: { type: 'regex', pattern: '[ab]+' }, taken: ['a', 'abba'], refused: ['', 'c'] },
  'a grammar': {
    format: { type: 'grammar', grammar: 'root ::= "a" root "b" | "c"' },
    taken: ['aacbb'],
    refused: ['acbb'],
  },
  'any text': { format: { type: 'any_text' }, taken: ['', 'any <thing>\n'], refused: [] },
  'any text without': {
    format: { type: 'any_text', excludes: ['foo'] },
    taken: ['fo', 'o'],
    refused: ['a foo', 'foo'],
  },
  'one of several': {
    format: { type: 'or', elements: [{ type: 'const_string', value: 'a' }, json] },
    taken: ['a', '{"a":1}'],
    refused: ['', 'a{"a":1}'],
  },
  repetitions: {
    format: {
      type: 'sequence',
      elements: [
        { type: 'optional', content: { type: 'const_string', value: 'o' } },
        { type: 'star', content: { type: 'const_string', value: 's' } },
        { type: 'plus', content: { type: 'const_string', value: 'p' } },
        { type: 'repeat', content: { type: 'const_string', value: 'r' }, min: 1, max: 2 },
      ],
    },
    taken: ['pr', 'osspprr', 'spr'],
    refused: ['', 'oopr', 'os', 'prrr', 'pp'],
  },
  'free text up to a tag': {
    format: { type: 'sequence', elements: [{ type: 'any_text' }, call('f'), { type: 'any_text' }] },
    taken: ['<call=f>{"a":1}</call>', 'so: <call=f>{"a":1}</call> done', '<<call=f>{"a":1}</call><call=f>'],
    refused: ['', 'so', '<call=f>', '<call=f>{"b":1}</call>', '<call=f>x<call=f>{"a":1}</call>'],
  },
  'any text in a tag': {
    format: { type: 'tag', begin: '<think>', content: { type: 'any_text' }, end: '</think>' },
    taken: ['<think></think>', '<think>a < b </thin</think>'],
    refused: ['<think>', '<think></think>x', '<think>a</think></think>'],
  },
  'triggered tags': {
    format: { type: 'triggered_tags', triggers: ['<call='], tags: [call('f'), call('g')] },
    taken: [
      '',
      'no call',
      '<call=f>{"a":1}</call>',
      'a <call=g>{"a":1}</call> b <call=f>{"a":2}</call>',
      '<call',
      '<<call=f>{"a":1}</call>',
    ],
    refused: [
      '<call=',
      '<call=h>{"a":1}</call>',
      '<call=f>{"a":1}',
      '<call=f>{"a":true}</call>',
      '<call=f>{"a":1}</call><call=f>',
    ],
  },
  'triggered tags, at least one': {
    format: { type: 'triggered_tags', triggers: ['<call='], tags: [call('f')], at_least_one: true },
    taken: ['<call=f>{"a":1}</call>', '<call=f>{"a":1}</call> and <call=f>{"a":1}</call>'],
    refused: ['', 'no'],
  },
  'triggered tags, the first only': {
    format: { type: 'triggered_tags', triggers: ['<call='], tags: [call('f')], stop_after_first: true },
    taken: ['', 'x', 'x<call=f>{"a":1}</call>'],
    refused: ['<call=f>{"a":1}</call>x'],
  },
  'triggers that share their start': {
    format: {
      type: 'triggered_tags',
      triggers: ['[A', '[AB'],
      tags: [
        { begin: '[A]', content: { type: 'const_string', value: '1' }, end: '.' },
        { begin: '[AB]', content: { type: 'const_string', value: '2' }, end: '.' },
      ],
    },
    taken: ['[A]1.', 'x[AB]2.y', '['],
    refused: ['[A', '[A]2.', '[AB]1.', '[AC'],
  },
  'triggered tags in a tag': {
    format: {
      type: 'tag',
      begin: '<r>',
      content: { type: 'triggered_tags', triggers: ['<call='], tags: [call('f')] },
      end: '</r>',
    },
    taken: ['<r></r>', '<r>x<call=f>{"a":1}</call>y</r>'],
    refused: ['<r>', '<r></r>x', '<r><call=f></r>'],
  },
  'tags with a separator': {
    format: { type: 'tags_with_separator', tags: [call('f'), call('g')], separator: '\n' },
    taken: ['', '<call=f>{"a":1}</call>', '<call=f>{"a":1}</call>\n<call=g>{"a":1}</call>'],
    refused: ['\n', '<call=f>{"a":1}</call><call=g>{"a":1}</call>', '<call=f>{"a":1}</call>\n'],
  },
  'a tag with several ends': {
    format: { type: 'tag', begin: '(', content: { type: 'regex', pattern: '[a-z]*' }, end: [')', '.'] },
    taken: ['(a)', '(.'],
    refused: ['(a', '(a).'],
  },
};

for (const [name, { format, taken, refused }] of Object.entries(cases)) {
  test(name, () => {
    const grammar = compiler.structuralTag({ type: 'structural_tag', format });
    for (const text of taken) assert.ok(takes(grammar, text), text);
    for (const text of refused) assert.not(takes(grammar, text), text);
    for (let seed = 0; seed < 3; seed++) randomWalk(grammar, new Random(seed));
  });
}

test('the form with structures and triggers, given as text', () => {
  const spec = {
    type: 'structural_tag',
    structures: [{ begin: '<f>', schema: object, end: '</f>' }],
    triggers: ['<f'],
  };
  const grammar = compiler.structuralTag(JSON.stringify(spec));
  assert.ok(takes(grammar, 'text <f>{"a": 1}</f> text'));
  assert.not(takes(grammar, '<f>{"a": "1"}</f>'));
  checkMask(grammar.matcher());
});

test('what is malformed or not supported is refused with its place', () => {
  const format = (one: unknown) => ({ type: 'structural_tag', format: one });
  for (const [spec, words] of [
    ['{', /^structural_tag: expected JSON/],
    [{}, /^structural_tag.format: expected an object/],
    [{ type: 'json' }, /^structural_tag.type: expected "structural_tag"/],
    [format(undefined), /^structural_tag.format: expected an object/],
    [format({ type: 'token' }), /^structural_tag.format.type: "token" is not supported/],
    [format({ type: 'const_string' }), /^structural_tag.format.value: expected a string/],
    [format({ type: 'any_text', color: 1 }), /^structural_tag.format.color: not supported/],
    [format({ type: 'regex', pattern: '(' }), /^structural_tag.format.pattern: /],
    [format({ type: 'json_schema', json_schema: { type: 'x' } }), /^structural_tag.format.json_schema: #\/type/],
    [format({ type: 'json_schema', json_schema: {}, style: 'qwen_xml' }), /^structural_tag.format.style: /],
    [format({ type: 'triggered_tags', triggers: [], tags: [call('f')] }), /triggers: expected at least one/],
    [format({ type: 'triggered_tags', triggers: ['x'], tags: [call('f')] }), /begins with none of the triggers/],
    [format({ type: 'triggered_tags', triggers: ['<', 'x'], tags: [call('f')] }), /no tag begins with the trigger 1/],
    [format({ type: 'sequence', elements: [] }), /elements: expected a list/],
  ] as const) {
    assert.throws(
      () => compiler.structuralTag(spec),
      (error: Error) => error instanceof GrammarError && words.test(error.message),
      JSON.stringify(spec),
    );
  }
});

test.run();
