/** On every fast device: what a request gives beside others, with shared, copied and lost blocks, is what it gives alone. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSearch, type SearchTools } from '../../engine/create-search.ts';
import { Generation } from '../../engine/generation.ts';
import { loadModel } from '../../engine/load-model.ts';
import type { Model } from '../../engine/model.ts';
import { openDirectory } from '../../engine/node/directory-source.ts';
import { StepLoop } from '../../engine/step-loop.ts';
import type { GenerateRequest } from '../../engine/types.ts';
import { DEVICES } from './devices.ts';

const MODEL = new URL('../oracle/models/mistral-swa', import.meta.url).pathname;
const tokenizer = { streamDecoder: () => ({ push: () => '' }) } as unknown as SearchTools['tokenizer'];

/** Prompts of 10 to 40 tokens; those of even numbers begin alike. */
function requestOf(i: number): GenerateRequest & { tokens: number[] } {
  const tokens = Array.from({ length: 10 + 6 * (i % 6) }, (_, p) => 3 + ((p * 7 + (i % 2) * i) % 200));
  const logprobs = i % 4 < 2 ? 2 : undefined;
  const sampling = { maxTokens: 7, ignoreEos: true, logprobs, seed: i, temperature: i % 3 === 0 ? 0 : 1 };
  if (i % 8 === 3) return { tokens, sampling: { ...sampling, temperature: 0, n: 2 }, beam: { width: 3 } };
  return { tokens, sampling: { ...sampling, n: i % 8 === 4 && sampling.temperature > 0 ? 3 : 1 } };
}

/** Undefined when the request was cancelled. @param onOutput  called after each of its outputs */
async function outcome(
  model: Model,
  loop: StepLoop,
  i: number,
  draftLength: number,
  signal?: AbortSignal,
  onOutput?: () => void,
) {
  const { tokens, sampling, ...request } = requestOf(i);
  const { vocabSize } = model;
  const tools = { tokenizer, vocabSize, eosTokenIds: [2], draftLength };
  const search = createSearch(request, tokens, sampling!, {}, tools);
  const texts: unknown[][] = [];
  try {
    for await (const { index, tokenIds, logprobs } of new Generation(loop, search, signal)) {
      (texts[index] ??= []).push(...tokenIds, ...(logprobs ?? []));
      onOutput?.();
    }
  } catch (error) {
    if (signal?.aborted) return undefined;
    throw error;
  }
  return texts.map((text) => [
    text.filter((part) => typeof part === 'number'),
    text.filter((part) => typeof part === 'object'),
  ]);
}

for (const device of DEVICES.filter(({ kind }) => kind !== 'reference')) {
  const test = suite(`serving on ${device.kind}`);

  test('requests together give bit for bit what each gives alone', async () => {
    const source = await openDirectory(MODEL);
    const limits = { maxModelLen: 64, maxNumSeqs: 5, maxNumBatchedTokens: 24 };
    const model = await loadModel(source, { device: await device.create(), ...limits });
    // With too few blocks for all.
    const small = new Proxy(model, {
      get: (target, name) => {
        const value = name === 'kvBlocks' ? 5 : Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const loop = new StepLoop(small);
    const count = device.software && process.env.QUERN_TEST_FULL !== '1' ? 8 : 64;
    const numbers = Array.from({ length: count }, (_, i) => i);
    const alone = [];
    for (const i of numbers) alone.push(await outcome(model, new StepLoop(model), i, 0));
    // Every seventh is given up: after an output of its own, or while it waits or computes its prompt.
    const givenUp = (i: number) => i % 7 === 6;
    const controllers = numbers.map(() => new AbortController());
    let outputs = 0;
    const onOutput = (i: number) => {
      outputs++;
      if (givenUp(i) && i % 3 === 0) controllers[i].abort();
      for (const other of numbers) if (givenUp(other) && outputs === 4 * other) controllers[other].abort();
    };
    const together = await Promise.all(
      numbers.map((i) => outcome(model, loop, i, 2, controllers[i].signal, () => onOutput(i))),
    );
    for (const i of numbers) if (together[i] || !givenUp(i)) assert.equal(together[i], alone[i], `request ${i}`);
    assert.is(together[6], undefined, 'cancelled');
    const { preemptions, running, waiting, freeBlocks, totalBlocks } = loop.stats;
    assert.ok(preemptions > 0);
    assert.equal([running, waiting, freeBlocks], [0, 0, totalBlocks]);
    await model.close();
    await source.close();
  });

  test.run();
}
