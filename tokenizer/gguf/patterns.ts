/**
 * The split patterns that GGUF files name by `tokenizer.ggml.pre`: a file does not hold its pattern, only the name of a
 * family. The patterns are those of the families' own tokenizer.json; the names are llama.cpp's (`llama-vocab.cpp`).
 */

/** How a family of byte-level tokenizers cuts text before the merges. */
export interface SplitFamily {
  /** Applied one after the other, each to the pieces of the one before. */
  readonly patterns: readonly string[];
  /** A piece that is a token as a whole is that token, whatever the merges say. */
  readonly ignoreMerges?: boolean;
  /** What `tokenizer.ggml.add_bos_token` is when a file leaves it out. Default false. */
  readonly addBos?: boolean;
}

const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
const DIGIT = String.raw`\p{N}`;
const CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const TAIL = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;

/** The pattern of tiktoken's cl100k and its kin, which differ in how many digits stand together. */
function cl100k(digits: string): string {
  return String.raw`${CONTRACTION}|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|${TAIL}`;
}

/** The pattern of tiktoken's o200k and its kin: words begin anew where small letters are followed by a capital. */
function o200k(contraction: string, digits: string): string {
  const upper = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
  const lower = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
  const before = String.raw`[^\r\n\p{L}\p{N}]?`;
  const words = `${before}${upper}*${lower}+${contraction}|${before}${upper}+${lower}*${contraction}`;
  return String.raw`${words}|${digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|${TAIL}`;
}

/** Letters with upper and lower case, as DeepSeek's first tokenizers list them, by code point. */
const CASED_LETTERS = characterRanges(`
  41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376 377 37b-37d 37f 386 388-38a 38c
  38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf 1d00-1d2b
  1d6b-1d77 1d79-1d9a 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d
  1f80-1fb4 1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 2102
  2107 210a-2113 2115 2119-211d 2124 2126 2128 212a-212d 212f-2134 2139 213c-213f 2145-2149 214e 2183
  2184 2c00-2c7b 2c7e-2ce4 2ceb-2cee 2cf2 2cf3 a640-a66d a680-a69b a722-a76f a771-a787 a78b-a78e
  ab70-abbf fb00-fb06 fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f 104b0-104d3 104d8-104fb 10c80-10cb2
  10cc0-10cf2 118a0-118df 1e900-1e943
`);
const CJK = '[一-龥ࠀ-一가-퟿]+';

const GPT2_FAMILY: SplitFamily = { patterns: [GPT2] };
const SINGLE_DIGITS: SplitFamily = { patterns: [DIGIT, GPT2] };
const LLAMA3: SplitFamily = { patterns: [cl100k(String.raw`\p{N}{1,3}`)], ignoreMerges: true, addBos: true };
const THREE_DIGITS: SplitFamily = { patterns: [cl100k(String.raw`\p{N}{1,3}`)] };
const ONE_DIGIT: SplitFamily = { patterns: [cl100k(DIGIT)] };
const O200K: SplitFamily = { patterns: [o200k(`${CONTRACTION}?`, String.raw`\p{N}{1,3}`)] };
const BLOOM_WORDS = String.raw` ?[^(\s|.,!?…。，、।۔،)]+`;

/** By the value of `tokenizer.ggml.pre`. */
export const SPLIT_FAMILIES: ReadonlyMap<string, SplitFamily> = new Map<string, SplitFamily>([
  // What llama.cpp falls back on; it fits few models, but some old files say no more.
  ['default', { patterns: [String.raw`[\p{P}$+<=>^~|]+`, GPT2, String.raw`\p{N}+`, '[0-9][0-9][0-9]'] }],
  ...named(['gpt-2', 'gpt2', 'phi-2', 'mpt', 'olmo', 'jais', 'exaone4', 'gigachat', 'mellum'], GPT2_FAMILY),
  ...named(['trillion', 'granite-docling', 'a.x-4.0'], GPT2_FAMILY),
  ...named(['starcoder', 'refact', 'command-r', 'smollm', 'codeshell', 'exaone', 'minerva-7b'], SINGLE_DIGITS),
  ...named(['llama3', 'llama-v3', 'llama-bpe', 'falcon3', 'falcon-h1', 'pixtral', 'midm-2.0', 'lfm2'], LLAMA3),
  ...named(['dbrx', 'smaug-bpe', 'glm4', 'chatglm-bpe'], THREE_DIGITS),
  ...named(['qwen2', 'stablelm2', 'deepseek-r1-qwen', 'megrez', 'kormo', 'hunyuan', 'grok-2'], ONE_DIGIT),
  [
    'seed-coder',
    { patterns: [String.raw`${CONTRACTION}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|${TAIL}`] },
  ],
  ['falcon', { patterns: [String.raw`[\p{P}$+<=>^~|${'`'}]+`, GPT2, '[0-9][0-9][0-9]'] }],
  [
    'deepseek-llm',
    {
      patterns: [
        String.raw`[\r\n]`,
        String.raw`\s?[${CASED_LETTERS}]+`,
        String.raw`\s?[!-/:-~！-／：-～‘-‟　-。]+`,
        String.raw`\s+$`,
        CJK,
        String.raw`\p{N}+`,
      ],
    },
  ],
  ['deepseek-coder', { patterns: [String.raw`[\r\n]`, String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, CJK, DIGIT] }],
  ...named(['deepseek-v3', 'hunyuan-dense'], {
    patterns: [
      String.raw`\p{N}{1,3}`,
      '[一-龥぀-ゟ゠-ヿ]+',
      String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${'`'}{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|${TAIL}`,
    ],
  }),
  ...named(['poro-chat', 'bloom', 'gpt3-finnish'], { patterns: [BLOOM_WORDS] }),
  ['viking', { patterns: [BLOOM_WORDS, DIGIT] }],
  ['tekken', { patterns: [o200k('', DIGIT)], ignoreMerges: true, addBos: true }],
  ...named(['gpt-4o', 'llama4', 'minimax-m2'], O200K),
  ...named(['bailingmoe', 'bailingmoe2', 'llada-moe'], {
    patterns: [
      String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`,
    ],
  }),
  ['superbpe', { patterns: [String.raw`\p{N}+`, String.raw`(?=(\d{3})+(?!\d))`] }],
]);

function named(names: readonly string[], family: SplitFamily): [string, SplitFamily][] {
  return names.map((name) => [name, family]);
}

/** The inside of a character class, from code points in hexadecimal. */
function characterRanges(list: string): string {
  return list
    .trim()
    .replace(/[0-9a-f]+/g, (hex) => String.fromCodePoint(Number.parseInt(hex, 16)))
    .replace(/\s+/g, '');
}
