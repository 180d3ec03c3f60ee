/**
 * The tokenizer of a GGUF file: its metadata, put in the form of tokenizer.json, so that one reader serves both.
 *
 * Source of the keys: the GGUF specification (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "Tokenizer");
 * of what they leave open, llama.cpp's behaviour (`llama-vocab.cpp`).
 */

import { TokenizerError } from '../errors.ts';
import type { JsonObject } from '../json-fields.ts';
import { MAX_TOKEN_ID } from '../vocabulary.ts';
import { SPLIT_FAMILIES, type SplitFamily } from './patterns.ts';

/** The metadata of a file by key. Arrays are arrays or typed arrays. */
export type GgufMetadata = ReadonlyMap<string, unknown>;

/** What a tokenizer and a chat template are made of. */
export interface TokenizerFiles {
  /** The content of tokenizer.json. */
  readonly tokenizerJson: unknown;
  /** The content of tokenizer_config.json, for the names of special tokens. */
  readonly config?: unknown;
  /** One template, or several by name. Absent: the model has none. */
  readonly chatTemplate?: unknown;
}

/** A tokenizer as GGUF metadata describes it. */
export interface GgufTokenizerFiles extends TokenizerFiles {
  /** Tokens that end a text: the end token, and those that end a turn. */
  readonly eosTokenIds: readonly number[];
}

/** `tokenizer.ggml.token_type` */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const BYTE = 6;

/** Control tokens that end a turn, whatever a file says of its end token. */
const TURN_ENDS: ReadonlySet<string> = new Set([
  '<|eot_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|return|>',
  '<|call|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '<|eom_id|>',
  '<|end_of_text|>',
  '<EOT>',
  '<|END_OF_TURN_TOKEN|>',
]);

/** The ids that `tokenizer.ggml.<key>` gives, by the names of tokenizer_config.json. */
const SPECIAL_TOKENS: Readonly<Record<string, string>> = {
  bos_token: 'bos_token_id',
  eos_token: 'eos_token_id',
  unk_token: 'unknown_token_id',
  sep_token: 'seperator_token_id',
  pad_token: 'padding_token_id',
  cls_token: 'cls_token_id',
  mask_token: 'mask_token_id',
};

/** @throws TokenizerError naming the key that is missing, wrong or not supported */
export function tokenizerFilesOfGguf(metadata: GgufMetadata): GgufTokenizerFiles {
  const vocabulary = readVocabulary(metadata);
  const model = text(metadata, 'tokenizer.ggml.model');
  const parts = partsOf(model, metadata, vocabulary);
  const addedTokens = addedTokensOf(metadata, vocabulary);
  const { tokens } = vocabulary;

  const idOf = (key: string): number | undefined => {
    const id = metadata.get(`tokenizer.ggml.${key}`);
    // As llama.cpp does: an id beyond the vocabulary counts as none.
    return typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < tokens.length ? id : undefined;
  };
  const config: Record<string, string> = {};
  for (const [name, key] of Object.entries(SPECIAL_TOKENS)) {
    const id = idOf(key);
    if (id !== undefined) config[name] = tokens[id];
  }
  const added = (key: string, fallback: boolean, id: number | undefined) =>
    flag(metadata, `tokenizer.ggml.${key}`, fallback) && id !== undefined ? [id] : [];
  const before = added('add_bos_token', parts.addBos, idOf('bos_token_id'));
  const after = added('add_eos_token', false, idOf('eos_token_id'));

  return {
    tokenizerJson: {
      added_tokens: addedTokens,
      normalizer: parts.normalizer,
      pre_tokenizer: parts.preTokenizer,
      post_processor: templateProcessing(before, after, tokens),
      decoder: parts.decoder,
      model: parts.model,
    },
    config,
    chatTemplate: chatTemplateOf(metadata),
    eosTokenIds: eosTokenIds(['eos_token_id', 'eot_token_id', 'eom_token_id'].map(idOf), vocabulary),
  };
}

interface GgufVocabulary {
  readonly tokens: readonly string[];
  readonly types: ArrayLike<number>;
}

interface TokenizerParts {
  readonly normalizer: JsonObject | null;
  readonly preTokenizer: JsonObject | null;
  readonly decoder: JsonObject;
  readonly model: JsonObject;
  readonly addBos: boolean;
}

function partsOf(model: string, metadata: GgufMetadata, vocabulary: GgufVocabulary): TokenizerParts {
  if (model === 'gpt2') return byteLevelParts(metadata, vocabulary);
  if (model === 'llama') return sentencePieceParts(metadata, vocabulary);
  throw new TokenizerError(`tokenizer.ggml.model is ${JSON.stringify(model.slice(0, 40))}; supported: gpt2, llama`);
}

/** Byte-level BPE: merges as they stand in the file, cut by the pattern of its family. */
function byteLevelParts(metadata: GgufMetadata, vocabulary: GgufVocabulary): TokenizerParts {
  const family = splitFamily(metadata);
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
  const splits = family.patterns.map((pattern) => ({
    type: 'Split',
    pattern: { Regex: pattern },
    behavior: 'Isolated',
  }));
  return {
    // GGUF has no field for a normaliser; Qwen's own brings text to NFC.
    normalizer: null,
    preTokenizer: { type: 'Sequence', pretokenizers: [...splits, byteLevel] },
    decoder: byteLevel,
    model: {
      type: 'BPE',
      vocab: ordinaryTokens(vocabulary),
      merges: strings(metadata, 'tokenizer.ggml.merges'),
      ignore_merges: family.ignoreMerges ?? false,
    },
    addBos: family.addBos ?? false,
  };
}

function splitFamily(metadata: GgufMetadata): SplitFamily {
  const pre = text(metadata, 'tokenizer.ggml.pre', 'default');
  const family = SPLIT_FAMILIES.get(pre);
  if (family !== undefined) return family;
  throw new TokenizerError(
    `tokenizer.ggml.pre is ${JSON.stringify(pre.slice(0, 40))}, a split pattern that is not known`,
  );
}

/** BPE as SentencePiece does it: any two neighbours merge that make a token, those with the best score first. */
function sentencePieceParts(metadata: GgufMetadata, vocabulary: GgufVocabulary): TokenizerParts {
  const prefixed = flag(metadata, 'tokenizer.ggml.add_space_prefix', true);
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const { tokens, types } = vocabulary;
  const unknown = tokens.findIndex((_, id) => types[id] === UNKNOWN);
  return {
    normalizer: prefixed
      ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, replace] }
      : { type: 'Sequence', normalizers: [replace] },
    preTokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefixed ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      vocab: idsOfTokens(vocabulary, (type) => type !== CONTROL),
      merges: mergesByScore(vocabulary, numbers(metadata, 'tokenizer.ggml.scores', tokens.length)),
      unk_token: unknown < 0 ? null : tokens[unknown],
      fuse_unk: true,
      byte_fallback: true,
    },
    addBos: true,
  };
}

/** Longest token that is taken apart, in UTF-16 units. */
const MAX_MERGED_LENGTH = 256;
/** Most places, in all tokens together, at which one may be cut: each cut is looked up. */
const MAX_CUTS = 8 * 2 ** 20;

/** Every way to put a token together from two others, by falling score of the token. */
function mergesByScore({ tokens, types }: GgufVocabulary, scores: ArrayLike<number>): [string, string][] {
  const merges = (id: number) => types[id] !== CONTROL && types[id] !== UNKNOWN && types[id] !== BYTE;
  const known = new Set(tokens.filter((_, id) => merges(id)));
  const isCut = (length: number) => length > 1 && length <= MAX_MERGED_LENGTH;
  const order = tokens.flatMap((token, id) => (merges(id) && isCut(token.length) ? id : []));
  const cuts = order.reduce((sum, id) => sum + tokens[id].length - 1, 0);
  if (cuts > MAX_CUTS) {
    throw new TokenizerError(`tokenizer.ggml.tokens has ${cuts} characters; at most ${MAX_CUTS} are taken apart`);
  }
  order.sort((a, b) => scores[b] - scores[a] || a - b);
  return order.flatMap((id) => {
    const token = tokens[id];
    const pairs: [string, string][] = [];
    for (let cut = 1; cut < token.length; cut++) {
      const left = token.slice(0, cut);
      if (!known.has(left)) continue;
      const right = token.slice(cut);
      if (known.has(right)) pairs.push([left, right]);
    }
    return pairs;
  });
}

function readVocabulary(metadata: GgufMetadata): GgufVocabulary {
  const tokens = strings(metadata, 'tokenizer.ggml.tokens');
  if (tokens.length === 0 || tokens.length > MAX_TOKEN_ID) {
    throw new TokenizerError(`tokenizer.ggml.tokens has ${tokens.length} entries; expected 1 to ${MAX_TOKEN_ID}`);
  }
  const types = metadata.has('tokenizer.ggml.token_type')
    ? numbers(metadata, 'tokenizer.ggml.token_type', tokens.length)
    : new Uint8Array(tokens.length).fill(1);
  return { tokens, types };
}

/** What the model itself may produce: all tokens but those that stand for themselves wherever they are written. */
function ordinaryTokens(vocabulary: GgufVocabulary): Record<string, number> {
  return idsOfTokens(vocabulary, (type) => type !== CONTROL && type !== USER_DEFINED && type !== UNKNOWN);
}

function idsOfTokens({ tokens, types }: GgufVocabulary, includes: (type: number) => boolean): Record<string, number> {
  return Object.fromEntries(tokens.flatMap((token, id) => (includes(types[id]) ? [[token, id]] : [])));
}

function addedTokensOf(metadata: GgufMetadata, { tokens, types }: GgufVocabulary): JsonObject[] {
  // Phi-3's special tokens take the white space after them along, which GGUF has no field for.
  const stripsRight = text(metadata, 'general.architecture', '') === 'phi3' && types.length > 0;
  return tokens.flatMap((content, id) => {
    const type = types[id];
    if ((type !== CONTROL && type !== USER_DEFINED && type !== UNKNOWN) || content === '') return [];
    const special = type !== USER_DEFINED;
    const rstrip = stripsRight && type === CONTROL && !UNSTRIPPED.has(content);
    return [{ id, content, special, normalized: false, rstrip, lstrip: false, single_word: false }];
  });
}

const UNSTRIPPED: ReadonlySet<string> = new Set(['<unk>', '<s>', '</s>', '<|endoftext|>']);

function templateProcessing(before: readonly number[], after: readonly number[], tokens: readonly string[]) {
  const piece = (id: number) => ({ SpecialToken: { id: tokens[id], type_id: 0 } });
  const special = [...before, ...after].map((id) => [tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }]);
  return {
    type: 'TemplateProcessing',
    single: [...before.map(piece), { Sequence: { id: 'A', type_id: 0 } }, ...after.map(piece)],
    special_tokens: Object.fromEntries(special),
  };
}

function eosTokenIds(named: readonly (number | undefined)[], { tokens, types }: GgufVocabulary): number[] {
  const ids = new Set(named.filter((id) => id !== undefined));
  const turnEnds = tokens.flatMap((token, id) => (types[id] === CONTROL && TURN_ENDS.has(token) ? id : []));
  // Harmony ends messages with <|end|>, and turns with <|return|> or <|call|>.
  const isHarmony = turnEnds.some((id) => tokens[id] === '<|return|>');
  for (const id of turnEnds) if (!(isHarmony && tokens[id] === '<|end|>')) ids.add(id);
  return [...ids];
}

function chatTemplateOf(metadata: GgufMetadata): unknown {
  const main = metadata.get('tokenizer.chat_template');
  const template = typeof main === 'string' ? main : undefined;
  const names = metadata.get('tokenizer.chat_templates');
  if (!Array.isArray(names) || template === undefined) return template;
  const others = names.flatMap((name) => {
    const source = metadata.get(`tokenizer.chat_template.${name}`);
    return typeof name === 'string' && typeof source === 'string' ? [{ name, template: source }] : [];
  });
  return [{ name: 'default', template }, ...others];
}

function text(metadata: GgufMetadata, key: string, fallback?: string): string {
  const value = metadata.get(key) ?? fallback;
  if (typeof value === 'string') return value;
  throw new TokenizerError(`${key} is ${value === undefined ? 'missing' : typeof value}; expected a string`);
}

function flag(metadata: GgufMetadata, key: string, fallback: boolean): boolean {
  const value = metadata.get(key) ?? fallback;
  if (typeof value === 'boolean') return value;
  throw new TokenizerError(`${key} is ${typeof value}; expected true or false`);
}

function strings(metadata: GgufMetadata, key: string): readonly string[] {
  const value = metadata.get(key);
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw new TokenizerError(`${key} is ${value === undefined ? 'missing' : 'no list of strings'}; expected one`);
}

function numbers(metadata: GgufMetadata, key: string, length: number): ArrayLike<number> {
  const value = metadata.get(key);
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    const list = value as unknown as ArrayLike<number>;
    if (list.length === length && (length === 0 || typeof list[0] === 'number')) return list;
  }
  throw new TokenizerError(`${key} is ${value === undefined ? 'missing' : 'another list'}; expected ${length} numbers`);
}
