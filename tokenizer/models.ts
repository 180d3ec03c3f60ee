/** Finds out which kind of model `tokenizer.json` holds. */

import { BpeModel } from './bpe.ts';
import { toByteChars } from './byte-level.ts';
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
  const type = fields.type ?? guessType(fields);
  if (type === 'BPE') return new BpeModel(fields, where, byteLevel);
  const model = readOtherModel(type, fields, where);
  if (!byteLevel) return model;
  return { vocabulary: model.vocabulary, encode: (piece, ids) => model.encode(toByteChars(piece), ids) };
}

function readOtherModel(type: unknown, fields: JsonObject, where: string): Model {
  switch (type) {
    case 'Unigram':
      return new UnigramModel(fields, where);
    case 'WordPiece':
      return new WordPieceModel(fields, where);
    case 'WordLevel':
      return new WordLevelModel(fields, where);
  }
  throw unknownType(where, type, SUPPORTED);
}

/** Early files do not say which model they hold. */
function guessType(fields: JsonObject): string | undefined {
  if (Array.isArray(fields.merges)) return 'BPE';
  if (Array.isArray(fields.vocab)) return 'Unigram';
  return fields.continuing_subword_prefix === undefined ? undefined : 'WordPiece';
}
