import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HttpError } from '../../server/errors.ts';
import { parseJson } from '../../server/json.ts';

const test = suite('JSON of requests');

test('whatever is JSON parses to the same value', () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom('', ' ', '\n\t'), (text, space) => {
      assert.equal(parseJson(space + text + space), JSON.parse(text));
    }),
  );
});

test('what is not JSON is refused exactly when JSON.parse refuses it', () => {
  const characters = fc.constantFrom(...'{}[]",:\\ntrue0123.-eE+ \n\u0001"ab');
  const broken = fc.tuple(fc.json(), fc.nat(), characters).map(([text, at, character]) => {
    const position = at % (text.length + 1);
    return text.slice(0, position) + character + text.slice(position + (at % 2));
  });
  fc.assert(
    fc.property(fc.oneof(broken, fc.string({ unit: characters, maxLength: 12 })), (text) => {
      assert.is(refusal(text) === null, isJson(text), JSON.stringify(text));
    }),
    { numRuns: 5000 },
  );
});

const POSITIONS: [text: string, position: number, expected: string][] = [
  ['', 0, 'value'],
  ['{"messages": ', 13, 'value'],
  ['{"messages":[],}', 15, 'property name'],
  ['{"a" 1}', 5, '":"'],
  ['[1 2]', 3, '","'],
  ['{"a": NaN}', 6, 'value'],
  ['{"a": -Infinity}', 7, 'digit'],
  ['{"a": 01}', 7, '"," or "}"'],
  ['"a', 2, 'unfinished string'],
  ['"\n"', 1, 'control character'],
  ['"\\x"', 1, 'escape'],
  ['{} {}', 3, 'end'],
];

for (const [text, position, expected] of POSITIONS) {
  test(`the fault of ${JSON.stringify(text)} is at ${position}`, () => {
    const error = refusal(text)!;
    assert.is(error.status, 400);
    assert.ok(error.message.startsWith(`Invalid JSON at position ${position}: `), error.message);
    assert.match(error.message, expected);
  });
}

test('of a name that comes twice the last value counts', () => {
  assert.equal(parseJson('{"a": 1, "a": 2}'), { a: 2 });
});

test('a seed keeps its 64 bits, the last one given, and only at the top', () => {
  assert.is((parseJson('{"seed": 9223372036854775807}') as { seed: unknown }).seed, 9223372036854775807n);
  assert.is((parseJson('{"s\\u0065ed":-9223372036854775808 }') as { seed: unknown }).seed, -9223372036854775808n);
  assert.equal(parseJson('{"seed": 9223372036854775807, "seed": 5}'), { seed: 5 });
  assert.equal(parseJson('{"seed": 9223372036854775807, "seed": "x"}'), { seed: 'x' });
  assert.equal(parseJson('{"a": {"seed": 9007199254740993}}'), { a: { seed: 9007199254740992 } });
  assert.is((parseJson(`{"seed": 1${'0'.repeat(60)}}`) as { seed: unknown }).seed, 1e60);
});

test('64 levels are read, 65 are refused, and so are a million', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  assert.is(refusal(nested(64)), null);
  assert.match(refusal(nested(65))!.message, 'nested');
  assert.match(refusal('{"a":'.repeat(1_000_000))!.message, 'nested');
});

test('more than 200,000 names are refused', () => {
  const object = (names: number) => `{${Array.from({ length: names }, (_, i) => `"${i}":0`).join()}}`;
  assert.is(refusal(object(200_000)), null);
  assert.match(refusal(object(200_001))!.message, '200000');
});

function refusal(text: string): HttpError | null {
  try {
    parseJson(text);
    return null;
  } catch (error) {
    assert.instance(error, HttpError);
    return error as HttpError;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

test.run();
