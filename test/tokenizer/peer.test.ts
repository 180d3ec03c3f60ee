/** Random texts through every kind of tokenizer, against the reference implementation (in Rust, as WASM). */

import { createRequire } from 'node:module';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Tokenizer } from '../../tokenizer/index.ts';
import { Random } from '../random.ts';
import { oracle, referenceModels } from './models.ts';

// A script for `require` that calls itself a module.
const { Tokenizer: Peer } = createRequire(import.meta.url)(
  '@mlc-ai/web-tokenizers',
) as typeof import('@mlc-ai/web-tokenizers');

const test = suite('reference implementation');

/** Encodes (and decodes) texts made of the given pieces with both. */
async function compare(json: object, pieces: readonly string[], runs: number, decodes = true): Promise<void> {
  const text = JSON.stringify(json);
  const ours = await Tokenizer.fromJson(text);
  const theirs = await Peer.fromJSON(new TextEncoder().encode(text).buffer as ArrayBuffer);
  // Their decoder drops a byte order mark at the beginning.
  const sample = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.constantFrom(...CHARACTERS)), { maxLength: 14 });
  fc.assert(
    fc.property(sample, (parts) => {
      const input = `.${parts.join('')}`;
      const ids = ours.encode(input, { addSpecialTokens: false });
      assert.equal(ids, Array.from(theirs.encode(input)), JSON.stringify(input));
      if (!decodes) return;
      const decoded = theirs.decode(Int32Array.from(ids));
      assert.ok(
        [false, true].some((skipSpecialTokens) => ours.decode(ids, { skipSpecialTokens }) === decoded),
        JSON.stringify(input),
      );
    }),
    { numRuns: runs },
  );
  theirs.dispose();
}

/** Where tokenizers differ: white space, case, marks, scripts, contractions, what looks like bytes or words. */
const CHARACTERS = [
  ...['a', 'B', ' ', '  ', '\n', '\r\n', '\t', '7', '123456', "'s", "'S", "'ſ", 'é', 'e\u0301', '你', '🎉', '👩‍💻'],
  ...[
    '\uFEFF',
    '\u0085',
    '▁',
    '\u00a0',
    '½',
    'ſ',
    'İ',
    'ǆ',
    '\u200d',
    '\u0300',
    "don't",
    '...',
    '!?',
    '_',
    '-',
    '<0x0A>',
  ],
];

for (const { name } of await referenceModels()) {
  test(name, async () => {
    const json = oracle<{ added_tokens: { content: string }[]; model: { vocab: Record<string, number> } }>(
      `models/${name}/tokenizer.json`,
    );
    const pieces = [...json.added_tokens.map(({ content }) => content), ...Object.keys(json.model.vocab)];
    await compare(json, pieces, 150);
  });
}

const CORPUS =
  'the quick brown fox jumps over the lazy dog and then naïve words unaffordable 你好 世界 éé 123 45 ... aab';
const random = new Random(11);
const fragments = Array.from({ length: 300 }, () => random.integer(0, CORPUS.length - 6))
  .map((start) => CORPUS.slice(start, start + 1 + (start % 5)))
  .filter((text, i, all) => all.indexOf(text) === i);

function unigram(byteFallback: boolean): object {
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const tokens = new Set(fragments.map((text) => text.replaceAll(' ', '▁')));
  const scored = [...tokens].map((token, i) => [token, -1 - ((i * 7) % 11)]);
  const vocab = [['<unk>', 0], ...(byteFallback ? bytes.map((byte) => [byte, 0]) : []), ...scored];
  return { type: 'Unigram', unk_id: 0, byte_fallback: byteFallback, vocab };
}

function words(): Record<string, number> {
  const tokens = new Set(['[UNK]', ...CORPUS.split(' ')]);
  for (const fragment of fragments.map((text) => text.trim())) {
    if (fragment !== '' && !fragment.includes(' ')) tokens.add(fragment).add(`##${fragment}`);
  }
  return Object.fromEntries([...tokens].map((token, id) => [token, id]));
}

const metaspace = (scheme: string, split: boolean) => ({
  type: 'Metaspace',
  replacement: '▁',
  prepend_scheme: scheme,
  split,
});
const NOTHING = { version: '1.0', truncation: null, padding: null, normalizer: null, post_processor: null };

const KINDS: Readonly<Record<string, object>> = {
  Unigram: {
    added_tokens: [],
    pre_tokenizer: metaspace('always', true),
    decoder: metaspace('always', true),
    model: unigram(false),
  },
  'Unigram with byte fallback': {
    added_tokens: [],
    pre_tokenizer: metaspace('first', false),
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: unigram(true),
  },
  'normalisers one after the other': {
    added_tokens: [],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'NFKC' },
        { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' },
        { type: 'Strip', strip_left: true, strip_right: true },
      ],
    },
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, metaspace('always', true)] },
    decoder: metaspace('always', true),
    model: unigram(false),
  },
  WordPiece: {
    added_tokens: [],
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: words(),
    },
  },
  WordLevel: {
    added_tokens: [],
    pre_tokenizer: { type: 'Whitespace' },
    decoder: null,
    model: { type: 'WordLevel', unk_token: '[UNK]', vocab: words() },
  },
  'splits of every behaviour': {
    added_tokens: [],
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Punctuation', behavior: 'Contiguous' },
        { type: 'Digits', individual_digits: false },
        { type: 'Split', pattern: { Regex: '[aeiou]+' }, behavior: 'MergedWithPrevious', invert: false },
        { type: 'Split', pattern: { String: 't' }, behavior: 'MergedWithNext', invert: false },
        { type: 'Split', pattern: { Regex: '\\w+|\\d' }, behavior: 'Removed', invert: true },
      ],
    },
    decoder: { type: 'Fuse' },
    model: unigram(true),
  },
  'added tokens with flags': {
    added_tokens: [
      { content: 'zix', single_word: true },
      { content: '<m>', lstrip: true, normalized: false, special: true },
      { content: '<r>', rstrip: true },
      { content: 'LAZY' },
      { content: 'zi' },
    ].map((token, i) => ({
      id: Object.keys(words()).length + i,
      ...{ single_word: false, lstrip: false, rstrip: false, normalized: true, special: false },
      ...token,
    })),
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: { type: 'CharDelimiterSplit', delimiter: ' ' },
    decoder: null,
    model: { type: 'WordLevel', unk_token: '[UNK]', vocab: words() },
  },
};

const PIECES = [...fragments, 'zix', ' zix ', 'zi', '<m>', ' <m> ', '<r> ', 'lazy', 'LAZY', 'Fox'];
for (const [name, parts] of Object.entries(KINDS)) {
  // This version of theirs writes an added token as the file does; later ones, and ours, as it stands in normalised text.
  test(name, () => compare({ ...NOTHING, ...parts }, PIECES, 300, name !== 'added tokens with flags'));
}

test.run();
