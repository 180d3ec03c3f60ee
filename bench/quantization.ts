/**
 * What rounding the weights does to a model: how far its distributions move from those with float weights, over the texts of
 * tiny-chat's and an oracle model's references. On the reference device only the weights are rounded, on wasm the
 * activations too.
 *
 *   npm run bench -- quantization
 *   npm run bench -- quantization --models llama-q256 --tokens 64 --device wasm
 */

import { parseArgs } from 'node:util';
import { QUANTIZATIONS } from '../engine/types.ts';
import { ReferenceDevice } from '../kernels/index.ts';
import { compare, distributions, oracleModel, printDivergences, tinyChat } from './support/distributions.ts';
import { machine } from './support/table.ts';

const { values: options } = parseArgs({
  options: {
    models: { type: 'string', default: 'llama-q256' },
    tokens: { type: 'string', default: '48' },
    device: { type: 'string', default: 'wasm' },
  },
});

const most = Number(options.tokens);
const device = () => (options.device === 'reference' ? new ReferenceDevice() : undefined);
const results = [];
for (const one of [tinyChat(most), ...options.models.split(',').map((name) => oracleModel(name, most))]) {
  const exact = await distributions(one, {}, device());
  for (const quantize of QUANTIZATIONS) {
    results.push({ model: one.name, quantize, ...compare(exact, await distributions(one, { quantize }, device())) });
  }
}
printDivergences(
  'weights',
  results.map((result) => ({ ...result, way: result.quantize })),
);
console.log(`\n${JSON.stringify({ bench: 'quantization', device: options.device, ...machine(), results })}`);
