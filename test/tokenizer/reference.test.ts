/** Every reference model: ids, text, streamed chunks and rendered conversations as the reference libraries give them. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ChatMessage, ChatTool } from '../../tokenizer/index.ts';
import { oracle, referenceModels } from './models.ts';

const test = suite('reference tokenizers');

const { conversations } = oracle<{ conversations: { id: string; messages: ChatMessage[]; tools?: ChatTool[] }[] }>(
  'models/conversations.json',
);

const models = await referenceModels();

test('all fifteen families are there', () => {
  assert.ok(models.length >= 15, `only ${models.length} models`);
});

for (const { name, tokenizer, template, reference } of models) {
  test(`${name}: texts become the reference's ids`, () => {
    assert.ok(reference.tokenizer.length > 0);
    for (const { id, text, ids, ids_plain } of reference.tokenizer) {
      assert.equal(tokenizer.encode(text), ids, id);
      assert.equal(tokenizer.encode(text, { addSpecialTokens: false }), ids_plain, id);
    }
  });

  test(`${name}: ids become the reference's text`, () => {
    for (const { id, ids, decoded, decoded_skip } of reference.tokenizer) {
      assert.is(tokenizer.decode(ids), decoded, id);
      assert.is(tokenizer.decode(ids, { skipSpecialTokens: true }), decoded_skip, id);
    }
  });

  test(`${name}: a stream shows what the reference shows, token by token`, () => {
    assert.ok(reference.decode.length > 0);
    for (const { id, ids, keep, skip } of reference.decode) {
      for (const [skipSpecialTokens, { text, chunks, rest }] of [
        [false, keep],
        [true, skip],
      ] as const) {
        assert.is(tokenizer.decode(ids, { skipSpecialTokens }), text, id);
        if (rest === null) continue;
        const stream = tokenizer.streamDecoder({ skipSpecialTokens });
        assert.equal(
          ids.map((token) => stream.push(token)),
          chunks,
          id,
        );
        assert.is(stream.flush(), rest, id);
      }
    }
  });

  test(`${name}: conversations are rendered as transformers renders them`, () => {
    assert.ok(reference.chat.length > 0);
    for (const { conversation, add_generation_prompt, variables, text, ids, error } of reference.chat) {
      const { messages, tools } = conversations.find(({ id }) => id === conversation)!;
      const render = () =>
        template.render({
          messages,
          tools,
          variables,
          addGenerationPrompt: add_generation_prompt,
          now: new Date(reference.chat_clock),
        });
      if (error !== undefined) {
        assert.throws(render, (thrown: Error) => thrown.name === 'TokenizerError' && thrown.message === error);
        continue;
      }
      const rendered = render();
      assert.is(rendered, text, conversation);
      if (ids) assert.equal(tokenizer.encode(rendered, { addSpecialTokens: false }), ids, conversation);
    }
  });
}

test.run();
