import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine, type GenerateRequest, type LoadOptions } from '../../engine/index.ts';

interface ReferenceEntry {
  readonly messages: NonNullable<GenerateRequest['messages']>;
  readonly tools: GenerateRequest['tools'] | null;
  readonly prompt_ids: readonly number[];
  /** 64 steps that do not stop at an end token. */
  readonly greedy_ids: readonly number[];
  readonly greedy_answer: string;
  readonly greedy_answer_tokens: number;
  readonly last_position_top20: readonly { readonly id: number; readonly logprob: number }[];
}

const oracle = new URL('../oracle/tiny-chat/reference.json', import.meta.url);
const entries: readonly ReferenceEntry[] = JSON.parse(readFileSync(oracle, 'utf8')).entries;
/** The reference device takes its time. */
const shortEntries = entries.filter(
  ({ prompt_ids: prompt, greedy_answer_tokens: answer }) => prompt.length + answer < 38,
);

const test = suite('engine');

const engines = new Map<string, Engine>();

/** An engine with tiny-chat; those with the same options are shared. */
async function tinyChat(options: LoadOptions): Promise<Engine> {
  const key = JSON.stringify(options);
  if (!engines.has(key)) engines.set(key, await Engine.load('tiny-chat', options));
  return engines.get(key)!;
}

test.after(async () => {
  for (const engine of engines.values()) await engine.close();
});

async function textOf(engine: Engine, request: GenerateRequest) {
  const tokenIds: number[] = [];
  let text = '';
  for await (const output of engine.generate(request)) {
    assert.ok(output.text.isWellFormed(), 'an output has half a character');
    text += output.text;
    tokenIds.push(...output.tokenIds);
    if (output.finishReason)
      return { text, tokenIds, finishReason: output.finishReason, promptTokens: output.promptTokens };
  }
  throw new Error('no finish reason came');
}

function messagesOf({ messages, tools }: ReferenceEntry): GenerateRequest {
  return tools ? { messages, tools } : { messages };
}

async function messageOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => {
      throw new Error('no error came');
    },
    (error) => `${error.name}: ${error.message}`,
  );
}

function isIdle(engine: Engine): boolean {
  const { running, waiting, freeBlocks, totalBlocks } = engine.stats;
  return running === 0 && waiting === 0 && freeBlocks === totalBlocks;
}

for (const device of ['reference', 'wasm'] as const) {
  const chosen = device === 'wasm' ? entries : shortEntries;

  test(`${device}: the greedy answers are those of the reference implementation`, async () => {
    const engine = await tinyChat({ device });
    assert.ok(chosen.length >= 7);
    const answers = chosen.map((entry) =>
      textOf(engine, { ...messagesOf(entry), sampling: { temperature: 0, maxTokens: 64 } }),
    );
    for (const [i, answer] of (await Promise.all(answers)).entries()) {
      const { prompt_ids: prompt, greedy_ids: ids, greedy_answer: text, greedy_answer_tokens: tokens } = chosen[i];
      assert.is(answer.text, text);
      assert.is(answer.promptTokens, prompt.length);
      assert.equal(answer.tokenIds, ids.slice(0, answer.tokenIds.length));
      // The end token is one more than the tokens of the answer.
      assert.is(answer.tokenIds.length, answer.finishReason === 'stop' ? tokens + 1 : 64);
    }
    assert.ok(isIdle(engine));
  });

  test(`${device}: the logits are those of the reference implementation`, async () => {
    const engine = await tinyChat({ device });
    for (const { prompt_ids: prompt, last_position_top20: expected } of chosen.slice(0, 2)) {
      const logits = (await engine.logits(prompt)).slice(-engine.vocabSize);
      const logTotal = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
      for (const { id, logprob } of expected) {
        const found = logits[id] - logTotal;
        assert.ok(Math.abs(found - logprob) < 1e-3, `token ${id}: ${found}, expected ${logprob}`);
      }
    }
  });

  test(`${device}: logits are bit for bit the same alone, among eight, and in chunks of seven`, async () => {
    const engine = await tinyChat({ device });
    const prompts = entries.slice(0, 8).map(({ prompt_ids: prompt }, i) => prompt.slice(0, 3 + i));
    const alone: Float32Array[] = [];
    for (const prompt of prompts) alone.push(await engine.logits(prompt));
    const text = textOf(engine, { prompt: 'Once', sampling: { maxTokens: 20 } });
    const together = await Promise.all(prompts.map((prompt) => engine.logits(prompt)));
    await text;
    const small = await tinyChat({ device, maxNumSeqs: 4, maxNumBatchedTokens: 7, maxModelLen: 64 });
    const chunked = await Promise.all(prompts.map((prompt) => small.logits(prompt)));
    for (const [i, prompt] of prompts.entries()) {
      assert.is(alone[i].length, prompt.length * engine.vocabSize);
      assert.equal(together[i], alone[i]);
      assert.equal(chunked[i], alone[i]);
    }
    assert.ok(isIdle(engine) && isIdle(small));
  });
}

test('a seeded text is the same alone, among eight, in chunks of seven, and when blocks run out', async () => {
  const requests = entries.slice(0, 8).map((entry, seed) => ({
    ...messagesOf(entry),
    sampling: { seed, temperature: 1.2, maxTokens: 24, ignoreEos: true },
  }));
  const engine = await tinyChat({ device: 'wasm' });
  const alone = [];
  for (const request of requests) alone.push(await textOf(engine, request));
  const shapes = [
    { maxNumSeqs: 4, maxNumBatchedTokens: 7, maxModelLen: 64 },
    { maxModelLen: 64, kvCacheBytes: 10 * 16 * 6 * 2 * 2 * 64 * 4 },
  ];
  for (const shape of [{}, ...shapes]) {
    const other = await tinyChat({ device: 'wasm', ...shape });
    assert.equal(await Promise.all(requests.map((request) => textOf(other, request))), alone);
    assert.ok(isIdle(other));
    if ('kvCacheBytes' in shape) assert.ok(other.stats.preemptions > 0);
  }
});

test('outputs put together are the decoded tokens, whatever they are', async () => {
  const engine = await tinyChat({ device: 'wasm' });
  for (const skipSpecialTokens of [true, false]) {
    const sampling = {
      temperature: 50,
      topK: -1,
      topP: 1,
      seed: 3,
      maxTokens: 150,
      ignoreEos: true,
      skipSpecialTokens,
    };
    const { text, tokenIds } = await textOf(engine, { prompt: 'é', sampling });
    const whole = engine.tokenizer.decode(tokenIds, { skipSpecialTokens });
    assert.is(text, whole.replace(/\uFFFD+$/, ''));
    assert.ok(text.length > 100);
  }
});

test('sampling defaults are those of generation_config.json, and a request overrides them', async () => {
  const engine = await tinyChat({ device: 'wasm' });
  const { temperature, topK, topP } = engine.generationDefaults;
  assert.equal([temperature, topK, topP], [0.3, 20, 0.9]);
  const request = (sampling: GenerateRequest['sampling']) =>
    textOf(engine, { prompt: 'Once upon', sampling: { seed: 1, maxTokens: 30, ...sampling } });
  const advised = await request({});
  assert.equal(await request({ temperature: 0.3, topK: 20, topP: 0.9 }), advised);
  assert.is.not((await request({ temperature: 5, topK: 0, topP: 1 })).text, advised.text);
  const plain = await tinyChat({ device: 'wasm', generationConfig: 'vllm' });
  assert.equal(plain.generationDefaults, {});
  assert.equal(plain.eosTokenIds, engine.eosTokenIds);
});

test('the tokenizer and the limits can be asked', async () => {
  const engine = await tinyChat({ device: 'wasm' });
  assert.equal([engine.modelName, engine.vocabSize, engine.maxModelLen], ['tiny-chat', 4096, 2048]);
  assert.equal(engine.eosTokenIds, [4089, 4087]);
  assert.is(engine.tokenizer.decode(engine.tokenizer.encode('Hello, world')), 'Hello, world');
});

test('without max_tokens a text may fill the context', async () => {
  const engine = await tinyChat({ device: 'wasm', maxModelLen: 40 });
  const { tokenIds, finishReason } = await textOf(engine, { tokens: [1, 2, 3], sampling: { ignoreEos: true } });
  assert.equal([tokenIds.length, finishReason], [37, 'length']);
});

test('what cannot fit into the context is refused at once', async () => {
  const engine = await tinyChat({ device: 'wasm', maxModelLen: 40 });
  const tokens = new Array(30).fill(5);
  const refusal = (request: GenerateRequest) => {
    try {
      engine.generate(request);
    } catch (error) {
      const { message, param, code } = error as { message: string; param: string; code: string };
      return { message, param, code };
    }
    throw new Error('the request was taken');
  };
  assert.equal(refusal({ tokens, sampling: { maxTokens: 11 } }), {
    message:
      "This model's maximum context length is 40 tokens; the request needs 41 (30 in the prompt, 11 for the completion).",
    param: 'max_tokens',
    code: 'context_length_exceeded',
  });
  const long = refusal({ messages: [{ role: 'user', content: 'word '.repeat(100) }] });
  assert.match(long.message, /maximum context length is 40 tokens.*\(\d+ in the messages, 1 for the completion\)/);
  assert.equal([long.param, long.code], ['messages', 'context_length_exceeded']);
  assert.is((await textOf(engine, { tokens, sampling: { maxTokens: 10, ignoreEos: true } })).tokenIds.length, 10);
  assert.match(await messageOf(engine.logits(new Array(41).fill(5))), 'maximum context length');
  assert.is((await engine.logits(new Array(40).fill(5))).length, 40 * 4096);
});

test('a request that is not clear is refused at once', async () => {
  const engine = await tinyChat({ device: 'wasm' });
  const refusals: [GenerateRequest, RegExp][] = [
    [{}, /^0 of prompt, tokens and messages/],
    [{ prompt: 'a', tokens: [1] }, /^2 of prompt, tokens and messages/],
    [{ prompt: '' }, /prompt is empty/],
    [{ tokens: [] }, /prompt is empty/],
    [{ tokens: [1, 4096] }, /token id 4096 at 1; expected an integer from 0 to below 4096/],
    [{ tokens: [-1] }, /token id -1/],
    [{ tokens: [1.5] }, /token id 1.5/],
    [{ prompt: 'a', sampling: { temperature: -1 } }, /temperature/],
    [{ prompt: 'a', sampling: { maxTokens: 0 } }, /max_tokens/],
    [{ prompt: 'a', sampling: { logitBias: { 4096: 1 } } }, /logit_bias/],
  ];
  for (const [request, message] of refusals) assert.throws(() => engine.generate(request), message);
  assert.match(await messageOf(engine.logits([])), /RequestError: prompt is empty/);
  assert.match(await messageOf(engine.logits([4096])), /token id 4096/);
  assert.ok(isIdle(engine));
});

test('an aborted request throws the reason and frees its blocks, others go on', async () => {
  const engine = await tinyChat({ device: 'wasm' });
  const other = textOf(engine, { prompt: 'Once upon a time', sampling: { maxTokens: 40, ignoreEos: true } });
  const controller = new AbortController();
  let outputs = 0;
  const request = { prompt: 'Hello', sampling: { maxTokens: 500, ignoreEos: true, n: 2 }, signal: controller.signal };
  const reading = (async () => {
    for await (const _ of engine.generate(request)) if (++outputs === 5) controller.abort(new Error('enough'));
  })();
  assert.is(await messageOf(reading), 'Error: enough');
  assert.is(engine.stats.running, 1);
  assert.is((await other).tokenIds.length, 40);
  assert.ok(isIdle(engine));
});

test('the chat API answers in process', async () => {
  const engine = await tinyChat({ device: 'wasm' });
  const { greedy_answer: answer } = entries[0];
  const params = { messages: [{ role: 'user', content: 'Hello!' }], temperature: 0 };
  const { choices } = await engine.chat.completions.create(params);
  assert.is(choices[0].message.content, answer);
});

test('closing ends every stream and refuses what comes later', async () => {
  const engine = await Engine.load('tiny-chat', { device: 'wasm' });
  const read = messageOf(textOf(engine, { prompt: 'Once', sampling: { maxTokens: 900, ignoreEos: true } }));
  const unread = engine.generate({ prompt: 'Once' });
  const logits = messageOf(engine.logits(new Array(1000).fill(1)));
  await new Promise((resolve) => setTimeout(resolve, 20));
  await Promise.all([engine.close(), engine.close()]);
  assert.match(await read, 'the engine is closed');
  assert.match(await logits, 'the engine is closed');
  assert.match(await messageOf(unread.next()), 'the engine is closed');
  assert.throws(() => engine.generate({ prompt: 'a' }), /the engine is closed/);
  assert.match(await messageOf(engine.logits([1])), 'the engine is closed');
});

test('loading says what is wrong', async () => {
  const load = (path: string, options?: object) => messageOf(Engine.load(path, options));
  assert.match(await load('no/such/folder'), /^CheckpointError: no\/such\/folder/);
  assert.match(await load('model.gguf'), /^CheckpointError: model.gguf: no such file/);
  assert.match(await load('engine'), /^CheckpointError: /);
  assert.match(await load('tiny-chat', { device: 'tpu' }), /^RequestError: device is tpu/);
  assert.match(await load('tiny-chat', { device: 'reference', maxModelLen: 5000 }), /^RequestError: maxModelLen/);
  assert.match(
    await load('tiny-chat', { device: 'reference', signal: AbortSignal.abort(new Error('no')) }),
    'Error: no',
  );
});

test.run();
