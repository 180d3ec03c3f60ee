/** The embedded model: prompts and prompt ids as the reference gives them. */

import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ChatMessage, ChatTemplate, type ChatTool, Tokenizer } from '../../tokenizer/index.ts';
import { oracle } from './models.ts';

const test = suite('tiny-chat');

const file = (name: string) => readFileSync(new URL(`../../models/tiny-chat/${name}`, import.meta.url), 'utf8');
const config = JSON.parse(file('tokenizer_config.json'));
const tokenizer = await Tokenizer.fromJson(file('tokenizer.json'), config);
const template = new ChatTemplate(config.chat_template, { specialTokens: tokenizer.specialTokens });

interface Entry {
  readonly messages: ChatMessage[];
  readonly tools: ChatTool[] | null;
  readonly prompt: string;
  readonly prompt_ids: number[];
  readonly greedy_answer: string;
  readonly greedy_ids: number[];
  readonly greedy_answer_tokens: number;
  readonly last_position_top20: { id: number; token: string }[];
}

const { entries } = oracle<{ entries: Entry[] }>('tiny-chat/reference.json');

test('prompts are rendered and encoded as in the reference', () => {
  assert.ok(entries.length > 0);
  for (const { messages, tools, prompt, prompt_ids } of entries) {
    const text = template.render({ messages, tools, addGenerationPrompt: true });
    assert.is(text, prompt);
    assert.equal(tokenizer.encode(text, { addSpecialTokens: false }), prompt_ids);
  }
});

test('answers are decoded as in the reference', () => {
  for (const { greedy_ids, greedy_answer, greedy_answer_tokens } of entries) {
    assert.is(tokenizer.decode(greedy_ids.slice(0, greedy_answer_tokens), { skipSpecialTokens: true }), greedy_answer);
  }
});

test('the bytes of a token are those of its text', () => {
  const utf8 = new TextDecoder();
  for (const { last_position_top20 } of entries) {
    for (const { id, token } of last_position_top20) {
      const expected = tokenizer.specialTokenIds.includes(id) ? '' : token;
      assert.is(utf8.decode(tokenizer.tokenBytes(id)), expected);
    }
  }
});

test.run();
