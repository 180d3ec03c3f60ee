/** Requests on a fake model: choices, the step loop, and every way in which a request may end. */

import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Sequence } from '../../engine/sequence.ts';
import { GrammarError } from '../../grammar/index.ts';
import { DeviceError } from '../../kernels/index.ts';
import { greedyAlone } from './fake-model.ts';
import { Bench, collect, EOS, errorOf, ids, letter, VOCABULARY, wait, wordGrammar } from './generation-bench.ts';

const test = suite('generation');

test('the text is what the model alone would say, up to max_tokens', async () => {
  const bench = new Bench();
  const [choice] = await collect(bench.start('hello', { maxTokens: 12, ignoreEos: true }));
  const expected = greedyAlone(ids('hello'), 17, VOCABULARY).slice(5);
  assert.equal(choice.tokenIds, expected);
  assert.is(choice.text, expected.map(letter).join(''));
  assert.equal([choice.finishReason, choice.stopReason, choice.promptTokens], ['length', null, 5]);
  assert.ok(bench.isIdle());
});

test('seeded choices are the same alone, among others, in small chunks, and when they are preempted', async () => {
  const prompts = [
    'a',
    'thequickbrownfoxjumps',
    'bb',
    'overthelazydogandback',
    'ccc',
    'ab',
    'ba',
    'zyxwvutsrqponmlkjihg',
  ];
  const params = (i: number) => ({ temperature: 1.5, seed: i, maxTokens: 40, ignoreEos: true, n: 1 + (i % 2) });
  const alone = [];
  for (const [i, prompt] of prompts.entries()) alone.push(await collect(new Bench().start(prompt, params(i))));
  for (const shape of [{}, { maxRows: 7 }, { kvBlocks: 9 }, { maxSeqs: 3, maxLogitRows: 2, kvBlocks: 6 }]) {
    const bench = new Bench(shape);
    const together = await Promise.all(prompts.map((prompt, i) => collect(bench.start(prompt, params(i)))));
    assert.equal(together, alone);
    if (shape.kvBlocks) assert.ok(bench.loop.stats.preemptions > 0);
    assert.ok(bench.isIdle());
  }
});

test('choice i of a seeded request is the request with seed + i', async () => {
  const bench = new Bench();
  const params = { temperature: 2, maxTokens: 10, ignoreEos: true };
  const choices = await collect(bench.start('abc', { ...params, seed: 5, n: 3 }));
  for (let i = 0; i < 3; i++) {
    const [single] = await collect(bench.start('abc', { ...params, seed: 5 + i }));
    assert.equal(choices[i].tokenIds, single.tokenIds);
  }
});

test('end tokens and stop strings end a choice', async () => {
  const bench = new Bench();
  const [free] = await collect(bench.start('stop', { maxTokens: 30, ignoreEos: true }));
  const stop = free.text.slice(8, 11);
  const [stopped] = await collect(bench.start('stop', { maxTokens: 30, ignoreEos: true, stop }));
  assert.is(stopped.text, free.text.slice(0, free.text.indexOf(stop)));
  assert.equal([stopped.finishReason, stopped.stopReason], ['stop', stop]);
  const bias = Object.fromEntries(EOS.map((id) => [id, 100]));
  const [ended] = await collect(bench.start('stop', { logitBias: bias, minTokens: 4 }));
  assert.is(ended.tokenIds.length, 5);
  assert.is(ended.text.length, 4);
  assert.is(ended.finishReason, 'stop');
  assert.ok(bench.isIdle());
});

test('text that is held back for a stop string comes at the latest with the end', async () => {
  const bench = new Bench();
  const params = { maxTokens: 10, ignoreEos: true };
  const [free] = await collect(bench.start('held', params));
  const texts: string[] = [];
  for await (const { text } of bench.start('held', { ...params, stop: `${free.text.slice(-3)}!` })) texts.push(text);
  assert.equal(texts.slice(-3), ['', '', free.text.slice(-3)]);
  assert.is(texts.join(''), free.text);
});

test('a grammar decides every token, and the end comes only where the text may end', async () => {
  const bench = new Bench();
  const grammar = wordGrammar('grammar');
  const [choice] = await collect(bench.start('x', { logitBias: { 26: 100 } }, { grammar }));
  assert.is(choice.text, 'grammar');
  assert.equal([choice.finishReason, choice.tokenIds.length], ['stop', 8]);
  const [cut] = await collect(bench.start('x', { maxTokens: 4 }, { grammar }));
  assert.equal([cut.text, cut.finishReason], ['gram', 'length']);
  // Nothing may follow, and the end tokens are forbidden: the choice ends without a token that is not allowed.
  const [short] = await collect(bench.start('x', { minTokens: 10 }, { grammar }));
  assert.equal([short.text, short.finishReason, short.stopReason], ['grammar', 'stop', null]);
  assert.is(short.tokenIds.length, 7);
  const stopIds = ids('m');
  const [stopToken] = await collect(bench.start('x', { stopTokenIds: ids('z'), logitBias: { 25: 100 } }, { grammar }));
  assert.equal([stopToken.text, stopToken.stopReason], ['grammar', ids('z')[0]]);
  const error = await errorOf(collect(bench.start('x', { stopTokenIds: stopIds }, { grammar })));
  assert.instance(error, GrammarError);
  assert.ok(bench.isIdle());
});

test('a fault of one grammar ends its request alone', async () => {
  const bench = new Bench();
  const faults = [{ refuse: true }, { deadEnd: true }, { throws: true }];
  const failing = faults.map((fault) =>
    errorOf(collect(bench.start('x', { temperature: 1, n: 2 }, { grammar: wordGrammar('grammar', fault) }))),
  );
  const [choice] = await collect(bench.start('ok', { maxTokens: 12, ignoreEos: true }));
  assert.equal(choice.tokenIds, greedyAlone(ids('ok'), 14, VOCABULARY).slice(2));
  for (const error of await Promise.all(failing)) assert.instance(error, GrammarError);
  assert.ok(bench.isIdle());
});

test('nothing happens before the first read', async () => {
  const bench = new Bench();
  const generation = bench.start('abc');
  await wait(3);
  assert.is(bench.model.steps, 0);
  await generation.return();
  assert.is((await generation.next()).done, true);
  assert.is(bench.model.steps, 0);
});

test('an aborted request throws the reason and frees its blocks at once, at every stage', async () => {
  for (let stage = 0; stage < 12; stage++) {
    const bench = new Bench({ maxRows: 8 });
    const other = collect(bench.start('other', { maxTokens: 6, ignoreEos: true }));
    const controller = new AbortController();
    const reason = new Error(`stage ${stage}`);
    const params = { maxTokens: 400, ignoreEos: true, n: 2, temperature: 1 };
    const request = errorOf(collect(bench.start('x'.repeat(30), params, { signal: controller.signal })));
    await wait(stage);
    controller.abort(reason);
    const { running, waiting } = bench.loop.stats;
    assert.ok(running + waiting <= 1, 'only the other request is left');
    assert.is(await request, reason);
    assert.is((await other)[0].tokenIds.length, 6);
    assert.ok(bench.isIdle());
    assert.is(getEventListeners(controller.signal, 'abort').length, 0);
  }
});

test('a signal that is aborted already lets nothing start', async () => {
  const bench = new Bench();
  const error = await errorOf(collect(bench.start('abc', {}, { signal: AbortSignal.abort('gone') })));
  assert.is(error, 'gone');
  assert.is(bench.model.steps, 0);
  assert.ok(bench.isIdle());
});

test('a request may be aborted while its step is in flight', async () => {
  const bench = new Bench();
  const controller = new AbortController();
  bench.model.beforeStep = () => controller.abort('in flight');
  assert.is(await errorOf(collect(bench.start('abc', {}, { signal: controller.signal }))), 'in flight');
  assert.ok(bench.isIdle());
  await wait(2);
  bench.model.beforeStep = () => {};
  assert.is((await collect(bench.start('abc', { maxTokens: 3, ignoreEos: true })))[0].tokenIds.length, 3);
});

test('leaving the reading loop frees everything', async () => {
  const bench = new Bench();
  for await (const _ of bench.start('abc', { maxTokens: 400, ignoreEos: true, temperature: 1, n: 3 })) break;
  assert.ok(bench.isIdle());
});

test('a reader that comes late finds one output with everything', async () => {
  const bench = new Bench();
  const generation = bench.start('abc', { maxTokens: 50, ignoreEos: true });
  const first = await generation.next();
  await wait(120);
  assert.ok(bench.isIdle());
  const second = await generation.next();
  assert.is(first.value!.tokenIds.length + second.value!.tokenIds.length, 50);
  assert.is(second.value!.finishReason, 'length');
  assert.is((await generation.next()).done, true);
});

test('a newcomer joins the running batch', async () => {
  const bench = new Bench();
  const first = collect(bench.start('first', { maxTokens: 30, ignoreEos: true }));
  await wait(8);
  const second = collect(bench.start('second', { maxTokens: 10, ignoreEos: true }));
  await Promise.all([first, second]);
  assert.ok(bench.model.steps <= 31, `${bench.model.steps} steps`);
});

for (const failure of [new Error('bit flip'), new DeviceError('bit flip')]) {
  test(`a forward pass that fails with ${failure.name} ends the requests of that step and no others`, async () => {
    const bench = new Bench({ maxSeqs: 2 });
    let steps = 0;
    bench.model.beforeStep = () => {
      if (++steps === 3) throw failure;
    };
    const params = { maxTokens: 10, ignoreEos: true };
    const results = await Promise.allSettled(['a', 'b', 'c'].map((prompt) => collect(bench.start(prompt, params))));
    assert.equal(
      results.map(({ status }) => status),
      ['rejected', 'rejected', 'fulfilled'],
    );
    assert.match((results[0] as PromiseRejectedResult).reason.message, 'the forward pass failed: bit flip');
    assert.ok(bench.isIdle());
    assert.is((await collect(bench.start('d', params)))[0].tokenIds.length, 10);
  });
}

test('when the device is gone for good every request ends and new ones are refused', async () => {
  const bench = new Bench({ maxSeqs: 1 });
  bench.model.beforeStep = () => {
    bench.model.isLost = true;
    throw new DeviceError('worker 3 has ended');
  };
  const [first, second] = await Promise.all(['a', 'b'].map((prompt) => errorOf(collect(bench.start(prompt)))));
  for (const error of [first, second]) assert.instance(error, DeviceError);
  assert.match(String(first), 'worker 3 has ended');
  assert.match(String(second), 'the device was lost');
  assert.instance(await errorOf(collect(bench.start('c'))), DeviceError);
  assert.throws(() => bench.loop.checkOpen(), /the device was lost/);
  assert.not(bench.loop.isReady);
  assert.ok(bench.isIdle());
});

test('logits that are not finite end their request alone', async () => {
  const bench = new Bench();
  const good = collect(bench.start('good', { maxTokens: 5, ignoreEos: true }));
  const forward = bench.model.forwardSync.bind(bench.model);
  bench.model.forwardSync = (step) => {
    const logits = forward(step);
    const victim = Array.from(step.logitRows).findIndex((row) => step.positions[row] === 6);
    if (victim >= 0) logits[victim * VOCABULARY + 3] = Number.NaN;
    return logits;
  };
  const error = await errorOf(collect(bench.start('badly', { maxTokens: 50, ignoreEos: true })));
  assert.match(String(error), 'non-finite');
  assert.instance(await good.catch((reason) => reason), Error, 'it comes to position 6 as well');
  assert.is((await collect(bench.start('f', { maxTokens: 5, ignoreEos: true })))[0].tokenIds.length, 5);
  assert.ok(bench.isIdle());
});

test('closing ends every request, waits for the step in flight, and refuses new ones', async () => {
  const bench = new Bench();
  let release = () => {};
  bench.model.beforeStep = () => new Promise<void>((resolve) => (release = resolve));
  const requests = ['a', 'b'].map((prompt) => errorOf(collect(bench.start(prompt))));
  await wait(2);
  let closed = false;
  const closing = bench.loop.close().then(() => (closed = true));
  for (const error of await Promise.all(requests)) assert.match(String(error), 'closed');
  assert.ok(bench.isIdle());
  await wait(2);
  assert.not(closed);
  release();
  await closing;
  assert.match(String(await errorOf(collect(bench.start('c')))), 'closed');
});

test('a consumer that neither appends nor settles harms nobody else', async () => {
  const bench = new Bench();
  const idle = new Sequence(ids('idle'), 10);
  bench.loop.submit(idle, { onLogits: () => {}, onError: () => {} });
  assert.is((await collect(bench.start('a', { maxTokens: 5, ignoreEos: true })))[0].tokenIds.length, 5);
  bench.loop.settle(idle);
  assert.ok(bench.isIdle());
});

test('any mixture of requests, aborts and faults ends every request once and leaves nothing behind', async () => {
  const requestArbitrary = fc.record({
    prompt: fc.string({ unit: fc.constantFrom(...'abcxyz'), minLength: 1, maxLength: 40 }),
    maxTokens: fc.integer({ min: 1, max: 30 }),
    n: fc.integer({ min: 1, max: 3 }),
    startAt: fc.nat({ max: 10 }),
    abortAt: fc.option(fc.nat({ max: 30 })),
    breakAfter: fc.option(fc.nat({ max: 10 })),
    draftLength: fc.nat({ max: 4 }),
    kind: fc.constantFrom('sampled' as const, 'best of' as const, 'beams' as const),
    priority: fc.integer({ min: -1, max: 1 }),
  });
  const shapeArbitrary = fc.record({
    kvBlocks: fc.integer({ min: 5, max: 20 }),
    maxRows: fc.integer({ min: 1, max: 16 }),
    maxSeqs: fc.integer({ min: 1, max: 4 }),
  });
  const failArbitrary = fc.uniqueArray(fc.nat({ max: 60 }), { maxLength: 2 });
  await fc.assert(
    fc.asyncProperty(
      shapeArbitrary,
      fc.array(requestArbitrary, { maxLength: 8 }),
      failArbitrary,
      async (shape, requests, fails) => {
        const bench = new Bench(shape);
        bench.model.beforeStep = () => {
          if (fails.includes(bench.model.steps++)) throw new Error('planned fault');
        };
        const runs = requests.map(
          async ({ prompt, maxTokens, n, startAt, abortAt, breakAfter, kind, ...more }, seed) => {
            await wait(startAt);
            const controller = new AbortController();
            if (abortAt !== null) void wait(abortAt).then(() => controller.abort(new Error('planned abort')));
            const params = { maxTokens, n, seed, ...(kind !== 'beams' && { temperature: 1 }) };
            const search = {
              bestOf: kind === 'best of' ? n + 2 : undefined,
              beam: kind === 'beams' ? { width: n + 1 } : undefined,
            };
            let ends = 0;
            let outputs = 0;
            try {
              const request = bench.start(prompt, params, { ...more, ...search, signal: controller.signal });
              for await (const { finishReason } of request) {
                if (finishReason !== null) ends++;
                if (outputs++ === breakAfter) return;
              }
              assert.is(ends, n);
            } catch (error) {
              assert.match(String(error), /planned/);
            }
          },
        );
        await Promise.all(runs);
        assert.ok(bench.isIdle());
      },
    ),
    { numRuns: 60 },
  );
});

test.run();
