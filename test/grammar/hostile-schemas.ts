/** Schemas made to cost too much. */

const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const named = (count: number, make: (i: number) => unknown) =>
  Object.fromEntries(times(count, (i) => [`name${i}`, make(i)]));

function nested(depth: number, wrap: (inner: unknown) => unknown): unknown {
  let schema: unknown = { type: 'null' };
  for (let i = 0; i < depth; i++) schema = wrap(schema);
  return schema;
}

export const hostile: Readonly<Record<string, () => unknown>> = {
  'references that double thirty times': () => ({
    $defs: Object.fromEntries([
      ...times(30, (i) => [`d${i}`, { allOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] }]),
      ['d30', { type: 'integer' }],
    ]),
    $ref: '#/$defs/d0',
  }),
  'properties that double thirty times': () => ({
    $defs: Object.fromEntries([
      ...times(30, (i) => [
        `d${i}`,
        {
          type: 'object',
          properties: { a: { $ref: `#/$defs/d${i + 1}` }, b: { $ref: `#/$defs/d${i + 1}` } },
          required: ['a', 'b'],
        },
      ]),
      ['d30', { type: 'integer' }],
    ]),
    $ref: '#/$defs/d0',
  }),
  'a product of twenty anyOf': () => ({
    allOf: times(20, (i) => ({
      anyOf: [
        { properties: { [`a${i}`]: { type: 'integer' } }, required: [`a${i}`] },
        { properties: { [`b${i}`]: { type: 'string' } }, required: [`b${i}`] },
      ],
    })),
  }),
  'a product of twenty anyOf on one member': () => ({
    type: 'object',
    required: ['a'],
    allOf: times(20, (i) => ({
      anyOf: [{ properties: { a: { minLength: i } } }, { properties: { a: { pattern: `x{${i}}` } } }],
    })),
  }),
  'oneOf in oneOf': () =>
    nested(10, (inner) => ({ oneOf: [{ type: 'array', items: inner }, inner, { type: 'object', required: ['a'] }] })),
  'a oneOf of three hundred open objects': () => ({
    oneOf: times(300, (i) => ({ type: 'object', properties: { [`p${i}`]: { type: 'integer' } }, required: [`p${i}`] })),
  }),
  'one hundred thousand strings': () => ({ enum: times(100_000, (i) => `value ${i * 7919}`) }),
  'ten thousand objects': () => ({ enum: times(10_000, (i) => ({ id: i, name: `n${i}` })) }),
  'ten thousand optional properties': () => ({
    type: 'object',
    properties: named(10_000, () => ({ type: 'integer' })),
  }),
  'ten thousand required properties': () => ({
    type: 'object',
    properties: named(10_000, () => ({ type: 'integer' })),
    required: times(10_000, (i) => `name${i}`),
  }),
  'a megabyte of schema': () => ({
    anyOf: times(2_000, (i) => ({
      type: 'object',
      title: 'x'.repeat(300),
      properties: { [`kind${i}`]: { const: i }, value: { type: 'array', items: { type: 'string', maxLength: i } } },
      required: ['value'],
      additionalProperties: false,
    })),
  }),
  'four hundred levels of items': () => nested(400, (inner) => ({ type: 'array', items: inner, minItems: 1 })),
  'ten thousand levels of items': () => `${'{"items":'.repeat(10_000)}true${'}'.repeat(10_000)}`,
  'billions of items and characters': () => ({
    type: 'array',
    minItems: 2_000_000_000,
    items: { type: 'array', minItems: 2_000_000_000, items: { type: 'string', minLength: 2_000_000_000 } },
  }),
  'sixty-four dependencies': () => ({
    type: 'object',
    properties: named(64, () => true),
    dependentRequired: Object.fromEntries(
      times(64, (i) => [`name${i}`, [`name${(i * 7 + 3) % 64}`, `name${(i * 5 + 1) % 64}`]]),
    ),
  }),
  'forty patterns at once': () => ({ type: 'string', allOf: times(40, (i) => ({ pattern: `[ab]*a[ab]{${i}}` })) }),
  'forty patterns for names': () => ({
    type: 'object',
    patternProperties: Object.fromEntries(times(40, (i) => [`a.{${i}}b`, { minimum: i }])),
  }),
  'a pattern of exponential size': () => ({ type: 'string', pattern: '^(.*a){30}(.{1000}){1000}$' }),
  'negated alternatives': () => ({
    not: nested(7, (inner) => ({ anyOf: [{ items: inner }, { properties: { a: inner } }, { not: inner }] })),
  }),
  'contains of thirty kinds': () => ({
    type: 'array',
    allOf: times(30, (i) => ({ contains: { type: 'integer', multipleOf: i + 2 }, minContains: 2, maxContains: 5 })),
  }),
  'conditions of thirty kinds': () => ({
    type: 'object',
    allOf: times(30, (i) => ({
      if: { properties: { kind: { const: `k${i}` } }, required: ['kind'] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword
      then: { required: [`f${i}`], properties: { [`f${i}`]: { type: 'integer' } } },
      else: { properties: { [`f${i}`]: false } },
    })),
    required: ['kind'],
  }),
  'conditions on thirty members': () => ({
    type: 'object',
    allOf: times(30, (i) => ({
      if: { properties: { [`k${i}`]: { const: i } }, required: [`k${i}`] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword
      then: { properties: { [`f${(i + 1) % 30}`]: { type: 'integer' } } },
      else: { properties: { [`f${i}`]: { type: 'string' } } },
    })),
  }),
  'numbers of a thousand digits': () =>
    JSON.parse(`{"type":"number","minimum":1${'0'.repeat(300)}.5,"multipleOf":0.${'0'.repeat(300)}7}`),
  'a number of a million digits': () => `{"type":"number","minimum":1${'0'.repeat(1_000_000)}}`,
  'unevaluated members of many branches': () => ({
    anyOf: times(30, (i) => ({ properties: { [`a${i}`]: true } })),
    unevaluatedProperties: false,
  }),
};
