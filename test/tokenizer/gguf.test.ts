/** Tokenizers from GGUF metadata: real vocabularies with their given ids, the oracle's files, and each split family. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readGgufHeader } from '../../engine/checkpoint/gguf/header.ts';
import { openFiles } from '../../engine/node/directory-source.ts';
import { SPLIT_FAMILIES } from '../../tokenizer/gguf/patterns.ts';
import { ChatTemplate, Tokenizer, tokenizerFilesOfGguf } from '../../tokenizer/index.ts';
import { oracle, type Reference } from './models.ts';

const test = suite('GGUF tokenizers');

async function filesOf(path: string) {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const source = openFiles(path, [name]);
  try {
    return tokenizerFilesOfGguf((await readGgufHeader(source, name)).metadata);
  } finally {
    await source.close();
  }
}

/** Vocabularies whose licences keep them out of this repository; QUERN_VOCABS names their folder. */
const vocabs = process.env.QUERN_VOCABS ?? fileURLToPath(new URL('../../../shared/data/vocabs', import.meta.url));
const names = existsSync(vocabs) ? readdirSync(vocabs).filter((name) => name.endsWith('.gguf')) : [];
if (names.length === 0) console.log(`no vocabularies in ${vocabs}: their cases are left out (QUERN_VOCABS)`);

for (const name of names) {
  test(`${name}: every given text has its given ids`, async () => {
    const { tokenizerJson, config } = await filesOf(`${vocabs}/${name}`);
    const tokenizer = await Tokenizer.fromJson(tokenizerJson, config);
    const read = (ending: string) => readFileSync(`${vocabs}/${name}${ending}`, 'utf8');
    const texts = read('.inp').split('\n__ggml_vocab_test__\n');
    const ids = read('.out').split('\n');
    const cases = texts.map((text, i) => ({ text, ids: ids[i].split(' ').filter(Boolean).map(Number) }));
    const more = JSON.parse(existsSync(`${vocabs}/${name}.more.json`) ? read('.more.json') : '[]') as typeof cases;
    assert.ok(cases.length > 40);
    for (const { text, ids: expected } of [...cases, ...more]) {
      const found = tokenizer.encode(text, { addSpecialTokens: false, parseSpecialTokens: false });
      assert.equal(found, expected, JSON.stringify(text));
    }
  });
}

const models = readdirSync(new URL('../oracle/models/', import.meta.url)).flatMap((model) => {
  if (model.includes('.')) return [];
  const { gguf = [] } = oracle<{ gguf?: Twin[] }>(`models/${model}/reference.json`);
  return gguf.map((twin) => ({ model, ...twin }));
});

interface Twin {
  readonly file: string;
  readonly tokenizer_differs: readonly string[];
}

test('the oracle has GGUF files of several families', () => {
  assert.ok(models.length >= 7, `only ${models.length}`);
});

for (const { model, file, tokenizer_differs: differs } of models) {
  test(`${file}: texts, ids and conversations are those of tokenizer.json`, async () => {
    const path = fileURLToPath(new URL(`../oracle/models/${model}/${file}`, import.meta.url));
    const reference = oracle<Reference>(`models/${model}/reference.json`);
    const { tokenizerJson, config, chatTemplate, eosTokenIds } = await filesOf(path);
    const tokenizer = await Tokenizer.fromJson(tokenizerJson, config);
    for (const { id, text, ids, ids_plain, decoded, decoded_skip } of reference.tokenizer) {
      if (!differs.includes(id)) {
        assert.equal(tokenizer.encode(text), ids, id);
        assert.equal(tokenizer.encode(text, { addSpecialTokens: false }), ids_plain, id);
      }
      assert.is(tokenizer.decode(ids), decoded, id);
      assert.is(tokenizer.decode(ids, { skipSpecialTokens: true }), decoded_skip, id);
    }
    const template = new ChatTemplate(chatTemplate, { specialTokens: tokenizer.specialTokens });
    const { conversations } = oracle<{ conversations: Conversation[] }>('models/conversations.json');
    for (const { conversation, add_generation_prompt, variables, text, ids } of reference.chat) {
      if (text === undefined) continue;
      const rendered = template.render({
        ...conversations.find(({ id }) => id === conversation)!,
        variables,
        addGenerationPrompt: add_generation_prompt,
        now: new Date(reference.chat_clock),
      });
      assert.is(rendered, text, conversation);
      if (ids) assert.equal(tokenizer.encode(rendered, { addSpecialTokens: false }), ids, conversation);
    }
    for (const id of reference.special.eos) assert.ok(eosTokenIds.includes(id), `end token ${id}`);
  });
}

interface Conversation {
  readonly id: string;
  readonly messages: { role: string }[];
}

/** The characters that stand for bytes, in any order. */
const BYTE_CHARACTERS = [
  [0x21, 0x7e],
  [0xa1, 0xac],
  [0xae, 0x143],
].flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => String.fromCharCode(first + i)));

/** A byte-level vocabulary of all bytes and one merge, which shows whether two digits stand in one piece. */
function byteLevelMetadata(changes: Record<string, unknown> = {}): Map<string, unknown> {
  return new Map(
    Object.entries({
      'tokenizer.ggml.model': 'gpt2',
      'tokenizer.ggml.pre': 'gpt-2',
      'tokenizer.ggml.tokens': [...BYTE_CHARACTERS, '12', '<s>', '</s>'],
      'tokenizer.ggml.token_type': Int32Array.from({ length: 259 }, (_, id) => (id > 256 ? 3 : 1)),
      'tokenizer.ggml.merges': ['1 2'],
      'tokenizer.ggml.bos_token_id': 257,
      'tokenizer.ggml.eos_token_id': 258,
      ...changes,
    }),
  );
}

async function tokenizerOf(changes: Record<string, unknown> = {}) {
  const { tokenizerJson, config } = tokenizerFilesOfGguf(byteLevelMetadata(changes));
  return Tokenizer.fromJson(tokenizerJson, config);
}

test('every split family compiles, loses nothing, and cuts digits as it should', async () => {
  const text = "I'LL pay 1234567 €,  don't\n\n\tyou? 你好 Größe CamelCase (a|b) x_y\r\nend ";
  for (const pre of SPLIT_FAMILIES.keys()) {
    const tokenizer = await tokenizerOf({ 'tokenizer.ggml.pre': pre });
    assert.is(tokenizer.decode(tokenizer.encode(text), { skipSpecialTokens: true }), text, pre);
  }
  const count = async (pre: string) => (await tokenizerOf({ 'tokenizer.ggml.pre': pre })).encode('12').length;
  assert.equal(await Promise.all(['gpt-2', 'qwen2', 'starcoder', 'tekken', 'gpt-4o'].map(count)), [1, 2, 2, 3, 1]);
});

test('beginning and end tokens are added as the file says, else as its family does', async () => {
  const ids = async (changes: Record<string, unknown>) => (await tokenizerOf(changes)).encode('');
  assert.equal(await ids({}), []);
  assert.equal(await ids({ 'tokenizer.ggml.pre': 'llama-bpe' }), [257]);
  assert.equal(await ids({ 'tokenizer.ggml.pre': 'llama-bpe', 'tokenizer.ggml.add_bos_token': false }), []);
  assert.equal(await ids({ 'tokenizer.ggml.add_eos_token': true }), [258]);
});

test('of tokens in SentencePiece form, the best score merges first and bytes stand for what is unknown', async () => {
  const tokens = [
    '<unk>',
    '<s>',
    ...Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`),
  ];
  const own = ['▁', 'a', 'b', 'c', 'ab', 'bc', '▁a'];
  const metadata = (scores: number[]) =>
    new Map<string, unknown>([
      ['tokenizer.ggml.model', 'llama'],
      ['tokenizer.ggml.tokens', [...tokens, ...own]],
      ['tokenizer.ggml.scores', Float32Array.from([...tokens.map(() => 0), ...scores])],
      ['tokenizer.ggml.token_type', Int32Array.from([2, 3, ...tokens.slice(2).map(() => 6), ...own.map(() => 1)])],
      ['tokenizer.ggml.bos_token_id', 1],
    ]);
  const texts = async (scores: number[]) => {
    const { tokenizerJson } = tokenizerFilesOfGguf(metadata(scores));
    const tokenizer = await Tokenizer.fromJson(tokenizerJson);
    return tokenizer.encode('abcé').map((id) => [...tokens, ...own][id]);
  };
  assert.equal(await texts([0, 0, 0, 0, -1, -2, -3]), ['<s>', '▁', 'ab', 'c', '<0xC3>', '<0xA9>']);
  assert.equal(await texts([0, 0, 0, 0, -2, -1, -3]), ['<s>', '▁a', 'bc', '<0xC3>', '<0xA9>']);
});

test('what is missing or not known is named', () => {
  const refuses = (changes: Record<string, unknown>, words: RegExp) =>
    assert.throws(() => tokenizerFilesOfGguf(byteLevelMetadata(changes)), words);
  refuses({ 'tokenizer.ggml.model': 'rwkv' }, /tokenizer.ggml.model is "rwkv"; supported: gpt2, llama/);
  refuses({ 'tokenizer.ggml.pre': 'new-one' }, /tokenizer.ggml.pre is "new-one", a split pattern that is not known/);
  refuses({ 'tokenizer.ggml.tokens': undefined }, /tokenizer.ggml.tokens is missing/);
  refuses({ 'tokenizer.ggml.tokens': [] }, /tokenizer.ggml.tokens has 0 entries/);
  refuses({ 'tokenizer.ggml.token_type': Int32Array.of(1) }, /token_type is another list; expected 259 numbers/);
  const long = Array.from({ length: 40_000 }, (_, i) => `${i}${'a'.repeat(240)}`);
  const scores = new Float32Array(long.length);
  const sentencePiece = { 'tokenizer.ggml.model': 'llama', 'tokenizer.ggml.scores': scores };
  refuses(
    { ...sentencePiece, 'tokenizer.ggml.tokens': long, 'tokenizer.ggml.token_type': new Int32Array(40_000).fill(1) },
    /tokenizer.ggml.tokens has 97\d{5} characters; at most 8388608 are taken apart/,
  );
  refuses({ 'tokenizer.ggml.merges': 'x' }, /tokenizer.ggml.merges is no list of strings/);
});

test.run();
