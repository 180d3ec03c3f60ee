/** GBNF and Lark grammars against an acceptor of its own kind: sets of ends, grown until they are stable. */

import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GrammarError } from '../../grammar/index.ts';
import { Random } from '../random.ts';
import { accepts, newCompiler, randomWalk } from './vocabulary.ts';

const test = suite('ebnf');
const compiler = newCompiler();

type Part =
  | { kind: 'text'; text: string }
  | { kind: 'rule'; name: string }
  | { kind: 'sequence' | 'choice'; parts: Part[] }
  | { kind: 'repeat'; body: Part; min: number; max: number };

const NAMES = ['root', 'x', 'y', 'z'];

const grammar = fc.letrec<{ part: Part }>((tie) => ({
  part: fc.oneof(
    { maxDepth: 3 },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('text' as const), text: fc.constantFrom('a', 'b', 'ab', 'ba', '') }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('rule' as const), name: fc.constantFrom(...NAMES) }) },
    { weight: 3, arbitrary: partsOf('sequence', tie('part')) },
    { weight: 3, arbitrary: partsOf('choice', tie('part')) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(tie('part'), fc.constantFrom([0, 1], [0, 9], [1, 9], [2, 3]))
        .map(([body, [min, max]]): Part => ({ kind: 'repeat', body, min, max })),
    },
  ),
})).part;

function partsOf(kind: 'sequence' | 'choice', part: fc.Arbitrary<Part>): fc.Arbitrary<Part> {
  return fc.record({ kind: fc.constant(kind), parts: fc.array(part, { minLength: 1, maxLength: 3 }) });
}

function gbnf(part: Part): string {
  switch (part.kind) {
    case 'text':
      return JSON.stringify(part.text);
    case 'rule':
      return part.name;
    case 'repeat':
      return `(${gbnf(part.body)}){${part.min},${part.max === 9 ? '' : part.max}}`;
    default:
      return `(${part.parts.map(gbnf).join(part.kind === 'choice' ? ' | ' : ' ')})`;
  }
}

function union(places: Set<number>, next: (place: number) => Set<number>): Set<number> {
  const all = new Set<number>();
  for (const place of places) for (const end of next(place)) all.add(end);
  return all;
}

/** True when `root` derives the text. */
function derives(rules: ReadonlyMap<string, Part>, input: string): boolean {
  const ends = new Map<string, Set<number>>();
  const ruleEnds = (name: string, at: number) => {
    const key = `${name}@${at}`;
    let set = ends.get(key);
    if (!set) ends.set(key, (set = new Set()));
    return set;
  };
  const all = (part: Part, at: number): Set<number> => {
    switch (part.kind) {
      case 'text':
        return new Set(input.startsWith(part.text, at) ? [at + part.text.length] : []);
      case 'rule':
        return ruleEnds(part.name, at);
      case 'choice':
        return new Set(part.parts.flatMap((one) => [...all(one, at)]));
      case 'sequence':
        return part.parts.reduce((from, one) => union(from, (place) => all(one, place)), new Set([at]));
      case 'repeat': {
        let from = new Set([at]);
        const found = new Set<number>(part.min === 0 ? [at] : []);
        // Texts are shorter than nine characters, so nine rounds stand for any number of them.
        for (let round = 1; round <= part.max; round++) {
          from = union(from, (place) => all(part.body, place));
          if (round >= part.min) for (const place of from) found.add(place);
        }
        return found;
      }
    }
  };
  for (let grown = true; grown; ) {
    grown = false;
    for (const [name, part] of rules) {
      for (let at = 0; at <= input.length; at++) {
        const known = ruleEnds(name, at);
        const before = known.size;
        for (const end of all(part, at)) known.add(end);
        grown ||= known.size > before;
      }
    }
  }
  return ruleEnds('root', 0).has(input.length);
}

const inputs = ['', 'a', 'b', 'ab', 'ba', 'aa', 'aab', 'aba', 'abab', 'baab', 'abba', 'aaaa', 'bbbb', 'aabba', 'babab'];

test('any grammar accepts what it derives, and its masks lead to nothing else', () => {
  let refused = 0;
  let compared = 0;
  fc.assert(
    fc.property(fc.tuple(grammar, grammar, grammar, grammar), fc.integer(), (parts, seed) => {
      const rules = new Map(NAMES.map((name, i) => [name, parts[i]]));
      const source = [...rules].map(([name, part]) => `${name} ::= ${gbnf(part)}`).join('\n');
      const expected = inputs.map((input) => derives(rules, input));
      try {
        const compiled = compiler.ebnf(source);
        inputs.forEach((input, i) =>
          assert.is(accepts(compiled, input), expected[i], `${source}\n${JSON.stringify(input)}`),
        );
        const walk = randomWalk(compiled, new Random(seed), 5);
        if (walk.done && walk.text.length < 9) assert.ok(derives(rules, walk.text), `${source}\n${walk.text}`);
        compared++;
      } catch (error) {
        if (!(error instanceof GrammarError)) throw error;
        if (/no text at all/.test(error.message)) assert.not.ok(expected.includes(true), source);
        else if (/part that may be empty|too (many|complex|ambiguous|deep)/.test(error.message)) refused++;
        else throw error;
      }
    }),
    { numRuns: 250, seed: 5 },
  );
  assert.ok(compared > 100, `${compared} compared, ${refused} refused`);
});

test('left recursion is read as the repetition that it is', () => {
  const sum = compiler.ebnf(
    'root ::= sum\nsum ::= sum "+" product | product\nproduct ::= product "*" item | item\nitem ::= [0-9]+ | "(" sum ")"',
  );
  for (const yes of ['1', '1+2', '1*2+3', '(1+2)*3', '((1))', '10*(2+3)*4']) assert.ok(accepts(sum, yes), yes);
  for (const no of ['', '+', '1+', '(1', '1)', '()', '1**2']) assert.not.ok(accepts(sum, no), no);
  const mutual = compiler.ebnf('root ::= y "a" | "r"\ny ::= root "b" | "c"');
  for (const yes of ['r', 'ca', 'rba', 'cabaBA'.toLowerCase()]) assert.ok(accepts(mutual, yes), yes);
  assert.not.ok(accepts(mutual, 'ra'));
});

test('GBNF: comments, classes, escapes, repetition and line breaks', () => {
  const list = compiler.ebnf(`# a list
root  ::= item (
  "," item  # more
)*
item ::= [a-c]{2,3} | [^a-z\\]"] | "\\x41\\u00e9\\n" | .
`);
  for (const yes of ['ab', 'abc,X', 'Aé\n', '日,ab']) assert.ok(accepts(list, yes), yes);
  for (const no of ['abcd', 'ab,', '']) assert.not.ok(accepts(list, no), no);
});

test('Lark: terminals, imports, ignored text, ranges, aliases and options', () => {
  const sql = compiler.ebnf(`
    ?start: select
    select: "SELECT"i columns "FROM"i CNAME [where]   // a comment
    columns: column ("," column)* -> list
           | "*"
    column: CNAME
    where.2: "WHERE" CNAME OP value
    value: SIGNED_NUMBER | ESCAPED_STRING | LETTER~2..3
    OP: "=" | "<" | />=?/
    LETTER: "A".."Z"
    %import common.CNAME
    %import common (SIGNED_NUMBER, ESCAPED_STRING)
    %import common.WS
    %ignore WS
  `);
  for (const yes of [
    'SELECT a FROM t',
    'select a, b2 from t WHERE x >= -1.5e3',
    'SELECT * FROM t WHERE x="a\\"b"',
    'SELECT*FROM t WHERE x < ABC',
  ]) {
    assert.ok(accepts(sql, yes), yes);
  }
  for (const no of ['SELECT', 'SELECT a, FROM t', 'SELECT a FROM t WHERE', 'SELECT a FROM t WHERE x = A']) {
    assert.not.ok(accepts(sql, no), no);
  }
});

test('recursion of any depth keeps its count', () => {
  const nested = compiler.ebnf('root ::= "(" root ")" | ""');
  assert.ok(accepts(nested, '('.repeat(3000) + ')'.repeat(3000)));
  assert.not.ok(accepts(nested, '('.repeat(3000) + ')'.repeat(2999)));
  const list = compiler.ebnf('start: item start | item\nitem: "a" | "(" start ")"');
  assert.ok(accepts(list, 'a'.repeat(5000)));
});

test('ambiguity costs a set, not a product', () => {
  const doubled = compiler.ebnf('root ::= "a" root "b" | "a" root "c" | "d"');
  assert.ok(accepts(doubled, `${'a'.repeat(500)}d${'bc'.repeat(250)}`));
  assert.not.ok(accepts(doubled, `${'a'.repeat(500)}d${'bc'.repeat(250)}b`));
});

test('hostile grammars end, with an error of their own if they must', () => {
  const chain = Array.from({ length: 3000 }, (_, i) => `r${i} ::= "a"? r${i + 1}?`).join('\n');
  for (const source of [
    `root ::= ${'"a"? '.repeat(20_000)}`,
    `root ::= r0\n${chain}\nr3000 ::= "b"`,
    'root ::= ("a"{0,65535} "b"?){0,65535}',
    'root ::= (("a" | root)* "b"?){0,2000000000}',
    'root ::= root root | root root root | "a"',
    `root ::= ${Array.from({ length: 20_000 }, (_, i) => `"word ${i}"`).join(' | ')}`,
  ]) {
    try {
      accepts(compiler.ebnf(source), 'aaaaaaab');
    } catch (error) {
      assert.instance(error, GrammarError, (error as Error).stack);
    }
  }
});

test('what is malformed or not supported is refused with its line', () => {
  for (const [source, words] of [
    ['root ::= "a', /missing "/],
    ['root ::= (a', /missing "\)"/],
    ['root ::= x', /mentions "x", which is not defined/],
    ['rot ::= "a"', /expected a rule "root"/],
    ['root ::= "a"\nroot ::= "b"', /there twice in line 2/],
    ['root ::= root', /no text at all/],
    ['root ::= "a" root', /no text at all/],
    ['root ::= "a"{3,2}', /out of order/],
    ['root ::= <[5]>', /tokens by id/],
    ['root ::= "a" )', /expected a rule/],
    ['start: /a', /missing "\/"/],
    ['start: X', /not defined/],
    ['%declare X\nstart: X', /%declare is not supported/],
    ['start: a{b}\na{x}: x', /templates/],
    ['%import common.NOPE\nstart: NOPE', /unknown terminal/],
    ['start: /a(?<=b)/', /look-behind/],
    ['', /expected a rule "start"/],
    [`root ::= ${'('.repeat(9999)}`, /nested/],
  ] as const) {
    assert.throws(
      () => compiler.ebnf(source),
      (error: Error) => error instanceof GrammarError && words.test(error.message) && !error.message.includes('\n'),
      source.slice(0, 40),
    );
  }
});

test('Lark: %json stands for the JSON of a schema, also in repetitions and in rules that recur', () => {
  const schema =
    '{"type": "object", "properties": {"a": {"enum": ["}", 1]}}, "required": ["a"], "additionalProperties": false}';
  const one = compiler.ebnf(`start: "call " call\ncall: %json ${schema}`);
  for (const text of ['call {"a": "}"}', 'call {"a":1}']) assert.ok(accepts(one, text), text);
  for (const text of ['call ', 'call {}', 'call {"a": 2}', 'call {"a": 1} ']) assert.not(accepts(one, text), text);
  const several = compiler.ebnf(`start: (%json ${schema} ";")+`);
  assert.ok(accepts(several, '{"a": 1};{"a": 1};'));
  assert.not(accepts(several, ''));
  const nested = compiler.ebnf(`start: "(" start ")" | value\nvalue: %json {"type": "integer"} | "x"`);
  for (const text of ['((12))', '(x)', '7']) assert.ok(accepts(nested, text), text);
  assert.not(accepts(nested, '((12)'));
  const spaced = compiler.ebnf('start: %json [] "!" \n%ignore " "'.replace('[]', '{"const": 1}'));
  assert.ok(accepts(spaced, ' 1 ! '));
});

test('Lark: what is wrong with a schema is told with its line', () => {
  for (const [source, message] of [
    ['start: "a"\n | %json {"type": "nonsense"}', 'line 2'],
    ['start: %json {"a": 1', 'between braces'],
    ['start: %json', 'between braces'],
    ['start: %json {"a" 1}', '%json'],
  ] as const) {
    assert.throws(
      () => compiler.ebnf(source),
      (error: Error) => error instanceof GrammarError && error.message.includes(message),
    );
  }
});

test.run();
