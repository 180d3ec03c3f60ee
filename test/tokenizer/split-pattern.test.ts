import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compilePattern, literalPattern } from '../../tokenizer/split-pattern.ts';

const test = suite('split patterns');

function matches(pattern: string, text: string): string[] {
  return text.match(compilePattern(pattern, 'pattern')) ?? [];
}

function throwsAbout(pattern: string, words: RegExp): void {
  assert.throws(
    () => compilePattern(pattern, 'tokenizer.json: pre_tokenizer.pattern'),
    (error: Error) => error.name === 'TokenizerError' && words.test(error.message) && !error.message.includes('\n'),
  );
}

test('white space is that of Unicode: with U+0085, without U+FEFF', () => {
  assert.equal(matches('\\s', 'a\u0085b\uFEFFc\u3000d\u200Be\u2028'), ['\u0085', '\u3000', '\u2028']);
  assert.equal(matches('[^\\s]', '\u0085\uFEFF'), ['\uFEFF']);
  assert.equal(matches('\\S+', 'a\uFEFFb'), ['a\uFEFFb']);
});

test('digits and words know every script', () => {
  assert.equal(matches('\\d+', '12 ٣٤ ½'), ['12', '٣٤']);
  assert.equal(matches('\\w+', 'na\u0308ive _x ½ 文字 🎉'), ['na\u0308ive', '_x', '½', '文字']);
});

test('a group may ignore case, and only that group', () => {
  assert.equal(matches("(?i:'s|'ve)|x", "'S 'Ve 've X x"), ["'S", "'Ve", "'ve", 'x']);
  assert.equal(matches('(?i)k[a-c]', 'KA \u212Ab kd'), ['KA', '\u212Ab']);
  assert.equal(matches("(?i:'s)", "'ſ"), ["'ſ"]);
});

test('possessive repetition and atomic groups give nothing back', () => {
  assert.equal(matches('a++a', 'aaa'), []);
  assert.equal(matches('(?>a+)a', 'aaa'), []);
  assert.equal(matches('a?+b', 'ab b'), ['ab', 'b']);
});

test('anchors are those of lines and of the text', () => {
  assert.equal(matches('^.', 'ab\ncd\re'), ['a', 'c']);
  assert.equal(matches('.$', 'ab\ncd'), ['b', 'd']);
  assert.equal(matches('\\A.', 'ab\ncd'), ['a']);
  assert.equal(matches('.\\z', 'ab\ncd'), ['d']);
  assert.equal(matches('(?m).+', 'ab\ncd'), ['ab\ncd']);
});

test('classes may be nested, intersected and named', () => {
  assert.equal(matches('[a-z&&[^aeiou]]+', 'hello'), ['h', 'll']);
  assert.equal(matches('[[:alpha:]\\d]+', 'ab1-é2'), ['ab1', 'é2']);
  assert.equal(matches('[\\p{Han}a]+', '文a字b'), ['文a字']);
  assert.equal(matches('\\p{^L}|\\P{Lu}', 'Aa1'), ['a', '1']);
  assert.equal(matches('[]a-]+', 'a]-b'), ['a]-']);
});

test('characters outside of the basic plane are one character', () => {
  assert.equal(matches('.', '🎉a'), ['🎉', 'a']);
  assert.equal(matches('[🎉-🎊]', '🎉🎊🎋'), ['🎉', '🎊']);
  assert.equal(matches('\\x{1F389}', '🎉'), ['🎉']);
});

test('a literal is matched as it is', () => {
  assert.equal('a.b*c.b*'.match(literalPattern('.b*')), ['.b*', '.b*']);
});

test('a repetition of a repetition is refused', () => {
  for (const pattern of ['(a+)+', '(a*b*)*', '(?:x|(?:y+))+', '(a+){2,}', '((a+)?)*'])
    throwsAbout(pattern, /exponential/);
  for (const pattern of ['(a+){3}', '(?>a+)+', '(a++)+', '(?:\\p{N}{3})+', '(?:ab)+c+']) compilePattern(pattern, 'p');
});

test('what is not understood is refused in one line', () => {
  throwsAbout('(a', /lacks a \)/);
  throwsAbout('a)', /\) too many/);
  throwsAbout('[a', /ends too early/);
  throwsAbout('\\', /ends too early/);
  throwsAbout('*a', /nothing to repeat/);
  throwsAbout('\\p{Nothing}', /unknown property Nothing/);
  throwsAbout('[[:nothing:]]', /unknown class/);
  throwsAbout('(a)\\1', /unsupported escape/);
  throwsAbout('(?P=x)', /unknown kind/);
  throwsAbout('[z-a]', /out of order/);
  throwsAbout('a{1,100000}', /repeats \{1,100000\}/);
  throwsAbout('a'.repeat(10_000), /10000 characters/);
  throwsAbout('('.repeat(100), /nests more than/);
});

test.run();
