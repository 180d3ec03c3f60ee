/** A model whose keys and values are others at all positions once a sequence is long (longrope): phi3-longrope, from 97 tokens on. */

import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../../engine/index.ts';
import { type LoadedModel, loadModel } from '../../engine/load-model.ts';
import { openDirectory } from '../../engine/node/directory-source.ts';
import { KV_BLOCK_SIZE, WasmDevice } from '../../kernels/index.ts';

const test = suite('sequences that grow long');
const FOLDER = new URL('../oracle/models/phi3-longrope', import.meta.url).pathname;
const SWITCH = 96;
const { logits } = JSON.parse(readFileSync(`${FOLDER}/reference.json`, 'utf8'));
const TEXT: number[] = logits[2].ids;

let model: LoadedModel;
test.before(async () => {
  const source = await openDirectory(FOLDER);
  model = await loadModel(source, { device: await WasmDevice.create({ threads: 2 }), maxNumSeqs: 1, maxModelLen: 320 });
  await source.close();
});
test.after(() => model.close());

/** What follows when every token is computed from the beginning, in one step without a past. */
async function plainGreedy(prompt: readonly number[], count: number): Promise<number[]> {
  const tokens = [...prompt];
  for (let i = 0; i < count; i++) {
    const positions = tokens.map((_, p) => p);
    const blockTables = [positions.slice(0, Math.ceil(tokens.length / KV_BLOCK_SIZE))];
    const step = { tokens, positions, slots: tokens.map(() => 0), blockTables, lengths: [tokens.length] };
    await model.forward({ ...step, logitRows: [tokens.length - 1] });
    const row = await model.logits(1);
    tokens.push(row.indexOf(row.reduce((a, b) => Math.max(a, b))));
  }
  return tokens.slice(prompt.length);
}

async function generate(engine: Engine, prompt: readonly number[], maxTokens: number): Promise<number[]> {
  const tokens: number[] = [];
  const sampling = { temperature: 0, maxTokens, ignoreEos: true };
  for await (const { tokenIds } of engine.generate({ tokens: [...prompt], sampling })) tokens.push(...tokenIds);
  return tokens;
}

test('each token is as if all before it had been computed anew, on both sides of the limit and across it', async () => {
  for (const numSpeculativeTokens of [0, 4]) {
    const engine = await Engine.load(FOLDER, { device: 'wasm', threads: 2, maxNumSeqs: 4, numSpeculativeTokens });
    // The same beginnings, short and long, one after the other and side by side: none may use the other's keys.
    const lengths = [SWITCH - 8, SWITCH - 1, SWITCH, SWITCH + 1, 150];
    const prompts = lengths.map((length) => TEXT.slice(0, length));
    const repeated = Array.from({ length: SWITCH - 10 }, (_, i) => TEXT[i % 7]);
    prompts.push(repeated);
    const expected = [];
    for (const prompt of prompts) expected.push(await plainGreedy(prompt, 16));
    assert.equal(await Promise.all(prompts.map((prompt) => generate(engine, prompt, 16))), expected);
    for (const [i, prompt] of prompts.entries()) assert.equal(await generate(engine, prompt, 16), expected[i]);
    await engine.close();
  }
});

test('prefix blocks are shared among long sequences, and among short ones', async () => {
  const engine = await Engine.load(FOLDER, { device: 'wasm', threads: 2, maxNumSeqs: 2 });
  const cached = async (length: number): Promise<number> => {
    let found = 0;
    const sampling = { temperature: 0, maxTokens: 1, ignoreEos: true };
    for await (const { cachedTokens } of engine.generate({ tokens: TEXT.slice(0, length), sampling })) {
      found = cachedTokens;
    }
    return found;
  };
  assert.is(await cached(80), 0);
  assert.ok((await cached(81)) >= 64);
  assert.is(await cached(120), 0);
  assert.ok((await cached(121)) >= 96);
  assert.ok((await cached(82)) >= 64);
  await engine.close();
});

test.run();
