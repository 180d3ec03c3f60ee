/** Compiles in slices: the same grammars and errors as at once, with pauses between, and what was done is kept. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CompiledGrammar, GrammarError, inSlices } from '../../grammar/index.ts';
import { Random } from '../random.ts';
import { hostile } from './hostile-schemas.ts';
import { newCompiler, randomWalk } from './vocabulary.ts';

const test = suite('compiling in slices');

/** A grammar or the message of what was thrown. */
async function outcome(compile: () => CompiledGrammar | Promise<CompiledGrammar>): Promise<CompiledGrammar | string> {
  try {
    return await compile();
  } catch (error) {
    if (!(error instanceof GrammarError)) throw error;
    return error.message;
  }
}

for (const name of [
  'a megabyte of schema',
  'ten thousand required properties',
  'oneOf in oneOf',
  'negated alternatives',
]) {
  test(`${name}: pauses, and comes to what it comes to at once`, async () => {
    const schema = hostile[name]();
    const compiler = newCompiler();
    let pauses = 0;
    const pause = async () => {
      pauses++;
    };
    const sliced = await outcome(() => inSlices(() => compiler.jsonSchema(schema), pause));
    assert.ok(pauses > 0);
    if (typeof sliced === 'string') {
      // The result is at hand for whoever asks again.
      assert.is(await outcome(() => compiler.jsonSchema(schema)), sliced);
      return;
    }
    assert.is(compiler.jsonSchema(schema), sliced);
    const walked = await outcome(() => {
      randomWalk(sliced, new Random(3), 8);
      return sliced;
    });
    assert.ok(walked === sliced || /too ambiguous/.test(String(walked)), String(walked));
  });
}

test('several compiles may be under way at once', async () => {
  const compiler = newCompiler();
  const schemas = ['a product of twenty anyOf', 'ten thousand optional properties', 'conditions of thirty kinds'];
  const sliced = await Promise.all(
    schemas.map((name) => outcome(() => inSlices(() => compiler.jsonSchema(hostile[name]())))),
  );
  for (const [i, name] of schemas.entries()) {
    const alone = await outcome(() => newCompiler().jsonSchema(hostile[name]()));
    assert.is(typeof sliced[i], typeof alone, name);
  }
});

test('what is thrown in a slice comes out', async () => {
  const compiler = newCompiler();
  assert.match(String(await outcome(() => inSlices(() => compiler.regex('(')))), /missing|expected|group/i);
  assert.match(String(await outcome(() => inSlices(() => compiler.ebnf('root ::= root')))), /no text/);
});

test.run();
