/**
 * A tokenizer as `tokenizer.json` describes it: added tokens are cut out of the text, the rest is normalised, cut into
 * pieces and encoded by the model, and the post-processor puts special tokens around it. Decoding goes the other way.
 */

import { AddedTokenMatcher, readAddedTokens } from './added-tokens.ts';
import { byteOfFallbackToken } from './byte-level.ts';
import { type Decoder, readDecoder } from './decoders.ts';
import { TokenizerError } from './errors.ts';
import { type JsonObject, objectOf } from './json-fields.ts';
import { parseJson } from './json-text.ts';
import type { Model } from './model.ts';
import { readModel } from './models.ts';
import { type Normalizer, readNormalizer } from './normalizers.ts';
import { type AddedIds, readPostProcessor } from './post-processors.ts';
import { type PreTokenizer, readPreTokenizer } from './pre-tokenizers.ts';
import { StreamDecoder } from './stream-decoder.ts';
import { MAX_TOKEN_ID } from './vocabulary.ts';

export interface EncodeOptions {
  /** Puts the post-processor's tokens (such as a beginning-of-text token) around the text. Default true. */
  readonly addSpecialTokens?: boolean;
  /** Special tokens written in the text become their ids; false leaves them plain text. Default true. */
  readonly parseSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leaves special tokens out of the text. Default false. */
  readonly skipSpecialTokens?: boolean;
  /** False: no space between two added tokens in a row, where the decoder would put one. Default true. */
  readonly spacesBetweenSpecialTokens?: boolean;
}

/** Special tokens by their names in `tokenizer_config.json`, such as `bos_token`. */
export type SpecialTokens = Readonly<Record<string, string | readonly string[]>>;

/** Longest `tokenizer.json` that is parsed, in UTF-16 units. */
const MAX_FILE_LENGTH = 64 * 2 ** 20;

export class Tokenizer {
  /** The greatest token id plus one; a model's logits may be padded beyond it. */
  readonly vocabSize: number;
  /** Ids that `skipSpecialTokens` leaves out, ascending. */
  readonly specialTokenIds: readonly number[];
  /** Empty when no `tokenizer_config.json` was given. */
  readonly specialTokens: SpecialTokens;

  readonly #model: Model;
  /** The texts of added tokens by id, and their ids by content. */
  readonly #addedById = new Map<number, string>();
  readonly #addedByText = new Map<string, number>();
  readonly #specialIds: ReadonlySet<number>;
  readonly #rawTokens: AddedTokenMatcher;
  readonly #normalizedTokens: AddedTokenMatcher;
  readonly #normalizer: Normalizer | undefined;
  readonly #preTokenizer: PreTokenizer;
  readonly #addedIds: AddedIds;
  readonly #decoder: Decoder;

  private constructor(json: JsonObject, config: JsonObject) {
    const where = 'tokenizer.json:';
    const added = readAddedTokens(json.added_tokens, `${where} added_tokens`, MAX_TOKEN_ID);
    if (json.normalizer != null) this.#normalizer = readNormalizer(json.normalizer, `${where} normalizer`);
    this.#preTokenizer = readPreTokenizer(json.pre_tokenizer, `${where} pre_tokenizer`);
    this.#model = readModel(json.model, `${where} model`, this.#preTokenizer.byteLevel);
    this.#addedIds = readPostProcessor(json.post_processor, `${where} post_processor`);
    this.#decoder = readDecoder(json.decoder, `${where} decoder`);
    for (const token of added) {
      // A token that is looked for in normalised text is also written in it.
      const normalizer = token.normalized ? this.#normalizer : undefined;
      this.#addedById.set(token.id, normalizer ? normalizer(token.content) : token.content);
      this.#addedByText.set(token.content, token.id);
    }
    const normalized = added.filter((token) => token.normalized);
    this.#rawTokens = new AddedTokenMatcher(added.filter((token) => !token.normalized));
    this.#normalizedTokens = new AddedTokenMatcher(normalized, this.#normalizer);
    const ids = added.filter((token) => token.special).map((token) => token.id);
    this.#specialIds = new Set(ids);
    this.specialTokenIds = [...this.#specialIds].sort((a, b) => a - b);
    this.vocabSize = added.reduce((size, token) => Math.max(size, token.id + 1), this.#model.vocabulary.size);
    this.specialTokens = readSpecialTokens(config);
  }

  /**
   * @param tokenizerJson  the text of `tokenizer.json`, or what it parses to
   * @param tokenizerConfig  `tokenizer_config.json`, parsed: only the names of special tokens are taken from it
   * @throws TokenizerError naming the component that is wrong or not supported
   */
  static async fromJson(tokenizerJson: unknown, tokenizerConfig?: unknown): Promise<Tokenizer> {
    const json = typeof tokenizerJson === 'string' ? parseFile(tokenizerJson) : tokenizerJson;
    const config = tokenizerConfig == null ? {} : objectOf(tokenizerConfig, 'tokenizer_config.json');
    return new Tokenizer(objectOf(json, 'tokenizer.json'), config);
  }

  /** The token ids of `text`. A lone surrogate counts as U+FFFD. */
  encode(text: string, { addSpecialTokens = true, parseSpecialTokens = true }: EncodeOptions = {}): number[] {
    const ids: number[] = [];
    const wellFormed = text.toWellFormed();
    for (const { start, end, token } of this.#rawTokens.split(wellFormed, parseSpecialTokens)) {
      if (token) ids.push(token.id);
      else this.#encodePlain(wellFormed.slice(start, end), start === 0, parseSpecialTokens, ids);
    }
    return addSpecialTokens ? this.withSpecialTokens(ids) : ids;
  }

  /** Ids that are encoded already, with the post-processor's tokens around them. */
  withSpecialTokens(ids: readonly number[]): number[] {
    return [...this.#addedIds.before, ...ids, ...this.#addedIds.after];
  }

  #encodePlain(text: string, atStart: boolean, parseSpecialTokens: boolean, ids: number[]): void {
    const normalized = this.#normalizer ? this.#normalizer(text) : text;
    for (const { start, end, token } of this.#normalizedTokens.split(normalized, parseSpecialTokens)) {
      if (token) {
        ids.push(token.id);
        continue;
      }
      const whole = { texts: [normalized.slice(start, end)], atStart: atStart && start === 0 };
      for (const piece of this.#preTokenizer.split(whole).texts) this.#model.encode(piece, ids);
    }
  }

  /** The text of `ids`; unknown ids contribute nothing. */
  decode(
    ids: ArrayLike<number>,
    { skipSpecialTokens = false, spacesBetweenSpecialTokens = true }: DecodeOptions = {},
  ): string {
    const tokens: string[] = [];
    let lastWasAdded = false;
    for (let i = 0; i < ids.length; i++) {
      const text = this.#textOf(ids[i]);
      if (text === undefined || (skipSpecialTokens && this.#specialIds.has(ids[i]))) continue;
      const isAdded = this.#addedById.has(ids[i]);
      if (!spacesBetweenSpecialTokens && isAdded && lastWasAdded) tokens[tokens.length - 1] += text;
      else tokens.push(text);
      lastWasAdded = isAdded;
    }
    return this.#decoder.decode(tokens);
  }

  /** Decodes token by token; `flush()` gives what is left at the end. */
  streamDecoder(options: DecodeOptions = {}): StreamDecoder {
    return new StreamDecoder({
      decode: (ids) => this.decode(ids, options),
      contributes: (id) => this.#textOf(id) !== undefined && !(options.skipSpecialTokens && this.#specialIds.has(id)),
      contextOf: (id) => {
        const isByte = !this.#addedById.has(id) && byteOfFallbackToken(this.#textOf(id) ?? '') >= 0;
        return isByte ? this.#model.vocabulary.idOf('a') : id;
      },
    });
  }

  /** The bytes that a token contributes inside of a text; none for special tokens and unknown ids. */
  tokenBytes(id: number): Uint8Array {
    const text = this.#textOf(id);
    return text === undefined || this.#specialIds.has(id) ? new Uint8Array(0) : this.#decoder.bytesOf(text);
  }

  /** The id of a token as the vocabulary or the added tokens write it, such as `Ġthe` or `<|im_end|>`. */
  idOf(token: string): number | undefined {
    return this.#addedByText.get(token) ?? this.#model.vocabulary.idOf(token);
  }

  #textOf(id: number): string | undefined {
    return this.#addedById.get(id) ?? this.#model.vocabulary.tokenOf(id);
  }
}

function parseFile(text: string): unknown {
  if (text.length > MAX_FILE_LENGTH) {
    throw new TokenizerError(`tokenizer.json has ${text.length} characters; at most ${MAX_FILE_LENGTH} are read`);
  }
  return parseJson(text, 'tokenizer.json');
}

const SPECIAL_TOKEN_NAMES = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'].map((name) => `${name}_token`);

/** A special token is a string, or an object with the string as its `content`. */
function readSpecialTokens(config: JsonObject): SpecialTokens {
  const tokens: Record<string, string | readonly string[]> = {};
  const contentOf = (value: unknown): string | undefined => {
    const content = typeof value === 'object' && value !== null ? (value as JsonObject).content : value;
    return typeof content === 'string' ? content : undefined;
  };
  for (const name of SPECIAL_TOKEN_NAMES) {
    const content = contentOf(config[name]);
    if (content !== undefined) tokens[name] = content;
  }
  if (Array.isArray(config.additional_special_tokens)) {
    const contents = config.additional_special_tokens.map(contentOf);
    tokens.additional_special_tokens = contents.filter((content) => content !== undefined);
  }
  return tokens;
}
