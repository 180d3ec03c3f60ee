/** The embedded model and one of random weights write JSON that validates, at temperature 1.5. */

import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { Engine } from '../../engine/index.ts';
import { writesJson } from './constrained-json.ts';

const test = suite('constrained json');
const COUNT = process.env.QUERN_TEST_FULL === '1' ? 200 : 24;
const RANDOM = fileURLToPath(new URL('../oracle/models/llama-gqa', import.meta.url));

for (const [name, path] of [
  ['tiny-chat', 'tiny-chat'],
  ['a model of random weights', RANDOM],
]) {
  test(`${name}: ${COUNT} of ${COUNT} texts validate`, async () => {
    const engine = await Engine.load(path, { threads: 1 });
    try {
      await writesJson(engine, 'A record in JSON: ', COUNT, 400);
    } finally {
      await engine.close();
    }
  });
}

test.run();
