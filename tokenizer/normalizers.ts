/** The normalisers of `tokenizer.json`: text to text, before anything is split. */

import { toByteChars } from './byte-level.ts';
import { TokenizerError } from './errors.ts';
import { arrayOf, booleanField, type JsonObject, objectOf, stringField, unknownType } from './json-fields.ts';
import { Pattern } from './pattern/pattern.ts';

export type Normalizer = (text: string) => string;

/** A normaliser may not make a text longer than this many times, with a floor for short texts and a ceiling for all. */
const MAX_GROWTH = 64;
const GROWTH_FLOOR = 1 << 16;
const MAX_LENGTH = 1 << 26;
const MAX_DEPTH = 16;

const SUPPORTED = [
  'Sequence',
  'NFC',
  'NFD',
  'NFKC',
  'NFKD',
  'Lowercase',
  'Strip',
  'StripAccents',
  'Prepend',
  'Replace',
  'ByteLevel',
  'BertNormalizer',
];

/** @throws TokenizerError for a type or a member that is not understood */
export function readNormalizer(json: unknown, where: string, depth = 0): Normalizer {
  if (depth > MAX_DEPTH) throw new TokenizerError(`${where} nests more than ${MAX_DEPTH} sequences`);
  const fields = objectOf(json, where);
  switch (fields.type) {
    case 'Sequence': {
      const steps = arrayOf(fields.normalizers, `${where}.normalizers`).map((step, i) =>
        readNormalizer(step, `${where}.normalizers[${i}]`, depth + 1),
      );
      return (text) => steps.reduce((normalized, step) => step(normalized), text);
    }
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD': {
      const form = fields.type;
      return (text) => text.normalize(form);
    }
    case 'Lowercase':
      return (text) => text.toLowerCase();
    case 'Strip':
      return strip(booleanField(fields, 'strip_left', where, true), booleanField(fields, 'strip_right', where, true));
    case 'StripAccents':
      return (text) => text.replace(/\p{M}/gu, '');
    case 'Prepend': {
      const prefix = stringField(fields, 'prepend', where);
      return (text) => (text === '' ? '' : prefix + text);
    }
    case 'Replace':
      return readReplace(fields, where);
    case 'ByteLevel':
      return toByteChars;
    case 'BertNormalizer':
      return readBert(fields, where);
  }
  throw unknownType(where, fields.type, SUPPORTED);
}

/** `Replace` is a normaliser and a decoder alike: every match of a string or regular expression becomes `content`. */
export function readReplace(fields: JsonObject, where: string): Normalizer {
  const content = stringField(fields, 'content', where);
  const pattern = readPattern(fields.pattern, `${where}.pattern`);
  return (text) => {
    const most = Math.min(MAX_LENGTH, text.length * MAX_GROWTH + GROWTH_FLOOR);
    let length = text.length;
    let copied = 0;
    let replaced = '';
    pattern.forEachMatch(text, (start, end) => {
      length += content.length;
      if (length > most) throw new TokenizerError(`${where} makes ${text.length} characters more than ${most}`);
      replaced += text.slice(copied, start) + content;
      copied = end;
    });
    return copied === 0 && replaced === '' ? text : replaced + text.slice(copied);
  };
}

/** `{ "String": s }` or `{ "Regex": s }`. */
export function readPattern(json: unknown, where: string): Pattern {
  const fields = objectOf(json, where);
  if (typeof fields.String === 'string') return Pattern.literal(fields.String);
  if (typeof fields.Regex === 'string') return Pattern.compile(fields.Regex, where);
  throw new TokenizerError(`${where} has neither a String nor a Regex`);
}

function strip(left: boolean, right: boolean): Normalizer {
  return (text) => {
    let stripped = left ? text.replace(/^\p{White_Space}+/u, '') : text;
    if (right) {
      let end = stripped.length;
      while (end > 0 && /\p{White_Space}/u.test(stripped[end - 1])) end--;
      stripped = stripped.slice(0, end);
    }
    return stripped;
  };
}

/** The cleaning of BERT: control characters out, Chinese characters apart, optionally lower case without accents. */
function readBert(fields: JsonObject, where: string): Normalizer {
  const clean = booleanField(fields, 'clean_text', where, true);
  const chinese = booleanField(fields, 'handle_chinese_chars', where, true);
  const lowercase = booleanField(fields, 'lowercase', where, true);
  const accents = booleanField(fields, 'strip_accents', where, lowercase);
  return (text) => {
    let result = text;
    if (clean) {
      result = result
        .replace(/[\0\uFFFD]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Cn}\p{Co}]/gu, '')
        .replace(/\p{White_Space}/gu, ' ');
    }
    if (chinese) {
      result = result.replace(
        /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu,
        ' $& ',
      );
    }
    if (accents) result = result.normalize('NFD').replace(/\p{Mn}/gu, '');
    return lowercase ? result.toLowerCase() : result;
  };
}
