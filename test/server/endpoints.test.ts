/** The endpoints beside chat, on the embedded model. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../../engine/index.ts';
import { type RunningServer, serve } from '../../server/index.ts';

const test = suite('endpoints');

const engine = await Engine.load('tiny-chat', { threads: 1 });
let server: RunningServer;
test.before(async () => {
  server = await serve(engine, { port: 0, modelNames: ['tiny', 'other'] });
});
test.after(async () => {
  await server.close(0);
  await engine.close();
});

type Json = Record<string, never>;

async function post(path: string, body: object, status = 200): Promise<Json> {
  const response = await fetch(server.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  assert.is(response.status, status, text);
  return JSON.parse(text);
}

async function get(path: string, status = 200): Promise<Json> {
  const response = await fetch(server.url + path);
  assert.is(response.status, status);
  return (await response.json()) as Json;
}

/** The chunks of a stream. */
async function events(path: string, body: object): Promise<Completion[]> {
  const response = await fetch(server.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true }),
  });
  const lines = (await response.text()).split('\n\n').filter((line) => line !== '');
  assert.is(lines.at(-1), 'data: [DONE]');
  return lines.slice(0, -1).map((line) => JSON.parse(line.slice('data: '.length)));
}

const STORY = 'Once upon a time';

interface Completion {
  id: string;
  object: string;
  model: string;
  choices: {
    index: number;
    text: string;
    finish_reason: string | null;
    stop_reason: unknown;
    token_ids?: number[];
    prompt_token_ids?: number[];
    prompt_logprobs?: unknown[];
    logprobs: {
      tokens: string[];
      token_logprobs: (number | null)[];
      top_logprobs: (Record<string, number> | null)[];
      text_offset: number[];
    } | null;
  }[];
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number } | null;
}

async function complete(body: object): Promise<Completion> {
  return (await post('/v1/completions', { prompt: STORY, temperature: 0, ...body })) as unknown as Completion;
}

test('a text is continued, with 16 tokens unless told otherwise', async () => {
  const { id, object, model, choices, usage } = await complete({ ignore_eos: true });
  assert.match(id, /^cmpl-[0-9a-f]{32}$/);
  assert.equal([object, model], ['text_completion', 'tiny']);
  assert.is(choices[0].finish_reason, 'length');
  assert.is(choices[0].logprobs, null);
  const prompt = engine.tokenizer.encode(STORY).length;
  assert.equal(usage, { prompt_tokens: prompt, completion_tokens: 16, total_tokens: prompt + 16 });
  assert.is((await complete({ max_tokens: 3, model: 'other' })).usage!.completion_tokens, 3);
});

test('token ids are the same prompt as their text, and several prompts are answered in order', async () => {
  const ids = engine.tokenizer.encode(STORY);
  const whole = (await complete({ max_tokens: 4 })).choices[0].text;
  assert.is((await complete({ prompt: ids, max_tokens: 4 })).choices[0].text, whole);
  const other = (await complete({ prompt: 'The capital of', max_tokens: 4 })).choices[0].text;
  for (const prompt of [
    [STORY, 'The capital of'],
    [ids, engine.tokenizer.encode('The capital of')],
  ]) {
    const { choices, usage } = await complete({ prompt, max_tokens: 4 });
    assert.equal(
      choices.map(({ index, text }) => [index, text]),
      [
        [0, whole],
        [1, other],
      ],
    );
    assert.is(usage!.completion_tokens, 8);
  }
});

test('choices come prompt by prompt', async () => {
  const request = { temperature: 2, seed: 3, max_tokens: 4, top_k: -1, top_p: 1 };
  const { choices } = await complete({ ...request, prompt: [STORY, 'The'], n: 2 });
  assert.equal(
    choices.map(({ index }) => index),
    [0, 1, 2, 3],
  );
  const alone = await complete({ ...request, prompt: 'The', n: 2 });
  assert.equal(
    choices.slice(2).map(({ text }) => text),
    alone.choices.map(({ text }) => text),
  );
});

test('echo puts the prompt before the text, and max_tokens 0 gives it back alone', async () => {
  const plain = (await complete({ max_tokens: 4 })).choices[0].text;
  assert.is((await complete({ max_tokens: 4, echo: true })).choices[0].text, STORY + plain);
  const { choices, usage } = await complete({ max_tokens: 0, echo: true });
  assert.equal([choices[0].text, choices[0].finish_reason, usage!.completion_tokens], [STORY, 'length', 0]);
});

test('log-probabilities are lists side by side; those of an echoed prompt come first', async () => {
  const { choices } = await complete({ max_tokens: 3, echo: true, logprobs: 2 });
  const { tokens, token_logprobs: logprobs, top_logprobs: top, text_offset: offsets } = choices[0].logprobs!;
  assert.is(tokens.join(''), choices[0].text);
  assert.is(logprobs[0], null);
  assert.is(top[0], null);
  for (let i = 1; i < tokens.length; i++) {
    assert.is(choices[0].text.slice(offsets[i], offsets[i] + tokens[i].length), tokens[i]);
    assert.is(top[i]![tokens[i]], logprobs[i]);
    assert.ok([2, 3].includes(Object.keys(top[i]!).length));
  }
  const ids = engine.tokenizer.encode(STORY);
  const logits = await engine.logits(ids);
  const row = logits.subarray(0, engine.vocabSize);
  const total = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
  assert.ok(Math.abs(logprobs[1]! - (row[ids[1]] - total)) < 1e-4);
  const plain = await complete({ max_tokens: 2, logprobs: 0 });
  assert.is(plain.choices[0].logprobs!.tokens.length, 2);
});

test('a stream put together is the completion', async () => {
  for (const extra of [{}, { echo: true, logprobs: 1 }, { prompt: [STORY, 'The'], return_token_ids: true }]) {
    const request = { prompt: STORY, temperature: 0, max_tokens: 5, ...extra };
    const whole = await complete(request);
    const chunks = await events('/v1/completions', { ...request, stream_options: { include_usage: true } });
    assert.equal(chunks.at(-1)!.usage, whole.usage);
    for (const { index, text, logprobs, finish_reason: reason, token_ids: ids } of whole.choices) {
      const own = chunks.flatMap(({ choices }) => choices).filter((choice) => choice.index === index);
      assert.is(own.map((choice) => choice.text).join(''), text);
      assert.equal(
        own.flatMap((choice) => choice.logprobs?.tokens ?? []),
        logprobs?.tokens ?? [],
      );
      assert.is(own.at(-1)!.finish_reason, reason);
      if (ids)
        assert.equal(
          own.flatMap((choice) => choice.token_ids!),
          ids,
        );
    }
  }
});

test('prompt_logprobs and return_token_ids stand in each choice', async () => {
  const { choices } = await complete({ max_tokens: 1, prompt_logprobs: 0, return_token_ids: true });
  const ids = engine.tokenizer.encode(STORY);
  assert.equal(choices[0].prompt_token_ids, ids);
  assert.is(choices[0].token_ids!.length, 1);
  assert.is(choices[0].prompt_logprobs!.length, ids.length);
  assert.is(choices[0].prompt_logprobs![0], null);
});

const refused: [body: object, param: string][] = [
  [{ prompt: undefined }, 'prompt'],
  [{ prompt: '' }, 'prompt'],
  [{ prompt: [] }, 'prompt'],
  [{ prompt: 5 }, 'prompt'],
  [{ prompt: [1, 'a'] }, 'prompt'],
  [{ prompt: ['a', 1] }, 'prompt'],
  [{ prompt: [[1], ['x']] }, 'prompt'],
  [{ prompt: [99_999] }, 'prompt'],
  [{ prompt: Array(129).fill('a') }, 'prompt'],
  [{ suffix: 'the end' }, 'suffix'],
  [{ max_tokens: 0 }, 'max_tokens'],
  [{ max_tokens: -1, echo: true }, 'max_tokens'],
  [{ logprobs: 21 }, 'logprobs'],
  [{ logprobs: -1 }, 'logprobs'],
  [{ logprobs: 'x' }, 'logprobs'],
  [{ echo: 'x' }, 'echo'],
  [{ add_special_tokens: 'x' }, 'add_special_tokens'],
  [{ stream_options: {} }, 'stream_options'],
  [{ n: 2 }, 'n'],
  [{ best_of: 0 }, 'best_of'],
  [{ temperature: -1 }, 'temperature'],
];

for (const [body, param] of refused) {
  test(`a completion with ${JSON.stringify(body).slice(0, 60)} is refused`, async () => {
    const { error } = await post('/v1/completions', { prompt: STORY, temperature: 0, ...body }, 400);
    assert.is((error as { param: string }).param, param, JSON.stringify(error));
  });
}

test('an unknown model is a 404, here and everywhere', async () => {
  for (const [path, body] of [
    ['/v1/completions', { prompt: 'a' }],
    ['/tokenize', { prompt: 'a' }],
    ['/detokenize', { tokens: [1] }],
    ['/v1/chat/completions', { messages: [{ role: 'user', content: 'a' }] }],
  ] as const) {
    await post(path, { ...body, model: 'nope' }, 404);
  }
});

test('texts and conversations are tokenized as the endpoints would, and back', async () => {
  const ids = engine.tokenizer.encode(STORY);
  assert.equal(await post('/tokenize', { prompt: STORY }), {
    count: ids.length,
    max_model_len: engine.maxModelLen,
    tokens: ids,
    token_strs: null,
  });
  const { token_strs: texts } = await post('/tokenize', { prompt: STORY, return_token_strs: true });
  assert.is((texts as string[]).join(''), STORY);
  const messages = [{ role: 'user', content: 'Hello!' }];
  const { tokens } = await post('/tokenize', { messages });
  const text = '<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n';
  assert.equal(await post('/detokenize', { tokens }), { prompt: text });
  const open = await post('/tokenize', { messages, add_generation_prompt: false });
  assert.equal(await post('/detokenize', { tokens: open.tokens }), {
    prompt: text.replace('<|im_start|>assistant\n', ''),
  });
  for (const [path, body] of [
    ['/tokenize', {}],
    ['/tokenize', { prompt: 'a', messages }],
    ['/tokenize', { messages, chat_template: 'x' }],
    ['/detokenize', {}],
    ['/detokenize', { tokens: [engine.vocabSize] }],
    ['/detokenize', { tokens: [-1] }],
    ['/detokenize', { tokens: 'a' }],
  ] as const) {
    await post(path, body, 400);
  }
});

test('embeddings are means of hidden states with length 1, the same alone and among others', async () => {
  const input = ['What is the capital of France?', 'What is the capital of Spain?', 'A dog ran home.'];
  const { data, usage } = (await post('/v1/embeddings', { input })) as unknown as {
    data: { index: number; embedding: number[] }[];
    usage: object;
  };
  const tokens = input.reduce((sum, text) => sum + engine.tokenizer.encode(text).length, 0);
  assert.equal(usage, { prompt_tokens: tokens, total_tokens: tokens });
  const [france, spain, dog] = data.map(({ embedding }) => embedding);
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  assert.is(france.length, engine.hiddenSize);
  assert.ok(Math.abs(dot(france, france) - 1) < 1e-5);
  assert.ok(dot(france, spain) > dot(france, dog));
  const alone = (await post('/v1/embeddings', { input: input[0], dimensions: engine.hiddenSize })) as never;
  assert.equal((alone as { data: typeof data }).data[0].embedding, france);
  const coded = (await post('/v1/embeddings', {
    input: engine.tokenizer.encode(input[0]),
    encoding_format: 'base64',
  })) as never;
  const [{ embedding }] = (coded as { data: { embedding: string }[] }).data;
  assert.equal([...new Float32Array(new Uint8Array(Buffer.from(embedding, 'base64')).buffer)], france);
  for (const [body, param] of [
    [{}, 'input'],
    [{ input: '' }, 'input'],
    [{ input: 'hello '.repeat(2000) }, 'input'],
    [{ input: 'a', dimensions: 3 }, 'dimensions'],
    [{ input: 'a', encoding_format: 'hex' }, 'encoding_format'],
    [{ input: 'a', truncate_prompt_tokens: 0 }, 'truncate_prompt_tokens'],
  ] as const) {
    const { error } = await post('/v1/embeddings', body, 400);
    assert.is((error as { param: string }).param, param, JSON.stringify(error));
  }
});

test('the model is listed under its names, and each can be asked for', async () => {
  const { data } = (await get('/v1/models')) as unknown as { data: { id: string; max_model_len: number }[] };
  assert.equal(
    data.map(({ id }) => id),
    ['tiny', 'other'],
  );
  assert.is(data[0].max_model_len, engine.maxModelLen);
  assert.is((await get('/v1/models/other')).id, 'other');
  await get('/v1/models/nope', 404);
});

test('a template of the request needs a server that trusts it', async () => {
  const body = { messages: [{ role: 'user', content: 'Hi' }], chat_template: 'Once upon', max_tokens: 1 };
  const { error } = await post('/v1/chat/completions', body, 400);
  assert.is((error as { param: string }).param, 'chat_template');
  const trusting = await serve(engine, { port: 0, trustRequestChatTemplate: true });
  try {
    const response = await fetch(`${trusting.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    assert.is(response.status, 200);
  } finally {
    await trusting.close(0);
  }
});

test('the same request in process and over HTTP gives the same answer', async () => {
  const bodies = [
    { temperature: 0, logprobs: true, top_logprobs: 2 },
    { temperature: 1.2, seed: 9, n: 2, max_tokens: 12, frequency_penalty: 1 },
    { temperature: 0, stop: ['e'], return_token_ids: true, prompt_logprobs: 1 },
    { guided_regex: '[a-z]{5}', temperature: 2, top_k: -1, seed: 3, bad_words: ['the'] },
    { use_beam_search: true, best_of: 3, n: 2, max_tokens: 6, length_penalty: 0.5, early_stopping: 'never' as const },
    { echo: true, add_generation_prompt: false, ignore_eos: true, min_tokens: 4, max_tokens: 5, temperature: 0 },
  ];
  for (const body of bodies) {
    const request = { messages: [{ role: 'user', content: 'What is the capital of France?' }], ...body };
    const { id, created, model, ...there } = await post('/v1/chat/completions', request);
    const { id: ownId, created: ownCreated, model: ownModel, ...here } = await engine.chat.completions.create(request);
    assert.equal(there, JSON.parse(JSON.stringify(here)));
  }
  const { choices } = await engine.completions.create({ prompt: STORY, temperature: 0, max_tokens: 6 });
  assert.equal((await complete({ max_tokens: 6 })).choices, choices);
});

test('the description of the API names every endpoint and every parameter', async () => {
  const { paths, openapi } = (await get('/openapi.json')) as unknown as {
    openapi: string;
    paths: Record<string, Record<string, { requestBody?: { content: Record<string, { schema: never }> } }>>;
  };
  assert.match(openapi, /^3\.1/);
  for (const path of [
    '/v1/chat/completions',
    '/v1/completions',
    '/tokenize',
    '/detokenize',
    '/v1/models',
    '/version',
  ]) {
    assert.ok(path in paths, path);
  }
  const { schema } = paths['/v1/chat/completions'].post.requestBody!.content['application/json'];
  const { properties, required } = schema as {
    properties: Record<string, { type?: string; description?: string }>;
    required: string[];
  };
  assert.equal(required, ['messages']);
  assert.is(properties.temperature.type, 'number');
  for (const [name, { description }] of Object.entries(properties))
    assert.ok(description, `${name} has no description`);
});

test.run();
