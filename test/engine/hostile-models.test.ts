/** Whole checkpoints with one setting that nobody should have written: each loads, or says in one line what is wrong. */

import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openCheckpoint } from '../../engine/checkpoint/checkpoint.ts';
import { loadModel } from '../../engine/load-model.ts';
import { WasmDevice } from '../../kernels/index.ts';
import { ChatTemplate, Tokenizer } from '../../tokenizer/index.ts';
import { memorySource } from './memory-source.ts';

const test = suite('hostile models');

const MODELS = new URL('../oracle/models/', import.meta.url);
const WRONG = [0, -1, 1.5, 1e9, 2 ** 53, 1e308, 'x', '../../x', [], {}, [1], { a: 1 }, true, null];
const ERRORS = ['CheckpointError', 'TokenizerError', 'RequestError', 'DeviceError'];

type Files = Record<string, string | Uint8Array>;

function filesOf(model: string): Files {
  const folder = new URL(`${model}/`, MODELS);
  const names = readdirSync(folder).filter(
    (name) => /\.(json|safetensors|jinja)$/.test(name) && name !== 'reference.json',
  );
  return Object.fromEntries(names.map((name) => [name, new Uint8Array(readFileSync(new URL(name, folder)))]));
}

/** Loads all of it and takes a step. */
async function use(files: Files): Promise<void> {
  const source = memorySource(files);
  const checkpoint = await openCheckpoint(source);
  const { tokenizerJson, config, chatTemplate } = await checkpoint.readTokenizer();
  const tokenizer = await Tokenizer.fromJson(tokenizerJson, config);
  if (chatTemplate != null) new ChatTemplate(chatTemplate, { specialTokens: tokenizer.specialTokens });
  const sizes = { maxNumSeqs: 1, maxNumBatchedTokens: 4, kvCacheBytes: 2 ** 20 };
  const model = await loadModel(source, { device: await WasmDevice.create({ threads: 0 }), checkpoint, ...sizes });
  await model.forward({ tokens: [1], positions: [0], slots: [0], blockTables: [[0]], logitRows: [0] });
  await model.close();
}

async function usesOrRefuses(files: Files, what: string): Promise<boolean> {
  try {
    await use(files);
    return true;
  } catch (error) {
    const { name, message } = error as Error;
    assert.ok(ERRORS.includes(name), `${what}: ${(error as Error).stack}`);
    assert.not.match(message, '\n');
    assert.ok(message.length < 600, `${what}: ${message.length} characters`);
    return false;
  }
}

for (const model of ['llama-gqa', 'gemma2', 'gpt-oss']) {
  test(`${model}: any setting may be anything`, async () => {
    const files = filesOf(model);
    let refused = 0;
    for (const file of ['config.json', 'generation_config.json', 'tokenizer_config.json']) {
      const json = JSON.parse(new TextDecoder().decode(files[file] as Uint8Array)) as Record<string, unknown>;
      for (const [i, name] of Object.keys(json).entries()) {
        // A few values for each setting; together the models go through all.
        for (let k = 0; k < 2; k++) {
          const value = WRONG[(5 * i + 3 * k + model.length) % WRONG.length];
          const changed = { ...files, [file]: JSON.stringify({ ...json, [name]: value }) };
          if (!(await usesOrRefuses(changed, `${file} ${name} ${JSON.stringify(value)}`))) refused++;
        }
      }
    }
    assert.ok(refused > 10, `only ${refused} refused`);
  });
}

test('sizes that no machine has are refused before anything is allocated', async () => {
  const files = filesOf('llama-gqa');
  const json = JSON.parse(new TextDecoder().decode(files['config.json'] as Uint8Array)) as Record<string, unknown>;
  for (const changes of [
    { num_hidden_layers: 1e9 },
    { head_dim: 0 },
    { hidden_size: 2 ** 40 },
    { vocab_size: 2 ** 24 },
    { num_attention_heads: 3 },
    { num_key_value_heads: 1e6 },
  ]) {
    const changed = { ...files, 'config.json': JSON.stringify({ ...json, ...changes }) };
    assert.is(await usesOrRefuses(changed, JSON.stringify(changes)), false, JSON.stringify(changes));
  }
});

test('a tokenizer.json with anything anywhere is read or refused', async () => {
  const jsons = ['llama-gqa', 'qwen3', 'mistral-swa', 'cohere2'].map(
    (model) => JSON.parse(new TextDecoder().decode(filesOf(model)['tokenizer.json'] as Uint8Array)) as object,
  );
  const change = fc.record({
    json: fc.constantFrom(...jsons),
    steps: fc.array(fc.nat({ max: 30 }), { minLength: 1, maxLength: 7 }),
    value: fc.oneof(
      fc.constantFrom(...WRONG, '(a|a)+$', '(', '[\\p{L}', '(?<=a+)b', '\0', '\ud800'),
      fc.jsonValue({ maxDepth: 2 }),
    ),
  });
  await fc.assert(
    fc.asyncProperty(change, async ({ json, steps, value }) => {
      const changed = structuredClone(json) as Record<string, unknown>;
      let at: Record<string, unknown> = changed;
      for (const step of steps) {
        const keys = Object.keys(at);
        const key = keys[step % keys.length];
        const next = at[key];
        if (step === steps.at(-1) || typeof next !== 'object' || next === null || Object.keys(next).length === 0) {
          at[key] = value;
          break;
        }
        at = next as Record<string, unknown>;
      }
      try {
        const tokenizer = await Tokenizer.fromJson(JSON.stringify(changed));
        const ids = tokenizer.encode("Hello wörld's 123 <s>\n  字");
        const stream = tokenizer.streamDecoder();
        const shown = ids.map((id) => stream.push(id)).join('') + stream.flush();
        assert.type(shown, 'string');
        for (const id of ids) tokenizer.tokenBytes(id);
      } catch (error) {
        assert.is((error as Error).name, 'TokenizerError', (error as Error).stack);
        assert.not.match((error as Error).message, '\n');
      }
    }),
    { numRuns: 400 },
  );
});

test.run();
