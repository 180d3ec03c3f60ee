/** The vocabulary of a GGUF file (of its metadata; the file needs no tensors) as a grammar compiler takes it. */

import { readFileSync } from 'node:fs';
import type { VocabularyOptions } from '../../grammar/index.ts';
import { byteOfFallbackToken, fromByteChars } from '../../tokenizer/byte-level.ts';

/** GGUF value types with their sizes in bytes; strings (8) and arrays (9) tell theirs. */
const SIZES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
const [UINT32, INT32, STRING, ARRAY] = [4, 5, 8, 9];
/** Token kinds that stand for text: normal, user-defined, byte. */
const TEXT_KINDS = [1, 4, 6];

const utf8 = new TextDecoder();

/** `encoded`: the tokens as the file writes them. */
export function readGgufVocabulary(path: string): VocabularyOptions & { readonly encoded: readonly string[] } {
  const fields = readFields(readFileSync(path));
  const byteLevel = fields.get('tokenizer.ggml.model') === 'gpt2';
  const pieces = fields.get('tokenizer.ggml.tokens') as string[];
  const kinds = fields.get('tokenizer.ggml.token_type') as number[];
  const tokens = pieces.map((piece, id) => {
    if (!TEXT_KINDS.includes(kinds[id])) return new Uint8Array(0);
    if (byteLevel) return fromByteChars([piece]);
    const byte = byteOfFallbackToken(piece);
    return byte >= 0 ? Uint8Array.of(byte) : new TextEncoder().encode(piece.replaceAll('\u2581', ' '));
  });
  return { tokens, encoded: pieces, eosTokenIds: [fields.get('tokenizer.ggml.eos_token_id') as number] };
}

/** The metadata of a GGUF file, version 2 or 3: numbers of 32 bits, strings, and arrays of these. */
function readFields(file: Buffer): Map<string, unknown> {
  let at = 16;
  const size = () => Number(file.readBigUInt64LE((at += 8) - 8));
  const string = () => {
    const length = size();
    return utf8.decode(file.subarray(at, (at += length)));
  };
  const value = (type: number): unknown => {
    if (type === STRING) return string();
    if (type === ARRAY) {
      const itemType = file.readUInt32LE((at += 4) - 4);
      return Array.from({ length: size() }, () => value(itemType));
    }
    at += SIZES[type];
    if (type === UINT32) return file.readUInt32LE(at - 4);
    return type === INT32 ? file.readInt32LE(at - 4) : undefined;
  };
  const fields = new Map<string, unknown>();
  for (let left = size(); left > 0; left--) {
    const name = string();
    fields.set(name, value(file.readUInt32LE((at += 4) - 4)));
  }
  return fields;
}
