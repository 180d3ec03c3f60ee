/**
 * The two models of whole words: WordLevel looks a word up, WordPiece cuts it greedily into the longest tokens.
 * Source of WordPiece: Wu et al., "Google's Neural Machine Translation System", arXiv:1609.08144.
 */

import { countField, type JsonObject, stringField } from './json-fields.ts';
import type { Model } from './model.ts';
import { Vocabulary } from './vocabulary.ts';

const MAX_WORD_LENGTH = 1000;

export class WordLevelModel implements Model {
  readonly vocabulary: Vocabulary;
  readonly #unknownId: number | undefined;

  /** @throws TokenizerError for a member of the wrong kind */
  constructor(json: JsonObject, where: string) {
    this.vocabulary = Vocabulary.fromJson(json.vocab, `${where}.vocab`);
    this.#unknownId = this.vocabulary.idOf(stringField(json, 'unk_token', where, '<unk>'));
  }

  encode(piece: string, ids: number[]): void {
    const id = this.vocabulary.idOf(piece) ?? this.#unknownId;
    if (id !== undefined) ids.push(id);
  }
}

export class WordPieceModel implements Model {
  readonly vocabulary: Vocabulary;
  readonly #unknownId: number | undefined;
  readonly #prefix: string;
  /** Longer words, in code points, are unknown. */
  readonly #longestWord: number;

  /** @throws TokenizerError for a member of the wrong kind */
  constructor(json: JsonObject, where: string) {
    this.vocabulary = Vocabulary.fromJson(json.vocab, `${where}.vocab`);
    this.#unknownId = this.vocabulary.idOf(stringField(json, 'unk_token', where, '[UNK]'));
    this.#prefix = stringField(json, 'continuing_subword_prefix', where, '##');
    this.#longestWord = countField(json, 'max_input_chars_per_word', where, MAX_WORD_LENGTH, 100);
  }

  encode(piece: string, ids: number[]): void {
    const chars = piece.length > 2 * this.#longestWord ? [] : Array.from(piece);
    const found: number[] = [];
    let start = chars.length > 0 && chars.length <= this.#longestWord ? 0 : -1;
    while (start >= 0 && start < chars.length) {
      let end = chars.length;
      let id: number | undefined;
      for (; end > start && id === undefined; end--) {
        id = this.vocabulary.idOf((start > 0 ? this.#prefix : '') + chars.slice(start, end).join(''));
      }
      if (id !== undefined) found.push(id);
      start = id === undefined ? -1 : end + 1;
    }
    if (start >= 0) ids.push(...found);
    else if (this.#unknownId !== undefined) ids.push(this.#unknownId);
  }
}
