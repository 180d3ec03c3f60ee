/**
 * JSON Schema against the official test suite (JSON-Schema-Test-Suite, MIT, see its LICENSE in test/oracle), exact texts,
 * and schemas that are refused.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GrammarError } from '../../grammar/index.ts';
import { judge, type Outcome, takes } from './json-instances.ts';
import { newCompiler } from './vocabulary.ts';

const test = suite('json schema');
const ORACLE = new URL('../oracle/', import.meta.url);

const isRefusal = (error: unknown) => error instanceof GrammarError;

interface Group {
  readonly description: string;
  readonly schema: unknown;
  readonly tests: readonly { readonly description: string; readonly data: unknown; readonly valid: boolean }[];
}

/** Instances that are rejected by choice: members out of their order, numbers written with an exponent. */
const REJECTED_BY_CHOICE = new Set([
  'allOf: allOf',
  'allOf with base schema: valid',
  'const with object: same object with different property order is valid',
  'dependencies with escaped characters: quoted quotes',
  'dependencies with escaped characters: valid object 1',
  'dependencies with escaped characters: valid object 3',
  'unevaluatedProperties with $ref: with no unevaluated properties',
  'integer: a bignum is an integer',
  'integer: a negative bignum is an integer',
  'all integers are multiples of 0.5, if overflow is handled: valid if optional overflow handling is implemented',
]);

function runSuite(folder: string): Record<Outcome, number> & { refusals: Set<string>; wrong: string[] } {
  const compiler = newCompiler();
  const counts = { right: 0, refused: 0, 'rejects a valid instance': 0, 'accepts an invalid instance': 0 };
  const wrong: string[] = [];
  const refusals = new Set<string>();
  const files = readdirSync(new URL(folder, ORACLE)).filter((name) => name.endsWith('.json') && name !== 'format.json');
  for (const file of files) {
    const groups = JSON.parse(readFileSync(new URL(`${folder}/${file}`, ORACLE), 'utf8')) as Group[];
    for (const group of groups) {
      for (const { description, data, valid } of group.tests) {
        const name = `${group.description}: ${description}`;
        const outcome = judge(
          () => compiler.jsonSchema(group.schema),
          [{ text: JSON.stringify(data), valid }],
          isRefusal,
        );
        counts[outcome]++;
        if (outcome === 'refused') refusals.add(file);
        if (outcome === 'accepts an invalid instance') wrong.push(`${file}: ${name}`);
        if (outcome === 'rejects a valid instance' && !REJECTED_BY_CHOICE.has(name)) wrong.push(`${file}: ${name}`);
      }
    }
  }
  const total = Object.values(counts).reduce((sum, count) => sum + count);
  console.log(
    `\nnote: ${folder}: ${counts.right} of ${total} right, ${counts.refused} refused (${[...refusals].join(', ')}), ` +
      `${counts['rejects a valid instance']} valid ones rejected, ${counts['accepts an invalid instance']} invalid ones accepted`,
  );
  return { ...counts, refusals, wrong };
}

test('the required tests of draft 2020-12 are right, or the schema is refused', () => {
  const { wrong } = runSuite('json-schema-suite/draft2020-12');
  assert.equal(wrong, []);
});

test('the optional tests are right, or the schema is refused', () => {
  const { wrong } = runSuite('json-schema-suite/draft2020-12/optional');
  assert.equal(wrong, []);
});

test('what draft 7 has and 2020-12 has not is right', () => {
  const { wrong } = runSuite('json-schema-suite/draft7');
  assert.equal(wrong, []);
});

test('no text is taken for a format that it has not; encoded and mixed-script host names are not written', () => {
  const counts = runSuite('json-schema-suite/draft2020-12/optional/format');
  assert.is(counts['accepts an invalid instance'], 0);
  assert.ok(counts['rejects a valid instance'] <= 60);
});

test('the probes with exact texts: escapes, whitespace, number forms, spelling of names', () => {
  const byChoice = new Set([
    'integer forms',
    'number bounds',
    'property order other than declared',
    'const object in another key order',
    'format hostname',
  ]);
  const compiler = newCompiler();
  const wrong: string[] = [];
  let right = 0;
  const probes = JSON.parse(readFileSync(new URL('grammar-probes.json', ORACLE), 'utf8')) as {
    description: string;
    schema: unknown;
    tests: { text: string; valid: boolean }[];
  }[];
  for (const { description, schema, tests } of probes) {
    const outcome = judge(() => compiler.jsonSchema(schema), tests, isRefusal);
    if (outcome === 'right') right++;
    else if (outcome !== 'rejects a valid instance' || !byChoice.has(description))
      wrong.push(`${description}: ${outcome}`);
  }
  console.log(`\nnote: probes: ${right} of ${probes.length} schemas right`);
  assert.equal(wrong, []);
});

test('spellings with exponents and members in another order are the only valid texts of a probe that are rejected', () => {
  const compiler = newCompiler();
  assert.not(takes(compiler.jsonSchema({ type: 'integer' }), '1e2'));
  assert.ok(takes(compiler.jsonSchema({ type: 'integer' }), '100'));
  assert.not(takes(compiler.jsonSchema({ type: 'number', minimum: 0.5 }), '1e0'));
  const ordered = compiler.jsonSchema({ properties: { b: true, a: true }, required: ['a'], type: 'object' });
  assert.ok(takes(ordered, '{"b":1,"a":2}'));
  assert.not(takes(ordered, '{"a":1,"b":2}'));
});

test('a schema given as text keeps the order of names like numbers', () => {
  const grammar = newCompiler().jsonSchema(
    '{"properties": {"b": true, "1": true}, "required": ["1", "b"], "type": "object"}',
  );
  assert.ok(takes(grammar, '{"b":0,"1":0}'));
  assert.not(takes(grammar, '{"1":0,"b":0}'));
});

test('the whitespace pattern says what may stand in a gap, once', () => {
  const schema = { type: 'array', items: { type: 'integer' } };
  const compact = newCompiler().jsonSchema(schema, { whitespacePattern: '' });
  assert.ok(takes(compact, '[1,2]'));
  assert.not(takes(compact, '[1, 2]'));
  const spaced = newCompiler().jsonSchema(schema, { whitespacePattern: '[ ]?' });
  assert.ok(takes(spaced, '[ 1 , 2 ]'));
  assert.not(takes(spaced, '[  1]'));
  assert.not(takes(spaced, '[\n1]'));
  assert.not(takes(spaced, ' [1]'));
  assert.throws(() => newCompiler().jsonSchema(schema, { whitespacePattern: '(' }), /whitespacePattern: /);
});

test('arrays of a billion items are counted, not unrolled', () => {
  const grammar = newCompiler().jsonSchema({
    type: 'array',
    items: { enum: [1] },
    minItems: 3,
    maxItems: 1_000_000_000,
  });
  assert.ok(takes(grammar, `[${Array(2000).fill('1').join()}]`));
  assert.not(takes(grammar, '[1,1]'));
});

test('a schema that is not supported or makes no sense is refused with the place of the keyword', () => {
  const refused: [unknown, RegExp][] = [
    [{ properties: { a: { type: 'text' } } }, /^#\/properties\/a\/type: found "text", expected one of/],
    [{ items: { minLength: -1 } }, /^#\/items\/minLength: found a number, expected a whole number/],
    [{ $ref: '#/$defs/none' }, /^#\/\$ref: "#\/\$defs\/none" names nothing in the schema/],
    [{ $ref: 'http://elsewhere.test/schema' }, /^#\/\$ref: .* is outside the schema/],
    [{ pattern: '(' }, /^#\/pattern: /],
    [{ patternProperties: { '[': true } }, /^#\/patternProperties\/\[: /],
    [{ multipleOf: 1.0000001 }, /^#\/multipleOf: multipleOf is only supported up to 1000000 units/],
    [{ multipleOf: 0 }, /^#\/multipleOf: found a number, expected a number above 0/],
    [{ type: 'integer', minimum: 11, maximum: 10 }, /no value satisfies the schema/],
    [{ type: 'object', required: ['a'], properties: { a: false } }, /no value satisfies the schema/],
    [{ $ref: '#' }, /leads back to itself/],
    [
      { $defs: { a: { $ref: '#/$defs/b' }, b: { allOf: [{ $ref: '#/$defs/a' }] } }, $ref: '#/$defs/a' },
      /leads back to itself/,
    ],
    [{ type: 'object', required: ['a'], properties: { a: { $ref: '#' } } }, /no value satisfies the schema/],
    [false, /no value satisfies the schema/],
    ['{"type": ', /the schema is not JSON/],
    [42, /expected a schema/],
    [{ required: 'a' }, /^#\/required: found "a", expected a list of property names/],
    [{ anyOf: [] }, /^#\/anyOf: found an empty list, expected a list of schemas/],
    [{ not: { uniqueItems: true }, type: 'array' }, /uniqueItems: /],
    [{ $vocabulary: { 'https://example.test/mine': true } }, /^#\/\$vocabulary: /],
  ];
  for (const [schema, message] of refused) {
    assert.throws(
      () => newCompiler().jsonSchema(schema),
      (error: unknown) => error instanceof GrammarError && message.test(error.message) && !error.message.includes('\n'),
      JSON.stringify(schema),
    );
  }
});

test.run();
