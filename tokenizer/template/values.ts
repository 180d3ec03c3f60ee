/**
 * Python's values, as far as chat templates see them, and how they compare, add up and turn into text.
 *
 * | Python | here |
 * | --- | --- |
 * | undefined (Jinja's), `None`, `bool`, `str` | `undefined`, `null`, boolean, string (indexed by code point) |
 * | `int`, `float` | number, `PyFloat` |
 * | `list`, `tuple`, `dict` | array, `Tuple`, `Map` |
 * | generator, function, `namespace()` and the like | `Lazy`, `Callable`, `Attributes` |
 */

import { TokenizerError } from '../errors.ts';
import { charge, TEXT_PER_UNIT } from './work.ts';

export type Value =
  | undefined
  | null
  | boolean
  | number
  | string
  | PyFloat
  | Value[]
  | Map<Value, Value>
  | Lazy
  | Callable
  | Attributes;

/** A number that Python would print with a decimal point. */
export class PyFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

export class Tuple extends Array<Value> {}

/** What a generator is in Python: it can be walked once, has no length, and is always true. */
export class Lazy {
  #items: Iterable<Value>;

  constructor(items: Iterable<Value>) {
    this.#items = items;
  }

  take(): Iterable<Value> {
    const items = this.#items;
    this.#items = [];
    return items;
  }
}

export type Kwargs = ReadonlyMap<string, Value>;

export class Callable {
  readonly call: (args: Value[], kwargs: Kwargs) => Value;

  constructor(call: (args: Value[], kwargs: Kwargs) => Value) {
    this.call = call;
  }
}

/** An object with attributes only: `loop`, or what `namespace()` gives (`writable`: a template may set them). */
export class Attributes {
  readonly get: (name: string) => Value;
  readonly writable: Map<string, Value> | undefined;

  constructor(get: (name: string) => Value, writable?: Map<string, Value>) {
    this.get = get;
    this.writable = writable;
  }
}

/** Longest text that a template may build, in UTF-16 units. */
export const MAX_TEXT_LENGTH = 1 << 25;

/** Most characters that fill up a text. */
export const MAX_PADDING = 1 << 20;

const MAX_JSON_DEPTH = 256;

export function fail(message: string): never {
  throw new TokenizerError(`chat template: ${message}`);
}

/** Parsed JSON as Python would hold it. Keeps the order of keys. */
export function fromJson(json: unknown, depth = 0): Value {
  if (depth > MAX_JSON_DEPTH) fail(`a variable nests more than ${MAX_JSON_DEPTH} levels`);
  if (json === null || typeof json === 'boolean' || typeof json === 'string') return json;
  if (json === undefined) return undefined;
  if (typeof json === 'number') return Number.isInteger(json) ? json : new PyFloat(json);
  if (Array.isArray(json)) return json.map((item) => fromJson(item, depth + 1) ?? null);
  if (typeof json !== 'object') return fail(`a variable is a ${typeof json}; expected JSON`);
  const dict = new Map<Value, Value>();
  for (const [key, value] of Object.entries(json)) if (value !== undefined) dict.set(key, fromJson(value, depth + 1));
  return dict;
}

export function typeName(value: Value): string {
  if (value === undefined) return 'undefined';
  if (value === null) return 'NoneType';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return 'int';
  if (typeof value === 'string') return 'str';
  if (value instanceof PyFloat) return 'float';
  if (value instanceof Tuple) return 'tuple';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Map) return 'dict';
  if (value instanceof Lazy) return 'generator';
  return value instanceof Callable ? 'function' : 'object';
}

export function isTrue(value: Value): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === '') return false;
  if (value instanceof PyFloat) return value.value !== 0;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return true;
}

/** The number of an `int`, `float` or `bool`; undefined for anything else. */
export function numberOf(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return Number(value);
  return value instanceof PyFloat ? value.value : undefined;
}

/** An integer argument; `fallback` for one that is not given. */
export function integerOf(value: Value, what: string, fallback?: number): number {
  if (value === undefined && fallback !== undefined) return fallback;
  if (typeof value === 'boolean') return Number(value);
  return typeof value === 'number' ? value : fail(`${what} is of type ${typeName(value)}; expected an integer`);
}

/** A count from 0 on that a template or its author chose; negative ones count as none. */
export function atMost(most: number, count: number, what: string): number {
  if (count > most) fail(`${what} is ${count}; expected at most ${most}`);
  return Math.max(0, count);
}

/** A text argument. */
export function textOf(value: Value, what: string): string {
  return typeof value === 'string' ? value : fail(`${what} is of type ${typeName(value)}; expected text`);
}

export function equals(left: Value, right: Value): boolean {
  charge(1);
  if (left === right) return true;
  const a = numberOf(left);
  if (a !== undefined) return a === numberOf(right);
  if (Array.isArray(left) && Array.isArray(right)) {
    const sameKind = left instanceof Tuple === right instanceof Tuple;
    return sameKind && left.length === right.length && left.every((item, i) => equals(item, right[i]));
  }
  if (left instanceof Map && right instanceof Map) {
    if (left.size !== right.size) return false;
    for (const [key, value] of left) if (!right.has(key) || !equals(value, right.get(key))) return false;
    return true;
  }
  return false;
}

/** Negative, zero or positive; numbers, texts and lists have an order. */
export function compare(left: Value, right: Value): number {
  const a = numberOf(left);
  const b = numberOf(right);
  if (a !== undefined && b !== undefined) return a - b;
  if (typeof left === 'string' && typeof right === 'string') return compareText(left, right);
  if (Array.isArray(left) && Array.isArray(right)) {
    for (let i = 0; i < Math.min(left.length, right.length); i++) {
      if (!equals(left[i], right[i])) return compare(left[i], right[i]);
    }
    return left.length - right.length;
  }
  return fail(`${typeName(left)} and ${typeName(right)} have no order`);
}

/** By code point, as Python does; JavaScript's own order is by UTF-16 unit. */
function compareText(left: string, right: string): number {
  if (left === right) return 0;
  let at = 0;
  while (at < left.length && at < right.length && left[at] === right[at]) at++;
  if (at > 0 && /[\uD800-\uDBFF]/.test(left[at - 1])) at--;
  return (left.codePointAt(at) ?? -1) - (right.codePointAt(at) ?? -1);
}

export function contains(container: Value, item: Value): boolean {
  if (container === undefined) return false;
  if (typeof container === 'string') return container.includes(textOf(item, "what stands before 'in'"));
  if (container instanceof Map) return container.has(keyOf(item));
  for (const other of iterate(container)) if (equals(item, other)) return true;
  return false;
}

/** A key of a dict: numbers that are equal are one key. */
export function keyOf(value: Value): Value {
  if (value instanceof PyFloat || typeof value === 'boolean') return Number(numberOf(value));
  if (Array.isArray(value) || value instanceof Map) return fail(`${typeName(value)} cannot be the key of a dict`);
  return value;
}

export function iterate(value: Value): Iterable<Value> {
  if (value === undefined) return [];
  if (typeof value === 'string' || Array.isArray(value)) return value;
  if (value instanceof Map) return value.keys();
  if (value instanceof Lazy) return value.take();
  return fail(`${typeName(value)} cannot be iterated over`);
}

export function lengthOf(value: Value): number {
  if (value === undefined) return 0;
  if (typeof value === 'string') return codePointCount(value);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  return fail(`${typeName(value)} has no length`);
}

function codePointCount(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length - 1; i++) if (text.codePointAt(i)! > 0xffff) count--;
  return count;
}

/** Refuses a text that is too long to go on with. */
export function bounded(text: string): string {
  assertLength(text.length);
  return text;
}

/** Refuses a text before it is made. */
export function assertLength(length: number): void {
  if (length > MAX_TEXT_LENGTH) fail(`makes a text of more than ${MAX_TEXT_LENGTH} characters`);
}

/** Python's `str()`. */
export function toText(value: Value): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : repr(value);
}

/** Python's `repr()`. */
export function repr(value: Value): string {
  charge(1);
  if (value === undefined) return 'Undefined';
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number') return integerText(value);
  if (typeof value === 'string') return quote(value);
  if (value instanceof PyFloat) return floatText(value.value);
  if (value instanceof Tuple) return bounded(value.length === 1 ? `(${repr(value[0])},)` : `(${reprAll(value)})`);
  if (Array.isArray(value)) return bounded(`[${reprAll(value)}]`);
  if (!(value instanceof Map)) return `<${typeName(value)}>`;
  return bounded(`{${Array.from(value, ([key, item]) => `${repr(key)}: ${repr(item)}`).join(', ')}}`);
}

function reprAll(values: readonly Value[]): string {
  return values.map(repr).join(', ');
}

export function integerText(value: number): string {
  return Number.isSafeInteger(value) ? String(value) : BigInt(value).toString();
}

/** The shortest digits that read back as the same number, with an exponent below 1e-4 and from 1e16 on. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const [mantissa, exponentText] = value.toExponential().split('e');
  const exponent = Number(exponentText);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  if (Number.isInteger(value)) return `${integerText(value)}.0`;
  if (exponent >= 0) return String(value);
  const digits = mantissa.replace(/[-.]/g, '');
  return `${value < 0 ? '-' : ''}0.${'0'.repeat(-exponent - 1)}${digits}`;
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\\', '\\\\'],
]);

/** Single quotes, unless the text has some and no double ones. */
function quote(text: string): string {
  charge(text.length / TEXT_PER_UNIT);
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = text.replace(/[\\'"]|[^\P{C}]|[^\P{Z} ]/gu, (char) => {
    if (char === "'" || char === '"') return char === mark ? `\\${char}` : char;
    if (char === ' ') return char;
    const short = ESCAPES.get(char);
    if (short !== undefined) return short;
    const hex = char.codePointAt(0)!.toString(16);
    if (hex.length <= 2) return `\\x${hex.padStart(2, '0')}`;
    return hex.length <= 4 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
  });
  return mark + body + mark;
}
