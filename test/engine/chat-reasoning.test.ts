/** Reasoning before what was asked for: its limit, its count, and a grammar that waits for its end. */

import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ReasoningGrammar, type ReasoningOptions } from '../../engine/chat/grammars/reasoning-grammar.ts';
import type { ChatCompletionChunk, ChatCompletionCreateParams } from '../../engine/chat/index.ts';
import { Engine, RequestError } from '../../engine/index.ts';
import { GrammarCompiler } from '../../grammar/index.ts';

const test = suite('reasoning');

const TEXTS = ['<end>', '<think>', '</think>', '</', 'think>', 'think>x', 'y', 'e', 's', ' ', '<', '/'];
const END = 0;
const idOf = (text: string) => TEXTS.indexOf(text);
const vocabulary = {
  vocabSize: TEXTS.length,
  tokenizer: {
    tokenBytes: (id: number) => (id === END ? new Uint8Array(0) : new TextEncoder().encode(TEXTS[id])),
    decode: (ids: ArrayLike<number>) => TEXTS[ids[0]],
  },
};
const compiler = new GrammarCompiler({
  tokens: TEXTS.map((_, id) => vocabulary.tokenizer.tokenBytes(id)),
  eosTokenIds: [END],
});
const yes = compiler.choice(['yes']);

function matcherOf(options: ReasoningOptions) {
  const matcher = new ReasoningGrammar(options, vocabulary).matcher();
  return {
    matcher,
    write: (...texts: string[]) => texts.map((text) => matcher.accept(idOf(text))).every((done) => done),
    allowed: () => {
      const mask = new Uint32Array(1);
      matcher.fillMask(mask);
      return TEXTS.filter((_, id) => (mask[0] >>> id) & 1 && id !== END);
    },
  };
}

test('what is wanted begins behind the reasoning, and a token that goes over its end is not allowed', () => {
  const { matcher, write, allowed } = matcherOf({ reasoning: 'open', rest: yes, isStrict: true });
  assert.ok(write('y', '<', 'e', '</'));
  assert.equal([allowed().includes('think>'), allowed().includes('think>x')], [true, false]);
  assert.is(matcher.canFinish(), false);
  assert.ok(write('think>'));
  assert.equal(allowed(), ['y']);
  assert.ok(write('y', 'e'));
  assert.not(write('y'));
  matcher.rollback(3);
  assert.ok(allowed().includes('think>'));
  assert.ok(write('think>', 'y', 'e', 's'));
  assert.ok(matcher.canFinish());
  matcher.reset();
  assert.ok(write('</think>'));
  assert.equal(allowed(), ['y']);
});

test('a reply that must be something begins with its reasoning or with itself', () => {
  const { matcher, write, allowed } = matcherOf({ reasoning: 'tagged', rest: yes, isStrict: true });
  assert.equal(allowed(), ['<think>', 'y']);
  assert.ok(write('y'));
  assert.equal(allowed(), ['e']);
  matcher.rollback(1);
  assert.ok(write('<think>', 'e', '</think>'));
  assert.equal(allowed(), ['y']);
  assert.ok(write('y', 'e', 's'));
  assert.ok(matcher.canFinish());
});

test('when the tokens for reasoning are spent, its end is all that may come', () => {
  const { matcher, write, allowed } = matcherOf({ reasoning: 'tagged', budget: 2, isStrict: false });
  assert.ok(write(' ', '<think>', 'y'));
  assert.ok(allowed().length > 2);
  assert.ok(write('e'));
  assert.equal(allowed(), ['</think>']);
  assert.equal(matcher.forcedTokens(), [idOf('</think>')]);
  assert.not(write('y'));
  assert.ok(write('</think>'));
  assert.ok(write('y', 'y', 'y', 'y'));
  const plain = matcherOf({ reasoning: 'tagged', budget: 0, isStrict: false });
  assert.ok(plain.write('y', 'y'));
  assert.ok(plain.matcher.canFinish());
});

const engine = await Engine.load(fileURLToPath(new URL('../oracle/models/qwen3', import.meta.url)), { threads: 1 });
test.after(() => engine.close());

const MESSAGES = [{ role: 'user', content: 'Hi' }];
const THINK = engine.tokenizer.idOf('<think>')!;
// Weights at random never begin to think by themselves; with this they do nothing else.
const thinking = { logit_bias: { [THINK]: 100 }, temperature: 0 };
type Params = Partial<ChatCompletionCreateParams>;

const ask = (params: Params) =>
  engine.chat.completions.create({ messages: MESSAGES, max_tokens: 12, ...params, stream: false });

test('thinking_token_budget ends the reasoning; the usage tells its tokens', async () => {
  const { choices, usage } = await ask({ ...thinking, thinking_token_budget: 4 });
  assert.is(choices[0].message.reasoning_content, '<think>'.repeat(4));
  assert.is(choices[0].message.content, '<think>'.repeat(6));
  assert.equal(usage.completion_tokens_details, { reasoning_tokens: 4 });
  assert.is((await ask(thinking)).usage.completion_tokens_details!.reasoning_tokens, 11);
  const plain = await ask({ temperature: 0, max_tokens: 2 });
  assert.equal(plain.usage.completion_tokens_details, { reasoning_tokens: 0 });
  for (const budget of [-1, 'x']) {
    const error = await ask({ thinking_token_budget: budget as number }).catch((caught) => caught);
    assert.instance(error, RequestError);
    assert.is(error.param, 'thinking_token_budget');
  }
});

test('a constraint waits for reasoning that was asked for, whole and in a stream; else the model goes straight to it', async () => {
  const constraint = { guided_regex: 'ab{2}', thinking_token_budget: 2, ...thinking };
  const { choices } = await ask(constraint);
  const { reasoning_content: reasoning, content } = choices[0].message;
  assert.equal([reasoning, content, choices[0].finish_reason], ['<think><think>', 'abb', 'stop']);
  const chunks: ChatCompletionChunk[] = [];
  const stream = { messages: MESSAGES, ...constraint, stream: true } as const;
  for await (const chunk of await engine.chat.completions.create(stream)) chunks.push(chunk);
  const deltas = chunks.map((chunk) => chunk.choices[0].delta);
  assert.is(deltas.map((delta) => delta.reasoning ?? '').join(''), '<think><think>');
  assert.is(deltas.map((delta) => delta.content ?? '').join(''), 'abb');

  const { message } = (await ask({ guided_regex: 'ab{2}', ...thinking })).choices[0];
  assert.equal([message.reasoning_content, message.content], [undefined, 'abb']);
  const off = { guided_regex: 'ab{2}', chat_template_kwargs: { enable_thinking: false }, ...thinking };
  assert.is((await ask(off)).choices[0].message.content, 'abb');
  const asked = await ask({ guided_regex: 'ab{2}', chat_template_kwargs: { enable_thinking: true }, ...thinking });
  assert.equal([asked.choices[0].message.content, asked.choices[0].finish_reason], [null, 'length']);
  const open = { chat_template: '{{ messages[0].content }}<think>', thinking_token_budget: 2 };
  const opened = (await ask({ guided_regex: 'ab{2}', ...open, ...thinking })).choices[0].message;
  assert.equal([opened.reasoning_content, opened.content], ['<think>', 'abb']);
});

test('calls that must be made come behind the reasoning too', async () => {
  const tool = { type: 'function', function: { name: 'now' } } as const;
  for (const choice of ['required', tool] as const) {
    const { message } = (
      await ask({ tools: [tool], tool_choice: choice, thinking_token_budget: 1, ...thinking, max_tokens: 60 })
    ).choices[0];
    assert.is(message.reasoning_content, '<think>');
    assert.equal(
      message.tool_calls!.map(({ function: { name, arguments: text } }) => [name, JSON.parse(text)]).slice(0, 1),
      [['now', {}]],
    );
  }
});

test('a model that does not think has no limit for it', async () => {
  const tiny = await Engine.load('tiny-chat', { threads: 1 });
  const error = await tiny.chat.completions
    .create({ messages: MESSAGES, thinking_token_budget: 5 })
    .catch((caught) => caught);
  assert.equal(
    [error.param, (await tiny.chat.completions.create({ messages: MESSAGES })).usage.completion_tokens_details],
    ['thinking_token_budget', undefined],
  );
  await tiny.close();
});

test.run();
