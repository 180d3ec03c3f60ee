/** Files that nobody should have written, and texts that nobody should send. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Tokenizer } from '../../tokenizer/index.ts';
import { oracle, tokenizerWith } from './models.ts';

const test = suite('hostile files');

const MIB = 1 << 20;

async function refuses(json: unknown, words: RegExp): Promise<void> {
  let thrown: unknown;
  try {
    await Tokenizer.fromJson(json);
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown instanceof Error && thrown.name === 'TokenizerError', `${words}: ${thrown}`);
  assert.match(thrown.message, words);
  assert.not.match(thrown.message, '\n');
}

const bpe = (members: object) => ({ model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: [], ...members } });

test('what is no tokenizer is refused in one line', async () => {
  await refuses('['.repeat(10_000_000), /nests deeper than 64/);
  await refuses('{"model": {}, "model": {}}', /1 keys twice in the same object/);
  await refuses('{', /tokenizer\.json is not JSON/);
  await refuses('null', /tokenizer\.json is null/);
  await refuses([], /tokenizer\.json is an array/);
  await refuses({}, /model is missing/);
  await refuses({ model: {} }, /model has the type missing/);
});

test('unknown components are refused by name, with what is supported', async () => {
  const model = bpe({}).model;
  await refuses(
    { model: { type: 'Magic' } },
    /model has the type "Magic"; supported: BPE, Unigram, WordPiece, WordLevel/,
  );
  await refuses({ model, normalizer: { type: 'Magic' } }, /normalizer has the type "Magic"; supported: .*NFC/);
  await refuses(
    { model, pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Magic' }] } },
    /pre_tokenizer\.pretokenizers\[0\] has the type "Magic"/,
  );
  await refuses({ model, decoder: { type: 'Magic' } }, /decoder has the type "Magic"/);
  await refuses({ model, post_processor: { type: 'Magic' } }, /post_processor has the type "Magic"/);
});

test('vocabularies with impossible ids are refused', async () => {
  for (const id of [-1, 1.5, 2 ** 31, '1', null]) await refuses(bpe({ vocab: { a: id } }), /vocab\["a"\]/);
  await refuses(bpe({ vocab: {} }), /vocab is empty/);
  await refuses(bpe({ vocab: [] }), /vocab is an array/);
});

test('merges are checked against the vocabulary', async () => {
  await refuses(bpe({ merges: ['a c'] }), /merges\[0\] needs "c"/);
  await refuses(bpe({ merges: ['b a'] }), /merges\[0\] needs "ba"/);
  await refuses(bpe({ merges: ['a b c'] }), /merges\[0\] is "a b c"; expected two tokens/);
  await refuses(bpe({ merges: [['a']] }), /merges\[0\] is \["a"\]/);
  await refuses(bpe({ merges: [['a', 1]] }), /merges\[0\] is \["a",1\]/);
  await refuses(bpe({ merges: [7] }), /merges\[0\] is 7/);
});

test('added tokens need a text and an id', async () => {
  const added = (token: object) => ({ ...bpe({}), added_tokens: [{ id: 3, content: 'x', ...token }] });
  await refuses(added({ content: '' }), /added_tokens\[0\]\.content has 0 characters/);
  await refuses(added({ content: 'x'.repeat(2000) }), /added_tokens\[0\]\.content has 2000/);
  await refuses(added({ id: -3 }), /added_tokens\[0\]\.id is -3/);
  await refuses(added({ special: 'yes' }), /added_tokens\[0\]\.special is "yes"/);
});

test('sequences that nest without end are refused', async () => {
  let normalizer: object = { type: 'NFC' };
  let decoder: object = { type: 'Fuse' };
  let pre_tokenizer: object = { type: 'WhitespaceSplit' };
  let post_processor: object = { type: 'ByteLevel' };
  for (let i = 0; i < 5000; i++) {
    normalizer = { type: 'Sequence', normalizers: [normalizer] };
    decoder = { type: 'Sequence', decoders: [decoder] };
    pre_tokenizer = { type: 'Sequence', pretokenizers: [pre_tokenizer] };
    post_processor = { type: 'Sequence', processors: [post_processor] };
  }
  for (const part of [{ normalizer }, { decoder }, { pre_tokenizer }, { post_processor }]) {
    await refuses({ ...bpe({}), ...part }, /nests more than 16 sequences/);
  }
});

test('a template of the post-processor must hold the text once and name tokens that are there', async () => {
  const template = (single: object[], special_tokens = {}) => ({
    ...bpe({}),
    post_processor: { type: 'TemplateProcessing', single, special_tokens },
  });
  const sequence = { Sequence: { id: 'A', type_id: 0 } };
  await refuses(template([]), /lacks the sequence A/);
  await refuses(template([sequence, sequence]), /repeats the sequence/);
  await refuses(
    template([{ SpecialToken: { id: '__proto__' } }, sequence]),
    /special_tokens\["__proto__"\] is missing/,
  );
});

test('a normaliser that blows a text up is stopped', async () => {
  const grow = { type: 'Replace', pattern: { Regex: '' }, content: 'x'.repeat(100) };
  const normalizer = { type: 'Sequence', normalizers: new Array(8).fill(grow) };
  const tokenizer = await tokenizerWith({ normalizer, added_tokens: [] });
  assert.throws(() => tokenizer.encode('a'.repeat(10_000)), /makes 10000 characters more than/);
});

test('tokens named like members of JavaScript objects are tokens', async () => {
  const vocab = JSON.parse('{"__proto__": 0, "constructor": 1, "toString": 2}');
  const tokenizer = await Tokenizer.fromJson({ model: { type: 'WordLevel', vocab, unk_token: 'toString' } });
  assert.equal(
    ['__proto__', 'constructor', 'hasOwnProperty'].map((word) => tokenizer.encode(word)[0]),
    [0, 1, 2],
  );
  assert.is(tokenizer.decode([0]), '__proto__');
});

test('patterns that match nothing come to an end', async () => {
  for (const pattern of ['', 'x*', '^', '$', '\\b', '(?=🎉)', '(?!a)']) {
    const split = { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false };
    const byteLevel = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
    const tokenizer = await tokenizerWith({
      normalizer: null,
      pre_tokenizer: { type: 'Sequence', pretokenizers: [split, byteLevel] },
    });
    assert.is(tokenizer.decode(tokenizer.encode('a🎉🎉x\nb')), 'a🎉🎉x\nb', pattern);
  }
});

test('a word of a megabyte is encoded like any other text', async () => {
  for (const base of ['cohere2', 'llama-gqa', 'qwen3']) {
    const tokenizer = await tokenizerWith({}, base);
    const texts = ['a', ' ', '\n', '🎉', '7'].map((unit) => unit.repeat(MIB / 16));
    for (const text of [...texts, 'in'.repeat(MIB / 2)]) {
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      assert.ok(tokenizer.decode(ids) === text, `${base}: ${JSON.stringify(text.slice(0, 2))} …`);
    }
  }
});

test('merging a long word gives what merging pair by pair gives', async () => {
  const { vocab, merges } = oracle<{ model: { vocab: Record<string, number>; merges: [string, string][] } }>(
    'models/qwen3/tokenizer.json',
  ).model;
  const tokenizer = await tokenizerWith({ normalizer: null, pre_tokenizer: null, added_tokens: [] });
  const word = 'thelighthousekeeperwrotedowntheweather'.repeat(5);
  let symbols = [...word];
  for (const [left, right] of merges) {
    const merged: string[] = [];
    for (const symbol of symbols) {
      if (symbol === right && merged.at(-1) === left) merged[merged.length - 1] = left + right;
      else merged.push(symbol);
    }
    symbols = merged;
  }
  assert.equal(
    tokenizer.encode(word),
    symbols.map((symbol) => vocab[symbol]),
  );
});

test.run();
