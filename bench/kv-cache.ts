/**
 * What keys and values in fewer bits do to a model: how far its distributions move from those with float32 ones, over the
 * texts of tiny-chat's and the oracle models' references.
 */

import { compare, distributions, oracleModel, printDivergences, tinyChat } from './support/distributions.ts';
import { INTEGER, listOf, readOptions, string } from './support/options.ts';
import { machine } from './support/table.ts';

const options = readOptions({
  about: 'What keys and values in fewer bits do to a model: how far its distributions move.',
  examples: [['--models qwen3,gemma2 --tokens 64', '']],
  options: {
    models: {
      kind: listOf(string('MODEL')),
      fallback: 'llama-gqa,qwen2,qwen3,gemma2,gpt-oss,mixtral',
      help: 'folders of test/oracle/models, besides tiny-chat',
    },
    tokens: { kind: INTEGER, fallback: '200', help: 'of each text' },
  },
});

const FORMATS = ['f16', 'int8'] as const;
const { tokens, models } = options;
const cases = [tinyChat(tokens), ...models.map((name) => oracleModel(name, tokens))];
const results = [];
for (const one of cases) {
  const exact = await distributions(one, { kvCacheDtype: 'f32' });
  for (const format of FORMATS)
    results.push({ model: one.name, format, ...compare(exact, await distributions(one, { kvCacheDtype: format })) });
}
printDivergences(
  'K/V',
  results.map((result) => ({ ...result, way: result.format })),
);
console.log(`\n${JSON.stringify({ bench: 'kv-cache', ...machine(), results })}`);
