/** The matcher: masks, rolling back, forced tokens, ends. */

import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CompiledGrammar, GrammarCompiler, GrammarError } from '../../grammar/index.ts';
import { accepts, allowed, checkMask, EOS, MASK_WORDS, maskOf, newCompiler, tokens } from './vocabulary.ts';

const test = suite('matcher');
const compiler = newCompiler();
const utf8 = new TextEncoder();

const grammars: Record<string, CompiledGrammar> = {
  regex: compiler.regex('(ab|abc|é日?)*x{2,5}'),
  choice: compiler.choice(['foo', 'foobar', 'bar', 'é', '']),
  recursive: compiler.ebnf('root ::= "(" root ")" | [0-9]+ (" + " root)?'),
  'JSON object': compiler.jsonSchema({
    type: 'object',
    properties: {
      name: { type: 'string', maxLength: 4 },
      age: { type: 'integer', minimum: 0, maximum: 120 },
      foo: { enum: ['é', 1, null] },
    },
    required: ['name'],
  }),
  'bounded strings': compiler.jsonSchema({
    type: 'array',
    items: { type: 'string', minLength: 2, maxLength: 5 },
    maxItems: 3,
  }),
  'any JSON': compiler.jsonSchema({}),
};

function isGrammarError(error: unknown): boolean {
  return error instanceof GrammarError;
}

/** A token by its text. */
function token(text: string): number {
  const id = tokens.findIndex((bytes) => bytes.length > 0 && Buffer.from(bytes).equals(Buffer.from(utf8.encode(text))));
  assert.ok(id >= 0, text);
  return id;
}

test('a mask allows exactly the tokens that are accepted, wherever a walk goes', () => {
  for (const [name, grammar] of Object.entries(grammars)) {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 12 }), (picks) => {
        const matcher = grammar.matcher();
        for (const pick of picks) {
          const ids = checkMask(matcher);
          assert.ok(ids.length > 0, `${name} came to a dead end`);
          const id = ids[pick % ids.length];
          matcher.accept(id);
          if (id === EOS) break;
        }
      }),
      { numRuns: 25, seed: 3 },
    );
  }
});

test('going back gives the mask that was there, bit for bit, also behind the end', () => {
  for (const grammar of Object.values(grammars)) {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 12 }), fc.nat(), (picks, back) => {
        const matcher = grammar.matcher();
        const masks = [maskOf(matcher)];
        for (const pick of picks) {
          const ids = allowed(masks[masks.length - 1]);
          if (ids.length === 0) break;
          matcher.accept(ids[pick % ids.length]);
          masks.push(maskOf(matcher));
        }
        const count = back % masks.length;
        matcher.rollback(count);
        assert.equal(maskOf(matcher), masks[masks.length - 1 - count]);
        matcher.reset();
        assert.equal(maskOf(matcher), masks[0]);
      }),
      { numRuns: 25, seed: 4 },
    );
  }
});

test('a fork and its origin do not disturb each other', () => {
  const matcher = grammars.choice.matcher();
  matcher.accept(token('foo'));
  const fork = matcher.fork();
  assert.ok(fork.accept(token('bar')));
  assert.ok(matcher.accept(EOS));
  assert.ok(fork.canFinish());
  fork.rollback(2);
  assert.ok(fork.accept(token('é')));
});

test('any split of a text into tokens is accepted', () => {
  const schema = { type: 'object', properties: { name: { type: 'string' }, age: { type: 'integer' } } };
  const pieces = ['{"', 'name', '": "', 'é', '😀', '", "', 'age', '"', ': ', '12', '}'];
  // Each piece as a token or as bytes: all combinations.
  for (let split = 0; split < 1 << pieces.length; split += 7) {
    const matcher = compiler.jsonSchema(schema).matcher();
    pieces.forEach((piece, i) => {
      const ids = (split >> i) & 1 ? [token(piece)] : [...utf8.encode(piece)].map((byte) => byte + 2);
      for (const id of ids) assert.ok(matcher.accept(id), `split ${split} at ${piece}`);
    });
    assert.ok(matcher.canFinish());
  }
});

test('tokens that end inside a character go on with the rest of it', () => {
  const matcher = compiler.regex('日a').matcher();
  const half = tokens.findIndex((bytes) => bytes.length === 2 && bytes[0] === 0xe6);
  assert.ok(matcher.accept(half));
  assert.ok(allowed(maskOf(matcher)).every((id) => tokens[id][0] === 0xa5));
});

test('the end token comes only where the text may end, and nothing behind it', () => {
  const matcher = grammars.choice.matcher();
  assert.ok(matcher.canFinish());
  matcher.accept(token('foo'));
  assert.ok(allowed(maskOf(matcher)).includes(EOS));
  assert.ok(matcher.accept(EOS));
  assert.equal(allowed(maskOf(matcher)), []);
  assert.not.ok(matcher.accept(EOS));
  matcher.rollback(2);
  matcher.accept(token('b'));
  assert.not.ok(allowed(maskOf(matcher)).includes(EOS));
  assert.not.ok(matcher.accept(EOS));
});

test('special tokens and ids out of range are never accepted', () => {
  for (const grammar of Object.values(grammars)) {
    const matcher = grammar.matcher();
    assert.not.ok(allowed(maskOf(matcher)).includes(1));
    for (const id of [1, -1, tokens.length, 0.5, Number.NaN]) assert.not.ok(matcher.accept(id));
  }
});

test('several end tokens are all allowed at an end', () => {
  const small = new GrammarCompiler({
    tokens: [utf8.encode('a'), utf8.encode('</s>'), new Uint8Array(0)],
    eosTokenIds: [1, 2],
  });
  const matcher = small.regex('a').matcher();
  const mask = new Uint32Array(1);
  matcher.accept(0);
  matcher.fillMask(mask);
  assert.is(mask[0], 0b110);
});

test('forced tokens are those that have no alternative', () => {
  const only = new GrammarCompiler({
    tokens: ['', 'a', 'b', 'c', 'ab'].map((text) => utf8.encode(text)),
    eosTokenIds: [0],
  });
  const matcher = only.regex('cbb(a|b)').matcher();
  assert.equal(matcher.forcedTokens(), [3, 2, 2]);
  assert.ok(matcher.accept(3), 'the state is as it was');
  assert.equal(only.regex('abc').matcher().forcedTokens(), []);
  assert.equal(only.regex('cb?').matcher().forcedTokens(), [3]);
});

test('a refused token leaves the state as it was', () => {
  const matcher = grammars['JSON object'].matcher();
  matcher.accept(token('{"'));
  const before = maskOf(matcher);
  assert.not.ok(matcher.accept(token('{}')));
  assert.equal(maskOf(matcher), before);
});

test('a mask of other words than the vocabulary has is refused or padded with zeros', () => {
  const matcher = grammars.regex.matcher();
  assert.throws(() => matcher.fillMask(new Uint32Array(MASK_WORDS - 1)), isGrammarError);
  const longer = new Uint32Array(MASK_WORDS + 2).fill(0xffffffff);
  matcher.fillMask(longer);
  assert.equal([...longer.subarray(MASK_WORDS)], [0, 0]);
});

test('rolling back more than there is, and end tokens outside the vocabulary, are refused', () => {
  assert.throws(() => grammars.regex.matcher().rollback(1), isGrammarError);
  assert.throws(() => new GrammarCompiler({ tokens, eosTokenIds: [tokens.length] }), isGrammarError);
});

test('choices are what is listed and nothing else', () => {
  const many = Array.from({ length: 20_000 }, (_, i) => `name ${i}`);
  const grammar = compiler.choice(many);
  assert.ok(accepts(grammar, 'name 19999'));
  assert.ok(accepts(grammar, 'name 1'));
  assert.not.ok(accepts(grammar, 'name 20000'));
  assert.throws(() => compiler.choice([]), isGrammarError);
  assert.throws(() => compiler.choice(['\ud800']), isGrammarError);
});

test('the same text compiles once', () => {
  assert.is(compiler.regex('a+b'), compiler.regex('a+b'));
  assert.is(compiler.jsonSchema({ type: 'null' }), compiler.jsonSchema({ type: 'null' }));
});

test.run();
