/**
 * JSON as a schema's author wrote it: objects keep the order of their keys (`JSON.parse` moves integer-like ones to the
 * front) and numbers keep their digits.
 */

import { GrammarError } from '../errors.ts';
import { type Decimal, parseDecimal } from './decimal.ts';

export type Json = null | boolean | string | Decimal | Json[] | JsonObject;
export type JsonObject = Map<string, Json>;

/** Deepest nesting of arrays and objects in a schema. */
const MAX_DEPTH = 512;
/** Longest schema text, in UTF-16 units. */
const MAX_LENGTH = 4 << 20;

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they may not stand raw in a string
const PLAIN_STRING = /"[^"\\\u0000-\u001f]*"/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they may not stand raw in a string
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SPACE = /[ \t\n\r]*/y;

/**
 * A JSON text.
 * @throws GrammarError when it is not one, too long or too deep
 */
export function parseJson(text: string): Json {
  if (text.length > MAX_LENGTH) {
    throw new GrammarError(`the schema is ${text.length} characters long: at most ${MAX_LENGTH} are read`);
  }
  let position = 0;

  function fail(expected: string): never {
    throw new GrammarError(`the schema is not JSON: expected ${expected} at character ${position}`);
  }

  function skipSpace(): void {
    SPACE.lastIndex = position;
    SPACE.test(text);
    position = SPACE.lastIndex;
  }

  function string(): string {
    PLAIN_STRING.lastIndex = position;
    if (PLAIN_STRING.test(text)) {
      const value = text.slice(position + 1, PLAIN_STRING.lastIndex - 1);
      position = PLAIN_STRING.lastIndex;
      return value;
    }
    STRING.lastIndex = position;
    if (!STRING.test(text)) fail('a string');
    const value = JSON.parse(text.slice(position, STRING.lastIndex)) as string;
    position = STRING.lastIndex;
    return value;
  }

  function value(depth: number): Json {
    if (depth > MAX_DEPTH) throw tooDeep();
    skipSpace();
    const char = text[position];
    if (char === '"') return string();
    if (char === '{') {
      const object: JsonObject = new Map();
      position++;
      skipSpace();
      if (text[position] === '}') {
        position++;
        return object;
      }
      for (;;) {
        skipSpace();
        const key = string();
        skipSpace();
        if (text[position++] !== ':') fail('":"');
        object.set(key, value(depth + 1));
        skipSpace();
        const separator = text[position++];
        if (separator === '}') return object;
        if (separator !== ',') fail('"," or "}"');
      }
    }
    if (char === '[') {
      const array: Json[] = [];
      position++;
      skipSpace();
      if (text[position] === ']') {
        position++;
        return array;
      }
      for (;;) {
        array.push(value(depth + 1));
        skipSpace();
        const separator = text[position++];
        if (separator === ']') return array;
        if (separator !== ',') fail('"," or "]"');
      }
    }
    for (const [word, meaning] of WORDS) {
      if (text.startsWith(word, position)) {
        position += word.length;
        return meaning;
      }
    }
    NUMBER.lastIndex = position;
    if (!NUMBER.test(text)) fail('a value');
    const digits = text.slice(position, NUMBER.lastIndex);
    position = NUMBER.lastIndex;
    return parseDecimal(digits);
  }

  const whole = value(0);
  skipSpace();
  if (position < text.length) fail('the end');
  return whole;
}

/**
 * A value that was parsed already: what `JSON.stringify` would write of it.
 * @throws GrammarError when it holds something that JSON cannot say, or is too large, too deep or cyclic
 */
export function fromParsed(parsed: unknown): Json {
  let size = 0;
  function convert(value: unknown, depth: number): Json {
    if (depth > MAX_DEPTH) throw tooDeep();
    size += typeof value === 'string' ? value.length : 2;
    if (size > MAX_LENGTH) throw new GrammarError(`the schema is larger than ${MAX_LENGTH} characters`);
    if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
    if (typeof value === 'number' && Number.isFinite(value)) return parseDecimal(String(value));
    if (Array.isArray(value)) return value.map((item) => convert(item, depth + 1));
    if (typeof value === 'object') {
      const object: JsonObject = new Map();
      for (const [key, member] of Object.entries(value)) {
        size += key.length;
        if (member !== undefined) object.set(key, convert(member, depth + 1));
      }
      return object;
    }
    throw new GrammarError(`the schema holds a ${typeof value}, which JSON cannot say`);
  }
  return convert(parsed, 0);
}

export function isObject(value: Json | undefined): value is JsonObject {
  return value instanceof Map;
}

export function isDecimal(value: Json | undefined): value is Decimal {
  return typeof value === 'object' && value !== null && 'units' in value;
}

const WORDS: readonly (readonly [string, Json])[] = [
  ['null', null],
  ['true', true],
  ['false', false],
];

function tooDeep(): GrammarError {
  return new GrammarError(`the schema is nested deeper than ${MAX_DEPTH} levels`);
}
