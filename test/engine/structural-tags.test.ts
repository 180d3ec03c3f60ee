/** Structural tags through the API, with all that a request may ask for beside them. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ChatCompletionCreateParams } from '../../engine/chat/index.ts';
import { Engine, RequestError } from '../../engine/index.ts';

const test = suite('structural tags in the API');
const engine = await Engine.load('tiny-chat', { threads: 1 });
test.after(() => engine.close());

const messages = [{ role: 'user', content: "What's the weather in Oslo?" }];
const schema = { type: 'object', properties: { n: { type: 'integer', minimum: 1, maximum: 99 } }, required: ['n'] };
const TAG = /^<f>\{ ?"n" ?: ?[1-9][0-9]? ?\}<\/f>$/;
const format = {
  type: 'triggered_tags',
  triggers: ['<f>'],
  tags: [{ begin: '<f>', content: { type: 'json_schema', json_schema: schema }, end: '</f>' }],
  at_least_one: true,
  stop_after_first: true,
};
const wild = { temperature: 1.5, top_k: -1, top_p: 1, seed: 3, max_tokens: 60 };
type Params = Partial<ChatCompletionCreateParams>;

async function ask(params: Params) {
  return engine.chat.completions.create({ messages, ...params, stream: false });
}

const ways: Record<string, Params> = {
  'structured_outputs, parsed': { structured_outputs: { structural_tag: { type: 'structural_tag', format } } },
  'structured_outputs, as text': {
    structured_outputs: { structural_tag: JSON.stringify({ type: 'structural_tag', format }) },
  },
  response_format: { response_format: { type: 'structural_tag', format } },
};

for (const [name, way] of Object.entries(ways)) {
  test(`${name}: the tag is kept to`, async () => {
    for (const choice of (await ask({ ...way, ...wild, n: 2 })).choices) {
      assert.match(choice.message.content!, TAG);
      assert.is(choice.finish_reason, 'stop');
    }
  });
}

test('the form with structures and triggers: free text, and what follows a trigger is held to', async () => {
  const structures = [{ begin: ' the', schema: { type: 'null' }, end: '!' }];
  const response_format = { type: 'structural_tag', structures, triggers: [' the'] } as const;
  for (const seed of [1, 2, 3, 4]) {
    const { choices } = await ask({ ...wild, seed, temperature: 0.7, response_format });
    const parts = choices[0].message.content!.split(' the').slice(1);
    const cut = choices[0].finish_reason === 'length' ? parts.pop() : undefined;
    for (const part of parts) assert.match(part, /^null!/);
    if (cut !== undefined) assert.ok('null!'.startsWith(cut.slice(0, 5)), cut);
  }
});

test('with penalties, logprobs, bias, best_of, min_tokens, stop and a stream', async () => {
  const way = ways.response_format;
  const more: Params[] = [
    { presence_penalty: 1, frequency_penalty: 1, repetition_penalty: 1.3 },
    { logprobs: true, top_logprobs: 3 },
    { best_of: 3 },
    { min_tokens: 10 },
    { logit_bias: { 40: 20 } },
    { use_beam_search: true, best_of: 2, temperature: 0, seed: undefined },
  ];
  for (const params of more) {
    const { choices } = await ask({ ...way, ...wild, ...params });
    assert.match(choices[0].message.content!, TAG, JSON.stringify(params));
    if (params.logprobs) {
      const text = choices[0].logprobs!.content!.map(({ token }) => token).join('');
      assert.ok(text.startsWith(choices[0].message.content!));
    }
  }
  assert.is((await ask({ ...way, ...wild, stop: ['"n"'] })).choices[0].finish_reason, 'stop');
  assert.is((await ask({ ...way, ...wild, max_tokens: 2 })).choices[0].finish_reason, 'length');
  let streamed = '';
  for await (const chunk of await engine.chat.completions.create({ messages, ...way, ...wild, stream: true })) {
    streamed += chunk.choices[0]?.delta.content ?? '';
  }
  assert.match(streamed, TAG);
});

test('what is wrong with it is told with its place', async () => {
  const wrong: [Params, RegExp][] = [
    [{ structured_outputs: { structural_tag: {} } } as Params, /^structured_outputs: structural_tag.format: /],
    [{ structured_outputs: { structural_tag: 'x' } } as Params, /structural_tag/],
    [{ response_format: { type: 'structural_tag', format: { type: 'any' } } }, /^response_format: .*"any" is not/],
  ];
  for (const [params, message] of wrong) {
    const error = await ask(params).catch((caught) => caught);
    assert.instance(error, RequestError);
    assert.match(error.message, message);
  }
});

test.run();
