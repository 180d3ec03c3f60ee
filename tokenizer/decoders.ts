/**
 * The decoders of `tokenizer.json`: from token texts to text. A decoder is a chain of steps from a list of texts to a
 * list of texts; in the end the list is joined.
 */

import { byteOfFallbackToken, fromByteChars } from './byte-level.ts';
import { TokenizerError } from './errors.ts';
import { arrayOf, booleanField, countField, objectOf, stringField, unknownType } from './json-fields.ts';
import { readReplace } from './normalizers.ts';
import { readMetaspaceFields } from './pre-tokenizers.ts';

export interface Decoder {
  /** The text of a list of token texts. */
  readonly decode: (tokens: readonly string[]) => string;
  /** The bytes that a token contributes wherever it stands but at the very start of a text. */
  readonly bytesOf: (token: string) => Uint8Array;
}

interface Step {
  readonly list: (tokens: string[]) => string[];
  /** The same for one token inside of a text; bytes end the chain. Absent: the token stays as it is. */
  readonly one?: (token: string) => string | Uint8Array;
}

const MAX_DEPTH = 16;
const SUPPORTED = [
  'Sequence',
  'ByteLevel',
  'ByteFallback',
  'Fuse',
  'Strip',
  'Replace',
  'Metaspace',
  'WordPiece',
  'BPEDecoder',
];

const utf8 = new TextEncoder();
// U+FEFF is text here, not a mark to be dropped.
const lossy = new TextDecoder('utf-8', { ignoreBOM: true });
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });

/** @throws TokenizerError for a type or a member that is not understood */
export function readDecoder(json: unknown, where: string): Decoder {
  if (json === null || json === undefined) {
    return { decode: (tokens) => tokens.join(' '), bytesOf: (token) => utf8.encode(token) };
  }
  const steps = readSteps(json, where, 0);
  return {
    decode: (tokens) => steps.reduce((texts, step) => step.list(texts), tokens.slice()).join(''),
    bytesOf: (token) => {
      let text = token;
      for (const { one } of steps) {
        const result = one ? one(text) : text;
        if (typeof result !== 'string') return result;
        text = result;
      }
      return utf8.encode(text);
    },
  };
}

function readSteps(json: unknown, where: string, depth: number): Step[] {
  if (depth > MAX_DEPTH) throw new TokenizerError(`${where} nests more than ${MAX_DEPTH} sequences`);
  const fields = objectOf(json, where);
  switch (fields.type) {
    case 'Sequence':
      return arrayOf(fields.decoders, `${where}.decoders`).flatMap((step, i) =>
        readSteps(step, `${where}.decoders[${i}]`, depth + 1),
      );
    case 'ByteLevel':
      return [{ list: (tokens) => [lossy.decode(fromByteChars(tokens))], one: (token) => fromByteChars([token]) }];
    case 'ByteFallback':
      return [BYTE_FALLBACK];
    case 'Fuse':
      return [{ list: (tokens) => [tokens.join('')] }];
    case 'Strip':
      return [
        strip(
          stringField(fields, 'content', where),
          countField(fields, 'start', where, 1 << 16),
          countField(fields, 'stop', where, 1 << 16),
        ),
      ];
    case 'Replace':
      return [each(readReplace(fields, where))];
    case 'Metaspace': {
      const { replacement, scheme } = readMetaspaceFields(fields, where);
      const first = scheme === 'never' ? ' ' : '';
      const inside = (token: string) => token.replaceAll(replacement, ' ');
      return [
        {
          list: (tokens) => tokens.map((token, i) => (i === 0 ? token.replaceAll(replacement, first) : inside(token))),
          one: inside,
        },
      ];
    }
    case 'WordPiece':
      return [wordPiece(stringField(fields, 'prefix', where, '##'), booleanField(fields, 'cleanup', where, true))];
    case 'BPEDecoder': {
      const suffix = stringField(fields, 'suffix', where, '</w>');
      const inside = (token: string) => (suffix === '' ? token : token.replaceAll(suffix, ' '));
      return [
        {
          list: (tokens) =>
            tokens.map((token, i) => (i + 1 === tokens.length ? token.replaceAll(suffix, '') : inside(token))),
          one: inside,
        },
      ];
    }
  }
  throw unknownType(where, fields.type, SUPPORTED);
}

/** A step that looks at one token at a time. */
function each(change: (token: string) => string): Step {
  return { list: (tokens) => tokens.map(change), one: change };
}

/** A run of byte tokens becomes its text, or one U+FFFD for each byte when any part of it is not UTF-8. */
const BYTE_FALLBACK: Step = {
  list: (tokens) => {
    const texts: string[] = [];
    let run: number[] = [];
    const endRun = () => {
      if (run.length > 0) texts.push(textOfRun(Uint8Array.from(run)));
      run = [];
    };
    for (const token of tokens) {
      const byte = byteOfFallbackToken(token);
      if (byte >= 0) {
        run.push(byte);
      } else {
        endRun();
        texts.push(token);
      }
    }
    endRun();
    return texts;
  },
  one: (token) => {
    const byte = byteOfFallbackToken(token);
    return byte < 0 ? token : Uint8Array.of(byte);
  },
};

function textOfRun(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return '\uFFFD'.repeat(bytes.length);
  }
}

/** Takes up to `start` (`stop`) copies of `content` off both ends of each text; after `Fuse`, those are the text's ends. */
function strip(content: string, start: number, stop: number): Step {
  return {
    list: (tokens) =>
      tokens.map((token) => {
        let from = 0;
        let to = token.length;
        for (let i = 0; i < start && token.startsWith(content, from) && from < to; i++) from += content.length;
        for (let i = 0; i < stop && token.endsWith(content) && to - content.length >= from; i++) {
          if (token.slice(to - content.length, to) !== content) break;
          to -= content.length;
        }
        return token.slice(from, to);
      }),
  };
}

function wordPiece(prefix: string, cleanup: boolean): Step {
  const tidy = (token: string) => (cleanup ? cleanUp(token) : token);
  const inside = (token: string) => tidy(token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`);
  return { list: (tokens) => tokens.map((token, i) => (i === 0 ? tidy(token) : inside(token))), one: inside };
}

/** Undoes the spaces that a tokenizer of English puts before punctuation and contractions. */
function cleanUp(text: string): string {
  return text
    .replaceAll(' .', '.')
    .replaceAll(' ?', '?')
    .replaceAll(' !', '!')
    .replaceAll(' ,', ',')
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(' do not', " don't")
    .replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re");
}
