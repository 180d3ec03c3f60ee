/** What every kind of tokenizer model offers: BPE, Unigram, WordPiece and WordLevel. */

import type { Vocabulary } from './vocabulary.ts';

export interface Model {
  readonly vocabulary: Vocabulary;
  /** Appends the ids of one piece of pre-tokenized text. */
  encode(piece: string, ids: number[]): void;
}
