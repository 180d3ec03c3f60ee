/** Regular expressions against the engine's own `RegExp`, and against texts where the dialects say more. */

import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CompiledGrammar, GrammarError } from '../../grammar/index.ts';
import { Random } from '../random.ts';
import { accepts, newCompiler, randomWalk } from './vocabulary.ts';

const test = suite('regex');
const compiler = newCompiler();

const CHARACTERS = [
  ...[
    'a',
    'b',
    'c',
    'é',
    '日',
    '😀',
    '.',
    '\\d',
    '\\w',
    '\\s',
    '\\D',
    '\\W',
    '\\S',
    '[ab]',
    '[^a]',
    '[a-c1-3]',
    '\\p{L}',
  ],
  ...['\\P{Lu}', '[\\d_]', '[^\\w]', '\\u00e9', '\\x61', '\\u{1F600}', '\\n', '\\.', '[\\]\\-]', '\\/'],
];
const BOUNDED = ['', '', '', '?', '??', '{2}', '{1,3}', '{0,2}?'];

/** Expressions that mean the same in ECMA-262 with the `v` flag. Unbounded repetition is of parts without assertions. */
const source = fc.letrec<{ plain: string; any: string }>((tie) => {
  const alternatives = (atom: fc.Arbitrary<string>) =>
    fc
      .array(fc.array(atom, { maxLength: 4 }), { minLength: 1, maxLength: 3 })
      .map((branches) => branches.map((branch) => branch.join('')).join('|'));
  const quantified = (atom: fc.Arbitrary<string>, quantifiers: readonly string[]) =>
    fc.tuple(atom, fc.constantFrom(...quantifiers)).map(([part, quantifier]) => part + quantifier);
  const plainAtom = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...CHARACTERS) },
    { weight: 1, arbitrary: tie('plain').map((plain) => `(${plain})`) },
  );
  const plainPart = quantified(plainAtom, [...BOUNDED, '*', '+', '*?', '+?', '{2,}']);
  return {
    plain: alternatives(plainPart),
    any: alternatives(
      fc.oneof(
        { weight: 5, arbitrary: plainPart },
        { weight: 1, arbitrary: fc.constantFrom('^', '$', '\\b', '\\B') },
        { weight: 1, arbitrary: tie('any').map((any) => `(?=${any})`) },
        { weight: 1, arbitrary: tie('any').map((any) => `(?!${any})`) },
        {
          weight: 1,
          arbitrary: quantified(
            tie('any').map((any) => `(?:${any})`),
            BOUNDED,
          ),
        },
      ),
    ),
  };
}).any;

const text = fc.array(
  fc.constantFrom('a', 'b', 'c', 'A', '1', '9', '_', ' ', '.', ']', '-', '/', 'é', '日', '😀', '\n'),
  { maxLength: 6 },
);

/** Runs `use` with the grammar. What is beyond the limits may be refused, by a message that says so: the answer is true. */
function refused(pattern: string, use: (grammar: CompiledGrammar | undefined) => void): boolean {
  try {
    use(compiler.regex(pattern));
    return false;
  } catch (error) {
    if (!(error instanceof GrammarError)) throw error;
    if (/no text at all/.test(error.message)) use(undefined);
    else if (/assertion in a repetition|too complex/.test(error.message)) return true;
    else throw error;
    return false;
  }
}

test('it matches what RegExp matches', () => {
  const texts = fc.array(
    text.map((chars) => chars.join('')),
    { minLength: 4, maxLength: 12 },
  );
  let refusals = 0;
  fc.assert(
    fc.property(source, texts, (pattern, candidates) => {
      const whole = new RegExp(`^(?:${pattern})$`, 'v');
      const isRefused = refused(pattern, (grammar) => {
        for (const candidate of candidates) {
          assert.is(
            grammar !== undefined && accepts(grammar, candidate),
            whole.test(candidate),
            JSON.stringify(candidate),
          );
        }
      });
      if (isRefused) refusals++;
    }),
    { numRuns: 250, seed: 20 },
  );
  assert.ok(refusals < 12, `${refusals} of 250 were refused`);
});

test('masks allow exactly the tokens with a way to an end, and a walk through them ends in a match', () => {
  let finished = 0;
  fc.assert(
    fc.property(source, fc.integer(), (pattern, seed) => {
      refused(pattern, (grammar) => {
        const walk = grammar && randomWalk(grammar, new Random(seed), 12);
        if (!walk?.done) return;
        finished++;
        assert.ok(new RegExp(`^(?:${pattern})$`, 'v').test(walk.text), `${pattern} gave ${JSON.stringify(walk.text)}`);
      });
    }),
    { numRuns: 70, seed: 21 },
  );
  assert.ok(finished > 12);
});

test('what Rust and Python write differently is read as they read it', () => {
  for (const [pattern, yes, no] of [
    ['(?i)abc', 'aBC', 'abd'],
    ['a(?i:b)c', 'aBc', 'aBC'],
    ['(?s).', '\n', ''],
    ['(?P<year>\\d{4})', '2024', '24'],
    ['\\Aab\\z', 'ab', 'abc'],
    ['a{,2}', 'aa', 'aaa'],
    ['[[:alpha:]_]+', 'x_y', 'x1'],
    ['[[:^digit:]]', 'x', '1'],
    ['\\x{1F600}', '😀', 'x'],
    ['\\U0001F600', '😀', 'x'],
    ['(?#note)a', 'a', 'b'],
    ['a{x}', 'a{x}', 'ax'],
    ['(?i)é', 'É', 'e'],
    ['\\p{Script=Greek}+', 'αβγ', 'abc'],
    ['\\ud83d\\ude00', '😀', '?'],
  ]) {
    const grammar = compiler.regex(pattern);
    assert.ok(accepts(grammar, yes), `${pattern} matches ${yes}`);
    assert.not.ok(accepts(grammar, no), `${pattern} does not match ${no}`);
  }
});

test('counted repetition costs no more than the text', () => {
  const grammar = compiler.regex('([ab]{0,65535}c){2,2000000000}');
  assert.not.ok(accepts(grammar, 'abc'));
  assert.ok(accepts(grammar, 'abcbcc'));
  assert.ok(accepts(compiler.regex('.{0,2000000000}'), 'any'));
  assert.ok(accepts(compiler.regex('(a{1,3}){1,3}'), 'aaaaaaaaa'));
  assert.not.ok(accepts(compiler.regex('(a{1,3}){1,3}'), 'aaaaaaaaaa'));
});

test('patterns that make others backtrack for ever end', () => {
  for (const pattern of [
    '(a*)*b',
    '(a|a)*b',
    '(.*a){30}',
    '([ab]*a[ab]{12})',
    '(((a{0,255}){0,255}){0,255}){0,255}b',
  ]) {
    const started = performance.now();
    try {
      accepts(compiler.regex(pattern), 'a'.repeat(20));
    } catch (error) {
      assert.instance(error, GrammarError);
    }
    assert.ok(performance.now() - started < 5_000, pattern);
  }
});

test('what is malformed or not regular is refused with its place', () => {
  for (const [pattern, words] of [
    ['(a', /missing "\)" at position 2/],
    ['a)', /unmatched "\)"/],
    ['[a', /missing "\]"/],
    ['*a', /nothing to repeat/],
    ['a**', /nothing to repeat/],
    ['a{2,1}', /out of order/],
    ['[b-a]', /out of order/],
    ['(a)\\1', /back-references/],
    ['(?<=a)b', /look-behind/],
    ['a++', /possessive/],
    ['(?>a)', /atomic/],
    ['\\p{Nonsense}', /unknown Unicode property/],
    ['\\q', /unknown escape/],
    ['\\', /backslash at the end/],
    ['a{3000000000}', /at most/],
    ['\ud800', /lone surrogates/],
    ['[]', /no text at all/],
    ['a(?!a)(?=a)', /no text at all/],
    ['('.repeat(10_000), /nested/],
  ] as const) {
    assert.throws(
      () => compiler.regex(pattern),
      (error: Error) => error instanceof GrammarError && words.test(error.message),
      pattern.slice(0, 20),
    );
  }
});

test.run();
