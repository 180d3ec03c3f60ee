/**
 * What keys and values in fewer bits do to a model: how far its distributions move from those with float32 ones, over the
 * texts of tiny-chat's and the oracle models' references.
 *
 *   npm run bench -- kv-cache
 *   npm run bench -- kv-cache --models qwen3,gemma2 --tokens 64
 */

import { parseArgs } from 'node:util';
import { compare, distributions, oracleModel, printDivergences, tinyChat } from './support/distributions.ts';
import { machine } from './support/table.ts';

const { values: options } = parseArgs({
  options: {
    models: { type: 'string', default: 'llama-gqa,qwen2,qwen3,gemma2,gpt-oss,mixtral' },
    tokens: { type: 'string', default: '200' },
  },
});

const FORMATS = ['f16', 'int8'] as const;
const most = Number(options.tokens);
const cases = [tinyChat(most), ...options.models.split(',').map((name) => oracleModel(name, most))];
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
