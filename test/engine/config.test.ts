import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describeDecoder } from '../../engine/architectures/index.ts';
import { matchTensors } from '../../engine/architectures/match-tensors.ts';
import { Fields, readFields } from '../../engine/checkpoint/fields.ts';
import { readGenerationConfig } from '../../engine/checkpoint/generation-config.ts';
import { readModelConfig } from '../../engine/checkpoint/model-config.ts';
import { CheckpointError } from '../../engine/errors.ts';
import { inverseFrequencies, type RopeConfig, readRope, ropeTable } from '../../engine/rope.ts';
import { memorySource, tinyConfig } from './memory-source.ts';
import { rejects } from './rejects.ts';

const fields = (changes: Record<string, unknown>) => new Fields('config.json', tinyConfig(changes));
const read = (changes: Record<string, unknown>) => readModelConfig(fields(changes), { tieWordEmbeddings: false });
const rope = (changes: Record<string, unknown>) => readRope(fields(changes), { headDim: 8, maxPositions: 64 });

const config = suite('config.json');

config('members that are absent or null take their defaults', () => {
  const absent = undefined;
  const found = read({
    num_key_value_heads: null,
    tie_word_embeddings: absent,
    hidden_act: null,
    rms_norm_eps: absent,
  });
  assert.is(found.kvHeads, 4);
  assert.is(found.headDim, 8);
  assert.is(found.tieWordEmbeddings, false);
  assert.is(found.activation, 'silu');
  assert.is(found.normEps, 1e-6);
  assert.equal(found.rope, { rotaryDim: 8, theta: 10000, scaling: { kind: 'default' } });
});

config('head_dim need not be hidden_size over heads', () => {
  assert.is(read({ head_dim: 24 }).headDim, 24);
});

/** Every `model_type` that there is, from the message about one that there is not. */
function describeTypes(): string[] {
  try {
    describeDecoder(fields({ model_type: 'none' }));
  } catch (error) {
    return (error as Error).message.split('one of ')[1].split(', ');
  }
  throw new Error('a model_type of none was taken');
}

const WRONG: readonly [changes: Record<string, unknown>, message: RegExp][] = [
  [{ vocab_size: undefined }, /vocab_size is missing; expected an integer from 1 to 16777216/],
  [{ vocab_size: 0 }, /vocab_size is 0/],
  [{ vocab_size: '40' }, /vocab_size is "40"/],
  [{ vocab_size: 2 ** 40 }, /vocab_size is 1099511627776/],
  [{ hidden_size: -1 }, /hidden_size is -1/],
  [{ hidden_size: 1.5 }, /hidden_size is 1.5/],
  [{ intermediate_size: [48] }, /intermediate_size is \[48\]/],
  [{ num_hidden_layers: 0 }, /num_hidden_layers is 0/],
  [{ num_hidden_layers: 1025 }, /num_hidden_layers is 1025; expected an integer from 1 to 1024/],
  [{ num_attention_heads: 65537 }, /num_attention_heads is 65537/],
  [
    { num_attention_heads: 3, num_key_value_heads: 3 },
    /num_attention_heads is 3; expected a divisor of hidden_size, 32/,
  ],
  [{ num_key_value_heads: 3 }, /num_key_value_heads is 3; expected a divisor of num_attention_heads, 4/],
  [{ head_dim: 0 }, /head_dim is 0/],
  [{ head_dim: 7 }, /head_dim is 7; expected an even number of rotated elements/],
  [{ max_position_embeddings: undefined }, /max_position_embeddings is missing/],
  [{ rms_norm_eps: 0 }, /rms_norm_eps is 0; expected a number above 0/],
  [{ rms_norm_eps: '1e-5' }, /rms_norm_eps is "1e-5"/],
  [{ hidden_act: 'relu2' }, /hidden_act is "relu2"; expected one of silu, /],
  [{ hidden_act: 'constructor' }, /hidden_act is "constructor"/],
  [{ tie_word_embeddings: 1 }, /tie_word_embeddings is 1; expected true or false/],
  [{ rope_theta: 0 }, /rope_theta is 0/],
  [{ rope_theta: 'x' }, /rope_theta is "x"/],
  [{ rope_scaling: 'linear' }, /rope_scaling is "linear"; expected an object/],
  [
    { rope_scaling: { type: 'warp' } },
    /rope_scaling\.type is "warp"; expected one of default, dynamic, linear, llama3, yarn, longrope, su/,
  ],
  [{ rope_scaling: { rope_type: 'linear' } }, /rope_scaling\.factor is missing/],
  [{ rope_parameters: { rope_type: 'linear', factor: -2 } }, /rope_parameters\.factor is -2/],
  [
    { rope_scaling: { rope_type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 4 } },
    /rope_scaling\.high_freq_factor is 4; expected more than low_freq_factor, 4/,
  ],
  [{ partial_rotary_factor: 1.5 }, /partial_rotary_factor is 1.5; expected a number above 0, at most 1/],
  [{ partial_rotary_factor: 0.1 }, /not 0 of 8/],
];

for (const [changes, message] of WRONG) {
  config(`${JSON.stringify(changes)} is refused`, () =>
    rejects(() => read(changes), new RegExp(`^config\\.json: .*${message.source}`)),
  );
}

config('whatever a member is, the model is described or refused', () => {
  const names = [
    ...Object.keys(tinyConfig()),
    ...['head_dim', 'rope_scaling', 'rope_parameters', 'rope_local_base_freq', 'partial_rotary_factor'],
    ...['layer_types', 'sliding_window', 'sliding_window_pattern', 'use_sliding_window', 'max_window_layers'],
    ...['no_rope_layers', 'no_rope_layer_interval', 'attention_bias', 'quantization_config', 'qk_layernorm'],
    ...['num_experts', 'num_local_experts', 'num_experts_per_tok', 'moe_intermediate_size', 'mlp_only_layers'],
    ...['decoder_sparse_step', 'swiglu_limit', 'query_pre_attn_scalar', 'attn_logit_softcapping', 'logit_scale'],
  ];
  const types = describeTypes();
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom(...types, Number.MAX_SAFE_INTEGER, 1e308, 5e-324, 2 ** 31, 4096, 1024, ''),
    fc.record({ rope_type: fc.constantFrom('linear', 'yarn', 'longrope', 'llama3'), factor: fc.double() }),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...types),
      fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 3 }),
      (type, changes) => {
        try {
          const description = describeDecoder(fields({ ...changes, model_type: changes.model_type ?? type }));
          matchTensors(description, { file: 'f', tensors: new Map() });
        } catch (error) {
          assert.instance(error, CheckpointError);
        }
      },
    ),
    { numRuns: 2000 },
  );
});

config('settings that an architecture cannot have are refused in one line', async () => {
  const cases: readonly [Record<string, unknown>, RegExp][] = [
    [{ model_type: 'gpt_oss', head_dim: 8, swiglu_alpha: 1.5 }, /swiglu_alpha is 1.5; expected 1.702/],
    [{ model_type: 'cohere2', use_qk_norm: true }, /use_qk_norm is true; expected false/],
    [{ model_type: 'cohere2', partial_rotary_factor: 0.5 }, /partial_rotary_factor is 0.5; expected whole heads/],
    [
      { model_type: 'gemma3_text', use_bidirectional_attention: true },
      /use_bidirectional_attention is true; expected false/,
    ],
    [{ model_type: 'gemma2', attn_logit_softcapping: -1 }, /attn_logit_softcapping is -1/],
    [
      { model_type: 'mixtral', num_local_experts: 4, num_experts_per_tok: 5 },
      /num_experts_per_tok is 5; expected an integer from 1 to 4/,
    ],
    [{ model_type: 'qwen3_moe', num_experts: 1e9 }, /num_experts is 1000000000/],
    [{ model_type: 'qwen2_moe', decoder_sparse_step: 0 }, /decoder_sparse_step is 0/],
    [{ model_type: 'qwen2_moe', mlp_only_layers: [-1] }, /mlp_only_layers is \[-1\]/],
    [{ model_type: 'smollm3', no_rope_layers: [1] }, /no_rope_layers is \[1\]; expected a number for each of 2 layers/],
    [{ model_type: 'smollm3', no_rope_layers: [1, 2] }, /no_rope_layers is \[1,2\]/],
    [
      { model_type: 'phi3', rope_scaling: { type: 'longrope', short_factor: [1, 1], long_factor: [1] } },
      /short_factor is \[1,1\]; expected 4 numbers/,
    ],
    [
      { model_type: 'phi3', rope_scaling: { type: 'longrope' } },
      /short_factor is missing|short_factor is undefined|expected 4 numbers/,
    ],
    [{ model_type: 'llama', rope_scaling: { rope_type: 'yarn', factor: 'x' } }, /rope_scaling.factor is "x"/],
    [{ model_type: 'llama', layer_types: 5, hidden_act: 'tanh' }, /hidden_act is "tanh"/],
    [
      { model_type: 'gemma3_text', layer_types: ['chunked_attention', 'full_attention'] },
      /sliding_attention or full_attention/,
    ],
  ];
  for (const [changes, message] of cases) {
    await rejects(() => describeDecoder(fields({ head_dim: 8, hidden_act: undefined, ...changes })), message);
  }
});

config('a file that is not an object of moderate size is refused', async () => {
  await rejects(() => readFields(memorySource({ 'config.json': '[]' }), 'config.json'), /\[\]; expected a JSON object/);
  await rejects(() => readFields(memorySource({ 'config.json': '{' }), 'config.json'), /not valid JSON/);
  await rejects(() => readFields(memorySource({}), 'config.json'), /^config\.json: no such file/);
  await rejects(
    () => readFields(memorySource({ 'config.json': ' '.repeat(2 ** 22 + 1) }), 'config.json'),
    /4194305 bytes; at most 4194304 are read/,
  );
});

config.run();

const ropes = suite('rope');

ropes('theta and scaling stand at the top, under rope_scaling or under rope_parameters', () => {
  const linear = { rotaryDim: 8, theta: 500, scaling: { kind: 'linear', factor: 2 } };
  assert.equal(rope({ rope_theta: 500, rope_scaling: { type: 'linear', factor: 2 } }), linear);
  assert.equal(rope({ rope_theta: 500, rope_scaling: { rope_type: 'linear', factor: 2 } }), linear);
  assert.equal(rope({ rope_parameters: { rope_type: 'linear', factor: 2, rope_theta: 500 } }), linear);
  assert.is(rope({ rope_theta: undefined }).theta, 10000);
  assert.is(rope({ rope_theta: undefined, rope_parameters: { rope_theta: 7 } }).theta, 7);
  assert.is(rope({ partial_rotary_factor: 0.5 }).rotaryDim, 4);
});

ropes('a table has cosines, then sines of position times frequency', () => {
  const config: RopeConfig = { rotaryDim: 4, theta: 100, scaling: { kind: 'default' } };
  const expected = [0, 1, 2].flatMap((p) => [Math.cos(p), Math.cos(p / 10), Math.sin(p), Math.sin(p / 10)]);
  const table = ropeTable(config, 3);
  assert.is(table.length, 12);
  table.forEach((value, i) => {
    assert.ok(Math.abs(value - expected[i]) < 1e-6, `${i}: ${value}`);
  });
});

ropes('linear scaling makes position p of factor f what p / f was', () => {
  const plain: RopeConfig = { rotaryDim: 8, theta: 10000, scaling: { kind: 'default' } };
  const scaled = ropeTable({ ...plain, scaling: { kind: 'linear', factor: 4 } }, 41);
  const unscaled = ropeTable(plain, 11);
  assert.equal(scaled.subarray(40 * 8), unscaled.subarray(10 * 8));
});

ropes('llama3 scaling keeps short wavelengths and stretches long ones', () => {
  const plain: RopeConfig = { rotaryDim: 64, theta: 500000, scaling: { kind: 'default' } };
  const scaling = {
    kind: 'llama3',
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositions: 8192,
  } as const;
  const [before, after] = [inverseFrequencies(plain), inverseFrequencies({ ...plain, scaling })];
  const turns = (i: number) => (8192 * before[i]) / (2 * Math.PI);
  before.forEach((frequency, i) => {
    const ratio = after[i] / frequency;
    if (turns(i) >= 4) assert.is(ratio, 1);
    else if (turns(i) <= 1) assert.is(ratio, 1 / 8);
    else assert.ok(ratio > 1 / 8 && ratio < 1);
  });
});

ropes.run();

const generation = suite('generation_config.json');

const generate = (inGeneration: Record<string, unknown> | undefined, inConfig: Record<string, unknown> = {}) =>
  readGenerationConfig(fields(inConfig), inGeneration && new Fields('generation_config.json', inGeneration), 40);

generation('end tokens come from it, or else from config.json', () => {
  assert.equal(generate({ eos_token_id: [3, 4] }, { eos_token_id: 5 }).eosTokenIds, [3, 4]);
  assert.equal(generate({ eos_token_id: 3 }).eosTokenIds, [3]);
  assert.equal(generate({}, { eos_token_id: 5 }).eosTokenIds, [5]);
  assert.equal(generate(undefined, { eos_token_id: [5, 6] }).eosTokenIds, [5, 6]);
  assert.equal(generate(undefined).eosTokenIds, []);
});

generation('sampling settings are taken over', () => {
  const sampling = { temperature: 0.3, top_k: 20, top_p: 0.9, min_p: 0.05, repetition_penalty: 1.1 };
  const found = generate({ ...sampling, max_new_tokens: 50 });
  assert.equal(found, {
    eosTokenIds: [],
    temperature: 0.3,
    topK: 20,
    topP: 0.9,
    minP: 0.05,
    repetitionPenalty: 1.1,
    maxTokens: 50,
  });
});

generation('values out of range are refused', async () => {
  const wrong: readonly [Record<string, unknown>, RegExp][] = [
    [{ eos_token_id: 40 }, /eos_token_id is 40; expected an integer from 0 to 39, or a list/],
    [{ eos_token_id: [1, -1] }, /eos_token_id is \[1,-1\]/],
    [{ eos_token_id: 'end' }, /eos_token_id is "end"/],
    [{ temperature: -1 }, /temperature is -1/],
    [{ top_p: 0 }, /top_p is 0; expected a number above 0, at most 1/],
    [{ top_k: 2.5 }, /top_k is 2.5/],
    [{ min_p: 2 }, /min_p is 2/],
    [{ repetition_penalty: 0 }, /repetition_penalty is 0/],
    [{ max_new_tokens: 0 }, /max_new_tokens is 0/],
  ];
  for (const [members, message] of wrong) {
    await rejects(() => generate(members), new RegExp(`^generation_config\\.json: ${message.source}`));
  }
});

generation.run();
