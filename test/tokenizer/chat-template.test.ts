/** Templates against Jinja itself (test/oracle/tokenizer/make_templates.py), and what ChatTemplate adds. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ChatTemplate } from '../../tokenizer/index.ts';
import { oracle } from './models.ts';

const test = suite('ChatTemplate');

const jinja = oracle<{
  clock: string;
  context: Record<string, unknown>;
  cases: { t: string; text?: string; fails?: true }[];
}>('tokenizer/templates.json');

const messages = [{ role: 'user', content: 'Hi' }];

function render(source: unknown, options: Record<string, unknown> = {}): string {
  return new ChatTemplate(source).render({ messages, ...options });
}

function throwsOneLine(run: () => unknown, words: RegExp): void {
  assert.throws(
    run,
    (error: Error) => error.name === 'TokenizerError' && words.test(error.message) && !error.message.includes('\n'),
  );
}

test('expressions, statements and white space come out as Jinja renders them', () => {
  assert.ok(jinja.cases.length > 500);
  for (const { t, text, fails } of jinja.cases) {
    const rendered = () => render(t, { variables: jinja.context, now: new Date(jinja.clock) });
    if (fails) assert.throws(rendered, (error: Error) => error.name === 'TokenizerError', t);
    else assert.is(rendered(), text, t);
  }
});

test('of several templates, tools choose tool_use and anything else default', () => {
  const source = [
    { name: 'tool_use', template: 'with {{ tools | length }}' },
    { name: 'default', template: 'without {{ tools }}' },
  ];
  const tools = [{ type: 'function', function: { name: 'f' } }];
  assert.is(render(source, { tools }), 'with 1');
  assert.is(render(source), 'without None');
  assert.is(render(source, { tools: [] }), 'without []');
  assert.is(render([source[1]], { tools }).slice(0, 8), 'without ');
});

test('special tokens stand under their names, and a variable may replace one', () => {
  const template = new ChatTemplate('{{ bos_token }}|{{ eos_token is defined }}|{{ x }}', {
    specialTokens: { bos_token: '<s>' },
  });
  assert.is(template.render({ messages, variables: { x: 1 } }), '<s>|False|1');
  assert.is(template.render({ messages, variables: { bos_token: '<b>' } }), '<b>|False|');
});

test('a variable cannot replace the messages', () => {
  const variables = { messages: [], add_generation_prompt: true };
  assert.is(render('{{ messages | length }}{{ add_generation_prompt }}', { variables }), '1False');
});

test('documents and tools are none when they are not given', () => {
  assert.is(render('{{ tools is none and documents is none }}'), 'True');
  assert.is(render('{{ documents[0].title }}', { documents: [{ title: 'A' }] }), 'A');
});

test('an absent member of a message is undefined, null is none', () => {
  const one = [{ role: 'assistant', content: null, name: undefined }];
  assert.is(
    render('{{ messages[0].content is none }}{{ messages[0].name is defined }}', { messages: one }),
    'TrueFalse',
  );
});

test('a missing template is one clear line', () => {
  throwsOneLine(() => new ChatTemplate(undefined), /no chat template/);
  throwsOneLine(() => new ChatTemplate(null), /no chat template/);
  throwsOneLine(() => new ChatTemplate([]), /empty list/);
  throwsOneLine(() => new ChatTemplate([{ name: 'default' }]), /not a name with a template/);
});

test('raise_exception gives the words of the template', () => {
  assert.throws(
    () => render("{{ raise_exception('Roles must alternate') }}"),
    (error: Error) => error.name === 'TokenizerError' && error.message === 'Roles must alternate',
  );
});

test('a template that is not well formed is refused when it is read', () => {
  for (const source of [
    '{% if x %}',
    '{{ (1 }}',
    '{% foo %}',
    '{{ a',
    '{# a',
    "{{ 'a }}",
    '{% raw %}',
    '{{ 1 + }}',
    '{{ a is }}',
  ]) {
    throwsOneLine(() => new ChatTemplate(source), /^chat template: /);
  }
  throwsOneLine(() => new ChatTemplate('x'.repeat(300_000)), /300000 characters/);
});

test('a template that works on and on is stopped', () => {
  const loops = [
    '{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}',
    '{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}',
    "{% for i in range(100000) %}{% if 'y' in text %}{% endif %}{% endfor %}",
    '{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}',
    '{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}',
    '{{ range(1000000000) }}',
  ];
  for (const source of loops)
    throwsOneLine(() => render(source, { variables: { text: 'x'.repeat(100_000) } }), /^chat template: /);
});

test('a template that builds ever longer text is stopped', () => {
  const grow = (step: string) =>
    `{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ${step} %}{% endfor %}`;
  const sources = [
    grow('ns.x ~ ns.x'),
    grow("ns.x | replace('', 'bbbbbbbbbbbbbbbb')"),
    grow('ns.x * 1000'),
    '{{ range(100000) | join(text) }}',
    '{% for i in range(100000) %}{{ text }}{% endfor %}',
    "{{ 'x' | center(10 ** 9) }}",
    "{{ strftime_now('%Y' * 10000000) }}",
  ];
  for (const source of sources)
    throwsOneLine(() => render(source, { variables: { text: 'x'.repeat(100_000) } }), /^chat template: /);
});

test('sizes that no text needs are refused by what they are of', () => {
  const cases: [source: string, message: RegExp][] = [
    ["{{ '%1000000000d' % 1 }}", /^chat template: the width of a format is 1000000000; expected at most 1048576$/],
    ["{{ '{:>1048577}'.format('x') }}", /the width of a format is 1048577/],
    ["{{ '%.101f' % 1.5 }}", /the precision of a format is 101; expected at most 100$/],
    ["{{ 'x'.rjust(10000000) }}", /the padding is 9999999; expected at most 1048576$/],
    ["{{ 'x'.ljust(9, 'yy') }}", /the fill character is 2 characters long/],
    ["{{ 'x' | indent(1001) }}", /the width of indent is 1001; expected at most 1000$/],
    ['{{ [1] | tojson(indent=1001) }}', /the indent of tojson is 1001; expected at most 1000$/],
    ['{{ [1] | batch(10001, 0) | list }}', /the linecount of batch is 10001; expected at most 10000$/],
    ['{{ [1] | slice(10001) | list }}', /the slices of slice is 10001; expected at most 10000$/],
    ["{{ ('x\n' * 1000000) | indent(1000) }}", /makes a text of more than 33554432 characters$/],
    [`{{ ('%1000000d' * 600) % (${Array(600).fill(1)}) }}`, /makes a text of more than 33554432 characters$/],
    ["{{ ('{0:1000000}' * 600).format(1) }}", /makes a text of more than 33554432 characters$/],
  ];
  for (const [source, message] of cases) throwsOneLine(() => render(source), message);
  assert.is(render("{{ ('%1000d' % 1) | length }}{{ 'x'.ljust(3, '-') }}{{ '%.100f' % 0.5 }}").length, 4 + 3 + 102);
});

test('deep nesting is refused, not a crash', () => {
  for (const source of [
    `{{ ${'('.repeat(50_000)}`,
    '{% if true %}'.repeat(15_000),
    `{{ ${'not '.repeat(50_000)}x }}`,
    `{{ ${'1+'.repeat(90_000)}1 }}`,
  ]) {
    throwsOneLine(() => render(source), /^chat template: /);
  }
  for (const source of [`{{ x${'.a'.repeat(5000)} }}`, '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}']) {
    throwsOneLine(() => render(source), /^chat template: nests more than 400 values$/);
  }
  let deep: unknown = 1;
  for (let i = 0; i < 10_000; i++) deep = [deep];
  throwsOneLine(() => render('{{ x }}', { variables: { x: deep } }), /nests more than/);
});

test('JavaScript is out of reach', () => {
  const reach =
    "{{ ''.constructor }}{{ messages.constructor }}{{ {}.__proto__ }}{{ range.constructor }}{{ globalThis }}{{ process }}";
  assert.is(render(reach), '');
  const own = { variables: JSON.parse('{"__proto__": 1, "x": {"__proto__": 2, "constructor": 3}}') };
  assert.is(render('{{ __proto__ }}{{ x.__proto__ }}{{ x.constructor }}', own), '123');
});

test('what messages say is not read as a template', () => {
  assert.is(
    render('{{ messages[0].content }}', { messages: [{ role: 'user', content: '{{ 1 + 1 }}{% x %}' }] }),
    '{{ 1 + 1 }}{% x %}',
  );
});

test.run();
