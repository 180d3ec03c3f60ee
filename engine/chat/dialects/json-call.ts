/** A call written as a JSON object with a name and arguments: the name is told when it is known, the arguments as they come. */

import { NotACall, type Parsing, type ReplyText } from './reply-text.ts';

const ARGUMENT_KEYS: readonly string[] = ['arguments', 'parameters'];
const MAX_LITERAL_LENGTH = 400;

/** Reads one object. Members of other names are left out. */
export function* jsonCall(text: ReplyText): Parsing {
  yield* text.expect('{');
  let name: string | undefined;
  let given: string | undefined;
  let isOpen = false;
  yield* text.blanks();
  if ((yield* text.peek()) === '}') throw new NotACall();
  for (;;) {
    yield* text.blanks();
    const key: unknown = parsed(yield* jsonString(text));
    yield* text.blanks();
    yield* text.expect(':');
    yield* text.blanks();
    if (key === 'name' && name === undefined) {
      name = String(parsed(yield* jsonString(text)));
    } else if (!ARGUMENT_KEYS.includes(key as string) || isOpen || given !== undefined) {
      yield* jsonValue(text, () => {});
    } else if (name !== undefined && (yield* text.peek()) === '{') {
      text.call(name);
      isOpen = true;
      yield* jsonValue(text, (piece) => text.emit('arguments', piece));
    } else {
      let value = '';
      yield* jsonValue(text, (piece) => (value += piece));
      given = argumentsOf(value);
    }
    yield* text.blanks();
    const next = yield* text.next();
    if (next === '}') break;
    if (next !== ',') throw new NotACall();
  }
  if (isOpen) return;
  if (name === undefined) throw new NotACall();
  text.call(name);
  text.emit('arguments', given ?? '{}');
}

/** Calls in a list; where a list item is no call, everything before it stands. */
export function* jsonCalls(text: ReplyText): Parsing {
  yield* text.expect('[');
  do {
    yield* text.blanks();
    yield* jsonCall(text);
    yield* text.blanks();
  } while (yield* text.skip(','));
  yield* text.expect(']');
}

/** Reads any JSON value and hands its text on, a character at a time. */
export function* jsonValue(text: ReplyText, take: (piece: string) => void): Parsing {
  const first = yield* text.peek();
  if (first === '"') {
    yield* jsonString(text, take);
  } else if (first === '{' || first === '[') {
    let depth = 0;
    do {
      const character = yield* text.peek();
      if (character === '"') {
        yield* jsonString(text, take);
        continue;
      }
      if (character === '{' || character === '[') depth++;
      if (character === '}' || character === ']') depth--;
      take(yield* text.next());
    } while (depth > 0);
  } else {
    let literal = '';
    while (!/[\s,}\]]/.test(yield* text.peek())) {
      const character = yield* text.next();
      literal += character;
      if (literal.length > MAX_LITERAL_LENGTH) throw new NotACall();
      take(character);
    }
    if (literal === '') throw new NotACall();
  }
}

function* jsonString(text: ReplyText, take: (piece: string) => void = () => {}): Parsing<string> {
  let result = '';
  const read = function* (): Parsing<string> {
    const character = yield* text.next();
    result += character;
    take(character);
    return character;
  };
  if ((yield* text.peek()) !== '"') throw new NotACall();
  yield* read();
  for (;;) {
    const character = yield* read();
    if (character === '"') return result;
    if (character === '\\') yield* read();
  }
}

/** Some models write the arguments as a string that holds the JSON. */
function argumentsOf(value: string): string {
  const content: unknown = parsed(value);
  if (typeof content === 'string') return argumentsOf(content);
  return typeof content === 'object' && content !== null && !Array.isArray(content) ? value : '{}';
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new NotACall();
  }
}
