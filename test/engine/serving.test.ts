/** Many requests at once on the embedded model: whatever happens beside it, a request gives what it gives alone. */

import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine, type GenerateOutput, type GenerateRequest, type LoadOptions } from '../../engine/index.ts';
import type { Grammar } from '../../grammar/index.ts';

const test = suite('serving many');

const oracle = new URL('../oracle/tiny-chat/reference.json', import.meta.url);
const { entries } = JSON.parse(readFileSync(oracle, 'utf8')) as {
  entries: { messages: GenerateRequest['messages'] }[];
};

/** A system prompt of some blocks, so that conversations begin alike. */
const SYSTEM = { role: 'system', content: 'Answer in one short sentence. '.repeat(6) };

/** K/V bytes of tiny-chat in one block. */
const BLOCK_BYTES = 16 * 8 * 2 * 2 * 64 * 4;

async function withEngine(options: LoadOptions, use: (engine: Engine) => Promise<void>): Promise<void> {
  const engine = await Engine.load('tiny-chat', { device: 'wasm', threads: 2, ...options });
  try {
    await use(engine);
    const { running, waiting, freeBlocks, totalBlocks } = engine.stats;
    assert.equal([running, waiting, freeBlocks], [0, 0, totalBlocks]);
  } finally {
    await engine.close();
  }
}

/** The outputs of each choice put together; undefined when the request was aborted. */
async function textsOf(engine: Engine, request: GenerateRequest) {
  const texts: { text: string; tokenIds: number[]; finishReason: GenerateOutput['finishReason'] }[] = [];
  try {
    for await (const { index, text, tokenIds, finishReason } of engine.generate(request)) {
      texts[index] ??= { text: '', tokenIds: [], finishReason };
      texts[index].text += text;
      texts[index].tokenIds.push(...tokenIds);
      texts[index].finishReason = finishReason;
    }
    return texts;
  } catch (error) {
    if (request.signal?.aborted) return undefined;
    throw error;
  }
}

/** Mixed requests: short and long, greedy, seeded, several choices, the best of some, beams; many begin alike. */
function mixedRequest(i: number): GenerateRequest {
  const { messages } = entries[i % entries.length];
  const conversation = i % 3 === 0 ? [SYSTEM, ...messages!] : messages!;
  const maxTokens = 4 + ((i * 7) % 19);
  const sampling = { maxTokens, ignoreEos: i % 4 === 0, frequencyPenalty: i % 5 === 0 ? 0.5 : 0 };
  if (i % 16 === 5) return { messages: conversation, sampling: { ...sampling, n: 2 }, beam: { width: 3 } };
  if (i % 2 === 0) return { messages: conversation, sampling: { ...sampling, temperature: 0 } };
  const seeded = { ...sampling, seed: i, temperature: 1.1, topP: 0.95, topK: 40 };
  if (i % 16 === 11) return { messages: conversation, sampling: { ...seeded, n: 2 }, bestOf: 4 };
  return { messages: conversation, sampling: { ...seeded, n: 1 + (i % 3) }, priority: i % 3 };
}

test('64 mixed requests in a cache too small for them, some cancelled: each gives what it gives alone', async () => {
  const count = 64;
  const alone: Awaited<ReturnType<typeof textsOf>>[] = [];
  await withEngine({ maxModelLen: 192 }, async (engine) => {
    for (let i = 0; i < count; i++) alone.push(await textsOf(engine, mixedRequest(i)));
  });
  const small = { maxModelLen: 192, maxNumSeqs: 12, maxNumBatchedTokens: 96, kvCacheBytes: 14 * BLOCK_BYTES };
  for (const options of [small, { ...small, numSpeculativeTokens: 3 }]) {
    await withEngine(options, async (engine) => {
      const cancelled = new Set<number>();
      const runs = Array.from({ length: count }, async (_, i) => {
        const controller = new AbortController();
        // Every seventh is given up while it waits, computes its prompt or generates.
        if (i % 7 === 3) {
          cancelled.add(i);
          setTimeout(() => controller.abort(), 3 * i);
        }
        await new Promise((resolve) => setTimeout(resolve, i % 5));
        return textsOf(engine, { ...mixedRequest(i), signal: controller.signal });
      });
      const together = await Promise.all(runs);
      for (const [i, texts] of together.entries()) {
        if (texts) assert.equal(texts, alone[i], `request ${i}`);
        else assert.ok(cancelled.has(i), `request ${i} ended without being cancelled`);
      }
      assert.ok(together.filter((texts) => texts === undefined).length > 0, 'none was cancelled in time');
      const { preemptions, cachedBlocks } = engine.stats;
      assert.ok(preemptions > 0, 'the cache was large enough for all');
      assert.ok(cachedBlocks > 0);
    });
  }
});

test('a prompt that begins like an earlier one computes only the rest, and says so', async () => {
  await withEngine({}, async (engine) => {
    const cachedOf = async (request: GenerateRequest) => {
      for await (const { cachedTokens } of engine.generate(request)) return cachedTokens;
    };
    const tokens = Array.from({ length: 100 }, (_, i) => 10 + i);
    const sampling = { maxTokens: 2, temperature: 0 };
    assert.is(await cachedOf({ tokens, sampling }), 0);
    assert.is(await cachedOf({ tokens, sampling }), 96);
    assert.is(await cachedOf({ tokens: tokens.slice(0, 50), sampling }), 48);
    assert.is(await cachedOf({ tokens: [...tokens.slice(0, 50), 1, 2, 3], sampling }), 48);
    assert.is(await cachedOf({ tokens: tokens.slice(1), sampling }), 0);
    assert.is(await cachedOf({ tokens, sampling, cacheSalt: 'mine' }), 0);
    assert.is(await cachedOf({ tokens, sampling, cacheSalt: 'mine' }), 96);
    assert.is(await cachedOf({ tokens, sampling, cacheSalt: 'yours' }), 0);
    // What is computed of a whole text is not found by requests.
    const others = tokens.map((id) => id + 100);
    await engine.logits(others);
    await engine.embed(others);
    await engine.promptLogprobs(others, 0);
    assert.is(await cachedOf({ tokens: others, sampling }), 0);
  });
});

test('logits are bit for bit the same when the prompt was in the cache', async () => {
  await withEngine({}, async (engine) => {
    const tokens = Array.from({ length: 60 }, (_, i) => 3 * i + 7);
    const request = { tokens, sampling: { maxTokens: 8, temperature: 0, logprobs: 5, ignoreEos: true } };
    const logprobs = async () => {
      const all = [];
      for await (const output of engine.generate(request)) all.push(...output.logprobs!);
      return all;
    };
    const first = await logprobs();
    assert.equal(await logprobs(), first);
    const logits = await engine.logits(tokens);
    assert.equal(await engine.logits(tokens), logits);
  });
});

test('what a grammar leaves no choice about takes fewer steps, and the text is the same', async () => {
  await withEngine({}, async (engine) => {
    // Letters that no token has together, so that there is one token for each.
    const forcing = engine.grammarCompiler.choice(['ZQXJ~KVQZ', 'ZQXJ~WQKX|ZJ']);
    const plain: Grammar = {
      matcher: () => {
        const matcher = forcing.matcher();
        return Object.assign(matcher, { forcedTokens: () => [] });
      },
    };
    const run = async (grammar: Grammar, seed: number) => {
      const sampling = { seed, temperature: 1.5, maxTokens: 80, logprobs: 3 };
      const outputs = [];
      let steps = 0;
      for await (const output of engine.generate({ prompt: 'The weather: ', sampling, grammar })) {
        outputs.push(...output.logprobs!);
        steps++;
      }
      return { outputs, steps };
    };
    for (const seed of [1, 2, 3]) {
      const [slow, fast] = [await run(plain, seed), await run(forcing, seed)];
      assert.equal(fast.outputs, slow.outputs);
      assert.ok(fast.steps < slow.steps, `${fast.steps} and ${slow.steps} reads`);
    }
  });
});

test('text that a grammar forces, in whatever tokens, takes fewer steps, and the tokens are the same', async () => {
  const schema = {
    type: 'object',
    properties: {
      description: { type: 'integer' },
      temperature_celsius: { type: 'integer' },
      place: { const: 'Oslo' },
    },
    required: ['description', 'temperature_celsius', 'place'],
    additionalProperties: false,
  };
  const run = (options: LoadOptions) => {
    const texts: { tokens: number[]; steps: number }[] = [];
    return withEngine(options, async (engine) => {
      const grammar = engine.grammarCompiler.jsonSchema(schema);
      for (const seed of [1, 2, 3]) {
        const sampling = { seed, temperature: 0.7, maxTokens: 120 };
        const text = { tokens: [] as number[], steps: 0 };
        for await (const { tokenIds } of engine.generate({ prompt: 'The weather: ', sampling, grammar })) {
          text.tokens.push(...tokenIds);
          text.steps++;
        }
        texts.push(text);
      }
    }).then(() => texts);
  };
  const drafted = await run({});
  // A step of one row has no room for drafts.
  const plain = await run({ maxNumSeqs: 1, maxNumBatchedTokens: 1 });
  const tokensOf = (texts: typeof plain) => texts.map(({ tokens }) => tokens);
  const stepsOf = (texts: typeof plain) => texts.reduce((sum, { steps }) => sum + steps, 0);
  assert.equal(tokensOf(drafted), tokensOf(plain));
  assert.ok(stepsOf(drafted) < stepsOf(plain), `${stepsOf(drafted)} and ${stepsOf(plain)} steps`);
});

test('with keys and values in fewer bits the cache holds more, and answers stay the same', async () => {
  const sampling = { temperature: 0, maxTokens: 24 };
  const size = { maxModelLen: 128, kvCacheBytes: 64 * BLOCK_BYTES };
  const answers: unknown[] = [];
  // A byte for each number, and a float for the 64 of a head.
  const blocks = { f32: 64, f16: 128, int8: Math.floor((64 * 256) / 68) };
  for (const kvCacheDtype of ['f32', 'f16', 'int8'] as const) {
    await withEngine({ ...size, kvCacheDtype }, async (engine) => {
      assert.is(engine.stats.totalBlocks, blocks[kvCacheDtype]);
      const run = ({ messages }: (typeof entries)[0]) => textsOf(engine, { messages, sampling });
      answers.push(await Promise.all(entries.slice(0, 8).map(run)));
    });
  }
  assert.equal(answers[1], answers[0]);
  assert.equal(answers[2], answers[0]);
});

test('options and members of a request that cannot be are refused', async () => {
  const failure = (options: LoadOptions) => Engine.load('tiny-chat', options).catch((error) => error.message);
  assert.match(await failure({ maxQueuedRequests: -1 }), /^maxQueuedRequests is -1/);
  assert.match(await failure({ numSpeculativeTokens: 1.5 }), /^numSpeculativeTokens is 1.5/);
  await withEngine({}, async (engine) => {
    assert.throws(() => engine.generate({ prompt: 'a', priority: 0.5 }), /^priority must be an integer/);
    assert.throws(() => engine.generate({ prompt: 'a', cacheSalt: '' }), /^cache_salt must be/);
    assert.throws(() => engine.generate({ prompt: 'a', bestOf: 0 }), /^best_of must be/);
    assert.throws(() => engine.generate({ prompt: 'a', beam: { width: 1 } }), /^best_of must be/);
  });
});

test.run();
