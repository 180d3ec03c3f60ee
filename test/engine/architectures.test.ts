import { readdirSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describeDecoder } from '../../engine/architectures/index.ts';
import { matchTensors } from '../../engine/architectures/match-tensors.ts';
import { feedForwardLinears, neededTensors } from '../../engine/architectures/needed-tensors.ts';
import { openCheckpoint } from '../../engine/checkpoint/checkpoint.ts';
import { Fields } from '../../engine/checkpoint/fields.ts';
import { readTensorIndex } from '../../engine/checkpoint/safetensors.ts';
import { textSettings } from '../../engine/checkpoint/text-part.ts';
import { openDirectory } from '../../engine/node/directory-source.ts';
import { floatTensors, memorySource, safetensorsFile, tinyConfig, tinyShapes } from './memory-source.ts';
import { rejects } from './rejects.ts';

const MODELS = new URL('../oracle/models/', import.meta.url).pathname;
const describe = (changes: Record<string, unknown> = {}) =>
  describeDecoder(new Fields('config.json', tinyConfig(changes)));
const windows = (changes: Record<string, unknown>) => describe(changes).layers.map(({ attention }) => attention.window);

const test = suite('architectures');

test('an unknown model_type is refused with the list of known ones', async () => {
  await rejects(
    () => describe({ model_type: 'mamba' }),
    /^config\.json: model_type is "mamba"; expected one of llama, mistral, mixtral, qwen2, qwen2_moe, qwen3, /,
  );
  await rejects(() => describe({ model_type: undefined }), /model_type is missing/);
  await rejects(() => describe({ model_type: '__proto__' }), /model_type is "__proto__"/);
});

test('the description of a checkpoint names exactly the tensors that its files hold', async () => {
  for (const model of readdirSync(MODELS)) {
    if (model.endsWith('.json')) continue;
    const source = await openDirectory(`${MODELS}${model}`);
    const { config, tensors } = await (await openCheckpoint(source)).readModel();
    const matched = matchTensors(describeDecoder(config), tensors);
    assert.equal([...matched.keys()].sort(), [...tensors.tensors.keys()].sort(), model);
    await source.close();
  }
});

test('of models that also see pictures the text model is taken, under old names and new ones', async () => {
  const { vocab_size, ...text } = tinyConfig({ model_type: 'gemma3_text', head_dim: 8, num_hidden_layers: 1 });
  const names = [...neededTensors(describeDecoder(new Fields('config.json', { ...text, vocab_size })))];
  const open = async (prefix: (name: string) => string, eyes: string) => {
    const shapes = Object.fromEntries(names.map(({ name, shape }) => [prefix(name), shape]));
    const config = { model_type: 'gemma3', text_config: { ...text, vocab_size }, eos_token_id: [1, 106] };
    const files = { 'config.json': config, 'model.safetensors': floatTensors({ ...shapes, [eyes]: [2, 2] }) };
    return (await openCheckpoint(memorySource(files))).readModel();
  };
  for (const [prefix, eyes] of [
    [(name: string) => `language_model.${name}`, 'vision_tower.patch'],
    [(name: string) => name.replace(/^model\./, 'model.language_model.'), 'model.vision_tower.patch'],
  ] as const) {
    const { config, tensors } = await open(prefix, eyes);
    const description = describeDecoder(config);
    assert.is(description.modelType, 'gemma3_text');
    assert.equal(config.integers('eos_token_id', { min: 0, max: 200 }), [1, 106]);
    assert.is(
      matchTensors(description, tensors).size,
      names.length - (description.head === description.embedding ? 1 : 0),
    );
  }
  const wrapped = new Fields('config.json', {
    model_type: 'gemma3',
    text_config: { hidden_size: 2560, num_hidden_layers: 34 },
  });
  const { heads, kvHeads, headDim, layers, vocabSize } = describeDecoder(textSettings(wrapped));
  assert.equal([heads, kvHeads, headDim, layers.length, vocabSize], [8, 4, 256, 34, 262_208]);
});

test('llama has biases where attention_bias and mlp_bias say so', () => {
  const biases = ({ layers: [{ attention, feedForward }] } = describe()) =>
    [...attention.qkv, attention.output, ...feedForwardLinears(feedForward)].map(({ bias }) => bias !== undefined);
  const [yes, no] = [true, false];
  assert.equal(biases(), [no, no, no, no, no, no, no]);
  assert.equal(biases(describe({ attention_bias: true })), [yes, yes, yes, yes, no, no, no]);
  assert.equal(biases(describe({ mlp_bias: true })), [no, no, no, no, yes, yes, yes]);
  assert.equal(biases(describe({ model_type: 'qwen2' })), [yes, yes, yes, no, no, no, no]);
  assert.equal(biases(describe({ model_type: 'qwen3', attention_bias: true })), [yes, yes, yes, yes, no, no, no]);
});

test('qwen3 norms q and k; its heads have 128 elements unless it says otherwise', () => {
  const { headDim, layers } = describe({ model_type: 'qwen3' });
  assert.is(headDim, 128);
  assert.equal(layers[1].attention.qNorm, {
    weight: 'model.layers.1.self_attn.q_norm.weight',
    size: 128,
    eps: 1e-5,
  });
  assert.is(describe().layers[0].attention.qNorm, undefined);
});

test('mistral has one window in all layers', () => {
  const model_type = 'mistral';
  assert.equal(windows({ model_type, sliding_window: 24 }), [24, 24]);
  assert.equal(windows({ model_type, sliding_window: null }), [undefined, undefined]);
  assert.equal(windows({ model_type }), [4096, 4096]);
});

test('qwen has windows from max_window_layers on, or where layer_types says so, once they are switched on', async () => {
  for (const model_type of ['qwen2', 'qwen3']) {
    const on = { model_type, use_sliding_window: true, sliding_window: 16 };
    assert.equal(windows({ ...on, max_window_layers: 1 }), [undefined, 16]);
    assert.equal(windows({ ...on, max_window_layers: 2 }), [undefined, undefined]);
    const layer_types = ['sliding_attention', 'full_attention'];
    assert.equal(windows({ ...on, max_window_layers: 1, layer_types }), [16, undefined]);
    assert.equal(windows({ model_type, sliding_window: 16, max_window_layers: 0 }), [undefined, undefined]);
    await rejects(() => windows({ model_type, layer_types }), /layer_types is .*; expected only full_attention/);
    await rejects(() => windows({ ...on, layer_types: ['full_attention'] }), /expected a list of 2 strings/);
    await rejects(() => windows({ ...on, layer_types: ['full_attention', 'linear'] }), /full_attention for each layer/);
    await rejects(() => windows({ ...on, sliding_window: 0 }), /sliding_window is 0/);
  }
});

test('llama has no window whatever its config.json says', () => {
  assert.equal(windows({ sliding_window: 16 }), [undefined, undefined]);
});

const match = async (file: Uint8Array, changes: Record<string, unknown> = {}) =>
  matchTensors(describe(changes), await readTensorIndex(memorySource({ 'model.safetensors': file })));

const withShapes = (changes: Record<string, readonly number[] | undefined>) => {
  const shapes = { ...tinyShapes(), ...changes };
  return floatTensors(
    Object.fromEntries(Object.entries(shapes).flatMap(([name, shape]) => (shape ? [[name, shape]] : []))),
  );
};

test('a tied head is the embedding, and exists once', async () => {
  const { head, embedding } = describe();
  assert.is(head, embedding);
  assert.is((await match(withShapes({}))).size, 2 + 2 * 9);
});

test('a missing tensor is named with its shape', async () => {
  await rejects(
    () => match(withShapes({ 'model.layers.1.mlp.up_proj.weight': undefined })),
    /^model\.safetensors: no tensor "model\.layers\.1\.mlp\.up_proj\.weight" \[48,32\], which this llama model needs$/,
  );
  await rejects(() => match(withShapes({}), { tie_word_embeddings: false }), /no tensor "lm_head\.weight" \[40,32\]/);
  await rejects(() => match(withShapes({}), { num_hidden_layers: 3 }), /no tensor "model\.layers\.2\./);
});

test('a tensor of another shape is named with both shapes', async () => {
  await rejects(
    () => match(withShapes({ 'model.layers.0.self_attn.k_proj.weight': [32, 16] })),
    /tensor "model\.layers\.0\.self_attn\.k_proj\.weight" has shape \[32,16\]; expected \[16,32\] from config\.json$/,
  );
  await rejects(() => match(withShapes({ 'model.norm.weight': [32, 1] })), /has shape \[32,1\]; expected \[32\]/);
  await rejects(() => match(withShapes({}), { vocab_size: 41 }), /shape \[40,32\]; expected \[41,32\]/);
  await rejects(() => match(withShapes({}), { head_dim: 2 ** 24 }), /expected \[67108864,32\]/);
});

test('a tensor of an element type that weights cannot have is refused', async () => {
  const header: Record<string, unknown> = {};
  let at = 0;
  for (const [name, shape] of Object.entries(tinyShapes())) {
    const bytes = 8 * shape.reduce((product, n) => product * n, 1);
    header[name] = { dtype: 'F64', shape, data_offsets: [at, (at += bytes)] };
  }
  await rejects(() => match(safetensorsFile(header, at)), /has dtype F64; expected one of F32, F16, BF16/);
});

test('a tensor that the decoder would leave out is refused, unless it follows from the rest', async () => {
  await rejects(
    () => match(withShapes({ 'model.layers.0.self_attn.q_proj.bias': [32] })),
    /tensor "model\.layers\.0\.self_attn\.q_proj\.bias" has no place in the llama model/,
  );
  const harmless = { 'lm_head.weight': [40, 32], 'model.layers.0.self_attn.rotary_emb.inv_freq': [4] };
  assert.is((await match(withShapes(harmless))).has('lm_head.weight'), false);
});

test.run();
