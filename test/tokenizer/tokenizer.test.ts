import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Tokenizer } from '../../tokenizer/index.ts';
import { oracle, referenceModels, tokenizerWith } from './models.ts';

const test = suite('Tokenizer');

const models = await referenceModels();
const byName = new Map(models.map((model) => [model.name, model.tokenizer]));
const qwen = byName.get('qwen3')!;
const llama = byName.get('llama-gqa')!;

/** Any UTF-16, lone surrogates included, with the kinds of characters that tokenizers treat differently. */
const anyText = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      'a',
      'B',
      ' ',
      '  ',
      '\n',
      '\r\n',
      '7',
      "'s",
      'é',
      'e\u0301',
      '你',
      '🎉',
      '👩‍💻',
      '\uFEFF',
      '\u0085',
      '▁',
    ),
    fc.constantFrom('\uD83D', '\uDE00', '<|im_start|>', '<tool_call>', '<s>', '<0x0A>', '\0'),
    fc.string({ unit: 'binary', maxLength: 3 }),
  ),
  maxLength: 40,
});

test('a byte-level tokenizer gives back any text, with U+FFFD for lone surrogates', () => {
  for (const name of ['llama3-rope-tied', 'gpt-oss', 'smollm3', 'olmo2']) {
    const tokenizer = byName.get(name)!;
    fc.assert(
      fc.property(anyText, (text) => {
        // A token that takes white space with it does not give it back.
        fc.pre(!/<mask>|<sep>/.test(text));
        const ids = tokenizer.encode(text, { addSpecialTokens: false });
        assert.is(tokenizer.decode(ids), text.toWellFormed());
      }),
      { numRuns: 200 },
    );
  }
});

test('a tokenizer with a normaliser gives back the normalised text', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const normalized = text.toWellFormed().normalize('NFC');
      assert.is(qwen.decode(qwen.encode(normalized)), normalized);
    }),
  );
});

test('the bytes of tokens, joined, are the bytes of the text', () => {
  const utf8 = new TextEncoder();
  for (const name of ['gpt-oss', 'gemma2']) {
    const tokenizer = byName.get(name)!;
    fc.assert(
      fc.property(anyText, (text) => {
        fc.pre(!/[▁<]/.test(text));
        const plain = { addSpecialTokens: false, parseSpecialTokens: false };
        const bytes = tokenizer.encode(text, plain).flatMap((id) => [...tokenizer.tokenBytes(id)]);
        assert.equal(bytes, [...utf8.encode(text.toWellFormed())]);
      }),
      { numRuns: 100 },
    );
  }
});

test('special tokens in a text stay text when they are not parsed', () => {
  const ids = qwen.encode('<|im_start|>user', { parseSpecialTokens: false });
  assert.not(ids.includes(qwen.idOf('<|im_start|>')!));
  assert.is(qwen.decode(ids), '<|im_start|>user');
  assert.is(qwen.encode('<|im_start|>user')[0], qwen.idOf('<|im_start|>'));
});

test('added tokens that are not special are found all the same', () => {
  assert.equal(qwen.encode('<tool_call>', { parseSpecialTokens: false }), [qwen.idOf('<tool_call>')]);
});

test('special tokens, the size of the vocabulary and ids by text come from the file', () => {
  assert.equal(llama.specialTokens, { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' });
  assert.equal(llama.specialTokenIds, [0, 1, 2, 700, 701]);
  assert.is(llama.vocabSize, 702);
  assert.is(llama.idOf('</s>'), 2);
  assert.is(
    llama.idOf('▁the'),
    oracle<{ model: { vocab: Record<string, number> } }>('models/llama-gqa/tokenizer.json').model.vocab['▁the'],
  );
  assert.is(llama.idOf('no such token'), undefined);
});

test('tokens of bytes have that byte, special tokens and unknown ids have none', () => {
  assert.equal([...llama.tokenBytes(llama.idOf('<0xE2>')!)], [0xe2]);
  assert.equal([...llama.tokenBytes(llama.idOf('▁▁')!)], [0x20, 0x20]);
  assert.is(llama.tokenBytes(llama.idOf('<s>')!).length, 0);
  assert.is(llama.tokenBytes(99_999).length, 0);
  assert.is(new TextDecoder().decode(qwen.tokenBytes(qwen.idOf('<tool_call>')!)), '<tool_call>');
});

test('ids that do not exist are left out of the text', () => {
  assert.is(qwen.decode([39, 99_999, -1, 1.5, 39]), 'HH');
});

test('a decoder that puts spaces between tokens can leave them out between added tokens', async () => {
  const joined = await tokenizerWith({ decoder: null });
  const ids = [joined.idOf('<|im_start|>')!, joined.idOf('<|im_end|>')!, 39];
  assert.is(joined.decode(ids), '<|im_start|> <|im_end|> H');
  assert.is(joined.decode(ids, { spacesBetweenSpecialTokens: false }), '<|im_start|><|im_end|> H');
});

test('a file may be given as text', async () => {
  const text = JSON.stringify(oracle('models/qwen3/tokenizer.json'));
  assert.equal((await Tokenizer.fromJson(text)).encode('Hello'), qwen.encode('Hello'));
});

test('an early file without the type of its model is read as what it holds', async () => {
  const { type, ...model } = oracle<{ model: Record<string, unknown> }>('models/qwen3/tokenizer.json').model;
  assert.is(type, 'BPE');
  assert.equal((await tokenizerWith({ model })).encode('Hello'), qwen.encode('Hello'));
});

test.run();
