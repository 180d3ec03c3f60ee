/** Settings of the architectures that no oracle model has, each as config.json says it and as plain code takes it. */

import type { Mixture, PlainModel } from './plain-decoder.ts';

export interface SettingsCase {
  readonly what: string;
  readonly config: Record<string, unknown>;
  readonly plain: Partial<PlainModel>;
}

/** What all of them have in common, as config.json says it. */
export const SIZES = {
  vocab_size: 50,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
};

const silu = (x: number) => x / (1 + Math.exp(-x));
const geluTanh = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
/** x · Φ(x), the integral by Simpson's rule. */
const gelu = (x: number) => {
  const n = 2000;
  const density = (t: number) => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  let sum = density(0) + density(x);
  for (let i = 1; i < n; i++) sum += (i % 2 === 0 ? 2 : 4) * density((x * i) / n);
  return x * (0.5 + (sum * x) / (3 * n));
};
const angles = (rotary: number, theta: number) =>
  Array.from({ length: rotary / 2 }, (_, i) => theta ** ((-2 * i) / rotary));
const rope = (rotary = 8, theta = 10_000) => ({ rope: () => ({ angles: angles(rotary, theta) }) });

/** The same for plain code. */
export const BASE: PlainModel = {
  layers: SIZES.num_hidden_layers,
  hidden: SIZES.hidden_size,
  heads: SIZES.num_attention_heads,
  kvHeads: SIZES.num_key_value_heads,
  headDim: 8,
  eps: 1e-6,
  act: silu,
  feedForward: () => 'gated',
  ...rope(),
};

const QWEN_EXPERTS: Mixture = {
  experts: 6,
  perToken: 2,
  normalize: false,
  router: 'mlp.gate',
  expert: (e) => [`mlp.experts.${e}.gate_proj`, `mlp.experts.${e}.up_proj`, `mlp.experts.${e}.down_proj`],
};

/** Yarn as its paper has it: pairs that turn 32 times and more are kept, those that turn once or less are stretched. */
function yarn(rotary: number, theta: number, factor: number, original: number, truncate: boolean) {
  const pairOf = (turns: number) => (rotary * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [low, high] = truncate ? [Math.floor(pairOf(32)), Math.ceil(pairOf(1))] : [pairOf(32), pairOf(1)];
  const [from, to] = [Math.max(low, 0), Math.min(high, rotary - 1)];
  return angles(rotary, theta).map((angle, i) => {
    const ramp = Math.min(1, Math.max(0, (i - from) / (to - from)));
    return angle * (1 - ramp) + (angle / factor) * ramp;
  });
}

export const CASES: readonly SettingsCase[] = [
  {
    what: 'llama with biases everywhere and yarn',
    config: {
      model_type: 'llama',
      attention_bias: true,
      mlp_bias: true,
      rope_theta: 500,
      rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 24 },
    },
    plain: { rope: () => ({ angles: yarn(8, 500, 4, 24, true), magnitude: 0.1 * Math.log(4) + 1 }) },
  },
  {
    what: 'llama with yarn of other bounds, not truncated, under rope_parameters',
    config: {
      model_type: 'llama',
      tie_word_embeddings: true,
      rope_parameters: {
        rope_type: 'yarn',
        rope_theta: 2000,
        factor: 8,
        original_max_position_embeddings: 300,
        truncate: false,
        attention_factor: 1.25,
      },
    },
    plain: { tied: true, rope: () => ({ angles: yarn(8, 2000, 8, 300, false), magnitude: 1.25 }) },
  },
  {
    what: 'llama with linear scaling, half of each head rotated, gelu',
    config: {
      model_type: 'llama',
      hidden_act: 'gelu',
      partial_rotary_factor: 0.5,
      rope_scaling: { rope_type: 'linear', factor: 3 },
    },
    plain: { act: gelu, rope: () => ({ angles: angles(4, 10_000).map((angle) => angle / 3) }) },
  },
  {
    what: 'llama with dynamic scaling, which does nothing up to max_position_embeddings',
    config: { model_type: 'llama', hidden_act: 'relu', rope_scaling: { type: 'dynamic', factor: 2 } },
    plain: { act: (x) => Math.max(0, x) },
  },
  {
    what: 'mixtral with a window, three of five experts and a tied head',
    config: {
      model_type: 'mixtral',
      sliding_window: 9,
      num_local_experts: 5,
      num_experts_per_tok: 3,
      rope_theta: 1e4,
      rms_norm_eps: 1e-4,
      tie_word_embeddings: true,
    },
    plain: {
      tied: true,
      eps: 1e-4,
      window: () => 9,
      feedForward: () => ({
        ...QWEN_EXPERTS,
        perToken: 3,
        normalize: true,
        router: 'block_sparse_moe.gate',
        expert: (e) => ['w1', 'w3', 'w2'].map((n) => `block_sparse_moe.experts.${e}.${n}`) as [string, string, string],
      }),
    },
  },
  {
    what: 'qwen2_moe: a shared expert behind a gate, experts in every other layer',
    config: {
      model_type: 'qwen2_moe',
      num_experts: 6,
      num_experts_per_tok: 2,
      moe_intermediate_size: 20,
      shared_expert_intermediate_size: 28,
      decoder_sparse_step: 2,
    },
    plain: { feedForward: (layer) => (layer === 1 ? { ...QWEN_EXPERTS, shared: 'gated' } : 'gated') },
  },
  {
    what: 'qwen2_moe: normalised weights, a dense layer, windows in even layers below the limit',
    config: {
      model_type: 'qwen2_moe',
      num_experts: 6,
      num_experts_per_tok: 2,
      moe_intermediate_size: 20,
      shared_expert_intermediate_size: 16,
      norm_topk_prob: true,
      mlp_only_layers: [1],
      qkv_bias: false,
      use_sliding_window: true,
      sliding_window: 7,
      max_window_layers: 2,
    },
    plain: {
      window: (layer) => (layer === 0 ? 7 : undefined),
      feedForward: (layer) => (layer === 1 ? 'gated' : { ...QWEN_EXPERTS, normalize: true, shared: 'gated' }),
    },
  },
  {
    what: 'qwen3_moe: weights as they are, a dense layer, attention biases',
    config: {
      model_type: 'qwen3_moe',
      num_experts: 6,
      num_experts_per_tok: 2,
      moe_intermediate_size: 12,
      norm_topk_prob: false,
      mlp_only_layers: [0],
      attention_bias: true,
      head_dim: 12,
    },
    plain: { headDim: 12, qkNorm: 'head', ...rope(12), feedForward: (layer) => (layer === 0 ? 'gated' : QWEN_EXPERTS) },
  },
  {
    what: 'gemma2 without caps, with layer_types and a scale of its own',
    config: {
      model_type: 'gemma2',
      head_dim: 16,
      query_pre_attn_scalar: 9,
      attn_logit_softcapping: null,
      final_logit_softcapping: null,
      sliding_window: 5,
      layer_types: ['full_attention', 'sliding_attention', 'sliding_attention'],
      attention_bias: true,
    },
    plain: {
      ...rope(16),
      headDim: 16,
      norm: 'rms1p',
      order: 'both',
      embeddingScale: Math.sqrt(32),
      tied: true,
      scale: 1 / 3,
      act: geluTanh,
      window: (layer) => (layer === 0 ? undefined : 5),
    },
  },
  {
    what: 'gemma3 with rope settings for each kind of layer',
    config: {
      model_type: 'gemma3_text',
      head_dim: 8,
      query_pre_attn_scalar: 8,
      sliding_window: 6,
      sliding_window_pattern: 2,
      final_logit_softcapping: 4,
      rope_parameters: {
        full_attention: { rope_type: 'linear', rope_theta: 3000, factor: 2 },
        sliding_attention: { rope_type: 'default', rope_theta: 200 },
      },
    },
    plain: {
      rope: (layer) => ({ angles: layer === 1 ? angles(8, 3000).map((angle) => angle / 2) : angles(8, 200) }),
      norm: 'rms1p',
      order: 'both',
      qkNorm: 'head',
      embeddingScale: Math.sqrt(32),
      tied: true,
      act: geluTanh,
      logits: (x) => 4 * Math.tanh(x / 4),
      window: (layer) => (layer === 1 ? undefined : 6),
    },
  },
  {
    what: 'gemma3 with rope_scaling, which is for the global layers alone',
    config: {
      model_type: 'gemma3_text',
      head_dim: 8,
      query_pre_attn_scalar: 8,
      sliding_window: 6,
      layer_types: ['sliding_attention', 'full_attention', 'sliding_attention'],
      rope_theta: 3000,
      rope_local_base_freq: 200,
      rope_scaling: { rope_type: 'linear', factor: 2 },
      tie_word_embeddings: false,
    },
    plain: {
      rope: (layer) => ({ angles: layer === 1 ? angles(8, 3000).map((angle) => angle / 2) : angles(8, 200) }),
      norm: 'rms1p',
      order: 'both',
      qkNorm: 'head',
      embeddingScale: Math.sqrt(32),
      act: geluTanh,
      window: (layer) => (layer === 1 ? undefined : 6),
    },
  },
  {
    what: 'gemma, the first: norms of 1 + weight, scaled embeddings',
    config: { model_type: 'gemma', head_dim: 8, hidden_act: 'gelu' },
    plain: { norm: 'rms1p', embeddingScale: Math.sqrt(32), tied: true, act: geluTanh },
  },
  {
    what: 'phi3 with a window and longrope beyond its first length',
    config: {
      model_type: 'phi3',
      sliding_window: 11,
      original_max_position_embeddings: 16,
      partial_rotary_factor: 0.75,
      rope_scaling: { type: 'su', short_factor: [1, 2, 3], long_factor: [4, 5, 6] },
    },
    plain: {
      fused: true,
      eps: 1e-5,
      window: () => 11,
      rope: () => ({
        angles: angles(6, 10_000).map((angle, i) => angle / [4, 5, 6][i]),
        magnitude: Math.sqrt(1 + Math.log(4) / Math.log(16)),
      }),
    },
  },
  {
    what: 'phi3 with longrope within its first length',
    config: {
      model_type: 'phi3',
      rope_parameters: {
        rope_type: 'longrope',
        rope_theta: 10_000,
        partial_rotary_factor: 0.75,
        original_max_position_embeddings: 48,
        short_factor: [1, 2, 3],
        long_factor: [4, 5, 6],
        attention_factor: 1.1,
      },
    },
    plain: {
      fused: true,
      eps: 1e-5,
      rope: () => ({ angles: angles(6, 10_000).map((angle, i) => angle / (i + 1)), magnitude: 1.1 }),
    },
  },
  {
    what: 'olmo2 with fewer K/V heads and biases',
    config: { model_type: 'olmo2', attention_bias: true, rms_norm_eps: 1e-6 },
    plain: { order: 'post', qkNorm: 'whole' },
  },
  {
    what: 'granite with biases and an untied head',
    config: {
      model_type: 'granite',
      attention_bias: true,
      mlp_bias: true,
      attention_multiplier: 0.5,
      embedding_multiplier: 3,
      residual_multiplier: 0.4,
      logits_scaling: 2,
    },
    plain: { scale: 0.5, embeddingScale: 3, residual: 0.4, logits: (x) => x / 2 },
  },
  {
    what: 'smollm3 that rotates in one of two layers, the others with a window',
    config: {
      model_type: 'smollm3',
      no_rope_layer_interval: 2,
      use_sliding_window: true,
      sliding_window: 8,
      mlp_bias: true,
      rope_theta: 10_000,
    },
    plain: {
      tied: true,
      window: (layer) => (layer === 1 ? 8 : undefined),
      rope: (layer) => ({ angles: layer === 1 ? [] : angles(8, 10_000) }),
    },
  },
  {
    what: 'cohere2 with biases, an untied head and layer_types',
    config: {
      model_type: 'cohere2',
      attention_bias: true,
      tie_word_embeddings: false,
      layer_norm_eps: 1e-6,
      logit_scale: 0.5,
      sliding_window: 10,
      layer_types: ['full_attention', 'sliding_attention', 'sliding_attention'],
    },
    plain: {
      norm: 'layer',
      order: 'parallel',
      interleaved: true,
      logits: (x) => x / 2,
      window: (layer) => (layer === 0 ? undefined : 10),
      rope: (layer) => ({ angles: layer === 0 ? [] : angles(8, 10_000) }),
    },
  },
  {
    what: 'gpt_oss without attention biases, three of four experts',
    config: {
      model_type: 'gpt_oss',
      head_dim: 8,
      attention_bias: false,
      num_local_experts: 4,
      num_experts_per_tok: 3,
      sliding_window: 12,
      swiglu_limit: 0.6,
      rms_norm_eps: 1e-6,
      rope_theta: 10_000,
      layer_types: ['full_attention', 'sliding_attention', 'full_attention'],
    },
    plain: {
      sinks: true,
      act: (x) => x / (1 + Math.exp(-1.702 * x)),
      window: (layer) => (layer === 1 ? 12 : undefined),
      feedForward: () => ({
        ...QWEN_EXPERTS,
        experts: 4,
        perToken: 3,
        normalize: true,
        router: 'mlp.router',
        limit: 0.6,
      }),
    },
  },
  {
    what: 'stablelm with parallel blocks, a norm for each head and biases on q, k, v',
    config: {
      model_type: 'stablelm',
      use_parallel_residual: true,
      qk_layernorm: true,
      use_qkv_bias: true,
      layer_norm_eps: 1e-6,
    },
    plain: { norm: 'layer', order: 'parallel', qkNorm: 'eachHead', ...rope(2) },
  },
  {
    what: 'stablelm one after the other, half of each head rotated, tied',
    config: { model_type: 'stablelm', partial_rotary_factor: 0.5, tie_word_embeddings: true, layer_norm_eps: 1e-6 },
    plain: { norm: 'layer', tied: true, ...rope(4) },
  },
  {
    what: 'deepseek_v2 with intermediates for q, k and v, groups of experts, yarn',
    config: {
      model_type: 'deepseek_v2',
      ...{ qk_rope_head_dim: 8, qk_nope_head_dim: 12, v_head_dim: 16, kv_lora_rank: 24, q_lora_rank: 20 },
      ...{ n_routed_experts: 8, num_experts_per_tok: 2, moe_intermediate_size: 12, n_shared_experts: 2 },
      ...{ topk_method: 'group_limited_greedy', n_group: 4, topk_group: 2, routed_scaling_factor: 2.5 },
      num_key_value_heads: 4,
      first_k_dense_replace: 1,
      attention_bias: true,
      rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 24, mscale: 0.7, mscale_all_dim: 0.7 },
    },
    plain: {
      latent: { rope: 8, nope: 12, value: 16, rank: 24, q: true },
      scale: 20 ** -0.5 * (0.07 * Math.log(4) + 1) ** 2,
      interleaved: true,
      rope: () => ({ angles: yarn(8, 10_000, 4, 24, true) }),
      feedForward: (layer) =>
        layer === 0
          ? 'gated'
          : { ...QWEN_EXPERTS, experts: 8, shared: 'plain', scale: 2.5, groups: { count: 4, chosen: 2 } },
    },
  },
  {
    what: 'deepseek_v2 with q from the input, no experts for all',
    config: {
      model_type: 'deepseek_v2',
      ...{ qk_rope_head_dim: 4, qk_nope_head_dim: 8, v_head_dim: 12, kv_lora_rank: 16, q_lora_rank: null },
      ...{ n_routed_experts: 6, num_experts_per_tok: 2, moe_intermediate_size: 16, n_shared_experts: null },
      num_key_value_heads: 4,
      tie_word_embeddings: true,
    },
    plain: {
      latent: { rope: 4, nope: 8, value: 12, rank: 16, q: false },
      tied: true,
      interleaved: true,
      ...rope(4),
      feedForward: () => QWEN_EXPERTS,
    },
  },
  {
    what: 'starcoder2 with biases and a window',
    config: { model_type: 'starcoder2', sliding_window: 13, norm_epsilon: 1e-6 },
    plain: { norm: 'layer', tied: true, act: geluTanh, window: () => 13, feedForward: () => 'plain' },
  },
  {
    what: 'starcoder2 without biases, relu',
    config: { model_type: 'starcoder2', use_bias: false, hidden_act: 'relu', norm_epsilon: 1e-6 },
    plain: { norm: 'layer', tied: true, act: (x) => Math.max(0, x), feedForward: () => 'plain' },
  },
];
