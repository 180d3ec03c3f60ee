/**
 * The methods of Python's texts, lists and dicts that a template may call. Methods that change a list or a dict are
 * absent, as they are in the sandbox that `transformers` renders in.
 */

import { formatBraces } from './format.ts';
import { SPACE } from './lexer.ts';
import {
  atMost,
  bounded,
  Callable,
  compare,
  equals,
  fail,
  integerOf,
  isTrue,
  iterate,
  type Kwargs,
  keyOf,
  lengthOf,
  MAX_PADDING,
  Tuple,
  textOf,
  type Value,
} from './values.ts';
import { charge } from './work.ts';

type Method<Self> = (self: Self, args: Value[], kwargs: Kwargs) => Value;

/** The method `name` of `value`, bound to it; undefined when it has none. */
export function methodOf(value: Value, name: string): Callable | undefined {
  if (typeof value === 'string') return bind(TEXT_METHODS, value, name);
  if (Array.isArray(value)) return bind(LIST_METHODS, value, name);
  return value instanceof Map ? bind(DICT_METHODS, value, name) : undefined;
}

function bind<Self>(methods: ReadonlyMap<string, Method<Self>>, self: Self, name: string): Callable | undefined {
  const method = methods.get(name);
  return method && new Callable((args, kwargs) => method(self, args, kwargs));
}

/** Arguments in the order of their names, wherever they were given. */
export function named(args: readonly Value[], kwargs: Kwargs, names: readonly string[], what: string): Value[] {
  if (args.length > names.length) fail(`${what} takes at most ${names.length} arguments; ${args.length} given`);
  for (const name of kwargs.keys()) if (!names.includes(name)) fail(`${what} takes no argument '${name}'`);
  return names.map((name, i) => (i < args.length ? args[i] : kwargs.get(name)));
}

const LINE_BREAK_UNITS = '\\n\\r\\v\\f\\x1C-\\x1E\\x85\\u2028\\u2029';
const LINE_BREAK = new RegExp(`(\\r\\n|[${LINE_BREAK_UNITS}])`);
const LEADING_SPACE = new RegExp(`^${SPACE}+`);
const WORDS = new RegExp(`(?:(?!${SPACE})[^])+`, 'g');

/** `strip`, `lstrip` and `rstrip`: white space, or any of the characters given. */
export function stripText(text: string, chars: Value, sides: 'left' | 'right' | 'both'): string {
  const set = chars == null ? undefined : new Set(textOf(chars, 'the characters to strip'));
  const isStripped = (char: string) => (set ? set.has(char) : LEADING_SPACE.test(char));
  let start = 0;
  let end = text.length;
  if (sides !== 'right') {
    while (start < end) {
      const char = String.fromCodePoint(text.codePointAt(start)!);
      if (!isStripped(char)) break;
      start += char.length;
    }
  }
  if (sides !== 'left') {
    while (end > start) {
      const isPair = end - start > 1 && text.codePointAt(end - 2)! > 0xffff;
      const char = text.slice(end - (isPair ? 2 : 1), end);
      if (!isStripped(char)) break;
      end -= char.length;
    }
  }
  charge(text.length - (end - start));
  return text.slice(start, end);
}

/** The parts of `text` between `separator`s, or between runs of white space when that is null. */
export function splitText(text: string, separator: Value, most: number): string[] {
  if (separator == null) {
    const body = stripText(text, undefined, 'left');
    const parts: string[] = [];
    for (const { 0: word, index } of body.matchAll(WORDS)) {
      if (most >= 0 && parts.length >= most) {
        parts.push(body.slice(index));
        break;
      }
      parts.push(word);
    }
    return parts;
  }
  const mark = textOf(separator, 'the separator');
  if (mark === '') fail('split is given an empty separator');
  const parts = text.split(mark);
  return most >= 0 && parts.length > most + 1 ? [...parts.slice(0, most), parts.slice(most).join(mark)] : parts;
}

function splitFromRight(text: string, separator: Value, most: number): string[] {
  if (most < 0) return splitText(text, separator, -1);
  if (separator == null) {
    const body = stripText(text, undefined, 'right');
    const words = Array.from(body.matchAll(WORDS));
    const kept = words.slice(Math.max(0, words.length - most));
    const head = kept.length > 0 ? body.slice(0, kept[0].index) : body;
    const rest = stripText(head, undefined, 'both');
    return [...(rest === '' ? [] : [rest]), ...kept.map((word) => word[0])];
  }
  const mark = textOf(separator, 'the separator');
  const parts = splitText(text, mark, -1);
  const cut = Math.max(1, parts.length - most);
  return [parts.slice(0, cut).join(mark), ...parts.slice(cut)];
}

/** `str.replace`: at most `count` times, or everywhere when it is negative. */
export function replaceText(text: string, old: string, replacement: string, count: number): string {
  if (count === 0) return text;
  const parts = old === '' ? ['', ...text, ''] : text.split(old);
  if ((parts.length - 1) * replacement.length > 1 << 25) fail('replace makes a text that is too long');
  const cut = count < 0 ? parts.length : Math.min(parts.length, count + 1);
  const head = parts.slice(0, cut).join(replacement);
  return cut < parts.length ? head + old + parts.slice(cut).join(old) : head;
}

/** The first character large, all others small. */
export function capitalize(text: string): string {
  const first = text === '' ? '' : String.fromCodePoint(text.codePointAt(0)!);
  const [head = '', ...tail] = first.toUpperCase();
  return head + (tail.join('') + text.slice(first.length)).toLowerCase();
}

/** `text` between blanks, `width` code points wide. */
export function center(text: string, width: number): string {
  const room = Math.max(0, width - lengthOf(text));
  const left = Math.floor(room / 2) + (room & width & 1);
  return bounded(blanks(left) + text + blanks(room - left));
}

function blanks(count: number): string {
  return ' '.repeat(atMost(MAX_PADDING, count, 'the padding'));
}

function hasAffix(test: (affix: string) => boolean, affixes: Value): boolean {
  if (affixes instanceof Tuple) return affixes.some((affix) => test(textOf(affix, 'an affix')));
  return test(textOf(affixes, 'the affix'));
}

/** The part of a text that `start` and `end` (code points) leave. */
function range(text: string, start: Value, end: Value): string {
  if (start === undefined && end === undefined) return text;
  return Array.from(text)
    .slice(integerOf(start ?? undefined, 'start', 0), end == null ? undefined : integerOf(end, 'end'))
    .join('');
}

/** Index of a code point, given that of a UTF-16 unit. */
function find(text: string, unit: number): number {
  return unit < 0 ? -1 : lengthOf(text.slice(0, unit));
}

function every(pattern: RegExp): Method<string> {
  return (text) => pattern.test(text);
}

function pad(text: string, args: Value[], name: string): string {
  const fill = args[1] === undefined ? ' ' : textOf(args[1], 'the fill character');
  if (lengthOf(fill) !== 1) fail(`the fill character is ${lengthOf(fill)} characters long; expected 1`);
  const room = integerOf(args[0], `the width of ${name}`) - lengthOf(text);
  return room > 0 ? blanks(room).replaceAll(' ', fill) : '';
}

const TEXT_METHODS: ReadonlyMap<string, Method<string>> = new Map<string, Method<string>>([
  ['upper', (text) => text.toUpperCase()],
  ['lower', (text) => text.toLowerCase()],
  ['casefold', (text) => text.toLowerCase()],
  ['title', (text) => text.replace(/\p{L}+/gu, capitalize)],
  ['capitalize', capitalize],
  [
    'swapcase',
    (text) =>
      text.replace(/\p{L}/gu, (char) => (char === char.toUpperCase() ? char.toLowerCase() : char.toUpperCase())),
  ],
  ['strip', (text, [chars]) => stripText(text, chars, 'both')],
  ['lstrip', (text, [chars]) => stripText(text, chars, 'left')],
  ['rstrip', (text, [chars]) => stripText(text, chars, 'right')],
  [
    'startswith',
    (text, [prefix, start, end]) => hasAffix((affix) => range(text, start, end).startsWith(affix), prefix),
  ],
  ['endswith', (text, [suffix, start, end]) => hasAffix((affix) => range(text, start, end).endsWith(affix), suffix)],
  [
    'removeprefix',
    (text, [prefix]) => (text.startsWith(textOf(prefix, 'the prefix')) ? text.slice(textOf(prefix, '').length) : text),
  ],
  [
    'removesuffix',
    (text, [suffix]) => {
      const end = textOf(suffix, 'the suffix');
      return end !== '' && text.endsWith(end) ? text.slice(0, -end.length) : text;
    },
  ],
  [
    'split',
    (text, args, kwargs) => {
      const [separator, most] = named(args, kwargs, ['sep', 'maxsplit'], 'split');
      return splitText(text, separator, integerOf(most, 'maxsplit', -1));
    },
  ],
  [
    'rsplit',
    (text, args, kwargs) => {
      const [separator, most] = named(args, kwargs, ['sep', 'maxsplit'], 'rsplit');
      return splitFromRight(text, separator, integerOf(most, 'maxsplit', -1));
    },
  ],
  [
    'splitlines',
    (text, [keep]) => {
      const lines = text.split(LINE_BREAK);
      const joined = lines.flatMap((line, i) => (i % 2 ? [] : [isTrue(keep) ? line + (lines[i + 1] ?? '') : line]));
      return lines.at(-1) === '' ? joined.slice(0, -1) : joined;
    },
  ],
  [
    'partition',
    (text, [separator]) => {
      const mark = textOf(separator, 'the separator');
      const at = text.indexOf(mark);
      return at < 0 ? Tuple.of(text, '', '') : Tuple.of(text.slice(0, at), mark, text.slice(at + mark.length));
    },
  ],
  [
    'rpartition',
    (text, [separator]) => {
      const mark = textOf(separator, 'the separator');
      const at = text.lastIndexOf(mark);
      return at < 0 ? Tuple.of('', '', text) : Tuple.of(text.slice(0, at), mark, text.slice(at + mark.length));
    },
  ],
  [
    'replace',
    (text, args, kwargs) => {
      const [old, replacement, count] = named(args, kwargs, ['old', 'new', 'count'], 'replace');
      return replaceText(text, textOf(old, 'old'), textOf(replacement, 'new'), integerOf(count, 'count', -1));
    },
  ],
  [
    'join',
    (text, [items]) => bounded(Array.from(iterate(items), (item) => textOf(item, 'an item of join')).join(text)),
  ],
  ['find', (text, [part]) => find(text, text.indexOf(textOf(part, 'the text to find')))],
  ['rfind', (text, [part]) => find(text, text.lastIndexOf(textOf(part, 'the text to find')))],
  [
    'index',
    (text, [part]) => {
      const at = text.indexOf(textOf(part, 'the text to find'));
      return at < 0 ? fail('index is given a text that is not there') : find(text, at);
    },
  ],
  [
    'count',
    (text, [part]) => {
      const mark = textOf(part, 'the text to count');
      return mark === '' ? lengthOf(text) + 1 : text.split(mark).length - 1;
    },
  ],
  ['center', (text, [width]) => center(text, integerOf(width, 'the width of center'))],
  ['ljust', (text, args) => text + pad(text, args, 'ljust')],
  ['rjust', (text, args) => pad(text, args, 'rjust') + text],
  [
    'zfill',
    (text, [width]) => {
      const sign = /^[-+]/.test(text) ? text[0] : '';
      return sign + pad(text, [width, '0'], 'zfill') + text.slice(sign.length);
    },
  ],
  ['isspace', every(new RegExp(`^${SPACE}+$`))],
  ['isdigit', every(/^(?:\p{Nd}|[\u00B2\u00B3\u00B9\u2070-\u2079\u2080-\u2089])+$/u)],
  ['isdecimal', every(/^\p{Nd}+$/u)],
  ['isnumeric', every(/^\p{N}+$/u)],
  ['isalpha', every(/^\p{L}+$/u)],
  ['isalnum', every(/^[\p{L}\p{N}]+$/u)],
  ['isupper', (text) => isCased(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text)],
  ['islower', (text) => isCased(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text)],
  ['isidentifier', every(/^[\p{L}\p{Nl}_][\p{L}\p{M}\p{N}\p{Pc}]*$/u)],
  ['format', (text, args, kwargs) => formatBraces(text, args, kwargs)],
]);

function isCased(text: string): boolean {
  return /[\p{Lowercase}\p{Uppercase}\p{Lt}]/u.test(text);
}

const LIST_METHODS: ReadonlyMap<string, Method<Value[]>> = new Map<string, Method<Value[]>>([
  ['count', (list, [item]) => list.filter((other) => equals(other, item)).length],
  [
    'index',
    (list, [item]) => {
      const at = list.findIndex((other) => equals(other, item));
      return at < 0 ? fail('index is given an item that is not in the list') : at;
    },
  ],
  ['copy', (list) => list.slice()],
]);

const DICT_METHODS: ReadonlyMap<string, Method<Map<Value, Value>>> = new Map<string, Method<Map<Value, Value>>>([
  ['keys', (dict) => [...dict.keys()]],
  ['values', (dict) => [...dict.values()]],
  ['items', (dict) => itemsOf(dict)],
  [
    'get',
    (dict, [key, fallback = null]) => {
      const found = keyOf(key);
      return dict.has(found) ? dict.get(found) : fallback;
    },
  ],
  ['copy', (dict) => new Map(dict)],
]);

/** The pairs of a dict. */
export function itemsOf(dict: ReadonlyMap<Value, Value>): Value[] {
  return Array.from(dict, ([key, value]) => Tuple.of(key, value));
}

/** Sorts by a key, keeping the order of equal ones. */
export function sorted(items: Iterable<Value>, keyFor: (item: Value) => Value, reverse: boolean): Value[] {
  const keyed = Array.from(items, (item) => ({ item, key: keyFor(item) }));
  keyed.sort((a, b) => (reverse ? compare(b.key, a.key) : compare(a.key, b.key)));
  return keyed.map(({ item }) => item);
}
