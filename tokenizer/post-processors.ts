/** The post-processors of `tokenizer.json`, for a single sequence: the ids that stand before and after the text's. */

import { TokenizerError } from './errors.ts';
import { arrayOf, countOf, type JsonObject, objectOf, stringField, unknownType } from './json-fields.ts';
import { MAX_TOKEN_ID } from './vocabulary.ts';

export interface AddedIds {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

const MAX_DEPTH = 16;
const SUPPORTED = ['Sequence', 'TemplateProcessing', 'ByteLevel', 'BertProcessing', 'RobertaProcessing'];

/** @throws TokenizerError for a type or a member that is not understood */
export function readPostProcessor(json: unknown, where: string, depth = 0): AddedIds {
  if (json === null || json === undefined) return { before: [], after: [] };
  if (depth > MAX_DEPTH) throw new TokenizerError(`${where} nests more than ${MAX_DEPTH} sequences`);
  const fields = objectOf(json, where);
  switch (fields.type) {
    case 'Sequence':
      return arrayOf(fields.processors, `${where}.processors`)
        .map((step, i) => readPostProcessor(step, `${where}.processors[${i}]`, depth + 1))
        .reduce(
          (inner, outer) => ({
            before: [...outer.before, ...inner.before],
            after: [...inner.after, ...outer.after],
          }),
          { before: [], after: [] },
        );
    case 'ByteLevel':
      // It only moves offsets, which nobody asks for here.
      return { before: [], after: [] };
    case 'TemplateProcessing':
      return readTemplate(fields, where);
    case 'BertProcessing':
    case 'RobertaProcessing':
      return { before: [readPair(fields.cls, `${where}.cls`)], after: [readPair(fields.sep, `${where}.sep`)] };
  }
  throw unknownType(where, fields.type, SUPPORTED);
}

/** The template of a single sequence: special tokens by name around `{ "Sequence": { "id": "A" } }`. */
function readTemplate(fields: JsonObject, where: string): AddedIds {
  const specials = objectOf(fields.special_tokens, `${where}.special_tokens`);
  const before: number[] = [];
  const after: number[] = [];
  let side = before;
  for (const [i, entry] of arrayOf(fields.single, `${where}.single`).entries()) {
    const place = `${where}.single[${i}]`;
    const piece = objectOf(entry, place);
    if (piece.Sequence !== undefined) {
      if (side === after) throw new TokenizerError(`${place} repeats the sequence; expected it once`);
      side = after;
      continue;
    }
    const name = stringField(objectOf(piece.SpecialToken, `${place}.SpecialToken`), 'id', `${place}.SpecialToken`);
    const at = `${where}.special_tokens[${JSON.stringify(name)}]`;
    const special = objectOf(Object.hasOwn(specials, name) ? specials[name] : undefined, at);
    for (const id of arrayOf(special.ids, `${at}.ids`)) side.push(countOf(id, `${at}.ids`, MAX_TOKEN_ID));
  }
  if (side === before) throw new TokenizerError(`${where}.single lacks the sequence A`);
  return { before, after };
}

/** `["</s>", 2]`. */
function readPair(json: unknown, where: string): number {
  return countOf(arrayOf(json, where)[1], `${where}[1]`, MAX_TOKEN_ID);
}
