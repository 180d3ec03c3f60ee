/**
 * Unigram: every token has a log-probability, and a piece becomes the tokens whose sum is greatest. Source: Kudo,
 * "Subword Regularization", arXiv:1804.10959.
 */

import { fallbackToken } from './byte-level.ts';
import { TokenizerError } from './errors.ts';
import { arrayOf, booleanField, countField, type JsonObject, stringOf } from './json-fields.ts';
import type { Model } from './model.ts';
import { MAX_TOKEN_ID, Vocabulary } from './vocabulary.ts';

/** How much less likely an unknown character is than the least likely token, in natural logarithms. */
const UNKNOWN_PENALTY = 10;
/** Every start is tried with every length that a token has, so lengths are bounded. */
const MAX_TOKEN_LENGTH = 512;

const utf8 = new TextEncoder();

export class UnigramModel implements Model {
  readonly vocabulary: Vocabulary;
  readonly #scores: Float64Array;
  /** Lengths of tokens in UTF-16 units, ascending. */
  readonly #lengths: readonly number[];
  readonly #unknownId: number | undefined;
  readonly #unknownScore: number;
  readonly #byteFallback: boolean;

  /** @throws TokenizerError for an entry that is not a token with its score */
  constructor(json: JsonObject, where: string) {
    const entries = arrayOf(json.vocab, `${where}.vocab`).map((entry, id) => {
      const [token, score] = arrayOf(entry, `${where}.vocab[${id}]`);
      const text = stringOf(token, `${where}.vocab[${id}][0]`);
      if (typeof score !== 'number' || text.length > MAX_TOKEN_LENGTH) {
        throw new TokenizerError(`${where}.vocab[${id}] is no text of at most ${MAX_TOKEN_LENGTH} units with a score`);
      }
      return { text, score };
    });
    if (entries.length === 0 || entries.length > MAX_TOKEN_ID) {
      throw new TokenizerError(`${where}.vocab has ${entries.length} entries; expected 1 to ${MAX_TOKEN_ID}`);
    }
    this.vocabulary = new Vocabulary(entries.map(({ text }, id) => [text, id] as const));
    this.#scores = Float64Array.from(entries, ({ score }) => score);
    this.#lengths = [...new Set(entries.map(({ text }) => text.length))]
      .filter((length) => length > 0)
      .sort((a, b) => a - b);
    if (json.unk_id != null) this.#unknownId = countField(json, 'unk_id', where, entries.length - 1);
    this.#unknownScore = this.#scores.reduce((least, score) => Math.min(least, score), Infinity) - UNKNOWN_PENALTY;
    this.#byteFallback = booleanField(json, 'byte_fallback', where, false);
  }

  encode(piece: string, ids: number[]): void {
    const { starts, best } = this.#bestPath(piece);
    const path: number[] = [];
    for (let end = piece.length; end > 0; end = starts[end]) path.push(end);
    let start = 0;
    let unknownStart = -1;
    for (const end of path.reverse()) {
      // Unknown characters in a row become one unknown token.
      const isUnknown = best[end] === -1 || best[end] === this.#unknownId;
      if (isUnknown && unknownStart < 0) unknownStart = start;
      if (!isUnknown) {
        if (unknownStart >= 0) this.#addUnknown(piece.slice(unknownStart, start), ids);
        unknownStart = -1;
        ids.push(best[end]);
      }
      start = end;
    }
    if (unknownStart >= 0) this.#addUnknown(piece.slice(unknownStart), ids);
  }

  /** For every end of a character: where the best last token begins, and its id (-1 for an unknown character). */
  #bestPath(piece: string): { starts: Int32Array; best: Int32Array } {
    const starts = new Int32Array(piece.length + 1).fill(-1);
    const best = new Int32Array(piece.length + 1);
    const scores = new Float64Array(piece.length + 1);
    const offer = (start: number, end: number, id: number, score: number) => {
      if (starts[end] >= 0 && score <= scores[end]) return;
      starts[end] = start;
      best[end] = id;
      scores[end] = score;
    };
    for (let start = 0; start < piece.length; ) {
      const width = piece.codePointAt(start)! > 0xffff ? 2 : 1;
      let hasCharacter = false;
      for (const length of this.#lengths) {
        if (start + length > piece.length) break;
        const id = this.vocabulary.idOf(piece.slice(start, start + length));
        if (id === undefined) continue;
        offer(start, start + length, id, scores[start] + this.#scores[id]);
        hasCharacter ||= length === width;
      }
      if (!hasCharacter) offer(start, start + width, -1, scores[start] + this.#unknownScore);
      start += width;
    }
    return { starts, best };
  }

  #addUnknown(text: string, ids: number[]): void {
    const known = this.vocabulary.idOf(text);
    if (known !== undefined) {
      ids.push(known);
      return;
    }
    if (this.#byteFallback) {
      const bytes = Array.from(utf8.encode(text), (byte) => this.vocabulary.idOf(fallbackToken(byte)));
      if (bytes.every((id) => id !== undefined)) {
        for (const id of bytes) ids.push(id);
        return;
      }
    }
    if (this.#unknownId !== undefined) ids.push(this.#unknownId);
  }
}
