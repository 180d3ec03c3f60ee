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

const INTEGER = /^-?\d+$/;

// Character codes. The walk compares codes and makes no strings, since a body may be megabytes of commas.
const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const SPACE = 0x20;

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
    this.#skipSpace();
    const code = this.#text.charCodeAt(this.#at);
    if (code === QUOTE) this.#string();
    else if (code === OPEN_OBJECT) this.#object(depth + 1);
    else if (code === OPEN_LIST) this.#list(depth + 1);
    else if (code === MINUS || isDigit(code)) this.#number();
    else this.#word();
    this.#skipSpace();
  }

  #object(depth: number): void {
    this.#open(depth);
    if (this.#take(CLOSE_OBJECT)) return;
    do {
      this.#skipSpace();
      const nameStart = this.#at;
      if (this.#text.charCodeAt(nameStart) !== QUOTE) this.#fail('property name expected');
      this.#string();
      const nameEnd = this.#at;
      if (++this.#keys > MAX_KEYS) this.#fail(`more than ${MAX_KEYS} properties`);
      this.#skipSpace();
      if (!this.#take(COLON)) this.#fail('":" expected');
      const valueStart = this.#at;
      this.#value(depth);
      if (depth === 1) this.#noteSeed(this.#text.slice(nameStart, nameEnd), valueStart);
    } while (this.#take(COMMA));
    if (!this.#take(CLOSE_OBJECT)) this.#fail('"," or "}" expected');
  }

  #list(depth: number): void {
    this.#open(depth);
    if (this.#take(CLOSE_LIST)) return;
    do this.#value(depth);
    while (this.#take(COMMA));
    if (!this.#take(CLOSE_LIST)) this.#fail('"," or "]" expected');
  }

  #open(depth: number): void {
    if (depth > MAX_DEPTH) this.#fail(`nested deeper than ${MAX_DEPTH} levels`);
    this.#at++;
    this.#skipSpace();
  }

  #string(): void {
    const text = this.#text;
    let at = this.#at + 1;
    for (let code = text.charCodeAt(at); code !== QUOTE; code = text.charCodeAt(++at)) {
      // The code is NaN at the end of the text.
      if (code >= SPACE && code !== BACKSLASH) continue;
      this.#at = at;
      if (code !== BACKSLASH) this.#fail(at < text.length ? 'control character in a string' : 'unfinished string');
      at += this.#escapeLength(at) - 1;
    }
    this.#at = at + 1;
  }

  #escapeLength(at: number): number {
    const letter = this.#text[at + 1] ?? '';
    if (letter === 'u' && /^[0-9a-fA-F]{4}$/.test(this.#text.slice(at + 2, at + 6))) return 6;
    if (letter === '' || !'"\\/bfnrt'.includes(letter)) this.#fail('escape sequence expected');
    return 2;
  }

  #number(): void {
    this.#take(MINUS);
    if (!this.#take(ZERO)) this.#digits();
    if (this.#take(POINT)) this.#digits();
    const code = this.#text.charCodeAt(this.#at) | 0x20;
    if (code !== 0x65) return;
    this.#at++;
    if (!this.#take(PLUS)) this.#take(MINUS);
    this.#digits();
  }

  #digits(): void {
    const start = this.#at;
    while (isDigit(this.#text.charCodeAt(this.#at))) this.#at++;
    if (this.#at === start) this.#fail('digit expected');
  }

  #word(): void {
    const word = ['true', 'false', 'null'].find((candidate) => this.#text.startsWith(candidate, this.#at));
    if (word === undefined) this.#fail('value expected');
    this.#at += word.length;
  }

  /** Looks at a member of the outermost object, whose value ends here. */
  #noteSeed(quotedName: string, valueStart: number): void {
    if (quotedName.length > 40 || JSON.parse(quotedName) !== 'seed') return;
    const literal = this.#text.slice(valueStart, this.#at).trim();
    this.seed = literal.length <= MAX_SEED_DIGITS && INTEGER.test(literal) ? literal : null;
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== SPACE && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #take(code: number): boolean {
    if (this.#text.charCodeAt(this.#at) !== code) return false;
    this.#at++;
    return true;
  }

  #fail(expected: string): never {
    throw new HttpError(400, `Invalid JSON at position ${this.#at}: ${expected}`);
  }
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}
