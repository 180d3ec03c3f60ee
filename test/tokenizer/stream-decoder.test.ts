import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Tokenizer } from '../../tokenizer/index.ts';
import { referenceModels, tokenizerWith } from './models.ts';

const test = suite('StreamDecoder');

const models = await referenceModels();
const byName = new Map(models.map((model) => [model.name, model.tokenizer]));

function streamed(tokenizer: Tokenizer, ids: readonly number[], skipSpecialTokens = false): string[] {
  const stream = tokenizer.streamDecoder({ skipSpecialTokens });
  return [...ids.map((id) => stream.push(id)), stream.flush()];
}

test('chunks joined are the decoded text, whatever the tokens of a byte-level tokenizer', () => {
  for (const name of ['qwen3', 'cohere2', 'gpt-oss']) {
    const tokenizer = byName.get(name)!;
    const ids = fc.array(fc.integer({ min: 0, max: tokenizer.vocabSize + 2 }), { maxLength: 40 });
    fc.assert(
      fc.property(ids, fc.boolean(), (tokens, skipSpecialTokens) => {
        const text = tokenizer.decode(tokens, { skipSpecialTokens });
        assert.is(streamed(tokenizer, tokens, skipSpecialTokens).join(''), text);
      }),
    );
  }
});

test('chunks joined are the decoded text of any encoded text, with and without byte tokens', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 40 });
  for (const { tokenizer } of models) {
    fc.assert(
      fc.property(text, fc.boolean(), (written, skipSpecialTokens) => {
        const ids = tokenizer.encode(written);
        const decoded = tokenizer.decode(ids, { skipSpecialTokens });
        assert.is(streamed(tokenizer, ids, skipSpecialTokens).join(''), decoded);
      }),
      { numRuns: 50 },
    );
  }
});

test('no chunk shows U+FFFD while the character can still be completed', () => {
  const emoji = fc.string({ unit: fc.constantFrom('🎉', '你', 'é', 'a', ' ', '👩‍💻'), maxLength: 20 });
  for (const { tokenizer } of models) {
    fc.assert(
      fc.property(emoji, (text) => {
        for (const chunk of streamed(tokenizer, tokenizer.encode(text))) assert.not.match(chunk, '\uFFFD');
      }),
      { numRuns: 50 },
    );
  }
});

test('what is unfinished at the end comes out by flush only', () => {
  const tokenizer = byName.get('granite')!;
  const stream = tokenizer.streamDecoder();
  const [first] = tokenizer.encode('🎉');
  assert.is(stream.push(first), '');
  assert.is(stream.flush(), '\uFFFD');
  assert.is(stream.push(tokenizer.encode('a')[0]), 'a', 'the stream begins anew');
});

test('a space before the first word is treated as in the whole text, later ones are kept', () => {
  const tokenizer = byName.get('llama-gqa')!;
  assert.equal(streamed(tokenizer, [tokenizer.idOf('▁the')!, tokenizer.idOf('▁the')!]), ['the', ' the', '']);
});

test('text that begins with bytes goes on with the space of the next word', () => {
  const tokenizer = byName.get('llama-gqa')!;
  const ids = [...tokenizer.encode('🎉', { addSpecialTokens: false }).slice(1), tokenizer.idOf('▁the')!];
  assert.is(streamed(tokenizer, ids).join(''), '🎉 the');
});

test('a word-piece decoder puts its spaces between the tokens of a stream', async () => {
  const tokenizer = await tokenizerWith({ decoder: { type: 'WordPiece', prefix: '##', cleanup: true } });
  const ids = tokenizer.encode('Hello the');
  assert.is(streamed(tokenizer, ids).join(''), tokenizer.decode(ids));
});

test('tokens that never become a character are not held for ever', () => {
  const tokenizer = byName.get('granite')!;
  const broken = tokenizer.encode('🎉').at(-1)!;
  const chunks = streamed(tokenizer, new Array(1000).fill(broken));
  assert.ok(chunks.slice(0, -1).join('').length >= 700);
});

test.run();
