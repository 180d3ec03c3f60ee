/** What requests share, and how they get on beside each other: forks, cached prompts, the queue, chunks, drafts. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Grammar } from '../../grammar/index.ts';
import type { StepInput } from '../../kernels/index.ts';
import { type FakeLimits, FakeModel } from './fake-model.ts';
import { Bench, collect, ids, VOCABULARY, wait, wordGrammar } from './generation-bench.ts';

const test = suite('batching');

test('the choices of a request compute their prompt once, and copy no full block', async () => {
  const bench = new Bench();
  const prompt = 'x'.repeat(40);
  const choices = await collect(bench.start(prompt, { n: 4, temperature: 1, seed: 1, maxTokens: 5, ignoreEos: true }));
  assert.is(bench.model.rows, 40 + 4 * 4);
  assert.equal(
    choices.map(({ tokenIds, cachedTokens }) => [tokenIds.length, cachedTokens]),
    Array.from({ length: 4 }, () => [5, 0]),
  );
});

test('more choices than can run at a time come to their end', async () => {
  const params = { n: 12, temperature: 1, seed: 1, maxTokens: 30, ignoreEos: true };
  const together = await collect(new Bench({ maxSeqs: 32, maxLogitRows: 32 }).start('choices', params));
  const bench = new Bench({ maxSeqs: 3, maxLogitRows: 3 });
  assert.equal(await collect(bench.start('choices', params)), together);
  assert.ok(bench.isIdle());
});

test('a prompt that was there before is cached but for its last block', async () => {
  const bench = new Bench();
  const params = { maxTokens: 3, ignoreEos: true };
  const first = await collect(bench.start('x'.repeat(40), params));
  const second = await collect(bench.start('x'.repeat(40), { ...params, n: 1 }));
  assert.equal([first[0].cachedTokens, second[0].cachedTokens], [0, 32]);
  assert.equal(second[0].tokenIds, first[0].tokenIds);
});

test('more requests than may wait are refused, and none of the others suffers', async () => {
  const bench = new Bench({ maxSeqs: 2 }, { maxQueued: 3 });
  const params = { maxTokens: 4, ignoreEos: true };
  const runs = Array.from({ length: 7 }, (_, i) => collect(bench.start('abcdefg'[i], params)));
  const results = await Promise.allSettled(runs);
  assert.equal(
    results.map(({ status }) => status),
    [...Array(5).fill('fulfilled'), 'rejected', 'rejected'],
  );
  const { name, code } = (results[5] as PromiseRejectedResult).reason;
  assert.equal([name, code], ['RequestError', 'queue_full']);
  assert.is((await collect(bench.start('h', params)))[0].tokenIds.length, 4);
});

test('a long prompt holds up the text of others for one step at a time', async () => {
  const bench = new Bench({ maxRows: 16 });
  const rows: number[] = [];
  bench.model.beforeStep = (step) => void rows.push(new Set(step.slots as number[]).size);
  const short = collect(bench.start('short', { maxTokens: 30, ignoreEos: true }));
  await wait(4);
  const long = collect(bench.start('l'.repeat(300), { maxTokens: 2, ignoreEos: true }));
  await Promise.all([short, long]);
  // Twenty steps for the prompt, in each of which the other text gets its token.
  assert.ok(bench.model.steps <= 32, `${bench.model.steps} steps`);
  assert.ok(rows.filter((slots) => slots === 2).length >= 20);
});

/** Repeats the letters of the alphabet: what follows has mostly been there before. */
class RepeatingModel extends FakeModel {
  override forwardSync(step: StepInput): Float32Array {
    const logits = super.forwardSync(step);
    for (let i = 0; i < step.logitRows.length; i++) {
      logits[i * VOCABULARY + ((step.tokens[step.logitRows[i]] + 1) % 5)] += 9;
    }
    return logits;
  }
}

test('with drafts from the text itself the outputs are the same, in fewer steps', async () => {
  const run = async (draftLength: number, more: Partial<FakeLimits> = {}) => {
    const bench = new Bench(more, undefined, RepeatingModel);
    const params = { maxTokens: 60, ignoreEos: true, logprobs: 1, seed: 7, stop: 'dz' };
    const choices = await Promise.all([
      collect(bench.start('abcde', params, { draftLength })),
      collect(bench.start('eabcd', { ...params, temperature: 1, n: 3 }, { draftLength })),
      collect(bench.start('cab', { ...params, temperature: 1, frequencyPenalty: 0.3 }, { draftLength })),
    ]);
    assert.ok(bench.isIdle());
    return { choices, steps: bench.model.steps };
  };
  const plain = await run(0);
  for (const shape of [{}, { maxRows: 7 }, { kvBlocks: 9 }, { maxLogitRows: 8 }]) {
    const drafted = await run(4, shape);
    assert.equal(drafted.choices, plain.choices);
    if (Object.keys(shape).length === 0) assert.ok(drafted.steps < plain.steps * 0.8, `${drafted.steps} steps`);
  }
});

test('tokens that a grammar forces are computed together', async () => {
  const word = 'incomprehensibilities';
  const forcing: Grammar = {
    matcher: () => {
      let at = 0;
      const { fillMask, canFinish, ...matcher } = wordGrammar(word).matcher();
      return {
        ...matcher,
        fillMask,
        canFinish,
        accept: (id) => matcher.accept(id) && ++at > 0,
        forcedTokens: () => ids(word).slice(at),
      };
    },
  };
  const bench = new Bench();
  const params = { maxTokens: 40, temperature: 1, seed: 3, logprobs: 2 };
  // A step of one row has no room for drafts.
  const narrow = new Bench({ maxRows: 1 });
  const plain = await collect(narrow.start('x', params, { grammar: forcing }));
  assert.is(plain[0].text, word);
  assert.ok(narrow.model.steps > 20);
  // The second grammar has one text, but does not say which tokens it is made of.
  for (const grammar of [forcing, wordGrammar(word)]) {
    const { steps } = bench.model;
    assert.equal(await collect(bench.start('x', params, { grammar })), plain);
    assert.ok(bench.model.steps - steps <= 4, `${bench.model.steps - steps} steps`);
  }
});

test.run();
