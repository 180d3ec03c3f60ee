/** Arrays whose items must be unique: scalars, arrays, objects; equal ones are never taken, and no walk is stuck. */

import { Ajv2020 } from 'ajv/dist/2020.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GrammarError } from '../../grammar/index.ts';
import { Random } from '../random.ts';
import { takes } from './json-instances.ts';
import { newCompiler, randomWalk } from './vocabulary.ts';

const test = suite('unique items');

const flags = { type: 'object', properties: { a: { type: 'boolean' }, b: { type: 'boolean' } }, required: ['a'] };
const cases: Record<string, { schema: object; valid: unknown[]; invalid: unknown[] }> = {
  'objects of a number, a choice and a string': {
    schema: {
      items: {
        type: 'object',
        properties: { x: { type: 'integer' }, t: { enum: ['a', 'b'] }, n: { type: 'string' } },
      },
    },
    valid: [
      [{}, { t: 'a' }],
      [{ t: 'a' }, { t: 'b' }],
      [{ t: 'a', n: 'q' }, { t: 'a', n: 'r' }, { n: 'q' }],
      [{ x: 1, t: 'a' }, { x: 2, t: 'a' }, { t: 'a' }],
    ],
    invalid: [
      [{}, {}],
      [{ t: 'a' }, { t: 'a' }],
      [{ t: 'a', n: 'q' }, { t: 'b' }, { t: 'a', n: 'q' }],
      [{ x: 1 }, { x: 1 }],
    ],
  },
  'objects of few values': {
    schema: { items: { ...flags, additionalProperties: false } },
    valid: [
      [
        { a: true },
        { a: true, b: false },
        { a: true, b: true },
        { a: false },
        { a: false, b: true },
        { a: false, b: false },
      ],
    ],
    invalid: [
      [{ a: true }, { a: true }],
      [
        { a: true, b: true },
        { a: true, b: true },
      ],
    ],
  },
  'objects that differ behind a first string': {
    schema: {
      minItems: 2,
      items: {
        type: 'object',
        properties: { name: { type: 'string' }, v: { type: 'string' }, w: { type: 'string', maxLength: 2 } },
        required: ['name'],
        additionalProperties: false,
      },
    },
    valid: [
      [
        { name: 'a', v: '1' },
        { name: 'a', v: '2' },
      ],
      [
        { name: 'a', v: '1', w: 'x' },
        { name: 'a', v: '1', w: 'y' },
        { name: 'a', v: '1' },
      ],
    ],
    invalid: [
      [{ name: 'a' }],
      [{ name: 'a' }, { name: 'a' }],
      [
        { name: 'a', v: '1' },
        { name: 'a', v: '1' },
      ],
      [
        { name: 'a', v: '1', w: 'x' },
        { name: 'a', v: '1', w: 'x' },
      ],
    ],
  },
  'a member that is few values in one branch and many in another': {
    schema: {
      items: {
        type: 'object',
        properties: { a: { anyOf: [{ enum: ['p', 'q'] }, { type: 'string', minLength: 3 }] }, b: { type: 'string' } },
        additionalProperties: false,
      },
    },
    valid: [
      [
        { a: 'p', b: '1' },
        { a: 'p', b: '2' },
        { a: 'ppp', b: '1' },
      ],
    ],
    invalid: [
      [
        { a: 'p', b: '1' },
        { a: 'p', b: '1' },
      ],
      [
        { a: 'ppp', b: '1' },
        { a: 'ppp', b: '1' },
      ],
    ],
  },
  'few strings, then any': {
    schema: { prefixItems: [{ enum: ['a', 'b'] }], items: { type: 'string' } },
    valid: [
      ['a', 'b', 'c'],
      ['b', 'a'],
    ],
    invalid: [
      ['a', 'a'],
      ['b', 'a', 'b'],
    ],
  },
  'any string, then few': {
    schema: { prefixItems: [{ type: 'string' }], items: { enum: ['a', 'b', 1] } },
    valid: [
      ['x', 'a', 'b'],
      ['a', 'b', 1],
    ],
    invalid: [
      ['a', 'a'],
      ['b', 1, 'b'],
    ],
  },
  'strings and arrays of strings': {
    schema: { items: { type: ['string', 'array'], items: { type: 'string' } } },
    valid: [
      ['a', 'b', ['a'], ['b'], []],
      [['a', 'b'], ['a', 'c'], ['a']],
    ],
    invalid: [
      ['a', 'a'],
      [[], []],
      [['a', 'b'], ['c'], ['a', 'b']],
    ],
  },
  'addresses, whose languages have many states': {
    schema: { items: { type: 'object', properties: { mail: { format: 'email', type: 'string' } } } },
    valid: [[{ mail: 'a@b.cd' }, { mail: 'b@b.cd' }]],
    invalid: [[{ mail: 'a@b.cd' }, { mail: 'a@b.cd' }]],
  },
};

for (const [name, { schema, valid, invalid }] of Object.entries(cases)) {
  test(name, () => {
    const grammar = newCompiler().jsonSchema({ type: 'array', uniqueItems: true, ...schema });
    for (const instance of valid) assert.ok(takes(grammar, JSON.stringify(instance)), JSON.stringify(instance));
    for (const instance of invalid) assert.not(takes(grammar, JSON.stringify(instance)), JSON.stringify(instance));
    for (let seed = 0; seed < 6; seed++) randomWalk(grammar, new Random(seed), 40);
  });
}

/** Sets of items, with some of their values. */
const random = new Random(11);
const pick = <T>(list: readonly T[]): T => list[Math.floor(random.uniform() * list.length)];

const scalars: readonly [schema: object, values: readonly unknown[]][] = [
  [{ enum: ['a', 'b'] }, ['a', 'b']],
  [{ type: 'boolean' }, [true, false]],
  [{ type: 'string' }, ['', 'a', 'x']],
  [{ type: 'string', maxLength: 1 }, ['', 'a', 'b']],
  [{ type: 'integer' }, [0, 1, 2]],
  [{ enum: [1, 'a', null] }, [1, 'a', null]],
  [{ anyOf: [{ enum: ['x'] }, { type: 'string' }] }, ['x', 'y']],
  [{ type: 'array', items: { type: 'boolean' } }, [[], [true]]],
  [{ type: 'object' }, [{}]],
];

function randomItems(): { schema: object; value: () => unknown } {
  const members = ['x', 'y', 'z'].slice(0, 1 + Math.floor(random.uniform() * 3)).map((name) => {
    const [schema, values] = pick(scalars);
    return { name, schema, values };
  });
  const required = random.uniform() < 0.5 ? [pick(members).name] : [];
  const properties = Object.fromEntries(members.map(({ name, schema }) => [name, schema]));
  const schema = { type: 'object', properties, required, additionalProperties: pick([true, false]) };
  const value = () => {
    const written = members.filter(({ name }) => required.includes(name) || random.uniform() < 0.6);
    return Object.fromEntries(written.map(({ name, values }) => [name, pick(values)]));
  };
  return { schema, value };
}

test('random sets of objects: what is taken or walked validates, and most of what validates is taken', () => {
  const ajv = new Ajv2020({ strict: false });
  const counts = { valid: 0, taken: 0 };
  for (let i = 0; i < 30; i++) {
    const { schema: items, value } = randomItems();
    const schema = { type: 'array', uniqueItems: true, maxItems: 6, items };
    const validates = ajv.compile(schema);
    const grammar = newCompiler().jsonSchema(schema);
    for (let walk = 0; walk < 3; walk++) {
      const { text, done } = randomWalk(grammar, random, 40);
      if (done) assert.ok(validates(JSON.parse(text)), `${text} of ${JSON.stringify(schema)}`);
    }
    for (let k = 0; k < 8; k++) {
      const instance = Array.from({ length: 1 + Math.floor(random.uniform() * 3) }, value);
      const taken = takes(grammar, JSON.stringify(instance));
      if (taken) assert.ok(validates(instance), `${JSON.stringify(instance)} of ${JSON.stringify(schema)}`);
      if (!validates(instance)) continue;
      counts.valid++;
      if (taken) counts.taken++;
    }
  }
  console.log(`\nnote: unique items: ${counts.taken} of ${counts.valid} valid instances taken`);
  assert.ok(counts.taken > 0.8 * counts.valid);
});

test('what cannot be told apart is refused with its place', () => {
  const named = (a: string, b: string) => ({
    type: 'object',
    properties: { [a]: { type: 'string' }, [b]: { type: 'string' } },
    required: [a],
    additionalProperties: false,
  });
  for (const [schema, words] of [
    [{}, /#\/uniqueItems: not supported for objects without declared members/],
    [{ items: { anyOf: [named('a', 'b'), named('b', 'a')] } }, /written in several ways/],
    [{ prefixItems: [named('a', 'b')], items: named('b', 'a') }, /in different orders/],
    [{ minItems: 3, items: { ...flags, additionalProperties: false } }, /several items of few values/],
  ] as const) {
    assert.throws(
      () => newCompiler().jsonSchema({ type: 'array', uniqueItems: true, ...schema }),
      (error: Error) => error instanceof GrammarError && words.test(error.message),
      JSON.stringify(schema),
    );
  }
});

test.run();
