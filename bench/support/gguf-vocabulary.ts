/** The vocabulary of a GGUF file (of its metadata; the file needs no tensors) as a grammar compiler takes it. */

import { readFileSync } from 'node:fs';
import { parseGgufHeader } from '../../engine/checkpoint/gguf/header.ts';
import type { VocabularyOptions } from '../../grammar/index.ts';
import { byteOfFallbackToken, fromByteChars } from '../../tokenizer/byte-level.ts';

/** Token kinds that stand for text: normal, user-defined, byte. */
const TEXT_KINDS = [1, 4, 6];

/** `encoded`: the tokens as the file writes them. */
export function readGgufVocabulary(path: string): VocabularyOptions & { readonly encoded: readonly string[] } {
  const file = readFileSync(path);
  const { metadata: fields } = parseGgufHeader(path, file, file.length);
  const byteLevel = fields.get('tokenizer.ggml.model') === 'gpt2';
  const pieces = fields.get('tokenizer.ggml.tokens') as string[];
  const kinds = fields.get('tokenizer.ggml.token_type') as Int32Array;
  const tokens = pieces.map((piece, id) => {
    if (!TEXT_KINDS.includes(kinds[id])) return new Uint8Array(0);
    if (byteLevel) return fromByteChars([piece]);
    const byte = byteOfFallbackToken(piece);
    return byte >= 0 ? Uint8Array.of(byte) : new TextEncoder().encode(piece.replaceAll('\u2581', ' '));
  });
  return { tokens, encoded: pieces, eosTokenIds: [fields.get('tokenizer.ggml.eos_token_id') as number] };
}
