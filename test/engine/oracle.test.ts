/** Whole models against numbers that another runtime computed; see test/oracle. */

import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LoadedModel } from '../../engine/load-model.ts';
import { ModelTable } from '../model-table.ts';
import { DEVICES } from './devices.ts';
import { greedy, lastLogits, load, logprobs, sameBits, step, TestSequence } from './model-runs.ts';

const MODELS = [
  'llama-gqa',
  'llama3-rope-tied',
  'llama-q256',
  'mistral-swa',
  'mixtral',
  'qwen2',
  'qwen3',
  'qwen3-moe',
  'gemma2',
  'gemma3-text',
  'phi3-longrope',
  'olmo2',
  'granite',
  'smollm3',
  'cohere2',
  'gpt-oss',
];

/** What float32 arithmetic in any order must keep, as a share of the greatest logit. */
const LOGIT_TOLERANCE = 2e-3;
const LOGPROB_TOLERANCE = 4e-3;

interface Reference {
  readonly model_type: string;
  readonly stored_dtype: string;
  readonly logits: readonly { ids: number[]; max_abs: number; logits: number[] }[];
  readonly logprobs: {
    ids: number[];
    top: readonly { ids: number[]; logprobs: number[]; of_next: number | null }[];
  };
  readonly greedy: readonly { ids: number[]; new: number[] }[];
  readonly batch: { rows: readonly { ids: number[]; new: number[] }[] };
}

const url = (path: string) => new URL(path, import.meta.url);
const readJson = (path: string) => JSON.parse(readFileSync(url(path), 'utf8'));

const table = new ModelTable('Checkpoints in Hugging Face form', ['logits', 'logprobs', 'greedy', 'batch', 'chunks']);

/** Where the numbers of the weights come from: the type that the checkpoint stores. */
const STORED: Readonly<Record<string, string>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' };

for (const device of DEVICES) {
  const full = process.env.QUERN_TEST_FULL === '1';
  // A GPU played by the CPU is slow, and so is the reference: a few models in full there, the others by their logits, or
  // logits and greedy tokens; `npm run test:full` runs all.
  const brief = device.software === true && !full;
  for (const name of MODELS) {
    const test = suite(`${name} on ${device.kind}`);
    const isWhole = full || device.kind === 'wasm' || name === 'qwen3' || (name === 'mixtral' && !brief);
    const reference: Reference = readJson(`../oracle/models/${name}/reference.json`);
    let model: LoadedModel;
    const row = {
      architecture: reference.model_type,
      model: name,
      weights: `safetensors ${STORED[reference.stored_dtype]}`,
    };
    /** A test that goes to the table when it passes. */
    const check = (mark: string, runs: boolean, what: string, body: () => Promise<void>) =>
      (runs ? test : test.skip)(what, async () => {
        await body();
        table.passed(row, device.kind, mark);
      });

    test.before(async () => {
      model = await load(device, `../oracle/models/${name}`, 64);
    });
    test.after(() => model.close());

    check('logits', true, 'logits are those of the reference', async () => {
      for (const { ids, max_abs, logits } of reference.logits) {
        const found = await lastLogits(model, ids);
        const worst = logits.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i])), 0) / max_abs;
        assert.ok(worst <= LOGIT_TOLERANCE, `${ids.length} tokens: ${worst.toExponential(1)} of max_abs`);
      }
    });

    check('logprobs', isWhole, 'logprobs at every position are those of the reference', async () => {
      const { ids, top } = reference.logprobs;
      const tolerance = LOGPROB_TOLERANCE * reference.logits[0].max_abs;
      const sequence = new TestSequence(model, ids);
      for (let i = 0; i < ids.length; i++) {
        const found = logprobs((await step(model, [sequence], 1))[0]);
        const expected = top[i].ids.map((id, n) => [id, top[i].logprobs[n]]);
        if (top[i].of_next !== null) expected.push([ids[i + 1], top[i].of_next as number]);
        for (const [id, logprob] of expected) {
          assert.ok(Math.abs(found[id] - logprob) <= tolerance, `token ${id} after ${i}: ${found[id]}, not ${logprob}`);
        }
      }
    });

    check('greedy', isWhole || !brief, 'greedy tokens are those of the reference', async () => {
      const { tokens } = await greedy(
        model,
        reference.greedy.map(({ ids }) => ids),
        reference.greedy[0].new.length,
      );
      assert.equal(
        tokens,
        reference.greedy.map((entry) => entry.new),
      );
    });

    check('batch', isWhole, 'rows of a batch are bit for bit what each is alone', async () => {
      const { rows } = reference.batch;
      const count = rows[0].new.length;
      const together = await greedy(
        model,
        rows.map(({ ids }) => ids),
        count,
      );
      assert.equal(
        together.tokens,
        rows.map((row) => row.new),
      );
      for (const [i, { ids }] of rows.entries()) {
        const alone = await greedy(model, [ids], count);
        for (const [n, logits] of alone.logits[0].entries()) {
          assert.ok(sameBits(logits, together.logits[i][n]), `row ${i}, token ${n}`);
        }
      }
    });

    check('chunks', isWhole, 'a prompt gives bit for bit the same logits however it is chunked', async () => {
      const { ids } = reference.logits[1];
      const whole = await lastLogits(model, ids);
      for (const chunk of [1, 7, 64]) {
        assert.ok(sameBits(await lastLogits(model, ids, chunk), whole), `chunks of ${chunk}`);
      }
    });

    test.run();
  }
}

const test = suite('docs/models.md');
test('says what ran', () => table.check());
test.run();
