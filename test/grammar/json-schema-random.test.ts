/** Random schemas against Ajv: what random walks through the masks write is valid, and what Ajv takes is accepted. */

import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GrammarError } from '../../grammar/index.ts';
import { Random } from '../random.ts';
import { takes } from './json-instances.ts';
import { newCompiler, randomWalk } from './vocabulary.ts';

const test = suite('random json schemas');
const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false });

const name = fc.constantFrom('a', 'ab', 'b', 'foo', 'x');
const count = fc.integer({ min: 0, max: 4 });
const number = fc.constantFrom(-10, -1.5, 0, 0.5, 1, 2, 2.5, 10, 12);
const scalar = fc.constantFrom<unknown>(null, true, false, 0, 1, 2.5, 10, 'a', 'ab', 'foo', '', 'é');

const { schema } = fc.letrec<{ schema: unknown; leaf: unknown }>((tie) => {
  const schemas = fc.array(tie('schema'), { minLength: 1, maxLength: 3 });
  const properties = fc.dictionary(name, tie('schema'), { maxKeys: 3 });
  const types = fc.constantFrom('null', 'boolean', 'integer', 'number', 'string', 'array', 'object');
  const keyword = fc.oneof(
    { weight: 6, arbitrary: types.map((type) => ({ type })) },
    fc.uniqueArray(types, { minLength: 1, maxLength: 3 }).map((type) => ({ type })),
    fc.uniqueArray(scalar, { minLength: 1, maxLength: 4 }).map((values) => ({ enum: values })),
    scalar.map((value) => ({ const: value })),
    number.map((minimum) => ({ minimum })),
    number.map((maximum) => ({ maximum })),
    number.map((exclusiveMinimum) => ({ exclusiveMinimum })),
    fc.constantFrom(1, 2, 5, 0.5).map((multipleOf) => ({ multipleOf })),
    count.map((minLength) => ({ minLength })),
    count.map((maxLength) => ({ maxLength })),
    fc.constantFrom('^a', 'b$', '^[a-c]*$', '[0-9]', 'fo+').map((pattern) => ({ pattern })),
    { weight: 3, arbitrary: properties.map((map) => ({ type: 'object', properties: map })) },
    { weight: 2, arbitrary: fc.uniqueArray(name, { maxLength: 2 }).map((required) => ({ required })) },
    { weight: 2, arbitrary: tie('schema').map((additionalProperties) => ({ additionalProperties })) },
    fc
      .tuple(fc.constantFrom('^a', 'b', 'x$'), tie('schema'))
      .map(([pattern, value]) => ({ patternProperties: { [pattern]: value } })),
    fc.constantFrom('^[a-b]*$', 'o').map((pattern) => ({ propertyNames: { pattern } })),
    count.map((minProperties) => ({ minProperties })),
    count.map((maxProperties) => ({ maxProperties })),
    fc
      .tuple(name, fc.array(name, { maxLength: 2 }))
      .map(([key, needed]) => ({ dependentRequired: { [key]: [...new Set(needed)] } })),
    fc.tuple(name, tie('schema')).map(([key, value]) => ({ dependentSchemas: { [key]: value } })),
    { weight: 2, arbitrary: tie('schema').map((items) => ({ type: 'array', items })) },
    schemas.map((prefixItems) => ({ prefixItems })),
    tie('schema').map((contains) => ({ contains })),
    fc.tuple(tie('schema'), count).map(([contains, maxContains]) => ({ contains, minContains: 0, maxContains })),
    count.map((minItems) => ({ minItems })),
    count.map((maxItems) => ({ maxItems })),
    fc
      .uniqueArray(scalar, { minLength: 1 })
      .map((values) => ({ type: 'array', items: { enum: values }, uniqueItems: true })),
    schemas.map((allOf) => ({ allOf })),
    { weight: 2, arbitrary: schemas.map((anyOf) => ({ anyOf })) },
    { weight: 2, arbitrary: schemas.map((oneOf) => ({ oneOf })) },
    tie('schema').map((not) => ({ not })),
    fc
      .tuple(tie('schema'), tie('schema'), tie('schema'))
      .map(([condition, then, other]) => ({ if: condition, then, else: other })),
    fc.tuple(properties, tie('schema')).map(([map, other]) => ({ properties: map, unevaluatedProperties: other })),
    fc.tuple(schemas, tie('schema')).map(([prefixItems, unevaluatedItems]) => ({ prefixItems, unevaluatedItems })),
    fc.constant({ $ref: '#/$defs/d' }),
  );
  return {
    leaf: fc.oneof(
      fc.boolean(),
      types.map((type) => ({ type })),
    ),
    schema: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      tie('leaf'),
      fc.array(keyword, { minLength: 1, maxLength: 3 }).map((keywords) => Object.assign({}, ...keywords)),
    ),
  };
});

const rooted = fc
  .tuple(schema, schema)
  .map(([root, $defs]) => (typeof root === 'boolean' ? root : { ...(root as object), $defs: { d: $defs } }));

test('what is written by chance through the masks is valid', () => {
  let walks = 0;
  let ended = 0;
  let refused = 0;
  const schemas = fc.sample(rooted, { numRuns: 500, seed: 11 });
  for (const [i, root] of schemas.entries()) {
    let grammar: ReturnType<ReturnType<typeof newCompiler>['jsonSchema']>;
    let validate: ReturnType<typeof ajv.compile>;
    try {
      grammar = newCompiler().jsonSchema(root);
      validate = ajv.compile(root as object);
    } catch (error) {
      if (!(error instanceof GrammarError) && !/stack|resolve/.test((error as Error).message)) throw error;
      refused++;
      continue;
    }
    for (let seed = 0; seed < 2; seed++) {
      walks++;
      try {
        const { text, done } = randomWalk(grammar, new Random(i * 10 + seed), 30);
        // Ajv divides floats, which says nothing of long numbers.
        if (!done || /[0-9.]{15}/.test(text)) continue;
        ended++;
        assert.ok(validate(JSON.parse(text)), `${JSON.stringify(root)} wrote ${text}`);
      } catch (error) {
        if (!(error instanceof GrammarError)) throw new Error(`${(error as Error).message}: ${JSON.stringify(root)}`);
      }
    }
  }
  console.log(
    `\nnote: random schemas: ${schemas.length - refused} compiled, ${ended} of ${walks} walks came to an end, all valid`,
  );
  assert.ok(ended > 300);
});

test('values are accepted exactly when Ajv takes them', () => {
  const value = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 2 },
      scalar,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(name, tie('value'), { maxKeys: 3, noNullPrototype: true }),
    ),
  })).value;
  let compared = 0;
  let refused = 0;
  for (const [root, values] of fc.sample(fc.tuple(rooted, fc.array(value, { minLength: 8, maxLength: 8 })), {
    numRuns: 600,
    seed: 5,
  })) {
    let grammar: ReturnType<ReturnType<typeof newCompiler>['jsonSchema']> | undefined;
    let validate: ReturnType<typeof ajv.compile>;
    try {
      validate = ajv.compile(root as object);
      grammar = newCompiler().jsonSchema(root);
    } catch (error) {
      if (error instanceof GrammarError && /no value satisfies/.test(error.message)) {
        for (const one of values)
          assert.not(validate!(one), `${JSON.stringify(root)} is refused but takes ${JSON.stringify(one)}`);
      } else refused++;
      continue;
    }
    for (const one of values) {
      const valid = validate(one);
      const text = JSON.stringify(one);
      let taken: boolean;
      try {
        taken = takes(grammar, text);
      } catch (error) {
        if (error instanceof GrammarError) continue;
        throw new Error(`${(error as Error).message}: ${JSON.stringify(root)}`);
      }
      compared++;
      // An object may be valid and yet have its members in another order than is written.
      const ordered = !text.includes(',"') && !text.includes('},{');
      if (taken !== valid && (taken || ordered)) {
        assert.unreachable(`${JSON.stringify(root)} ${taken ? 'takes' : 'rejects'} ${text}`);
      }
    }
  }
  console.log(`\nnote: random schemas and values: ${compared} compared, ${refused} schemas refused`);
  assert.ok(compared > 1500);
});

test.run();
