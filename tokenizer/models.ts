/** Finds out which kind of model `tokenizer.json` holds. */

import { BpeModel } from './bpe.ts';
import { type JsonObject, objectOf, unknownType } from './json-fields.ts';
import type { Model } from './model.ts';
import { UnigramModel } from './unigram.ts';
import { WordLevelModel, WordPieceModel } from './word-models.ts';

const SUPPORTED = ['BPE', 'Unigram', 'WordPiece', 'WordLevel'];

/**
 * @param byteLevel  the pieces are to be read in the alphabet of bytes
 * @throws TokenizerError for a type or a member that is not understood
 */
export function readModel(json: unknown, where: string, byteLevel: boolean): Model {
  const fields = objectOf(json, where);
  switch (fields.type ?? guessType(fields)) {
    case 'BPE':
      return new BpeModel(fields, where, byteLevel);
    case 'Unigram':
      return new UnigramModel(fields, where);
    case 'WordPiece':
      return new WordPieceModel(fields, where);
    case 'WordLevel':
      return new WordLevelModel(fields, where);
  }
  throw unknownType(where, fields.type, SUPPORTED);
}

/** Early files do not say which model they hold. */
function guessType(fields: JsonObject): string | undefined {
  if (Array.isArray(fields.merges)) return 'BPE';
  if (Array.isArray(fields.vocab)) return 'Unigram';
  return fields.continuing_subword_prefix === undefined ? undefined : 'WordPiece';
}
