/** Values that are not written as JSON, read as JSON text: Python literals, and values of parameters in tags. */

import { NotACall, type Parsing, type ReplyText } from './reply-text.ts';

const PYTHON_WORDS: Readonly<Record<string, string>> = { True: 'true', False: 'false', None: 'null' };
/** How deep values may be nested. */
export const MAX_DEPTH = 64;
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

/** A Python string, number, boolean, None, list or dict. */
export function* pythonValue(text: ReplyText, depth = 0): Parsing<string> {
  if (depth > MAX_DEPTH) throw new NotACall();
  const first = yield* text.peek();
  if (first === '"' || first === "'") return JSON.stringify(yield* pythonString(text));
  if (first === '[') return `[${(yield* pythonItems(text, '[', ']', (t) => pythonValue(t, depth + 1))).join(', ')}]`;
  if (first === '{') return `{${(yield* pythonItems(text, '{', '}', (t) => pythonEntry(t, depth + 1))).join(', ')}}`;
  return scalar(yield* text.while(/[\w.+-]/));
}

/** Items between brackets, with commas. */
export function* pythonItems(
  text: ReplyText,
  open: string,
  close: string,
  item: (text: ReplyText) => Parsing<string>,
): Parsing<string[]> {
  const items: string[] = [];
  yield* text.expect(open);
  yield* text.blanks();
  while ((yield* text.peek()) !== close) {
    items.push(yield* item(text));
    yield* text.blanks();
    if (!(yield* text.skip(','))) break;
    yield* text.blanks();
  }
  yield* text.expect(close);
  return items;
}

/** A number, or one of Python's or JSON's words. */
export function scalar(word: string): string {
  if (NUMBER.test(word) || ['true', 'false', 'null'].includes(word)) return word;
  if (Object.hasOwn(PYTHON_WORDS, word)) return PYTHON_WORDS[word];
  throw new NotACall();
}

/** The text of a parameter as its schema has it: a string stays one, all else is JSON if it can be. */
export function taggedValue(value: string, schema: unknown): string {
  const type = (schema as { type?: unknown } | undefined)?.type;
  if (type === 'string') return JSON.stringify(value);
  try {
    return JSON.stringify(JSON.parse(value));
  } catch {
    return JSON.stringify(value);
  }
}

function* pythonEntry(text: ReplyText, depth: number): Parsing<string> {
  const key = yield* pythonString(text);
  yield* text.blanks();
  yield* text.expect(':');
  yield* text.blanks();
  return `${JSON.stringify(key)}: ${yield* pythonValue(text, depth)}`;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '0': '\0', '\n': '' };

function* pythonString(text: ReplyText): Parsing<string> {
  const quote = yield* text.next();
  if (quote !== '"' && quote !== "'") throw new NotACall();
  let value = '';
  for (;;) {
    const character = yield* text.next();
    if (character === quote) return value;
    if (character !== '\\') {
      value += character;
      continue;
    }
    const escaped = yield* text.next();
    const digits = escaped === 'u' ? 4 : escaped === 'x' ? 2 : 0;
    let code = '';
    while (code.length < digits) code += yield* text.next();
    value += digits > 0 ? fromCode(code) : (ESCAPES[escaped] ?? escaped);
  }
}

function fromCode(hex: string): string {
  if (!/^[0-9a-fA-F]+$/.test(hex)) throw new NotACall();
  return String.fromCharCode(Number.parseInt(hex, 16));
}
