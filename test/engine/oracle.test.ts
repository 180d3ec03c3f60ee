/** Whole models against numbers that another runtime computed; see test/oracle. */

import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type LoadedModel, type LoadModelOptions, loadModel } from '../../engine/load-model.ts';
import { openDirectory } from '../../engine/node/directory-source.ts';
import { KV_BLOCK_SIZE } from '../../kernels/index.ts';
import { ModelTable } from '../model-table.ts';
import { DEVICES, type TestDevice } from './devices.ts';

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

/** Those whose ops the webgpu device has. */
const ON_WEBGPU = MODELS.filter((name) => name !== 'gemma2' && name !== 'gpt-oss');

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

const url = (path: string) => new URL(path, import.meta.url);
const readJson = (path: string) => JSON.parse(readFileSync(url(path), 'utf8'));

async function load(
  device: TestDevice,
  path: string,
  maxNumSeqs: number,
  quantize?: LoadModelOptions['quantize'],
): Promise<LoadedModel> {
  const source = await openDirectory(url(path).pathname);
  try {
    const limits = { maxNumSeqs, maxModelLen: 320, maxNumBatchedTokens: 1024 };
    return await loadModel(source, { device: await device.create(), quantize, ...limits });
  } finally {
    await source.close();
  }
}

/** One sequence of a test, with its own blocks: every `stride`-th from the end, so that no page lies where it began. */
class TestSequence {
  readonly tokens: number[];
  readonly blocks: number[];
  computed = 0;

  constructor(model: LoadedModel, ids: readonly number[], slot = 0, stride = 1) {
    this.tokens = [...ids];
    const length = Math.ceil(model.maxModelLen / KV_BLOCK_SIZE);
    this.blocks = Array.from({ length }, (_, i) => model.kvBlocks - 1 - slot - i * stride);
  }
}

/** Runs at most `chunk` of the tokens that each sequence has not computed; gives the logits of each one's last row. */
async function step(model: LoadedModel, sequences: readonly TestSequence[], chunk: number): Promise<Float32Array[]> {
  const rows = sequences.flatMap((sequence, slot) => {
    const from = sequence.computed;
    sequence.computed = Math.min(from + chunk, sequence.tokens.length);
    return sequence.tokens
      .slice(from, sequence.computed)
      .map((token, i) => ({ token, position: from + i, slot, last: from + i === sequence.computed - 1 }));
  });
  await model.forward({
    tokens: rows.map(({ token }) => token),
    positions: rows.map(({ position }) => position),
    slots: rows.map(({ slot }) => slot),
    blockTables: sequences.map(({ blocks }) => blocks),
    lengths: sequences.map(({ tokens }) => tokens.length),
    logitRows: rows.flatMap(({ last }, row) => (last ? row : [])),
  });
  return Promise.all(sequences.map((_, i) => model.logits(1, i)));
}

async function lastLogits(model: LoadedModel, ids: readonly number[], chunk = model.maxRows): Promise<Float32Array> {
  const sequence = new TestSequence(model, ids);
  let logits: Float32Array;
  do [logits] = await step(model, [sequence], chunk);
  while (sequence.computed < ids.length);
  return logits;
}

/** The likeliest next tokens of prompts that run side by side, and the logits that decided. */
async function greedy(model: LoadedModel, prompts: readonly (readonly number[])[], count: number) {
  const sequences = prompts.map((ids, slot) => new TestSequence(model, ids, slot, prompts.length));
  const logits: Float32Array[][] = prompts.map(() => []);
  for (let i = 0; i < count; i++) {
    (await step(model, sequences, model.maxRows)).forEach((row, s) => {
      logits[s].push(row);
      sequences[s].tokens.push(argmax(row));
    });
  }
  return { tokens: sequences.map((sequence, s) => sequence.tokens.slice(prompts[s].length)), logits };
}

function argmax(values: Float32Array): number {
  return values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
}

function logprobs(logits: Float32Array): Float64Array {
  const max = logits.reduce((a, b) => Math.max(a, b));
  const logSum = Math.log(logits.reduce((sum, x) => sum + Math.exp(x - max), 0));
  return Float64Array.from(logits, (x) => x - max - logSum);
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));
}

const table = new ModelTable('Checkpoints in Hugging Face form', ['logits', 'logprobs', 'greedy', 'batch', 'chunks']);

/** Where the numbers of the weights come from: the type that the checkpoint stores. */
const STORED: Readonly<Record<string, string>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' };

for (const device of DEVICES) {
  const full = process.env.QUERN_TEST_FULL === '1';
  // A GPU played by the CPU is slow, and so is the reference: a few models in full there, the others by their logits, or
  // logits and greedy tokens; `npm run test:full` runs all.
  const brief = device.software === true && !full;
  for (const name of MODELS) {
    if (device.kind === 'webgpu' && !ON_WEBGPU.includes(name)) continue;
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

  const test = suite(`tiny-chat on ${device.kind}`);
  const { entries }: TinyChatReference = readJson('../oracle/tiny-chat/reference.json');
  // The reference device is slow, too: a few short answers there, all of them elsewhere.
  const [answers, length] =
    brief || device.kind === 'reference' ? [3, 12] : [entries.length, entries[0].greedy_ids.length];

  async function answer(chosen: typeof entries, quantize?: LoadModelOptions['quantize']) {
    const model = await load(device, '../../models/tiny-chat', entries.length, quantize);
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

const test = suite('docs/models.md');
test('says what ran', () => table.check());
test.run();
