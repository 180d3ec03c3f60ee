import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Pattern } from '../../tokenizer/pattern/pattern.ts';

const test = suite('patterns');

function matches(pattern: string, text: string): string[] {
  return matchesOf(Pattern.compile(pattern, 'pattern'), text);
}

function matchesOf(pattern: Pattern, text: string): string[] {
  const found: string[] = [];
  pattern.forEachMatch(text, (start, end) => found.push(text.slice(start, end)));
  return found;
}

function throwsAbout(pattern: string, words: RegExp): void {
  assert.throws(
    () => Pattern.compile(pattern, 'tokenizer.json: pre_tokenizer.pattern'),
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
  assert.equal(matchesOf(Pattern.literal('.b*'), 'a.b*c.b*'), ['.b*', '.b*']);
  assert.equal(matchesOf(Pattern.literal(''), 'a🎉'), ['', '', '']);
});

test('the first way that matches is taken, as backtracking engines do', () => {
  assert.equal(matches('a|ab', 'ab'), ['a']);
  assert.equal(matches('(?:a|ab)(?:c|bcd)', 'abcd'), ['abcd']);
  assert.equal(matches('a*?b|a{2,3}?', 'aaab aaa'), ['aaab', 'aa']);
  assert.equal(matches('(?:a*)*b|(?:a?){3}c', 'aab aac'), ['aab', 'aac']);
  assert.equal(matches('(?:|a)+b', 'aab'), ['aab']);
  assert.equal(matches('(?<=ab|c)x(?=y+z)', 'abxyyz cxyz bxyz'), ['x', 'x']);
  assert.equal(matches('(?<!a.)x', 'abx bbx x'), ['x', 'x']);
});

test('patterns without surprises match as JavaScript matches them', () => {
  // Where the two languages agree: no classes beyond ASCII, no case folding, no anchors, no empty rounds of a loop.
  const atom = fc.constantFrom('a', 'b', 'c', '[ab]', '[^a]', '.', '(?=b)', '(?!b)', '(?<=a)', '(?<!a)');
  const { pattern } = fc.letrec<{ pattern: string; piece: string }>((tie) => ({
    piece: fc.oneof(
      { depthSize: 'small' },
      atom,
      fc
        .tuple(tie('pattern'), fc.constantFrom('', '*', '+', '?', '*?', '+?', '??', '{2}', '{1,2}', '{0,2}?', '{2,}'))
        .map(([inner, quantifier]) => `(?:[ab](?:${inner}))${quantifier}`),
      fc
        .tuple(fc.constantFrom('a', 'b', '[ab]', '.'), fc.constantFrom('*', '+', '?', '*?', '{1,2}', '{2,}'))
        .map(([inner, quantifier]) => inner + quantifier),
      tie('pattern').map((inner) => `(?=${inner})`),
    ),
    pattern: fc
      .array(fc.array(tie('piece'), { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 })
      .map((options) => options.map((items) => items.join('')).join('|')),
  }));
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '字'), maxLength: 10 });
  fc.assert(
    fc.property(pattern, text, (source, subject) => {
      const theirs: string[] = [];
      const regex = new RegExp(source.replaceAll('.', '[^\\n]'), 'gu');
      let lastEnd = -1;
      for (const match of subject.matchAll(regex)) {
        if (match[0] !== '' || match.index !== lastEnd) theirs.push(`${match.index}:${match[0]}`);
        lastEnd = match.index + match[0].length;
      }
      const ours: string[] = [];
      Pattern.compile(source, 'p').forEachMatch(subject, (start, end) =>
        ours.push(`${start}:${subject.slice(start, end)}`),
      );
      assert.equal(ours, theirs, `${source} on ${subject}`);
    }),
    { numRuns: 300 },
  );
});

test('patterns that would take for ever on a text are given up', () => {
  const slow = (pattern: string, text: string) =>
    assert.throws(
      () => matches(pattern, text),
      (error: Error) => error.name === 'TokenizerError' && /^pattern takes too long on a text of/.test(error.message),
    );
  slow('(a|a)+$', `${'a'.repeat(60)}b`);
  slow('(a+)+b', 'a'.repeat(60));
  slow('(?:a?){60}a{60}b', 'a'.repeat(60));
  slow('a*a*a*a*b', 'a'.repeat(10_000));
  slow('\\s*x|.', ' '.repeat(100_000));
  slow('(?:a|b)+c', 'ab'.repeat(1_500_000));
  throwsAbout('(((a{1000}b){1000}b){1000}b){1000}', /too large/);
});

test('what tokenizers use takes few steps on any text', () => {
  const llama3 =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  const deepSeek =
    '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
  for (const pattern of [llama3, deepSeek]) {
    for (const unit of ['a', ' ', '\n', '\r\n ', '7', '!', '字', '🎉', "'s", 'a ', '  a']) {
      const text = unit.repeat(60_000 / unit.length);
      assert.is(matches(pattern, text).join(''), pattern === deepSeek ? text.replaceAll('7', '') : text);
    }
  }
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
  throwsAbout('a{3,2}', /\{3,2\}, which is out of order/);
  throwsAbout('(?<=a+)b', /looks back further/);
  throwsAbout(`a${'?'.repeat(100)}`, /repeats a repetition more than/);
  throwsAbout('a'.repeat(10_000), /10000 characters/);
  throwsAbout('('.repeat(100), /nests more than/);
});

test.run();
