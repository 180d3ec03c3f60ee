/** Schemas made to cost too much: each compiles or is refused, and what compiles can be walked, all within bounded work. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GrammarError } from '../../grammar/index.ts';
import { Random } from '../random.ts';
import { hostile } from './hostile-schemas.ts';
import { newCompiler, randomWalk } from './vocabulary.ts';

const test = suite('hostile json schemas');

/** These are work like any other, and must not be refused. */
const MUST_COMPILE = [
  'references that double thirty times',
  'properties that double thirty times',
  'a product of twenty anyOf',
  'one hundred thousand strings',
  'a megabyte of schema',
  'ten thousand optional properties',
  'ten thousand required properties',
  'billions of items and characters',
  'a pattern of exponential size',
];

for (const [name, make] of Object.entries(hostile)) {
  test(`${name}: compiled, or refused in one line`, () => {
    const schema = make();
    let compiled = false;
    try {
      const grammar = newCompiler().jsonSchema(schema);
      randomWalk(grammar, new Random(1), 12);
      compiled = true;
    } catch (error) {
      if (!(error instanceof GrammarError)) throw error;
      assert.not.match(error.message, /\n/);
    }
    if (MUST_COMPILE.includes(name)) assert.ok(compiled);
  });
}

test('a parsed schema nested twenty thousand deep is refused in one line', () => {
  let schema: object = {};
  for (let depth = 0; depth < 20_000; depth++) schema = { items: schema };
  assert.throws(
    () => newCompiler().jsonSchema(schema),
    (error: Error) => error instanceof GrammarError && /nests too deep/.test(error.message),
  );
});

test.run();
