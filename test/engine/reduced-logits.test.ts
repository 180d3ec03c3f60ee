/** Texts do not depend on whether the device reduces the logits; where it does, rows are rarely read. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine, type GenerateRequest } from '../../engine/index.ts';
import { loadEngineParts } from '../../engine/load-engine.ts';
import type { Model, ModelStep } from '../../engine/model.ts';

const test = suite('reduced logits');

const SAMPLING: NonNullable<GenerateRequest['sampling']>[] = [
  { temperature: 0 },
  { temperature: 0, repetitionPenalty: 1.3, presencePenalty: 0.5 },
  { seed: 1 },
  { seed: 2, temperature: 1.4, topP: 0.9, frequencyPenalty: 0.7 },
  { seed: 3, topK: 20, topP: 0.8, logitBias: { 300: 5, 301: -100 } },
  { seed: 4, minP: 0.05, badWords: ['the', 'a'] },
  { seed: 5, topP: 0.95, minTokens: 12, n: 2 },
  { seed: 6, topP: 0.5, logprobs: 2 },
  { seed: 7, allowedTokenIds: Array.from({ length: 40 }, (_, i) => 280 + 3 * i) },
];

/** Counts the rows that are read. */
function counting(model: Model, reducesLogits: boolean): Model & { rowsRead: number } {
  const counts = { rowsRead: 0 };
  return new Proxy(model as Model & { rowsRead: number }, {
    get: (target, name) => {
      if (name === 'rowsRead') return counts.rowsRead;
      if (name === 'forward' && !reducesLogits) {
        return (step: ModelStep) => target.forward({ ...step, reductions: undefined });
      }
      if (name === 'logits') {
        return (rows: number, firstRow?: number) => {
          counts.rowsRead += rows;
          return target.logits(rows, firstRow);
        };
      }
      const value = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** The tokens of all requests, run together. */
async function tokensOf(reducesLogits: boolean) {
  const { model, ...parts } = await loadEngineParts('tiny-chat', { device: 'wasm', threads: 2, maxModelLen: 128 });
  const counted = counting(model, reducesLogits);
  const engine = new Engine({ ...parts, model: counted });
  const grammar = engine.grammarCompiler.regex('[a-z ]{5,40}');
  const requests: GenerateRequest[] = [
    ...SAMPLING.map((sampling) => ({ prompt: 'Once upon a time', sampling: { maxTokens: 24, ...sampling } })),
    { prompt: 'Once upon a time', sampling: { maxTokens: 24, seed: 9, topP: 0.9 }, grammar },
  ];
  const tokens = requests.map(() => [] as number[][]);
  await Promise.all(
    requests.map(async (request, i) => {
      for await (const { index, tokenIds } of engine.generate(request)) (tokens[i][index] ??= []).push(...tokenIds);
    }),
  );
  const { rowsRead } = counted;
  await engine.close();
  return { tokens, rowsRead, generated: tokens.flat(2).length };
}

test('every way of sampling gives the same tokens, and most rows stay on the device', async () => {
  const rows = await tokensOf(false);
  const reduced = await tokensOf(true);
  assert.equal(reduced.tokens, rows.tokens);
  assert.ok(rows.rowsRead >= rows.generated - 1, `${rows.rowsRead} rows for ${rows.generated} tokens`);
  assert.ok(reduced.rowsRead < reduced.generated / 3, `${reduced.rowsRead} rows for ${reduced.generated} tokens`);
});

test.run();
