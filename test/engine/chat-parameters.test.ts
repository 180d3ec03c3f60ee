/** Each parameter of the chat endpoint on the embedded model: an answer that would be another if it were ignored. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type ChatCompletion,
  type ChatCompletionChunk,
  type ChatCompletionCreateParams,
  createChatCompletions,
} from '../../engine/chat/index.ts';
import { Engine, RequestError } from '../../engine/index.ts';

const test = suite('chat parameters');
const engine = await Engine.load('tiny-chat', { threads: 1 });
test.after(() => engine.close());

const QUESTION = [{ role: 'user', content: 'What is the capital of France?' }];
const ANSWER = 'The capital of France is Paris.';
const IM_END = engine.tokenizer.idOf('<|im_end|>')!;

type Params = Partial<ChatCompletionCreateParams>;

function ask(params: Params = {}): Promise<ChatCompletion> {
  return engine.chat.completions.create({ messages: QUESTION, temperature: 0, ...params, stream: false });
}

async function say(params: Params = {}): Promise<string | null> {
  return (await ask(params)).choices[0].message.content;
}

async function chunksOf(params: Params): Promise<ChatCompletionChunk[]> {
  const chunks: ChatCompletionChunk[] = [];
  const request = { messages: QUESTION, temperature: 0, ...params, stream: true } as const;
  for await (const chunk of await engine.chat.completions.create(request)) chunks.push(chunk);
  return chunks;
}

async function refusal(params: Params): Promise<RequestError> {
  const error = await ask(params).catch((caught) => caught);
  assert.instance(error, RequestError);
  return error;
}

const idsOf = (text: string) => engine.tokenizer.encode(text, { addSpecialTokens: false });
// Its last token, with the space before it or without.
const PARIS = idsOf(' Paris').at(-1)!;
const PARIS_TEXT = engine.tokenizer.decode([PARIS]);

test('greedy, it knows the answer', async () => {
  assert.is(await say(), ANSWER);
});

test('allowed_token_ids: nothing else comes', async () => {
  const allowed = [...idsOf('The capital of France is Rome.'), IM_END];
  const { choices } = await ask({ allowed_token_ids: allowed, return_token_ids: true });
  assert.not.match(choices[0].message.content!, 'Paris');
  for (const id of choices[0].token_ids!) assert.ok(allowed.includes(id), String(id));
  assert.match((await refusal({ allowed_token_ids: [engine.vocabSize] })).message, String(engine.vocabSize));
});

test('bad_words: they do not come up, with or without a space before them', async () => {
  assert.not.match((await say({ bad_words: ['Paris'] }))!, 'Paris');
  assert.not.match((await say({ bad_words: ['The capital'] }))!, /^The capital/);
  assert.is((await refusal({ bad_words: [' '] })).param, 'bad_words');
});

test('logit_bias: -100 keeps a token away, 100 forces it', async () => {
  assert.not.match((await say({ logit_bias: { [PARIS]: -100 } }))!, 'Paris');
  assert.is(await say({ logit_bias: { [PARIS]: 100 }, max_tokens: 3 }), PARIS_TEXT.repeat(3));
});

test('repetition, frequency and presence penalties change a greedy answer', async () => {
  const messages = [{ role: 'user', content: 'Tell me a story.' }];
  const plain = await say({ messages, max_tokens: 64 });
  for (const penalty of [{ repetition_penalty: 2 }, { frequency_penalty: 2 }, { presence_penalty: 2 }]) {
    assert.is.not(await say({ messages, max_tokens: 64, ...penalty }), plain, JSON.stringify(penalty));
  }
});

test('temperature, top_k, top_p and min_p narrow the draw, and the seed repeats it', async () => {
  const story = { messages: [{ role: 'user', content: 'Tell me a story.' }], max_tokens: 16, top_k: -1, top_p: 1 };
  const greedy = await say(story);
  const wild = { ...story, temperature: 3, seed: 7 };
  const drawn = await say(wild);
  assert.is.not(drawn, greedy);
  assert.is(await say(wild), drawn);
  assert.is.not(await say({ ...wild, seed: 8 }), drawn);
  for (const narrow of [{ top_k: 1 }, { top_p: 1e-6 }, { min_p: 1 }, { temperature: 1e-3 }]) {
    assert.is(await say({ ...wild, ...narrow }), greedy, JSON.stringify(narrow));
  }
});

test('n: choice i is that of seed + i', async () => {
  const request = { temperature: 3, top_k: -1, top_p: 1, max_tokens: 6, ignore_eos: true };
  const three = await ask({ ...request, seed: 5, n: 3 });
  for (const [i, choice] of three.choices.entries()) {
    assert.is(choice.message.content, await say({ ...request, seed: 5 + i }));
  }
  assert.is(three.usage.completion_tokens, 18);
});

test('best_of: the likeliest of the candidates', async () => {
  const request = { temperature: 1.5, top_k: -1, top_p: 1, max_tokens: 6, seed: 11, logprobs: true };
  const all = await ask({ ...request, n: 4 });
  const sums = all.choices.map(({ logprobs }) => logprobs!.content.reduce((sum, { logprob }) => sum + logprob, 0));
  const ranked = [...all.choices].sort((a, b) => sums[b.index] - sums[a.index]);
  const best = await ask({ ...request, n: 2, best_of: 4 });
  assert.equal(
    best.choices.map(({ index, message }) => [index, message.content]),
    ranked.slice(0, 2).map(({ message }, index) => [index, message.content]),
  );
  assert.is(best.usage.completion_tokens, 12);
  const chunks = await chunksOf({ ...request, best_of: 4 });
  assert.is(chunks.map(({ choices }) => choices[0].delta.content ?? '').join(''), ranked[0].message.content);
  assert.is((await refusal({ temperature: 0, best_of: 2 })).param, 'best_of');
});

test('use_beam_search: finds a text at least as likely as the greedy one; its parameters must go together', async () => {
  const story = { messages: [{ role: 'user', content: 'Tell me a story.' }], max_tokens: 8, logprobs: true };
  const sum = ({ choices }: ChatCompletion) => choices[0].logprobs!.content.reduce((total, e) => total + e.logprob, 0);
  const beam = await ask({ ...story, temperature: null, use_beam_search: true, best_of: 4, length_penalty: 0 });
  assert.ok(sum(beam) >= sum(await ask(story)) - 1e-4);
  const two = await ask({ ...story, use_beam_search: true, n: 2, early_stopping: 'never' });
  assert.is(two.choices.length, 2);
  assert.is.not(two.choices[0].message.content, two.choices[1].message.content);
  for (const [fields, param] of [
    [{ best_of: 1 }, 'best_of'],
    [{ best_of: 2, temperature: 1 }, 'temperature'],
    [{ best_of: 2, top_p: 0.5 }, 'top_p'],
    [{ best_of: 2, top_k: 5 }, 'top_k'],
  ] as const) {
    assert.is((await refusal({ use_beam_search: true, ...fields })).param, param);
  }
});

test('max_tokens and max_completion_tokens end the answer; the latter wins', async () => {
  assert.is((await ask({ max_tokens: 2 })).usage.completion_tokens, 2);
  const { choices, usage } = await ask({ max_tokens: 2, max_completion_tokens: 3 });
  assert.is(usage.completion_tokens, 3);
  assert.is(choices[0].finish_reason, 'length');
});

test('min_tokens, ignore_eos, stop and stop_token_ids move the end', async () => {
  const short = await ask();
  assert.ok((await ask({ min_tokens: 20, max_tokens: 30 })).usage.completion_tokens > 20);
  const long = await ask({ ignore_eos: true, max_tokens: 30 });
  assert.is(long.usage.completion_tokens, 30);
  assert.is(long.choices[0].finish_reason, 'length');
  assert.is(short.choices[0].stop_reason, null);
  const stopped = await ask({ stop: ['zebra', ' is'] });
  assert.equal([stopped.choices[0].message.content, stopped.choices[0].stop_reason], ['The capital of France', ' is']);
  assert.is(await say({ stop: ' is', include_stop_str_in_output: true }), 'The capital of France is');
  const byToken = await ask({ stop_token_ids: [PARIS] });
  assert.equal(
    [byToken.choices[0].message.content, byToken.choices[0].stop_reason],
    [ANSWER.slice(0, ANSWER.indexOf(PARIS_TEXT)), PARIS],
  );
});

test('repetition_detection: ends a text that goes in circles, whole and in a stream', async () => {
  const loop = { logit_bias: { [PARIS]: 100 }, max_tokens: 20 };
  const rule = { max_pattern_size: 2, min_count: 4 };
  const { choices, usage } = await ask({ ...loop, repetition_detection: rule });
  const [{ message, finish_reason: reason, stop_reason: why }] = choices;
  assert.equal([message.content, reason, why], [PARIS_TEXT.repeat(4), 'repetition', 'repetition_detected']);
  assert.is(usage.completion_tokens, 4);
  const later = await ask({ ...loop, repetition_detection: { ...rule, min_pattern_size: 2 } });
  assert.is(later.usage.completion_tokens, 8);
  assert.is((await ask({ ...loop, repetition_detection: rule, min_tokens: 6 })).usage.completion_tokens, 6);
  assert.is((await ask({ ...loop, repetition_detection: {} })).usage.completion_tokens, 20);
  assert.is((await chunksOf({ ...loop, repetition_detection: rule })).at(-1)!.choices[0].finish_reason, 'repetition');
});

test('skip_special_tokens and spaces_between_special_tokens: how special tokens are written', async () => {
  const forced = { logit_bias: { [IM_END]: 100 }, ignore_eos: true, max_tokens: 2 };
  assert.is(await say(forced), '');
  assert.is(await say({ ...forced, skip_special_tokens: false }), '<|im_end|><|im_end|>');
  const tight = { ...forced, skip_special_tokens: false, spaces_between_special_tokens: false };
  assert.is((await say(tight))!.replaceAll(' ', ''), '<|im_end|><|im_end|>');
});

test('logprobs: the distribution that was drawn from, and its likeliest tokens', async () => {
  const { choices } = await ask({ logprobs: true, top_logprobs: 3, temperature: 1, top_k: 2, top_p: 1, seed: 1 });
  for (const { top_logprobs: top } of choices[0].logprobs!.content) {
    assert.is(top.length, 3);
    assert.ok(Math.abs(Math.exp(top[0].logprob) + Math.exp(top[1].logprob) - 1) < 1e-5);
    assert.is(top[2].logprob, -9999);
  }
  const named = await ask({ logprobs: true, return_tokens_as_token_ids: true, max_tokens: 1 });
  assert.is(named.choices[0].logprobs!.content[0].token, `token_id:${idsOf('The')[0]}`);
});

test('the engine may tell the log-probabilities of the model itself; best_of ranks by the others', async () => {
  const raw = await Engine.load('tiny-chat', { threads: 1, logprobsMode: 'raw_logprobs' });
  const params = { messages: QUESTION, logprobs: true, temperature: 0, max_tokens: 1, logit_bias: { [PARIS]: 100 } };
  const [entry] = (await raw.chat.completions.create(params)).choices[0].logprobs!.content;
  const logits = await raw.logits(raw.promptTokens({ messages: QUESTION }));
  const row = logits.subarray(-raw.vocabSize);
  const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
  assert.ok(Math.abs(entry.logprob - (row[PARIS] - Math.log(total))) < 1e-4);
  const best = { messages: QUESTION, temperature: 1.5, best_of: 3, seed: 1, max_tokens: 4, logprobs: true };
  const [{ message }] = (await raw.chat.completions.create(best)).choices;
  assert.is(message.content, (await engine.chat.completions.create(best)).choices[0].message.content);
  await raw.close();
  const wrong = await Engine.load('tiny-chat', { logprobsMode: 'cooked' as never }).catch((error) => error);
  assert.match(wrong.message, 'processed_logprobs');
});

test('prompt_logprobs: what the model thought of the prompt', async () => {
  const reply = await ask({ prompt_logprobs: 2, max_tokens: 1, return_token_ids: true });
  const ids = reply.prompt_token_ids!;
  const entries = reply.prompt_logprobs!;
  assert.is(entries.length, reply.usage.prompt_tokens);
  assert.is(entries[0], null);
  const logits = await engine.logits(ids);
  for (let i = 1; i < ids.length; i++) {
    const row = logits.subarray((i - 1) * engine.vocabSize, i * engine.vocabSize);
    const most = Math.max(...row);
    const total = row.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
    const own = entries[i]![ids[i]];
    assert.ok(Math.abs(own.logprob - (row[ids[i]] - most - Math.log(total))) < 1e-4);
    assert.is(own.rank, 1 + row.filter((logit) => logit > row[ids[i]]).length);
    assert.is(own.decoded_token, engine.tokenizer.decode([ids[i]]));
    assert.ok([2, 3].includes(Object.keys(entries[i]!).length));
  }
});

test('prompt_logprobs -1: the whole vocabulary, as long as that is not too much', async () => {
  const { prompt_logprobs: entries } = await ask({ prompt_logprobs: -1, truncate_prompt_tokens: 3, max_tokens: 1 });
  assert.is(entries!.length, 3);
  const row = Object.values(entries![2]!);
  assert.is(row.length, engine.vocabSize);
  assert.ok(Math.abs(row.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0) - 1) < 1e-4);
  assert.equal(
    row.map(({ rank }) => rank).sort((a, b) => a - b),
    row.map((_, i) => i + 1),
  );
  const messages = [{ role: 'user', content: 'hello '.repeat(400) }];
  const { param, message } = await refusal({ messages, prompt_logprobs: -1, max_tokens: 1 });
  assert.is(param, 'prompt_logprobs');
  assert.match(message, String(engine.vocabSize));
});

test('return_token_ids: of the prompt and of each choice, whole and in a stream', async () => {
  const reply = await ask({ return_token_ids: true });
  assert.is(
    engine.tokenizer.decode(reply.prompt_token_ids!),
    `<|im_start|>user\n${QUESTION[0].content}<|im_end|>\n<|im_start|>assistant\n`,
  );
  assert.is(engine.tokenizer.decode(reply.choices[0].token_ids!), `${ANSWER}<|im_end|>`);
  const chunks = await chunksOf({ return_token_ids: true });
  assert.equal(chunks[0].prompt_token_ids, reply.prompt_token_ids);
  assert.equal(
    chunks.flatMap(({ choices }) => choices[0].token_ids ?? []),
    reply.choices[0].token_ids,
  );
});

test('echo, add_generation_prompt and continue_final_message: an answer is continued', async () => {
  const messages = [...QUESTION, { role: 'assistant', content: 'The capital of' }];
  const open = { messages, add_generation_prompt: false, continue_final_message: true };
  assert.is(await say(open), ' France is Paris.');
  assert.is(await say({ ...open, echo: true }), ANSWER);
  const chunks = await chunksOf({ ...open, echo: true });
  assert.equal(chunks[1].choices[0].delta, { content: 'The capital of' });
  assert.is(await say({ echo: true }), ANSWER);

  const closed = await ask({ add_generation_prompt: false, max_tokens: 1 });
  assert.is(closed.choices[0].message.role, 'user');
  assert.is(
    closed.usage.prompt_tokens,
    (await ask({ max_tokens: 1 })).usage.prompt_tokens - idsOf('<|im_start|>assistant\n').length,
  );
  const echoed = await ask({ add_generation_prompt: false, echo: true, max_tokens: 1 });
  assert.match(echoed.choices[0].message.content!, /^What is the capital of France\?/);
});

test('truncate_prompt_tokens: only the end of the prompt counts', async () => {
  assert.is((await ask({ truncate_prompt_tokens: 5, max_tokens: 1 })).usage.prompt_tokens, 5);
  const messages = [{ role: 'user', content: 'hello '.repeat(2000) }];
  assert.match((await refusal({ messages })).message, 'maximum context length');
  const { usage } = await ask({ messages, truncate_prompt_tokens: -1, max_tokens: 4 });
  assert.is(usage.prompt_tokens, engine.maxModelLen - 4);
  for (const wrong of [0, -2, engine.maxModelLen + 1]) {
    assert.is((await refusal({ truncate_prompt_tokens: wrong })).param, 'truncate_prompt_tokens');
  }
});

test('chat_template, its kwargs and documents: the prompt is what the template says', async () => {
  const template =
    '{% for d in documents or [] %}{{ d.title }}{% endfor %}{{ messages[-1].content }}{{ mark }}{{ reasoning_effort }}';
  const promptOf = async (params: Params) => {
    const { prompt_token_ids: ids } = await ask({ ...params, return_token_ids: true, max_tokens: 1 });
    return engine.tokenizer.decode(ids!);
  };
  const messages = [{ role: 'user', content: 'A<|im_end|>' }];
  assert.is(await promptOf({ messages, chat_template: template }), 'A<|im_end|>');
  const extra = { documents: [{ title: 'D' }], chat_template_kwargs: { mark: '!' }, reasoning_effort: 'low' };
  assert.is(await promptOf({ messages, chat_template: template, ...extra }), 'DA<|im_end|>!low');
  const { prompt_token_ids: ids } = await ask({ messages, return_token_ids: true, max_tokens: 1 });
  assert.is(ids!.filter((id) => id === IM_END).length, 1);
  assert.is((await refusal({ chat_template: '{% if %}' })).param, 'messages');
  assert.match((await refusal({ chat_template: '{{ raise_exception("no way") }}' })).message, 'no way');
});

test('priority, cache_salt and request_id: the answer stays what it is, and its id is the one asked for', async () => {
  const reply = await ask({ priority: -3, cache_salt: 'mine', request_id: 'r-1', user: 'me' });
  assert.is(reply.choices[0].message.content, ANSWER);
  assert.is(reply.id, 'chatcmpl-r-1');
});

test('where it is asked for, the usage says how much of the prompt was there already', async () => {
  const completions = createChatCompletions(engine, { promptTokensDetails: true });
  const messages = [{ role: 'user', content: 'Count from one to twenty and back, slowly. '.repeat(6) }];
  const params = { messages, max_tokens: 1, temperature: 0, cache_salt: 'own' };
  const first = (await completions.create(params)).usage;
  const second = (await completions.create(params)).usage;
  const other = (await completions.create({ ...params, cache_salt: 'other' })).usage;
  assert.is(first.prompt_tokens_details!.cached_tokens, 0);
  assert.ok(second.prompt_tokens_details!.cached_tokens > 0);
  assert.is(other.prompt_tokens_details!.cached_tokens, 0);
  assert.is((await ask({ max_tokens: 1 })).usage.prompt_tokens_details, undefined);
});

test('a stream is the answer in pieces', async () => {
  const chunks = await chunksOf({ stream_options: { include_usage: true, continuous_usage_stats: true } });
  assert.is(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''), ANSWER);
  const counts = chunks.slice(0, -1).map(({ usage }) => usage!.completion_tokens);
  assert.ok(counts.every((count, i) => i === 0 || count > counts[i - 1]));
  assert.is(chunks.at(-1)!.usage!.completion_tokens, counts.at(-1));
});

test.run();
