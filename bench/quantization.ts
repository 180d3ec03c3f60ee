/**
 * What rounding the weights does to a model: how far its distributions move from those with float weights, over the texts of
 * tiny-chat's and an oracle model's references. On the reference device only the weights are rounded, on wasm the
 * activations too.
 */

import { QUANTIZATIONS } from '../engine/types.ts';
import { ReferenceDevice } from '../kernels/index.ts';
import { compare, distributions, oracleModel, printDivergences, tinyChat } from './support/distributions.ts';
import { INTEGER, listOf, oneOf, readOptions, string } from './support/options.ts';
import { machine } from './support/table.ts';

const options = readOptions({
  about: 'What rounding the weights does to a model: how far its distributions move.',
  examples: [['--models llama-q256 --tokens 64 --device reference', '']],
  options: {
    models: {
      kind: listOf(string('MODEL')),
      fallback: 'llama-q256',
      help: 'folders of test/oracle/models, besides tiny-chat',
    },
    tokens: { kind: INTEGER, fallback: '48', help: 'of each text' },
    device: {
      kind: oneOf('wasm', 'reference'),
      fallback: 'wasm',
      help: 'wasm rounds activations too, reference only the weights',
    },
  },
});

const { tokens, models } = options;
const device = () => (options.device === 'reference' ? new ReferenceDevice() : undefined);
const results = [];
for (const one of [tinyChat(tokens), ...models.map((name) => oracleModel(name, tokens))]) {
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
