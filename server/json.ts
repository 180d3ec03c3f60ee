/**
 * JSON from strangers: checked against limits of depth and size before it is parsed, with the position of a fault in the
 * message, and with a `seed` that keeps all of its 64 bits.
 */

import { HttpError } from './errors.ts';

const MAX_DEPTH = 64;
const MAX_KEYS = 200_000;
/** Long enough for any 64-bit integer; a longer number is out of range whatever its digits. */
const MAX_SEED_DIGITS = 40;

/** @throws HttpError 400 */
export function parseJson(text: string): unknown {
  const { seed } = new JsonScan(text);
  const value: unknown = JSON.parse(text);
  if (seed !== null && isObject(value) && !Number.isSafeInteger(value.seed)) value.seed = BigInt(seed);
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const SPACE = /[ \t\n\r]*/y;
/** All but quotes, backslashes and control characters. */
const PLAIN = /[ !#-[\]-\uffff]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERAL = /true|false|null/y;
const INTEGER = /^-?\d+$/;

/** One walk over the text by the grammar of RFC 8259. */
class JsonScan {
  /** The digits of the last member `seed` of the outermost object, if it is an integer. */
  seed: string | null = null;
  readonly #text: string;
  #at = 0;
  #keys = 0;

  constructor(text: string) {
    this.#text = text;
    this.#value(0);
    if (this.#at < text.length) this.#fail('end of the text expected');
  }

  #value(depth: number): void {
    this.#skip(SPACE);
    const start = this.#text[this.#at];
    if (start === '{') this.#object(depth + 1);
    else if (start === '[') this.#array(depth + 1);
    else if (start === '"') this.#string();
    else if (this.#skip(NUMBER) === '' && this.#skip(LITERAL) === '') this.#fail('value expected');
    this.#skip(SPACE);
  }

  #object(depth: number): void {
    this.#open(depth);
    if (this.#take('}')) return;
    do {
      this.#skip(SPACE);
      if (this.#text[this.#at] !== '"') this.#fail('property name expected');
      const name = this.#string();
      if (++this.#keys > MAX_KEYS) this.#fail(`more than ${MAX_KEYS} properties`);
      this.#skip(SPACE);
      if (!this.#take(':')) this.#fail('":" expected');
      const start = this.#at;
      this.#value(depth);
      if (depth === 1 && name === 'seed') this.#noteSeed(this.#text.slice(start, this.#at).trim());
    } while (this.#take(','));
    if (!this.#take('}')) this.#fail('"," or "}" expected');
  }

  #array(depth: number): void {
    this.#open(depth);
    if (this.#take(']')) return;
    do this.#value(depth);
    while (this.#take(','));
    if (!this.#take(']')) this.#fail('"," or "]" expected');
  }

  #open(depth: number): void {
    if (depth > MAX_DEPTH) this.#fail(`nested deeper than ${MAX_DEPTH} levels`);
    this.#at++;
    this.#skip(SPACE);
  }

  /** Gives the text of the string, with its escapes resolved when it is short enough to be a name of interest. */
  #string(): string {
    const start = this.#at++;
    this.#skip(PLAIN);
    while (this.#text[this.#at] === '\\') {
      if (this.#skip(ESCAPE) === '') this.#fail('escape sequence expected');
      this.#skip(PLAIN);
    }
    if (!this.#take('"'))
      this.#fail(this.#at < this.#text.length ? 'control character in a string' : 'unfinished string');
    const quoted = this.#text.slice(start, Math.min(this.#at, start + 100));
    return this.#at - start <= 100 ? (JSON.parse(quoted) as string) : quoted;
  }

  #noteSeed(literal: string): void {
    this.seed = literal.length <= MAX_SEED_DIGITS && INTEGER.test(literal) ? literal : null;
  }

  #skip(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += match.length;
    return match;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #fail(expected: string): never {
    throw new HttpError(400, `Invalid JSON at position ${this.#at}: ${expected}`);
  }
}
