/** The embedded model against what it answered in another runtime; see test/oracle/tiny-chat. */

import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LoadModelOptions } from '../../engine/load-model.ts';
import { DEVICES } from './devices.ts';
import { greedy, load, logprobs, sameBits } from './model-runs.ts';

interface TinyChatReference {
  readonly entries: readonly {
    prompt_ids: number[];
    greedy_ids: number[];
    /** Tokens of the answer itself, and the least distance between the two greatest logits on the way. */
    greedy_answer_tokens: number;
    smallest_gap_in_answer: number;
    last_position_top20: readonly { id: number; logprob: number }[];
  }[];
}

const REFERENCE = new URL('../oracle/tiny-chat/reference.json', import.meta.url);
const { entries }: TinyChatReference = JSON.parse(readFileSync(REFERENCE, 'utf8'));

for (const device of DEVICES) {
  // A GPU played by the CPU is slow, and so is the reference: some beginnings of answers there, all of them elsewhere.
  const brief = device.software === true && process.env.QUERN_TEST_FULL !== '1';
  const test = suite(`tiny-chat on ${device.kind}`);
  const whole = [entries.length, entries[0].greedy_ids.length];
  const [answers, length] = brief ? [2, 6] : device.kind === 'reference' ? [3, 12] : whole;

  const open = (options?: Parameters<typeof load>[3]) =>
    load(device, '../../models/tiny-chat', entries.length, options);

  async function answer(chosen: typeof entries, quantize?: LoadModelOptions['quantize']) {
    const model = await open({ quantize });
    const prompts = chosen.map(({ prompt_ids }) => prompt_ids);
    return greedy(model, prompts, length).finally(() => model.close());
  }

  test('the embedded model answers as its reference does', async () => {
    const chosen = entries.slice(0, answers);
    const { tokens, logits } = await answer(chosen);
    for (const [i, { greedy_ids, last_position_top20 }] of chosen.entries()) {
      assert.equal(tokens[i], greedy_ids.slice(0, length), `entry ${i}`);
      const found = logprobs(logits[i][0]);
      for (const { id, logprob } of last_position_top20) {
        assert.ok(Math.abs(found[id] - logprob) <= 2e-3, `entry ${i}, token ${id}: ${found[id]}, not ${logprob}`);
      }
    }
  });

  test('with keys and values in bytes the answers stay, and each is bit for bit what it is alone', async () => {
    const chosen = entries.filter((entry) => entry.smallest_gap_in_answer > 1).slice(0, Math.min(3, answers));
    const [beginning, prompts] = [Math.min(12, length), chosen.map(({ prompt_ids }) => prompt_ids)];
    const model = await open({ kvCacheDtype: 'int8' });
    const together = await greedy(model, prompts, beginning);
    for (const [i, { greedy_ids, greedy_answer_tokens }] of chosen.entries()) {
      const count = Math.min(beginning, greedy_answer_tokens);
      assert.equal(together.tokens[i].slice(0, count), greedy_ids.slice(0, count), `answer ${i}`);
      const alone = await greedy(model, [prompts[i]], beginning);
      for (const [at, row] of alone.logits[0].entries()) {
        assert.ok(sameBits(row, together.logits[i][at]), `answer ${i}, token ${at}`);
      }
    }
    await model.close();
  });

  for (const quantize of ['q8_0', 'q4_0'] as const) {
    test(`rounded to ${quantize}, the embedded model answers the same where it was sure`, async () => {
      const sure = entries.filter((entry) => entry.smallest_gap_in_answer > 1).slice(0, answers);
      const { tokens } = await answer(sure, quantize);
      for (const [i, { greedy_ids, greedy_answer_tokens }] of sure.entries()) {
        const count = Math.min(length, greedy_answer_tokens);
        assert.equal(tokens[i].slice(0, count), greedy_ids.slice(0, count), `answer ${i}`);
      }
    });
  }

  test.run();
}
