/**
 * Real schemas with instances (MaskBench). They carry no licence, so they are not in the repository: the test reads them
 * from the folder that QUERN_SCHEMAS names, or from ../shared/data/schemas, and is skipped where there is none.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GrammarError } from '../../grammar/index.ts';
import { type JsonObject, parseJson } from '../../grammar/json-schema/json-text.ts';
import { judge } from './json-instances.ts';
import { writeJson } from './json-writer.ts';
import { newCompiler } from './vocabulary.ts';

const FOLDER = process.env.QUERN_SCHEMAS ?? fileURLToPath(new URL('../../../shared/data/schemas', import.meta.url));
/** The share of the cases that must be entirely right. */
const LEAST_RIGHT = 0.92;

const test = suite('json schema cases');
const run = existsSync(FOLDER) ? test : test.skip;
if (!existsSync(FOLDER)) console.log(`\nnote: there are no schema cases at ${FOLDER}`);

run('nearly all cases are entirely right, and no invalid instance is accepted', () => {
  const compiler = newCompiler();
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
  const counts = { right: 0, refused: 0, 'rejects a valid instance': 0, 'accepts an invalid instance': 0 };
  const notRight: string[] = [];
  for (const file of files) {
    const read = parseJson(readFileSync(join(FOLDER, file), 'utf8')) as JsonObject;
    const tests = read.get('tests') as JsonObject[];
    const instances = tests.map((one) => ({ text: writeJson(one.get('data')!), valid: one.get('valid') as boolean }));
    const schema = writeJson(read.get('schema')!);
    const outcome = judge(
      () => compiler.jsonSchema(schema),
      instances,
      (error) => error instanceof GrammarError,
    );
    counts[outcome]++;
    if (outcome !== 'right') notRight.push(`${file} (${outcome})`);
  }
  console.log(
    `\nnote: schema cases: ${counts.right} of ${files.length} entirely right, ${counts.refused} refused, ` +
      `${counts['rejects a valid instance']} with a valid instance rejected, ` +
      `${counts['accepts an invalid instance']} with an invalid one accepted${notRight.length > 0 ? `; not right: ${notRight.join(', ')}` : ''}`,
  );
  assert.is(counts['accepts an invalid instance'], 0);
  assert.ok(counts.right >= LEAST_RIGHT * files.length, notRight.join(', '));
});

test.run();
