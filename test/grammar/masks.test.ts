/** Masks over a vocabulary so large that they are made from each other: each is what trying all tokens gives. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GrammarCompiler } from '../../grammar/index.ts';
import { Random } from '../random.ts';

const test = suite('masks of a large vocabulary');

const LETTERS = [...'abcdefghijklmnopqrst'];
const ENDINGS = ['"', '",', '":', '": "', '"}', '"},', '"},{"', '",""', '","', '","","'];
const CHARACTERS = ['-', '.', '@', ' ', '1', '12', '\\n', '\\u00e9', 'é', '😀'];
const pairs = LETTERS.flatMap((a) => LETTERS.map((b) => a + b));
const words = pairs.flatMap((pair) => LETTERS.map((letter) => pair + letter));
const long = words.filter((_, i) => i % 40 === 0).flatMap((word) => [word.repeat(4), word.repeat(12)]);
const texts = [
  ...pairs,
  ...words,
  ...long,
  ...[...LETTERS, ...pairs].flatMap((word) => [...ENDINGS, ...CHARACTERS].map((end) => word + end)),
  ...ENDINGS,
  ...CHARACTERS,
];
/** Characters that are only begun, or never can be one. */
const pieces = [
  [0x61, 0xc3],
  [0x61, 0xe2, 0x80],
  [0x61, 0xf0, 0x9f],
  [0xa9, 0x61],
  [0xe2, 0x80],
  [0x61, 0xc0, 0x80],
  [0x61, 0xed, 0xa0],
  [0x61, 0xe0, 0x80],
  [0x61, 0xf4, 0x90],
];
const tokens = [
  new Uint8Array(0),
  ...pieces.map((bytes) => Uint8Array.from(bytes)),
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...[...new Set(texts)].map((text) => new TextEncoder().encode(text)),
];
const compiler = new GrammarCompiler({ tokens, eosTokenIds: [0] });

const schemas: Record<string, object> = {
  'an address of bounded length': { type: 'string', format: 'email', maxLength: 40 },
  'a label with counts': { type: 'string', pattern: '^[a-z][a-z0-9-]{0,41}[a-z0-9]$' },
  'a URI': { type: 'string', format: 'uri' },
  'a few letters, then digits': { type: 'string', pattern: '^[a-z]{2,5}[0-9@]+$' },
  'anything but a line end': { type: 'string', pattern: '^ab?.+é.*$', maxLength: 12 },
  'a pattern anywhere': { type: 'string', pattern: 'abc.*(d|e)f' },
  'few characters': { type: 'string', minLength: 3, maxLength: 9 },
  'declared, patterned and other names': {
    type: 'object',
    properties: { abc: { type: 'string', maxLength: 20 }, abd: { type: 'integer' } },
    patternProperties: { '^x[a-c]{1,20}$': { type: 'string' } },
    minProperties: 2,
  },
  'names that must not repeat': { type: 'object', minProperties: 3, additionalProperties: { type: 'integer' } },
  'unique strings': { type: 'array', uniqueItems: true, items: { type: 'string', minLength: 1 } },
  'unique strings with an end': {
    type: 'array',
    uniqueItems: true,
    items: { type: 'string', pattern: '^[a-h]{1,3}-$' },
  },
  'unique objects of strings': {
    type: 'array',
    uniqueItems: true,
    items: { type: 'object', properties: { a: { type: 'string' }, b: { type: 'string' } }, required: ['a'] },
  },
  'unique strings, first any and then few': {
    type: 'array',
    uniqueItems: true,
    prefixItems: [{ type: 'string' }],
    items: { enum: ['a', 'b', 'ab'] },
    minItems: 3,
  },
  'unique objects of few values': {
    type: 'array',
    uniqueItems: true,
    items: { type: 'object', properties: { a: { enum: ['a', 'b'] }, b: { type: 'string', maxLength: 1 } } },
  },
  'unique strings and objects': {
    type: 'array',
    uniqueItems: true,
    items: { type: ['string', 'object', 'integer'], properties: { a: { type: 'string' } } },
  },
  'a bounded number': { type: 'number', minimum: 0, maximum: 1000, multipleOf: 0.25 },
};

const patterns: Record<string, string> = {
  'text of words': '[a-z]+( [a-z]+)*[.]',
  'text with a bound': '[^@]{2,7}(@[a-z]{1,3}){0,2}',
};
const grammars = [
  ...Object.entries(schemas).map(([name, schema]) => [name, () => compiler.jsonSchema(schema)] as const),
  ...Object.entries(patterns).map(([name, pattern]) => [name, () => compiler.regex(pattern)] as const),
];

for (const [name, compile] of grammars) {
  test(name, () => {
    const random = new Random(2);
    const matcher = compile().matcher();
    const mask = new Uint32Array((tokens.length + 31) >> 5);
    for (let step = 0; step < 14; step++) {
      matcher.fillMask(mask);
      const allowed: number[] = [];
      for (let id = 0; id < tokens.length; id++) {
        const inMask = ((mask[id >> 5] >>> (id & 31)) & 1) === 1;
        const accepted = matcher.accept(id);
        if (accepted) matcher.rollback(1);
        if (inMask !== accepted)
          assert.unreachable(`step ${step}: token ${Buffer.from(tokens[id]).toString('hex')}, in the mask: ${inMask}`);
        if (accepted && id > 0) allowed.push(id);
      }
      if (allowed.length === 0) break;
      const ending = allowed.filter((id) => tokens[id].includes(0x22));
      const some = ending.length > 0 && random.uniform() < 0.5 ? ending : allowed;
      matcher.accept(some[Math.floor(random.uniform() * some.length)]);
    }
  });
}

test.run();
